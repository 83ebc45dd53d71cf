"""Stage 2: the rows of one export, typed and split by hive partition, as small parquet files and a manifest."""
