"""What changed is told by name; a table is called stale exactly when a run would do something."""

import json
import os

import pytest

from lake_assets.export.pega_tables import find_table
from lake_assets.lake.stale import why_database_is_stale, why_datamart_is_stale
from lake_assets.lake.versions import rollback
from lake_assets.staging import manifests, snapshot_plan
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    model,
    models,
    opened,
    put,
    run_models,
    wrapped,
)
from lake_assets_tests.snapshot_line.shop import Shop, rows


@pytest.fixture
def shop(tmp_path):
    """A table that is up to date."""
    shop = Shop(f"{tmp_path}/source", f"{tmp_path}/lake")
    shop.put(a=rows("1", "2"), b=rows("3", month="02")).run()
    return shop


def reasons(shop):
    """What is told of a table, which must be what a run finds out."""
    found = why_database_is_stale(*shop.opened)
    assert json.loads(json.dumps(found.as_dict()))["stale"] == found.is_stale
    assert shop.run().changed == found.is_stale
    assert not why_database_is_stale(*shop.opened).is_stale
    return found.reasons


def model_reasons(exports, root, **settings):
    """The same of model_snapshot."""
    spec = find_table(MODELS)
    found = why_datamart_is_stale(opened(exports, root, **settings), spec)
    assert run_models(exports, root, **settings).changed == found.is_stale
    assert not why_datamart_is_stale(opened(exports, root, **settings), spec).is_stale
    return found.reasons


def test_same_input_settings_and_code_are_not_stale(shop, exports, root):
    assert reasons(shop) == ()
    assert reasons(shop.having(group_size="1MB")) == ()
    put(exports, *models(model("a")))
    run_models(exports, root)
    assert model_reasons(exports, root) == ()


def test_an_export_that_was_never_staged_is_named_with_its_files(tmp_path, exports, root):
    shop = Shop(f"{tmp_path}/source", f"{tmp_path}/lake").put(a=rows("1"))
    [reason] = reasons(shop)
    assert (reason.kind, reason.what) == ("input", "this export was never staged")
    assert reason.files == (f"new {tmp_path}/source/a.parquet",)
    put(exports, *models(model("a")))
    run_models(exports, root)
    data, _ = second = models(model("b"), night=NIGHTS[1])
    put(exports, *second)
    [reason] = model_reasons(exports, root)
    assert (reason.kind, reason.files) == ("input", (f"new {exports}/{data.key}",))


def test_new_changed_and_gone_files_are_told_apart(shop):
    shop.put(a=rows("1", "2", "9"), c=rows("4")).remove("b")
    [reason] = reasons(shop)
    assert (reason.kind, sorted(reason.files)) == (
        "input",
        [
            f"changed {shop.source}/a.parquet",
            f"gone {shop.source}/b.parquet",
            f"new {shop.source}/c.parquet",
        ],
    )


def test_a_replaced_file_and_a_replaced_sentinel_of_the_datamart_are_told(exports, root):
    data, sentinel = models(model("a"))
    put(exports, data, sentinel)
    run_models(exports, root)
    os.utime(exports / sentinel.key, (1, 1))
    [reason] = model_reasons(exports, root)
    assert (reason.kind, "sentinel" in reason.what, reason.files) == ("input", True, ())
    put(exports, *models(model("a"), model("b")))
    [reason] = model_reasons(exports, root)
    assert reason.files == (f"changed {exports}/{data.key}",)


def test_exports_that_are_gone_or_refused_do_not_make_a_table_stale(exports, root):
    put(exports, *models(model("a")), *wrapped(b"no zip", NIGHTS[1]))
    run_models(exports, root)
    assert model_reasons(exports, root) == ()
    for item in models(model("a")):
        (exports / item.key).unlink()
    assert model_reasons(exports, root) == ()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"dedupe": "none"}, "dedupe was at its default, 'newest'; it is 'none'"),
        ({"compression": "gzip"}, "compression was at its default, 'zstd'; it is 'gzip'"),
        ({"record_id": None}, "which of them was not recorded"),
        ({"sort_by": None}, "which of them was not recorded"),
    ],
)
def test_a_setting_that_differs_is_named_as_far_as_it_was_recorded(shop, setting, says):
    [reason] = [r for r in reasons(shop.having(**setting)) if r.kind == "config"]
    assert says in reason.what


def test_settings_of_the_datamart_that_differ_are_told(exports, root):
    put(exports, *models(model("a")))
    run_models(exports, root)
    settings = {"datamart": {"rescue_share": 0.5}, "target_file_size": "10MB"}
    staging, table = model_reasons(exports, root, **settings)
    assert (staging.kind, staging.subject) == ("config", NIGHTS[0][:15] + ".000")
    assert (table.kind, table.subject) == ("config", "datamart.model_snapshot")
    assert staging.what.startswith("rescue_share was at its default")
    assert table.what.startswith("target_file_size was at its default")


def test_other_code_is_told(shop, exports, root, monkeypatch):
    put(exports, *models(model("a")))
    run_models(exports, root)
    was = (snapshot_plan.CODE_VERSION, manifests.CODE_VERSION)
    for module, name in (("manifests", "STAGING_CODE"), ("snapshot_plan", "SNAPSHOT_CODE")):
        monkeypatch.setattr(f"lake_assets.staging.{module}.CODE_VERSION", "next/2")
        monkeypatch.setattr(f"lake_assets.lake.stale.{name}", "next/2")
    # What is written says the code of then, so it stays stale: asked before a run, not after.
    found = (
        *why_database_is_stale(*shop.opened).reasons,
        *why_datamart_is_stale(opened(exports, root), find_table(MODELS)).reasons,
    )
    assert [(reason.kind, reason.what) for reason in found] == [
        ("code", f"staged by {version}, the code is next/2") for version in was
    ]


def test_what_is_staged_and_not_published_is_told(shop):
    shop.put(a=rows("1", "7")).run(until="staging")
    [reason] = reasons(shop)
    assert (reason.kind, reason.subject) == ("unpublished", "shop.orders")
    assert "staged anew since the table was published" in reason.what


def test_a_rollback_does_not_make_a_table_stale(shop):
    shop.put(a=rows("1", "7")).run()
    rollback(shop.root, "shop.orders", 0)
    assert reasons(shop) == ()
