"""Where Dagster's own state of a lake lies, and how it is configured."""

from pathlib import Path

import dagster as dg
import yaml

from lake_assets.defs.instance import instance_home
from lake_assets.defs.keys import TABLE_TAG

REPOSITORY = Path(__file__).parents[2]


def test_a_folder_lake_has_its_instance_inside(tmp_path):
    home = instance_home(str(tmp_path / "lake"))
    assert home == tmp_path / "lake" / ".dagster"
    assert home.is_dir()
    assert (home / "dagster.yaml").read_text() == (REPOSITORY / "dagster.yaml").read_text()


def test_a_lake_on_s3_has_its_instance_at_home_one_for_each_address():
    one, other = instance_home("s3://pega/lake"), instance_home("s3://pega/other")
    assert one.parent == Path.home() / ".lake_assets"
    assert one.name.startswith("pega-")
    assert one != other
    assert instance_home("s3://pega/lake/") == one


def test_a_configuration_of_ones_own_is_left_as_it_is(tmp_path):
    home = instance_home(str(tmp_path))
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    instance_home(str(tmp_path))
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_the_instance_loads_with_its_limits(tmp_path):
    with dg.DagsterInstance.from_config(str(instance_home(str(tmp_path)))) as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert list(queue.tag_concurrency_limits) == [
            {"key": TABLE_TAG, "limit": 1, "value": {"applyLimitPerUniqueValue": True}}
        ]
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_history_is_bounded():
    configuration = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    assert configuration["retention"]["sensor"]["purge_after_days"]["skipped"] == 7
