"""An array for tests of zarr, and how it is cut: into chunks, and into chunks within shards."""

import numpy as np
import pytest

from lake_assets.arrays.zarr_grid import Layout

__all__ = ["BOTH", "ROWS", "SHARDED", "SMALL"]

ROWS = np.random.default_rng(3).normal(size=(40, 30))
SMALL = Layout(chunks=(8, 10))
SHARDED = Layout(chunks=(4, 5), shards=(16, 20))
BOTH = pytest.mark.parametrize("layout", [SMALL, SHARDED], ids=["chunks", "shards"])
