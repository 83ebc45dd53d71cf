"""``lake run datamart``: options, exit codes and the JSON that scripts read."""

import subprocess
import sys

import pytest

from lake_assets.demo.exports import export_objects
from lake_assets.export.pega_tables import DATAMART_TABLES
from lake_assets_tests.factories import put_bucket
from lake_assets_tests.lake.line import MODELS, NIGHTS, model, models, put, rows_of, wrapped

TABLES = [spec.name for spec in DATAMART_TABLES]


@pytest.fixture
def run(lake, exports, root):
    """``lake run datamart`` on the test's exports and root."""
    return lambda *more: lake("run", "datamart", "--exports", exports, "--root", root, *more)


def test_json_has_every_table_with_its_figures(run, exports):
    put(exports, *models(model("a"), model("b")), *models(model("a"), night=NIGHTS[1]))
    put(exports, export_objects("snapshot", NIGHTS[0], [{"pzInsKey": "a"}])[0])
    ran = run("--json")
    assert ran.code == 0
    assert set(ran.json) >= {"tables", "changed"}
    assert list(ran.json["tables"]) == TABLES
    found = ran.json["tables"][MODELS]
    keys = ("files", "rows_in", "rows_dropped", "rows", "version", "waiting", "quarantined")
    assert {key: found[key] for key in keys} == {
        "files": 2,
        "rows_in": 3,
        "rows_dropped": {"superseded": 1},
        "rows": 2,
        "version": 0,
        "waiting": [],
        "quarantined": [],
    }
    assert ran.json["changed"] is True
    (waiting,) = ran.json["tables"]["snapshot"]["waiting"]
    assert waiting["key"].startswith("datamart/Data-DM-Snapshot_")
    assert ran.json["tables"]["histogram"]["version"] is None


def test_second_run_says_unchanged(run, exports):
    put(exports, *models(model("a")))
    run("--json")
    ran = run("--json")
    assert (ran.code, ran.json["changed"]) == (0, False)


def test_json_is_one_line_and_alone_on_stdout(run, exports):
    put(exports, *models(model("größe"), layout="folder"))
    assert len(run("--json").out.splitlines()) == 1


def test_quarantine_is_exit_code_three_and_the_rest_is_loaded(run, exports, root):
    put(exports, *wrapped(b"no json"), *models(model("b"), night=NIGHTS[1]))
    for _ in range(2):
        ran = run("--json")
        assert ran.code == 3
        (refused,) = ran.json["tables"][MODELS]["quarantined"]
        assert refused["export_id"] == NIGHTS[0]
        assert "expected one JSON object per line" in refused["reason"]
    assert rows_of(root, MODELS, "pyModelID") == [("b",)]


def test_waiting_file_is_no_failure(run, exports):
    put(exports, models(model("a"))[0])
    assert run("--json").code == 0


def test_text_report_names_what_waits_and_what_was_refused_and_why(run, exports):
    put(exports, *wrapped(b"no json"), models(model("b"), night=NIGHTS[1])[0])
    ran = run()
    assert ran.code == 3
    for word in (MODELS, "waits", "sentinel", "quarantined", NIGHTS[0], "one JSON object per line"):
        assert word in ran.out


def test_text_report_keeps_square_brackets_of_a_reason(run, exports):
    # rich takes [x] for a style and would leave it out.
    put(exports, *wrapped(b"[bold] no [/red] json"))
    ran = run()
    assert ran.code == 3
    assert "[bold] no [/red] json" in ran.out


def test_text_report_says_when_nothing_was_found_or_nothing_changed(run, exports):
    (exports / "datamart").mkdir()
    assert "no export of any table was found" in run().out
    put(exports, *models(model("a")))
    assert "nothing was changed" not in run().out
    assert "nothing was changed" in run().out


def test_tables_may_be_named_several_times_and_in_camel_case(run, exports):
    put(exports, *models(model("a")))
    ran = run("--json", "--table", "modelSnapshot", "--table", "notification", "--table", MODELS)
    assert list(ran.json["tables"]) == [MODELS, "notification"]
    assert ran.json["changed"] is True


def test_sentinels_need_not_be_there_when_told_so(run, exports):
    put(exports, models(model("a"))[0])
    assert run("--json", "--require-meta").json["tables"][MODELS]["rows"] == 0
    assert run("--json", "--no-require-meta").json["tables"][MODELS]["rows"] == 1


def test_other_folder_than_datamart_may_be_read(run, exports):
    moved = [
        type(o)(o.key.replace("datamart/", "prod/exports/"), o.body) for o in models(model("a"))
    ]
    put(exports, *moved)
    assert run("--json").json["tables"][MODELS]["rows"] == 0
    assert run("--json", "--datamart-folder", "prod/exports").json["tables"][MODELS]["rows"] == 1


def test_exports_may_end_in_the_folder(lake, exports, root):
    put(exports, *models(model("a")))
    ran = lake("run", "datamart", "--exports", f"{exports}/datamart", "--root", root, "--json")
    assert ran.json["tables"][MODELS]["rows"] == 1


def test_relative_paths_count_from_where_one_is(lake, exports, root, monkeypatch):
    put(exports, *models(model("a")))
    monkeypatch.chdir(exports.parent)
    ran = lake("run", "datamart", "--exports", "exports", "--root", "lake", "--json")
    assert (ran.code, root.is_dir()) == (0, True)


def test_everything_may_stand_in_a_configuration(lake, exports, root, tmp_path):
    put(exports, *[type(o)(o.key.replace("datamart/", "dm/"), o.body) for o in models(model("a"))])
    (tmp_path / "conf").mkdir()
    config = tmp_path / "conf" / "my.yaml"
    config.write_text(
        "root: ../lake\nexports: ../exports\nmemory: 64MiB\ndatamart:\n  folder: dm\n"
    )
    ran = lake("run", "datamart", "--config", config, "--json")
    assert ran.json["tables"][MODELS]["rows"] == 1
    assert root.is_dir()


def test_environment_names_the_places(lake, exports, root, monkeypatch):
    put(exports, *models(model("a")))
    monkeypatch.setenv("LAKE_ROOT", str(root))
    monkeypatch.setenv("LAKE_EXPORTS", str(exports))
    assert lake("run", "datamart", "--json").json["tables"][MODELS]["rows"] == 1


@pytest.mark.parametrize(
    ("more", "finding"),
    [
        (["--table", "nope"], "there is no table 'nope'; the tables are model_snapshot"),
        (["--nope"], "No such option"),
        (["extra"], "unexpected extra argument"),
        (["--config", "/no/such.yaml"], "/no/such.yaml"),
        (["--exports", "gs://x/y"], "scheme"),
        (["--exports", "s3://"], "names no bucket"),
        (["--root", "with a space"], "choose a root"),
    ],
)
def test_wrong_usage_is_exit_code_two_and_says_what(run, more, finding):
    ran = run(*more)
    assert ran.code == 2
    assert finding.lower() in ran.err.lower()
    assert "Traceback" not in ran.err


def test_missing_exports_folder_is_exit_code_one(lake, tmp_path, root):
    ran = lake("run", "datamart", "--exports", tmp_path / "nowhere", "--root", root, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "nowhere" in ran.err
    assert not root.exists()


def test_root_that_is_a_file_is_exit_code_one(lake, exports, tmp_path):
    (tmp_path / "file").write_text("x")
    ran = lake("run", "datamart", "--exports", exports, "--root", tmp_path / "file")
    assert ran.code == 1
    assert "is a file" in ran.err


@pytest.mark.usefixtures("s3_env")
def test_bucket_that_does_not_exist_is_exit_code_one(lake, root):
    ran = lake("run", "datamart", "--exports", "s3://no-such-bucket", "--root", root)
    assert ran.code == 1
    assert "no-such-bucket" in ran.err
    assert "testing" not in ran.err


def test_buckets_are_read_and_written(lake, s3_env, bucket):
    put_bucket(bucket, models(model("a")), s3_env)
    ran = lake(
        "run", "datamart", "--exports", f"s3://{bucket}", "--root", f"s3://{bucket}/lake", "--json"
    )
    assert (ran.code, ran.json["tables"][MODELS]["rows"]) == (0, 1)


def test_installed_command_works_from_any_folder(exports, root, tmp_path):
    put(exports, *models(model("a")))
    code = "from lake_assets.cli import main; main()"
    arguments = ["run", "datamart", "--exports", str(exports), "--root", str(root)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert MODELS in done.stdout
