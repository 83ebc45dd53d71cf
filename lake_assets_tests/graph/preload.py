"""What the runs of the tests' daemon are forked from: all is imported, an instance was open.

A run is a process of its own still; it only does not begin by importing Dagster for seconds.
"""

from importlib import import_module

import dagster as dg

for name in (
    "dagster._grpc.server",
    "lake_assets.defs.assets.arrays",
    "lake_assets.defs.assets.migration",
    "lake_assets_tests.graph.location",
):
    import_module(name)

with dg.DagsterInstance.local_temp():
    pass
