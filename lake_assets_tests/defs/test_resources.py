"""The lake resource: what it says itself wins, the rest comes from the environment and the file."""

import dagster as dg
import pytest

from lake_assets.defs.resources import LakeResource
from lake_assets.errors import SettingsError, StorageError


def test_what_is_set_in_the_resource_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "other"))
    monkeypatch.setenv("LAKE_EXPORTS", str(tmp_path / "from-environment"))
    settings = LakeResource(root=str(tmp_path / "mine")).settings()
    assert settings.root == str(tmp_path / "mine")
    assert settings.exports_url == str(tmp_path / "from-environment")


def test_the_environment_is_read_when_it_is_asked_not_before(tmp_path, monkeypatch):
    lake = LakeResource()
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path))
    assert lake.open().root.url == str(tmp_path)


def test_the_config_adds_tables(tmp_path):
    config = tmp_path / "lake.yaml"
    text = "datamart: {tables: {mine: {class: Data-Mine, key: pyID, time: pyTime}}}"
    config.write_text(text)
    lake = LakeResource(root=str(tmp_path / "lake"), config=str(config))
    assert lake.open().table("mine").class_name == "Data-Mine"


def test_a_wrong_config_is_an_error_with_the_place(tmp_path):
    config = tmp_path / "lake.yaml"
    config.write_text("rot: /somewhere")
    with pytest.raises(SettingsError, match=r"lake\.yaml:1: rot"):
        LakeResource(config=str(config)).settings()


def test_a_root_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "lake").write_text("")
    with pytest.raises(StorageError):
        LakeResource(root=str(tmp_path / "lake")).open()


def test_it_can_be_configured_from_the_environment_as_dagster_does(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_LAKE", str(tmp_path))
    roots = []

    @dg.asset
    def asks(lake: LakeResource) -> None:
        roots.append(lake.open().root.url)

    dg.materialize([asks], resources={"lake": LakeResource(root=dg.EnvVar("MY_LAKE"))})
    assert roots == [str(tmp_path)]
