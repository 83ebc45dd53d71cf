"""The assets, stage by stage; keys are ``[stage, source, table]``, the same for both lines.

export/S/T      external: what Pega or a database wrote, observed by a sensor
  │
staging/S/T     partition = one export run or one snapshot (dynamic, a set for each table)
  │  all partitions
compacted/S/T   partition = one hive partition (dynamic, a set for each table)
  │  all partitions
lake/S/T        the Delta table, one commit a publish
  │
lake/datamart/model_performance    a table of one's own, through the IO manager
  │
arrays/datamart/…    arrays of the tables, through the IO managers of arrays
"""
