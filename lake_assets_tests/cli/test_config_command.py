"""``lake config``: a right file is OK, a wrong one is told line by line, the schema fits both."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"
#: The example of the contract, whole.
EXAMPLE = """\
root: s3://lake/prod
databases:
  shop:
    orders:
      source: s3://exports/AWSDynamoDB/01693685827463-00000001/
      format: dynamodb
      reader: null
      record_id: order_id
      create_time: {sql: "STRPTIME(created_at, '%Y-%m-%dT%H:%M:%S%.fZ')"}
      update_time: updated_at
      partition_by:
        year: {sql: "STRFTIME(create_time, '%Y')"}
        month: {sql: "STRFTIME(create_time, '%m')"}
      sort_by: [update_time]
      descending: [false]
      group_size: 100MB
      target_file_size: 128MB
      row_limit_per_file: null
      count_on: record_id
      mode: replace
      dedupe: newest
      compression: zstd
      transform: null
      columns: null
"""


@pytest.fixture
def schema(lake):
    """A validator for what ``lake config schema`` prints."""
    ran = lake("config", "schema")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["$schema"].endswith("draft/2020-12/schema")
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def file(folder: Path, text: str) -> Path:
    path = folder / "lake.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def documented() -> list[str]:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_a_right_file_is_ok_and_no_store_is_asked(lake, tmp_path):
    path = file(tmp_path, EXAMPLE + "datamart: {tables: {model_snapshot: {strict: true}}}\n")
    ran = lake("config", "check", "--config", path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "OK: root s3://lake/prod; datamart tables declared: 1; database tables: shop.orders\n"
    )
    found = lake("config", "check", "--config", path, "--json")
    assert (found.code, found.json) == (
        0,
        {
            "ok": True,
            "root": "s3://lake/prod",
            "exports": "s3://lake/prod/demo-exports",
            "datamart_tables": ["model_snapshot"],
            "database_tables": ["shop.orders"],
        },
    )


def test_without_a_file_the_defaults_are_ok_and_nothing_is_made(lake):
    ran = lake("config", "check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "OK: root .lake; datamart tables declared: 0; database tables: none\n"
    assert list(Path.cwd().iterdir()) == []


def test_each_mistake_is_a_line_on_stderr_and_an_element_of_the_json(lake, tmp_path):
    path = file(tmp_path, EXAMPLE.replace("zstd", "lz4").replace("100MB", "1XB"))
    ran = lake("config", "check", "--config", path)
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.removeprefix("lake: ").splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"{path}:16", "databases.shop.orders.group_size"],
        [f"{path}:22", "databases.shop.orders.compression"],
    ]
    as_json = lake("config", "check", "--config", path, "--json")
    assert (as_json.code, as_json.json) == (2, {"ok": False, "errors": lines})


def test_what_a_run_would_refuse_is_told_together(lake, tmp_path):
    path = file(
        tmp_path,
        "root: s3://lake/a b\nexports: s4://x\ndatamart: {tables: {own: {class: A}}}\n",
    )
    ran = lake("config", "check", "--config", path)
    assert ran.code == 2
    own, root, exports = ran.err.splitlines()
    assert "datamart.tables.own is a table of your own: give class, key and time" in own
    assert "choose a root of ASCII letters" in root
    assert "'s4://x' is of scheme 's4'" in exports


def test_the_schema_takes_what_the_command_takes(schema, lake, tmp_path):
    assert len(documented()) >= 2
    for text in (EXAMPLE, *documented()):
        assert list(schema.iter_errors(yaml.safe_load(text))) == []
        ran = lake("config", "check", "--config", file(tmp_path, text))
        assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        *[("group_size", "groupsize"), ("100MB", "1XB"), ("100MB", "0"), ("zstd", "lz4")],
        *[("{sql:", "{SQL:"), ("columns: null", "columns: {a: money}"), ("shop", "Shop")],
        *[("shop", "catalog"), ("month", "the day"), ("transform: null", "transform: f")],
        ("row_limit_per_file: null", "row_limit_per_file: 0"),
    ],
)
def test_the_schema_refuses_what_the_command_refuses(schema, lake, tmp_path, right, wrong):
    text = EXAMPLE.replace(right, wrong, 1)
    assert text != EXAMPLE
    assert list(schema.iter_errors(yaml.safe_load(text)))
    assert lake("config", "check", "--config", file(tmp_path, text)).code == 2


def test_every_setting_is_described_in_the_schema_and_in_the_documentation(schema):
    text = DOCUMENTATION.read_text(encoding="utf-8")
    parts = {"": schema.schema} | schema.schema["$defs"]
    lacking = [
        f"{part}.{name}"
        for part, held in parts.items()
        for name, told in held["properties"].items()
        if not (told.get("description") or "$ref" in told) or name not in text
    ]
    assert lacking == []
