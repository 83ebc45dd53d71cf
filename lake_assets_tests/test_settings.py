"""The configuration: what wins, where relative paths count from, and one line for each mistake."""

from pathlib import Path

import pytest

from lake_assets.errors import SettingsError
from lake_assets.export.pega_tables import configured_tables
from lake_assets.settings import LakeSettings, load_settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(folder: Path, text: str, name: str = "lake.yaml") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def mistakes(path: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    return str(caught.value).splitlines()


@pytest.mark.usefixtures("here")
def test_without_anything_the_defaults_are_in_force():
    settings = load_settings()
    assert settings == LakeSettings()
    assert (settings.root, settings.exports) == (".lake", None)
    assert settings.exports_url == ".lake/demo-exports"
    assert settings.datamart.require_meta is True
    assert settings.datamart.rescue_share == 0.05


def test_explicit_wins_over_environment_over_file_over_default(here, monkeypatch):
    assert load_settings().root == ".lake"
    config(here, "root: s3://file/r\nexports: s3://file/e\nworkers: 2\n")
    assert load_settings().root == "s3://file/r"
    monkeypatch.setenv("LAKE_ROOT", "s3://env/r")
    assert load_settings().root == "s3://env/r"
    assert load_settings().exports == "s3://file/e"
    settings = load_settings(root="s3://arg/r", exports="s3://arg/e")
    assert (settings.root, settings.exports, settings.workers) == ("s3://arg/r", "s3://arg/e", 2)
    monkeypatch.setenv("LAKE_ROOT", "")  # set to nothing is not set
    assert load_settings().root == "s3://file/r"


def test_the_file_is_the_named_one_else_that_of_the_environment_else_the_one_here(
    here, monkeypatch
):
    config(here, "workers: 1")
    env = config(here, "workers: 2", "env.yaml")
    named = config(here, "workers: 3", "named.yaml")
    assert load_settings().workers == 1
    monkeypatch.setenv("LAKE_CONFIG", env)
    assert load_settings().workers == 2
    assert load_settings(named).workers == 3
    monkeypatch.setenv("LAKE_CONFIG", "")
    assert load_settings().workers == 1


def test_relative_paths_in_a_file_count_from_the_file(here, monkeypatch):
    path = config(here / "conf", "root: ../the lake\nexports: in\n")
    settings = load_settings(path)
    assert settings.root == f"{here}/the lake"
    assert settings.exports == f"{here}/conf/in"
    monkeypatch.setenv("LAKE_ROOT", "elsewhere")  # of the environment: from the working folder
    assert load_settings(path).root == "elsewhere"
    monkeypatch.delenv("LAKE_ROOT")
    urls = config(here / "conf", "root: s3://b/x\nexports: /abs/y\n")
    assert load_settings(urls).root == "s3://b/x"
    assert load_settings(urls).exports == "/abs/y"
    monkeypatch.setenv("HOME", "/at/home")
    assert load_settings(config(here / "conf", "root: ~/lake\n")).root == "/at/home/lake"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("128MB", 128_000_000),
        ("128 mb", 128_000_000),
        ("512MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("'0.1 GB'", 100_000_000),
        ("2TiB", 2 * 2**40),
        ("100B", 100),
    ],
)
def test_a_size_is_a_number_with_a_unit(here, text, size):
    assert load_settings(config(here, f"memory: {text}")).memory == size


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "-1MB", "1XB", "MB", "1.2.3MB", ".", "yes", ".inf", "1.5", "1e3", "0.1B", "[1]",
     "9999999999TB", "null", "''", "٣MB"],
)  # fmt: skip
def test_an_impossible_size_is_one_line_with_its_place(here, text):
    path = config(here, f"root: r\nmemory: {text}\n")
    [line] = mistakes(path)
    assert line.startswith(f"{path}:2: memory: ")


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        pytest.param("rot: x", 1, "rot: is not a setting; check the spelling", id="unknown"),
        pytest.param("# c\n\ndatamart:\n  foldr: x", 4, "datamart.foldr: is not a", id="nested"),
        pytest.param("datamart: x", 1, "datamart: ", id="not a mapping"),
        pytest.param("workers: 0", 1, "greater than or equal to 1", id="no workers"),
        pytest.param("workers: yes", 1, "workers: ", id="a truth is no number"),
        pytest.param("root: ''", 1, "root: ", id="empty root"),
        pytest.param("root: 5", 1, "root: Input should be a valid string", id="root a number"),
        pytest.param("datamart:\n  rescue_share: 1.5", 2, "less than or equal to 1", id="share"),
        pytest.param("datamart:\n  sentinel: .meta", 2, "holds {name} once", id="no name"),
        pytest.param("datamart:\n  sentinel: '{name}'", 2, "more than that", id="only the name"),
        pytest.param("datamart:\n  sentinel: m/{name}", 2, "without a slash", id="a folder"),
        pytest.param(
            "datamart:\n  tables:\n    ModelX: {}", 3, "tables.ModelX: String should match",
            id="table name",
        ),
        pytest.param(
            "datamart:\n  tables:\n    own:\n      class: 'A B'", 4, "own.class: ", id="class"
        ),
        pytest.param(
            "datamart:\n  tables:\n    own:\n      key: ['a?']", 4, "never null", id="key all null"
        ),
        pytest.param("datamart:\n  tables:\n    own:\n      key: []", 4, "a column", id="no key"),
        pytest.param(
            "datamart:\n  tables:\n    own:\n      types:\n        a: money", 5, "types.a: ",
            id="type",
        ),
        pytest.param("1: x", 1, "Keys should be strings", id="a number as key"),
        pytest.param("root: a\nworkers: 1\nroot: b", 3, "root is set twice", id="twice"),
        pytest.param("a: [1\nb: 2", 2, "not YAML", id="broken"),
        pytest.param("root: a\n\tb: c", 2, "not YAML", id="tab"),
        pytest.param("a: 1\n---\nb: 2", 2, "not YAML", id="two documents"),
        pytest.param("r: !!python/object/apply:os.getcwd []", 1, "not YAML", id="code"),
        pytest.param("- root", 1, "found list, expected keys like `root:`", id="a list"),
        pytest.param("just text", 1, "found str, expected keys", id="text"),
        pytest.param("root: &a {b: *a}", 1, "root: ", id="a circle"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_readable_line_with_its_place(here, text, at, said):
    path = config(here, text)
    [line] = mistakes(path)
    assert line.startswith(f"{path}:{at}: ")
    assert said in line
    assert len(line) < 300


def test_every_mistake_has_its_line(here):
    path = config(here, "rot: 1\nmemory: 1XB\ndatamart:\n  foldr: x\n  rescue_share: 7\n")
    assert sorted(line.split(": ")[0] for line in mistakes(path)) == [
        f"{path}:{number}" for number in (1, 2, 4, 5)
    ]


def test_a_long_wrong_value_is_cut_in_the_message(here):
    [line] = mistakes(config(here, f"workers: {'x' * 5000}"))
    assert len(line) < 300


def test_a_file_that_cannot_be_read_is_named(here):
    with pytest.raises(SettingsError, match=r"cannot read the configuration .*nope\.yaml: No such"):
        load_settings("nope.yaml")
    with pytest.raises(SettingsError, match=r"cannot read the configuration .*: Is a directory"):
        load_settings(str(here))
    (here / "latin.yaml").write_bytes(b"root: \xfc\n")
    assert mistakes("latin.yaml") == ["latin.yaml is not UTF-8 text; save it as UTF-8"]
    (here / "control.yaml").write_bytes(b'root: "\x01"\n')
    [line] = mistakes("control.yaml")
    assert line.startswith("control.yaml: not YAML: ")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeffworkers: 4\n"])
def test_an_empty_file_is_the_defaults(here, text):
    assert load_settings(config(here, text)) == LakeSettings()


def test_a_key_is_one_column_many_or_alternatives(here):
    path = config(
        here,
        """
datamart:
  tables:
    one: {class: A, time: t, key: id}
    many: {class: A, time: t, key: [id, 'day?']}
    more: {class: A, time: t, key: [[id], [name, 'day?']]}
""",
    )
    tables = load_settings(path).datamart.tables
    assert tables["one"].key == (("id",),)
    assert tables["many"].key == (("id", "day?"),)
    assert tables["more"].key == (("id",), ("name", "day?"))
    assert configured_tables(tables)[-1].keys == (("id",), ("name", "day?"))


def test_a_wrong_key_or_value_of_drift_is_named_with_its_line(here):
    text = "datamart:\n  profile: true\n  drift:\n    psi: 0.3\n    kss: 1\n    before: 0\n"
    found = mistakes(config(here, text))
    assert found[0] == (
        f"{here}/lake.yaml:5: datamart.drift.kss: is not a setting; check the spelling (found 1)"
    )
    assert found[1].startswith(f"{here}/lake.yaml:6: datamart.drift.before: ")
    chosen = load_settings(config(here, "datamart: {drift: {psi: null, rows: 0.1}}")).datamart.drift
    assert (chosen.psi, chosen.rows, chosen.ks) == (None, 0.1, 0.1)


@pytest.mark.parametrize(
    "cron", ["* * * *", "0 6 * * someday", "60 6 * * 0", "0 24 * * *", "@daily"]
)
def test_what_is_no_cron_is_named_with_its_line(here, cron):
    [line] = mistakes(config(here, f"schedules:\n  maintenance: {cron!r}\n"))
    assert line.startswith(f"{here}/lake.yaml:2: schedules.maintenance: ")
    assert "is no cron expression of five fields" in line
