"""Assets of a user's own: tables in as frames, frames out as tables, on a folder and on S3."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from lake_assets.definitions import build_definitions
from lake_assets.defs.io_managers import DeltaIOManager, table_name
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import query, run_datamart, table_uri
from lake_assets.lake.read import scan_uri
from lake_assets_tests.factories import export_files, put_folder
from lake_assets_tests.graph.line import NESTED_RESOURCE, QUIET

pytestmark = pytest.mark.filterwarnings(NESTED_RESOURCE)

DAWN = datetime(2026, 1, 1)  # noqa: DTZ001 (a time without a zone is the point)
MODELS = dg.AssetKey(["lake", "datamart", "model_snapshot"])
FROM_LAKE = dg.AssetIn(key_prefix=["lake", "datamart"])
KEYS = ["a/b", "c d", "e=f", "ü%20", "2026-09-28"]


@pytest.fixture
def lake(root, tmp_path):
    """A lake into which nothing is loaded yet; seven rows of model_snapshot are exported."""
    exports = put_folder(tmp_path / "exports", export_files("model_snapshot", 7))
    return LakeResource(root=root, exports=str(exports))


@pytest.fixture
def filled(lake):
    """The lake, with the seven rows in model_snapshot."""
    run_datamart(lake.open(), tables=["model_snapshot"])
    return lake


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(lake, instance, *assets, ends=None, others=(), **more):
    """One run of the assets in a project of somebody's own that only knows the table's key."""
    resources = {"io_manager": DeltaIOManager(lake=lake)}
    graph = dg.Definitions(assets=[dg.AssetSpec(MODELS), *assets, *others], resources=resources)
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    job = graph.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[asset.key for asset in assets],
        tags=dict(zip(names, ends, strict=True)) if ends else None,
        run_config=QUIET,
        **more,
    )


def read(lake, name):
    return scan_uri(table_uri(lake.open().root.url, name)).collect()


def by_partition(lake, name):
    rows = read(lake, name).sort("_partition", "n").rows_by_key("_partition", include_key=False)
    return {key: [row[0] for row in found] for key, found in rows.items()}


def test_a_lazy_parameter_is_the_published_table_and_a_returned_frame_becomes_one(filled, instance):
    @dg.asset(ins={"model_snapshot": FROM_LAKE})
    def counted(model_snapshot: pl.LazyFrame) -> pl.DataFrame:
        assert isinstance(model_snapshot, pl.LazyFrame)
        return model_snapshot.select(n=pl.len()).collect()

    assert run(filled, instance, counted).success
    assert read(filled, "assets.counted").to_dicts() == [{"n": 7}]


def test_an_eager_parameter_is_a_frame_and_a_lazy_result_is_collected(filled, instance):
    @dg.asset(ins={"model_snapshot": FROM_LAKE})
    def names(model_snapshot: pl.DataFrame) -> pl.LazyFrame:
        assert isinstance(model_snapshot, pl.DataFrame)
        return model_snapshot.lazy().select("pyName").unique()

    assert run(filled, instance, names).success
    assert read(filled, "assets.names").height >= 1


def test_within_the_group_lake_the_bare_parameter_name_is_enough(filled, instance):
    @dg.asset(group_name="lake")
    def by_name(model_snapshot: pl.LazyFrame) -> pl.DataFrame:
        return model_snapshot.select(n=pl.len()).collect()

    graph = dg.Definitions.merge(build_definitions(filled), dg.Definitions(assets=[by_name]))
    job = graph.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[by_name.key], run_config=QUIET
    )
    assert result.success
    assert read(filled, "assets.by_name").to_dicts() == [{"n": 7}]


def test_version_and_columns_narrow_an_input(filled, instance):
    more = export_files("model_snapshot", 9, export_id="20261001T020000.041")
    put_folder(Path(filled.settings().exports_url), more)
    run_datamart(filled.open(), tables=["model_snapshot"])
    narrow = dg.AssetIn(MODELS, metadata={"version": 0, "columns": ["pyName", "_month"]})

    @dg.asset(ins={"models": narrow})
    def old(models: pl.LazyFrame) -> pl.LazyFrame:
        return models

    @dg.asset(ins={"models": dg.AssetIn(MODELS)})
    def new(models: pl.DataFrame) -> pl.DataFrame:
        return models

    assert run(filled, instance, old, new).success
    assert (read(filled, "assets.old").columns, read(filled, "assets.old").height) == (
        ["pyName", "_month"],
        7,
    )
    assert read(filled, "assets.new").height == 9


def test_unsigned_integers_as_counts_give_become_signed_without_loss(lake, instance):
    values = {"a": 2**8 - 1, "b": 2**16 - 1, "c": 2**32 - 1}
    types = {"a": pl.UInt8, "b": pl.UInt16, "c": pl.UInt32}

    @dg.asset
    def counts() -> pl.DataFrame:
        return pl.DataFrame([values], schema=types)

    assert run(lake, instance, counts).success
    assert read(lake, "assets.counts").to_dicts() == [values]


def test_the_event_says_rows_files_bytes_schema_and_preview(lake, instance):
    @dg.asset
    def one() -> pl.DataFrame:
        return pl.DataFrame({"n": [1, 2], "s": ["a|b", "c\nd"], "t": [DAWN] * 2})

    first, second = run(lake, instance, one), run(lake, instance, one)
    for result, status in ((first, "published"), (second, "unchanged")):
        (event,) = result.asset_materializations_for_node("one")
        facts = {name: entry.value for name, entry in event.metadata.items()}
        assert (facts["dagster/row_count"], facts["files"], facts["version"]) == (2, 1, 0)
        assert facts["status"] == status
        assert facts["bytes"] > 100
        assert [column.name for column in facts["dagster/column_schema"].columns] == ["n", "s", "t"]
        assert facts["preview"].splitlines()[2:] == [
            "| 1 | a\\|b | 2026-01-01 00:00:00 |",
            "| 2 | c d | 2026-01-01 00:00:00 |",
        ]
    assert query(lake.open().root.url, "select sum(n) from assets.one").item() == 3


STATIC = dg.StaticPartitionsDefinition(KEYS)


def test_a_dict_of_frames_writes_many_partitions_in_one_run_with_an_event_each(lake, instance):
    @dg.asset(partitions_def=STATIC, backfill_policy=dg.BackfillPolicy.single_run())
    def parts(context: dg.AssetExecutionContext) -> dict[str, pl.DataFrame]:
        return {
            key: pl.DataFrame({"n": range(number)}, schema={"n": pl.Int64})
            for number, key in enumerate(context.partition_keys)
        }

    result = run(lake, instance, parts, ends=(KEYS[0], KEYS[-1]))
    assert result.success
    assert by_partition(lake, "assets.parts") == {
        KEYS[number]: list(range(number)) for number in range(1, 5)
    }
    events = result.asset_materializations_for_node("parts")
    told = {
        event.partition: (event.metadata["dagster/row_count"].value, event.metadata["files"].value)
        for event in events
    }
    assert len(events) == 5
    assert told == {key: (number, min(number, 1)) for number, key in enumerate(KEYS)}


def test_one_frame_with_a_partition_column_writes_dynamic_partitions(lake, instance):
    instance.add_dynamic_partitions("mine", KEYS)

    @dg.asset(
        partitions_def=dg.DynamicPartitionsDefinition(name="mine"),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def parts(context: dg.AssetExecutionContext) -> pl.LazyFrame:
        keys = context.partition_keys
        return pl.LazyFrame({"_partition": keys, "n": list(range(len(keys)))})

    assert run(lake, instance, parts, ends=(KEYS[0], KEYS[-1])).success
    assert by_partition(lake, "assets.parts") == {key: [n] for n, key in enumerate(KEYS)}


def test_materializing_one_partition_again_leaves_the_others(lake, instance):
    @dg.asset(partitions_def=STATIC)
    def parts(context: dg.AssetExecutionContext) -> pl.DataFrame:
        number = 1 + len(instance.fetch_materializations(context.asset_key, limit=9).records)
        return pl.DataFrame({"n": [number]})

    for key in (KEYS[0], KEYS[1], KEYS[0]):
        assert run(lake, instance, parts, partition_key=key).success
    assert by_partition(lake, "assets.parts") == {KEYS[0]: [3], KEYS[1]: [2]}


def test_a_partition_without_rows_is_emptied(lake, instance):
    frames = [pl.DataFrame({"n": [1]}), pl.DataFrame(schema={"n": pl.Int64})]

    @dg.asset(partitions_def=STATIC)
    def parts() -> pl.DataFrame:
        return frames.pop(0)

    for _ in range(2):
        assert run(lake, instance, parts, partition_key=KEYS[0]).success
    assert read(lake, "assets.parts").height == 0


def test_a_partitioned_table_loads_as_the_partitions_that_are_asked_for(lake, instance):
    single = dg.BackfillPolicy.single_run()

    @dg.asset(partitions_def=STATIC, backfill_policy=single)
    def parts(context: dg.AssetExecutionContext) -> pl.DataFrame:
        keys = context.partition_keys
        return pl.DataFrame({"_partition": keys, "n": range(len(keys))})

    @dg.asset(partitions_def=STATIC, backfill_policy=single)
    def same(parts: pl.LazyFrame) -> pl.LazyFrame:
        return parts

    @dg.asset
    def total(parts: pl.LazyFrame) -> pl.DataFrame:
        return parts.select(pl.len()).collect()

    assert run(lake, instance, parts, same, total, ends=(KEYS[0], KEYS[-1])).success
    assert by_partition(lake, "assets.same") == by_partition(lake, "assets.parts")
    assert read(lake, "assets.total").item() == 5
    assert run(lake, instance, same, others=[parts], partition_key=KEYS[2]).success
    assert by_partition(lake, "assets.same")[KEYS[2]] == [2]


def test_an_empty_frame_is_a_table_without_rows(lake, instance):
    @dg.asset
    def nothing() -> pl.DataFrame:
        return pl.DataFrame(schema={"n": pl.Int64, "s": pl.String})

    assert run(lake, instance, nothing).success
    found = read(lake, "assets.nothing")
    assert (found.height, found.columns) == (0, ["n", "s"])


def refused(lake, instance, *assets, **more) -> str:
    result = run(lake, instance, *assets, raise_on_error=False, **more)
    assert not result.success
    failures = [event for event in result.all_events if event.is_step_failure]
    return str(failures[0].step_failure_data.error)


def test_another_type_is_refused_and_says_what_to_return(lake, instance):
    @dg.asset
    def wrong():
        return [1, 2, 3]

    message = refused(lake, instance, wrong)
    assert "assets.wrong returned list" in message
    assert "DataFrame or LazyFrame" in message


def test_a_changed_column_type_is_refused_and_names_the_column(lake, instance):
    frames = [pl.DataFrame({"n": [1]}), pl.DataFrame({"n": ["one"]})]

    @dg.asset
    def typed() -> pl.DataFrame:
        return frames.pop(0)

    assert run(lake, instance, typed).success
    message = refused(lake, instance, typed)
    assert "SchemaChangeError" in message
    assert "n" in message
    assert read(lake, "assets.typed").to_dicts() == [{"n": 1}]


def test_several_partitions_in_one_frame_without_the_column_are_refused(lake, instance):
    @dg.asset(partitions_def=STATIC, backfill_policy=dg.BackfillPolicy.single_run())
    def parts() -> pl.DataFrame:
        return pl.DataFrame({"n": [1]})

    assert "'_partition'" in refused(lake, instance, parts, ends=(KEYS[0], KEYS[1]))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        pytest.param({"elsewhere": pl.DataFrame({"n": [1]})}, "elsewhere", id="another partition"),
        pytest.param({}, "without a frame", id="no frame"),
    ],
)
def test_a_dict_that_does_not_fit_the_run_is_refused(lake, instance, result, says):
    @dg.asset(partitions_def=STATIC)
    def parts() -> dict[str, pl.DataFrame]:
        return result

    assert says in refused(lake, instance, parts, partition_key=KEYS[0])


def test_a_stage_that_is_no_table_cannot_be_an_input(lake, instance):
    staging = dg.AssetSpec(["staging", "datamart", "model_snapshot"])

    @dg.asset(ins={"staged": dg.AssetIn(staging.key)})
    def wrong(staged: pl.LazyFrame) -> pl.DataFrame:
        return staged.collect()

    assert "lake/datamart/model_snapshot" in refused(lake, instance, staging_stub(staging), wrong)


def staging_stub(spec: dg.AssetSpec) -> dg.AssetsDefinition:
    @dg.asset(key=spec.key)
    def staged() -> None: ...

    return staged


def test_an_asset_cannot_overwrite_a_table_that_is_made_of_exports(filled, instance):
    @dg.asset(key=["datamart", "model_snapshot"])
    def mine() -> pl.DataFrame:
        return pl.DataFrame({"n": [1]})

    assert "would overwrite datamart.model_snapshot" in refused(filled, instance, mine)


def test_a_table_that_nobody_wrote_yet_is_a_clear_error(lake, instance):
    other = dg.AssetSpec(["lake", "shop", "orders"])

    @dg.asset(ins={"orders": dg.AssetIn(other.key)})
    def wants(orders: pl.LazyFrame) -> pl.DataFrame:
        return orders.collect()

    graph = dg.Definitions(
        assets=[other, wants], resources={"io_manager": DeltaIOManager(lake=lake)}
    )
    result = graph.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False
    )
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "there is no Delta table at" in str(failure.step_failure_data.error)


def test_times_keep_their_zone(lake, instance):
    moment = datetime(2026, 9, 28, 12, tzinfo=UTC)

    @dg.asset
    def timed() -> pl.DataFrame:
        return pl.DataFrame({"at": [moment]})

    assert run(lake, instance, timed).success
    assert read(lake, "assets.timed").item() == moment


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (["lake", "datamart", "best"], "datamart.best"),
        (["best"], "assets.best"),
        (["lake"], "assets.lake"),
        (["shop", "orders"], "shop.orders"),
        (["shop", "eu", "orders"], "shop.eu__orders"),
    ],
)
def test_the_key_says_where_the_table_lies(key, name):
    assert table_name(dg.AssetKey(key)) == name
