"""Dagster: what turns the library into an asset graph. One module for each of Dagster's concepts."""
