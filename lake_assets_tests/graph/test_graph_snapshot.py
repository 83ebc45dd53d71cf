"""The graph as a person sees it, frozen: a change here is a change of what users know by name."""

import json

import dagster as dg
import pytest

from lake_assets.definitions import build_definitions
from lake_assets.defs.resources import LakeResource
from lake_assets.errors import SettingsError

TABLES = (
    "binary_distribution",
    "contingency_table",
    "histogram",
    "model_snapshot",
    "notification",
    "predictor_snapshot",
    "snapshot",
)
STAGES = ("compacted", "export", "lake", "staging")
KINDS = {
    "export": {"s3", "json"},
    "staging": {"polars", "parquet"},
    "compacted": {"polars", "parquet"},
    "lake": {"deltalake", "polars"},
}
BEFORE = {"staging": "export", "compacted": "staging", "lake": "compacted"}
ARRAYS = {
    "auc_history": ({"zarr", "numpy"}, "model_snapshot"),
    "contingency": ({"scipy"}, "contingency_table"),
    "predictor_bins": ({"zarr", "dask"}, "predictor_snapshot"),
}
STAGING_CHECKS = ("nothing_quarantined", "nothing_rescued")
OWN_TABLE = """
datamart:
  tables:
    my_scores:
      class: Data-My-Scores
      key: pyID
      time: pyTime
"""
DATABASES = """
databases:
  shop:
    orders:
      source: s3://exports/AWSDynamoDB/
      format: dynamodb
      record_id: order_id
      partition_by: {year: {sql: "STRFTIME(create_time, '%Y')"}}
    items: {source: "exports/items/{snapshot}", format: csv, ready: _DONE, columns: {n: int}}
  shop_items:
    old: {source: exports/old, format: parquet, mode: history}
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> dg.Definitions:
    return build_definitions(LakeResource(root=str(tmp_path_factory.mktemp("lake"))))


def nodes(graph: dg.Definitions):
    return graph.resolve_asset_graph().asset_nodes


def test_asset_keys_groups_kinds_and_dependencies(graph):
    found = {
        node.key.to_user_string(): (
            node.group_name,
            set(node.kinds),
            sorted(key.to_user_string() for key in node.parent_keys),
        )
        for node in nodes(graph)
    }
    frozen = {
        f"{stage}/datamart/{table}": (
            stage,
            KINDS[stage],
            [f"{BEFORE[stage]}/datamart/{table}"] if stage in BEFORE else [],
        )
        for stage in STAGES
        for table in TABLES
    }
    frozen["lake/datamart/model_performance"] = (
        "lake",
        KINDS["lake"],
        ["lake/datamart/model_snapshot"],
    )
    frozen["lake/catalog/tables"] = ("catalog", KINDS["lake"], [])
    for name, (kinds, table) in ARRAYS.items():
        frozen[f"arrays/datamart/{name}"] = ("arrays", kinds, [f"lake/datamart/{table}"])
    frozen["arrays/cottoncandy/migrated"] = ("arrays", {"zarr", "s3"}, [])
    assert found == frozen


def test_partitions_are_a_dynamic_set_for_each_table(graph):
    found = {
        node.key.to_user_string(): node.partitions_def.name
        for node in nodes(graph)
        if isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
    }
    frozen = {f"staging/datamart/{table}": f"datamart_{table}_exports" for table in TABLES} | {
        f"compacted/datamart/{table}": f"datamart_{table}_hive_partitions" for table in TABLES
    }
    assert found == frozen
    assert all(
        node.backfill_policy == dg.BackfillPolicy.single_run()
        for node in nodes(graph)
        if node.partitions_def
    )


def test_two_partition_sets_depend_on_each_other_as_a_whole(graph):
    mappings = {
        (node.key.path[0], parent.path[0]): type(mapping)
        for node in nodes(graph)
        for parent, mapping in node.partition_mappings.items()
    }
    assert mappings == {
        ("compacted", "staging"): dg.AllPartitionMapping,
        ("lake", "compacted"): dg.AllPartitionMapping,
    }


def test_six_checks_for_each_table_one_of_the_lake_and_none_blocks(graph):
    found = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.resolve_asset_graph().asset_check_keys
    }
    lake_checks = ("key_unique", "rows_conserved", "schema_as_declared")
    assert found == {
        *((f"staging/datamart/{table}", name) for table in TABLES for name in STAGING_CHECKS),
        *((f"staging/datamart/{table}", "no_drift") for table in TABLES),
        *((f"lake/datamart/{table}", name) for table in TABLES for name in lake_checks),
        *((f"arrays/datamart/{name}", "stored_whole") for name in ARRAYS),
        ("arrays/cottoncandy/migrated", "all_migrated"),
        ("lake/catalog/tables", "lake_is_whole"),
    }
    specs = [spec for checks in graph.asset_checks or () for spec in checks.check_specs]
    assert len(specs) == 42 + 1 + len(ARRAYS)
    assert not any(spec.blocking for spec in specs)
    assert all(spec.description for spec in specs)


def test_sensors_jobs_and_schedules(graph):
    jobs = {job.name for job in graph.resolve_all_job_defs() if not job.name.startswith("__")}
    lake_jobs = {"lake_maintenance", "lake_verification"}
    assert jobs == {"datamart_catch_up", "datamart_publish"} | lake_jobs
    assert {sensor.name for sensor in graph.sensors or ()} == {
        "catalog_recording",
        "datamart_compaction",
        "datamart_exports",
    }
    schedules = graph.get_repository_def().schedule_defs
    assert {(each.name, each.cron_schedule, each.execution_timezone) for each in schedules} == {
        ("datamart_nightly", "30 2 * * *", "UTC"),
        ("arrays_nightly", "30 4 * * *", "UTC"),
        ("catalog_nightly", "30 5 * * *", "UTC"),
        ("lake_maintenance_weekly", "0 6 * * 0", "UTC"),
        ("lake_verification_weekly", "0 7 * * 0", "UTC"),
    }
    named = {each.name: each.job_name for each in schedules}
    assert named["datamart_nightly"] == "datamart_catch_up"
    assert named["lake_maintenance_weekly"] == "lake_maintenance"
    assert named["lake_verification_weekly"] == "lake_verification"
    weekly = graph.get_repository_def().get_schedule_def("lake_verification_weekly")
    with dg.DagsterInstance.ephemeral() as instance:
        tick = weekly.evaluate_tick(dg.build_schedule_context(instance))
    (request,) = tick.run_requests or ()
    configured = {name: op["config"] for name, op in request.run_config["ops"].items()}
    assert configured == {
        "lake__catalog__tables": {"look_back_days": None},
        "lake__catalog__tables_lake_is_whole": {"level": "head"},
    }


def test_the_configuration_says_when_schedules_fire(tmp_path):
    crons = {
        "datamart": "*/10 * * * *", "databases": "1 0 * * 1-5", "arrays": "2 0 * * sun",
        "catalog": "3 0 1,15 * *", "maintenance": "4 0 1 JAN *", "verification": "5 0-6/2 * * *",
    }  # fmt: skip
    (tmp_path / "lake.yaml").write_text(f"{DATABASES}\nschedules: {json.dumps(crons)}\n")
    lake = LakeResource(root=str(tmp_path / "lake"), config=str(tmp_path / "lake.yaml"))
    schedules = build_definitions(lake).schedules or ()
    assert sorted(str(each.cron_schedule) for each in schedules) == sorted(crons.values())


def test_everything_has_a_description_that_says_something(graph):
    repository = graph.get_repository_def()
    described = {
        **{node.key.to_user_string(): node.description for node in nodes(graph)},
        **{sensor.name: sensor.description for sensor in repository.sensor_defs},
        **{schedule.name: schedule.description for schedule in repository.schedule_defs},
        **{
            job.name: job.description
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
    }
    short = [name for name, text in described.items() if len(text or "") < 40]
    assert short == []
    assert len(described) == 34 + 3 + 5 + 4


def test_every_asset_says_its_source_and_table(graph):
    for node in nodes(graph):
        assert node.tags["lake/source"] == node.key.path[-2]
        assert node.tags["lake/table"] == node.key.path[-1]


def test_a_table_of_ones_own_from_the_config_is_in_every_stage(tmp_path):
    config = tmp_path / "lake.yaml"
    config.write_text(OWN_TABLE)
    graph = build_definitions(LakeResource(root=str(tmp_path / "lake"), config=str(config)))
    found = {node.key.to_user_string() for node in nodes(graph)}
    assert {f"{stage}/datamart/my_scores" for stage in STAGES} <= found
    assert len(found) == 38
    (exports,) = [sensor for sensor in graph.sensors or () if sensor.name == "datamart_exports"]
    selected = exports.asset_selection.resolve(graph.resolve_asset_graph())
    assert dg.AssetKey(["staging", "datamart", "my_scores"]) in selected


@pytest.fixture(scope="module")
def with_databases(tmp_path_factory) -> dg.Definitions:
    folder = tmp_path_factory.mktemp("databases")
    (folder / "lake.yaml").write_text(DATABASES)
    lake = LakeResource(root=str(folder / "lake"), config=str(folder / "lake.yaml"))
    return build_definitions(lake)


def test_tables_of_databases_are_the_same_four_stages(graph, with_databases):
    known = {node.key for node in nodes(graph)}
    found = {
        node.key.to_user_string(): (
            node.group_name,
            set(node.kinds),
            sorted(key.to_user_string() for key in node.parent_keys),
            getattr(node.partitions_def, "name", None),
        )
        for node in nodes(with_databases)
        if node.key not in known
    }
    kinds = {"shop/orders": {"s3", "dynamodb"}, "shop/items": {"file", "csv"}}
    kinds["shop_items/old"] = {"file", "parquet"}
    frozen = {}
    for name, of_export in kinds.items():
        for stage in STAGES:
            frozen[f"{stage}/{name}"] = (
                stage,
                of_export if stage == "export" else KINDS[stage],
                [f"{BEFORE[stage]}/{name}"] if stage in BEFORE else [],
                {"staging": f"{name.replace('/', '.')}_snapshots"}.get(stage)
                or {"compacted": f"{name.replace('/', '.')}_hive_partitions"}.get(stage),
            )
    assert found == frozen
    mappings = [
        type(mapping)
        for node in nodes(with_databases)
        if node.key.path[1:] == ["shop", "orders"]
        for mapping in node.partition_mappings.values()
    ]
    assert mappings == [dg.AllPartitionMapping] * 2


def test_databases_have_the_checks_that_their_configuration_allows(graph, with_databases):
    known = graph.resolve_asset_graph().asset_check_keys
    found = {
        (key.asset_key.to_user_string(), key.name)
        for key in with_databases.resolve_asset_graph().asset_check_keys
        if key not in known
    }
    names = ("shop/orders", "shop/items", "shop_items/old")
    assert found == {
        *((f"staging/{name}", check) for name in names for check in STAGING_CHECKS),
        *((f"lake/{name}", "rows_conserved") for name in names),
        ("lake/shop/orders", "key_unique"),
        ("lake/shop/items", "schema_as_declared"),
    }


def test_databases_have_sensors_jobs_and_a_schedule_of_their_own(graph, with_databases):
    def names(definitions: dg.Definitions) -> set[str]:
        repository = definitions.get_repository_def()
        jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
        made = [*jobs, *repository.sensor_defs, *repository.schedule_defs]
        assert all(len(item.description or "") > 40 for item in made)
        return {item.name for item in made}

    assert names(with_databases) - names(graph) == {
        "databases_catch_up",
        "databases_compaction",
        "databases_exports",
        "databases_nightly",
        "databases_publish",
    }
    assert all(len(node.description or "") > 40 for node in nodes(with_databases))
    dg.Definitions.validate_loadable(with_databases)


def test_names_that_dagster_would_join_to_the_same_one_are_refused(tmp_path):
    table = "{source: exports, format: csv}"
    config = tmp_path / "lake.yaml"
    config.write_text(f"databases: {{a: {{b__c: {table}, b_c: {table}}}, a_b: {{c: {table}}}}}")
    graph = build_definitions(LakeResource(root=str(tmp_path / "lake"), config=str(config)))
    dg.Definitions.validate_loadable(graph)
    config.write_text(f"databases: {{a: {{b__c: {table}}}, a__b: {{c: {table}}}}}")
    with pytest.raises(SettingsError, match=r"a\.b__c and databases\.a__b\.c"):
        build_definitions(LakeResource(root=str(tmp_path / "lake"), config=str(config)))


def test_the_graph_can_be_loaded(graph):
    dg.Definitions.validate_loadable(graph)


def test_io_managers_of_arrays_have_clear_keys(graph):
    assert {name for name in graph.resources or {} if name.startswith("array")} == {
        "array",
        *(f"array_{name}" for name in ("json", "npy", "pickle", "raw", "sparse", "tree", "zarr")),
    }


def test_without_the_extra_the_graph_loads_without_arrays_and_says_so(
    tmp_path, monkeypatch, caplog
):
    from lake_assets.defs import arrays

    monkeypatch.setattr(arrays, "_NEEDED", ("zarr", "no_such_package"))
    with caplog.at_level("INFO", logger=arrays.__name__):
        graph = build_definitions(LakeResource(root=str(tmp_path / "lake")))
    assert not [node.key for node in nodes(graph) if node.key.path[0] == "arrays"]
    assert "array_zarr" in (graph.resources or {})
    assert "no_such_package is not installed; `pip install 'lake_assets[arrays]'`" in caplog.text
