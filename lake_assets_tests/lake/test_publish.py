"""One commit: its proof, what it refuses, and what waits together."""

import json

import pytest
from deltalake import write_deltalake

from lake_assets import delta
from lake_assets.errors import StalePlanError
from lake_assets.lake import compact, find, plan, publish, stage, table_uri
from lake_assets.lake.validate import conserved_rows, duplicate_keys
from lake_assets_tests.lake.line import (
    MODELS,
    NIGHTS,
    content,
    listing,
    model,
    models,
    opened,
    put,
    rows_of,
    run_models,
)

SEPTEMBER, OCTOBER, NOVEMBER = "_month=2026-09", "_month=2026-10", "_month=2026-11"


def at(month, name="a", **more):
    return model(name, f"2026{month:02d}01T000000.000 GMT", **more)


@pytest.fixture
def line(exports, root):
    """Stage what is exported and plan it: the lake, its table and the plan."""

    def staged():
        lake = opened(exports, root)
        spec = lake.table(MODELS)
        list(stage(lake, spec, find(lake)))
        return lake, spec, plan(lake, spec)

    return staged


def uri(root):
    return f"{root}/lake/datamart/{MODELS}"


def test_commit_carries_the_proof_for_the_table_and_each_partition(exports, root):
    put(exports, *models(at(9), at(10), files=2), *models(at(9), night=NIGHTS[1]))
    run_models(exports, root)
    proof = delta.last_proof(uri(root)) or {}
    counts = {
        name: int(proof[f"lake.{name}"])
        for name in ("exports", "files", "rows_in", "rows_dropped", "rows")
    }
    assert counts == {"exports": 2, "files": 3, "rows_in": 3, "rows_dropped": 1, "rows": 2}
    partitions = json.loads(proof["lake.partitions"])
    assert {
        name: (p["rows_in"], p["rows_dropped"], p["rows"]) for name, p in partitions.items()
    } == {
        SEPTEMBER: (2, 1, 1),
        OCTOBER: (1, 0, 1),
    }
    for name, entry in partitions.items():
        assert (
            root / "compacted" / "datamart" / MODELS / name / f"{entry['manifest']}.json"
        ).is_file()


def test_every_version_can_be_read_again(exports, root):
    for n, night in enumerate(NIGHTS):
        put(exports, *models(model(f"m{n}"), night=night))
        assert run_models(exports, root).version == n
    for n in range(3):
        assert delta.rows_of(uri(root), version=n) == n + 1


def test_publishing_the_same_plan_again_writes_nothing(line, exports, root):
    put(exports, *models(at(9)))
    lake, spec, table = line()
    dict(compact(lake, spec, table))
    assert publish(lake, spec, table).committed
    before = listing(root)
    again = publish(lake, spec, table)
    assert (again.committed, again.version, again.rows) == (False, 0, 1)
    assert listing(root) == before


def test_plan_that_is_older_than_the_table_does_not_turn_it_back(line, exports, root):
    put(exports, *models(at(9)))
    lake, spec, old = line()
    dict(compact(lake, spec, old))
    put(exports, *models(at(9, "b"), night=NIGHTS[1]))
    run_models(exports, root)
    before = content(root)
    with pytest.raises(StalePlanError):
        publish(lake, spec, old)
    assert content(root).equals(before)


def test_partition_that_is_not_compacted_waits_alone(line, exports, root):
    put(exports, *models(at(9), at(10)))
    lake, spec, table = line()
    dict(compact(lake, spec, table, partitions=[SEPTEMBER]))
    done = publish(lake, spec, table)
    assert (done.held_back, done.partitions, done.rows) == ((OCTOBER,), (SEPTEMBER,), 1)
    assert (delta.last_proof(uri(root)) or {})["lake.inputs"] == ""
    dict(compact(lake, spec, table))
    done = publish(lake, spec, table)
    assert (done.held_back, done.partitions, done.rows) == ((), (OCTOBER,), 2)


def test_nothing_compacted_publishes_an_empty_table_only_where_there_is_none(line, exports):
    put(exports, *models(at(9)))
    lake, spec, table = line()
    done = publish(lake, spec, table)
    assert (done.held_back, done.rows) == ((SEPTEMBER,), 0)


def test_moved_record_makes_its_partitions_wait_together(line, exports, root):
    put(exports, *models(at(9, pzInsKey="A"), at(10, "o"), at(11, "n")))
    run_models(exports, root)
    before = content(root)
    put(exports, *models(at(10, pzInsKey="A"), at(11, "new"), night=NIGHTS[1]))
    lake, spec, table = line()
    for only in ([SEPTEMBER, NOVEMBER], [OCTOBER, NOVEMBER]):
        dict(compact(lake, spec, table, partitions=only[1:]))
        done = publish(lake, spec, table)
        assert set(done.held_back) == {SEPTEMBER, OCTOBER}
    dict(compact(lake, spec, table, partitions=[OCTOBER]))
    assert set(publish(lake, spec, table).held_back) == {SEPTEMBER, OCTOBER}
    assert rows_of(root, MODELS, "pzInsKey", "_month").count(("A", "2026-09")) == 1
    assert content(root).height == before.height + 1
    dict(compact(lake, spec, table, partitions=[SEPTEMBER]))
    assert publish(lake, spec, table).held_back == ()
    assert rows_of(root, MODELS, "pzInsKey", "_month").count(("A", "2026-10")) == 1
    assert duplicate_keys(str(root), spec, memory_bytes=10**6) == 0


def test_corrected_export_makes_all_its_months_wait_together(line, exports, root):
    put(exports, *models(at(9), at(10)), *models(at(11, "n"), night=NIGHTS[1]))
    run_models(exports, root)
    put(exports, *models(at(9, "b"), at(10, "b")), *models(at(11, "m"), night=NIGHTS[2]))
    lake, spec, table = line()
    dict(compact(lake, spec, table, partitions=[SEPTEMBER, NOVEMBER]))
    done = publish(lake, spec, table)
    assert set(done.held_back) == {SEPTEMBER, OCTOBER}
    assert done.partitions == (NOVEMBER,)


def test_record_that_a_correction_gives_back_to_another_month_is_never_there_twice(
    line, exports, root
):
    # September's A was superseded by October's; the correction of October's export takes that away.
    put(exports, *models(at(9, pzInsKey="A")), *models(at(10, pzInsKey="A"), night=NIGHTS[1]))
    run_models(exports, root)
    put(exports, *models(at(10, "z", pzInsKey="Z"), night=NIGHTS[1]))
    lake, spec, table = line()
    for only in (SEPTEMBER, OCTOBER):
        dict(compact(lake, spec, table, partitions=[only]))
        publish(lake, spec, table)
        keys = [key for (key,) in rows_of(root, MODELS, "pzInsKey")]
        assert keys in (["A"], ["A", "Z"]), only
    assert keys == ["A", "Z"]


def test_rows_are_conserved_also_after_a_partial_publish(line, exports, root):
    put(exports, *models(at(9), at(10)))
    run_models(exports, root)
    put(exports, *models(at(9, "b"), at(10, "b"), night=NIGHTS[1]))
    lake, spec, table = line()
    dict(compact(lake, spec, table, partitions=[SEPTEMBER]))
    assert publish(lake, spec, table).held_back == (OCTOBER,)
    assert conserved_rows(str(root), spec).holds


def test_rows_that_somebody_else_wrote_into_the_table_are_noticed(line, exports, root):
    put(exports, *models(at(9)))
    run_models(exports, root)
    put(exports, *models(at(9), night=NIGHTS[1]))
    lake, spec, table = line()
    dict(compact(lake, spec, table))
    foreign = content(root)[:1]
    write_deltalake(uri(root), foreign.to_arrow(), mode="append")
    done = publish(lake, spec, table)
    # A whole publish replaces whole partitions, so the foreign row is gone with them.
    assert done.rows == 1
    assert rows_of(root, MODELS, "_export_id") == [(NIGHTS[1],)]


def test_uri_of_a_table_is_below_lake(exports, root):
    lake = opened(exports, root)
    assert table_uri(lake.root.url, lake.table(MODELS)) == uri(root)
