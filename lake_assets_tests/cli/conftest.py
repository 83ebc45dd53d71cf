"""Places of the line's tests."""

import pytest


@pytest.fixture
def exports(tmp_path):
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "lake"
