"""S3 exports in, a Delta lake out: one Dagster asset graph."""
