"""The command and its places."""

import pytest

from lake_assets_tests.cli.command import Command
from lake_assets_tests.cli.shop import NIGHTS, put_night, write_config


@pytest.fixture
def exports(tmp_path):
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def lake(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Command(monkeypatch, capsys)


@pytest.fixture
def shop(lake, exports, tmp_path, monkeypatch):
    """The command, in a folder with a configuration and one night of six orders in two files."""
    put_night(exports, NIGHTS[0])
    write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    return lake
