"""How the tests of the demo read its objects: the names' regex, and any packing to rows."""

import gzip
import io
import json
import re
import zipfile

from lake_assets.demo.files import ExportObject

#: The regex of reference/pega_exports.md, section 1.
NAME = re.compile(
    r"^(?P<cls>Data-[A-Za-z-]+?)_(?P<ds>p[xyz][A-Za-z]+)(?:_(?P<ts>\d{8}T\d{6}(?:\.\d{3})?)_?GMT)?"
    r"(?:-(?P<uid>[A-Za-z0-9]+))?(?P<ext>\.json\.gz|\.json\.zip|\.json|\.zip|\.gz)?$"
)


def unpacked(body: bytes) -> list[dict]:
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            body = archive.read("data.json")
    assert not body or body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def sentinel_key(key: str) -> str:
    folder, _, name = key.rpartition("/")
    return f"{folder}/.{name}.meta" if folder else f".{name}.meta"


def run_of(item: ExportObject, class_name: str) -> str | None:
    """The export id of a data file of that class; None for a file of another."""
    found = NAME.match(item.key.rpartition("/")[2])
    assert found, item.key
    return found["ts"] if found["cls"] == class_name else None
