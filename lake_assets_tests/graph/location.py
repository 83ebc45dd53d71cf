"""The graph as the tests' daemon serves it: the real one, with sensors that tick every second."""

import dagster as dg

from lake_assets.definitions import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    graph = build_definitions()
    for sensor in graph.sensors or ():
        sensor._min_interval = 1  # there is no public way; waiting for 30 s proves nothing more
    return graph
