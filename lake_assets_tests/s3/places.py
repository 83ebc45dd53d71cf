"""Places for tests of whole verbs: the same tree in a folder and in a bucket."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.s3 import open_store
from lake_assets.s3.address import parse_address

if TYPE_CHECKING:
    from moto.s3.models import S3Backend

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
    """Put objects there: in a bucket by the server's memory, which takes no request for each."""
    address = parse_address(url)
    if address.is_s3:
        for key, body in objects.items():
            fill_moto(address.bucket, [address.prefix + key], body)
        return
    store = open_store(url)
    for key, body in objects.items():
        store.put(key, body)


def held(url: str) -> dict[str, bytes]:
    """All that is at a place, whoever can read it."""
    address = parse_address(url)
    if address.is_s3:
        found = moto_s3().get_bucket(address.bucket).keys.items()
        inside = {key: item.value for key, item in found if key.startswith(address.prefix)}
        return {key.removeprefix(address.prefix): inside[key] for key in inside if key[-1] != "/"}
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
    backend = moto_s3()
    headers = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
    for name in names:
        backend.put_object(bucket, name, body).set_metadata({**headers})


def moto_s3() -> "S3Backend":
    """The memory of the server of ``moto_url``."""
    from moto.backends import get_backend

    return get_backend("s3")["123456789012"]["aws"]
