"""Places of the snapshot line's tests."""

import pytest

from lake_assets_tests.snapshot_line.shop import Shop


@pytest.fixture
def shop(tmp_path):
    """A source of ``shop.orders`` without files, and a lake, in a folder of their own."""
    return Shop(str(tmp_path / "source"), str(tmp_path / "lake"))
