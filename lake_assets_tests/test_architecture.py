"""What no single test sees: layers, what an import costs, names, docstrings, what is tracked."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "lake_assets"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = MODULES + sorted((REPOSITORY / "lake_assets_tests").rglob("*.py"))
#: Only these may know Dagster (style.md, the third contract of import-linter).
DAGSTER_SIDE = ("definitions", "defs", "cli", "demo")
MAX_LINES = 400
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def library() -> list[str]:
    names = [name_of(path) for path in MODULES]
    return [n for n in names if n.split(".")[1:2] and n.split(".")[1] not in DAGSTER_SIDE]


def loaded_after(code: str, *args: str) -> set[str]:
    """The top packages that a fresh interpreter has loaded after running ``code``."""
    show = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + show, *args], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def tracked() -> list[Path]:
    git = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    if git.returncode:
        pytest.skip("not a git repository (an unpacked archive)")
    return [p for n in git.stdout.split("\0") if n and (p := REPOSITORY / n).is_file()]


def test_imports_go_only_downwards():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_library_loads_without_dagster_and_without_boto3():
    # Imported where a URL of a bucket is opened, and nowhere else.
    of_buckets = (".s3.bucket", ".s3.bucket_obstore", ".s3.objects_bucket", ".s3.upload_parts")
    of_buckets += (".s3.engine_boto3", ".s3.engine_obstore")
    code = "\n".join(f"import {name}" for name in library() if not name.endswith(of_buckets))
    loaded = loaded_after(code)
    assert "polars" in loaded
    assert not {name for name in loaded if name.startswith("dagster")}
    assert not loaded & {"boto3", "botocore", "s3transfer"}


def test_scipy_is_loaded_with_the_first_matrix_not_with_the_graph():
    assert "scipy" not in loaded_after("import lake_assets.arrays.labelled_sparse")


def test_a_folder_root_needs_no_boto3(tmp_path: Path):
    code = """
import sys
from lake_assets.export.find import list_exports
from lake_assets.export.pega_tables import DATAMART_TABLES
from lake_assets.s3 import open_store, storage_options
open_store(sys.argv[1]).put("datamart/x.json", b"")
assert storage_options(sys.argv[1]) == {}
list_exports(sys.argv[1], DATAMART_TABLES)
"""
    assert not loaded_after(code, str(tmp_path / "root")) & {"boto3", "botocore", "s3transfer"}


SUPPRESSION = re.compile(
    r"# ?(noqa|type: ignore|pyright: ignore)|except (Base)?Exception\b|suppress\((Base)?Exception\)"
)
CODES = re.compile(r"noqa(: [A-Z0-9, ]+)?|(type|pyright): ignore(\[[\w, -]+\])?")


def test_all_names_what_is_there():
    offenders = []
    for path in MODULES:
        module = importlib.import_module(name_of(path))
        names = getattr(module, "__all__", [])
        offenders += [f"{path}: {n} twice" for n in set(names) if names.count(n) > 1]
        offenders += [f"{path}: no {name}" for name in names if not hasattr(module, name)]
    assert offenders == []


def test_every_public_name_has_a_docstring_and_is_in_all():
    lacking, unlisted = [], []
    for path in MODULES:
        tree = ast.parse(text_of(path))  # not kept: a hundred trees are a load for the collector
        if not ast.get_docstring(tree):
            lacking.append(f"{path}: the module")
        listed = exported(tree)
        for node in public(tree.body):
            members = public(node.body) if isinstance(node, ast.ClassDef) else []
            items = [(node.name, node), *((f"{node.name}.{m.name}", m) for m in members)]
            lacking += [f"{path}: {name}" for name, item in items if not ast.get_docstring(item)]
            if listed is not None and node.name not in listed:
                unlisted.append(f"{path}: {node.name}")
    assert lacking == []
    assert unlisted == []


def public(body: list[ast.stmt]) -> list[Definition]:
    return [n for n in body if isinstance(n, Definition) and not n.name.startswith("_")]


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def test_no_source_file_is_longer_than_is_read_at_once():
    lengths = {str(path): len(text_of(path).splitlines()) for path in SOURCES}
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_no_source_file_imports_from_the_future():
    offenders = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        if "__future__" in text_of(path)  # to parse all of them takes seconds
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert offenders == []


def test_no_lock_file_is_tracked():
    locks = re.compile(r"(\.lock|requirements.*\.txt|package-lock\.json|\.pylock.*\.toml)$")
    assert [path.name for path in tracked() if locks.search(path.name)] == []


def test_no_registry_and_no_path_of_a_machine_is_tracked():
    # Put together, so that this file does not hold them itself.
    homes = "home|Users|root|work|mnt|workspace"
    machine = re.compile(rf"(?<![\w.:/}}\])])/(?:{homes})/[\w.-]+/")
    registry = re.compile(
        "|".join(("index" + "-url", "files.python" + "hosted", "tool.uv." + "index"))
    )
    found = []
    for path in tracked():
        body = path.read_bytes()
        if b"\0" in body[:1000]:  # a picture
            continue
        for number, line in enumerate(body.decode("utf-8", "replace").splitlines(), start=1):
            if registry.search(line) or machine.search(line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_whatever_is_kept_from_a_checker_or_caught_unseen_says_why():
    silent = []
    for path in MODULES:
        lines = text_of(path).splitlines()
        silent += [
            f"{path}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if SUPPRESSION.search(line)
            and not (has_reason(line) or lines[number - 2].lstrip()[:1] == "#")
        ]
    assert silent == []


def has_reason(line: str) -> bool:
    """Whether the comment of a line has more than a checker's codes."""
    return re.search(r"[^\W\d_]{3,}", CODES.sub(" ", line.partition("#")[2])) is not None
