"""Stage 2: the rows of one export, typed and split by hive partition, and a manifest of them."""
