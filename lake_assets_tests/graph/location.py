"""The graph as the tests' daemon serves it: the real one, with sensors that tick more often."""

import dagster as dg

from lake_assets.definitions import build_definitions
from lake_assets_tests.graph.migrations import read_once

read_once()


@dg.definitions
def defs() -> dg.Definitions:
    graph = build_definitions()
    for sensor in graph.sensors or ():
        # There is no public way. Waiting for 30 s proves nothing more, but each tick opens an
        # instance: at one a second they cost as much as all runs.
        sensor._min_interval = 3
    return graph
