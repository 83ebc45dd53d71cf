"""What a body is by its first bytes and its name, where no metadata say it. Pure."""

import io
import json
import zipfile
from collections.abc import Mapping

from lake_assets.arrays.npy import MAGIC
from lake_assets.arrays.npz import BROKEN
from lake_assets.arrays.pickles import is_pickle
from lake_assets.arrays.raw import is_raw

__all__ = ["kind_of_body", "kind_of_object"]

_ZIP = b"PK\x03\x04"
_SPARSE_MEMBER = "format.npy"
_KINDS = frozenset({"json", "pickle", "bytes", "npy", "npz", "sparse"})


def kind_of_object(metadata: Mapping[str, str], body: memoryview, key: str) -> str:
    """raw, npy, npz, sparse, json, pickle or bytes: what the metadata say, else the body."""
    if is_raw(metadata):
        return "raw"
    said = metadata.get("kind", "")
    return said if said in _KINDS else kind_of_body(body, key)


def kind_of_body(body: memoryview, key: str) -> str:
    """npy, npz, sparse, json, pickle or bytes.

    JSON is what reads as an object or a list, or what is called ``.json`` and reads at all. What is
    called ``.npy`` or ``.npz`` is that also where it is damaged, so that reading it is an error.

    Example:
        >>> kind_of_body(memoryview(b'{"a": 1}'), "x"), kind_of_body(memoryview(b"12"), "x")
        ('json', 'bytes')
    """
    head = bytes(body[:6])
    if head == MAGIC or key.endswith(".npy"):
        return "npy"
    if head[:4] == _ZIP or key.endswith(".npz"):
        return _kind_of_zip(body, key)
    if is_pickle(body):
        return "pickle"
    if key.endswith(".json") or bytes(body[:64]).lstrip()[:1] in {b"{", b"["}:
        try:
            json.loads(bytes(body))
        except (ValueError, RecursionError):
            return "bytes"
        return "json"
    return "bytes"


def _kind_of_zip(body: memoryview, key: str) -> str:
    """An archive of npy files alone is numpy's; one with ``format.npy`` is scipy's."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = archive.namelist()
    except BROKEN:
        return "npz" if key.endswith(".npz") else "bytes"
    if not names or not all(name.endswith(".npy") for name in names):
        return "bytes"
    return "sparse" if _SPARSE_MEMBER in names else "npz"
