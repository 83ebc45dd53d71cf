"""Places for tests of whole verbs: the same tree in a folder and in a bucket."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from lake_assets.s3 import open_store

TREE = {
    "x": b"an object called as a folder is in a bucket, in a folder beside it",
    "x.txt": b"look-alike",
    "x2/a": b"another look-alike",
    "data/a.json": b"a",
    "data/b.json": b"bb",
    "data/deep/er/c.json": b"ccc",
    "data/deep/d.csv": b"dddd",
    "data2/z": b"zz",
}
ODD_KEYS = ["a b/c d", "100%/%20", "a+b=c", "ünï/日本/😀", "q?#&;", "[x]*", "quote'\""]


def fill(url: str, objects: Mapping[str, bytes]) -> None:
    store = open_store(url)
    for key, body in objects.items():
        store.put(key, body)


def held(url: str) -> dict[str, bytes]:
    """All that is at a place, read back."""
    store = open_store(url)
    return {info.key: store.get(info.key, listed=info) for info in store.list()}


def new_place(kind: str, tmp_path: Path, bucket: Callable[[], str]) -> str:
    name = f"place {uuid.uuid4().hex[:6]}"
    if kind == "folder":
        (tmp_path / name).mkdir()
        return str(tmp_path / name)
    return f"s3://{bucket()}/{name}"


def fill_moto(
    bucket: str,
    names: list[str],
    body: bytes = b"",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Put objects straight into the server's memory: any key, and thousands of them."""
    from moto.backends import get_backend

    backend = get_backend("s3")["123456789012"]["aws"]
    headers = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
    for name in names:
        backend.put_object(bucket, name, body).set_metadata({**headers})
