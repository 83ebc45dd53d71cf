"""The command and its places."""

import pytest

from lake_assets_tests.cli.command import Command


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
