"""Dagster: what turns the library into an asset graph, a module for each of Dagster's concepts."""
