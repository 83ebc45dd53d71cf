"""The assets, stage by stage; keys are ``[stage, source, table]``.

export/datamart/T      external: what Pega wrote, observed by the sensor
  │
staging/datamart/T     partition = one export run (dynamic, a set for each table)
  │  all partitions
compacted/datamart/T   partition = one hive partition (dynamic, a set for each table)
  │  all partitions
lake/datamart/T        the Delta table, one commit a publish
  │
lake/datamart/model_performance    a table of one's own, through the IO manager
"""
