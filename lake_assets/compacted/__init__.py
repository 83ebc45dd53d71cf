"""Stage 3: one hive partition at a time, merged, deduplicated over the table, sorted, validated."""
