"""What is no array: JSON, pickles where they are allowed, bytes and streams."""

import json
import mmap
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import google_crc32c

from lake_assets.arrays.metadata import to_stored
from lake_assets.arrays.pickles import load_pickle
from lake_assets.arrays.place import Place, place_of
from lake_assets.arrays.raw import check_crc32c, crc32c_of
from lake_assets.arrays.records import Written
from lake_assets.errors import (
    ArrayFormatError,
    BodyMismatchError,
    MissingObjectError,
    SettingsError,
    StorageError,
)
from lake_assets.s3 import Location
from lake_assets.s3.objects import SIDECAR

__all__ = [
    "open_stream",
    "put_body",
    "read_bytes",
    "read_json",
    "read_pickle",
    "write_bytes",
    "write_json",
    "write_pickle",
    "write_stream",
]

#: A stream up to this size stays in memory.
_MEMORY_BYTES = 64 * 1024**2


def write_json(
    url: Location, value: object, *, metadata: Mapping[str, object] | None = None
) -> Written:
    """Write a value as JSON (UTF-8).

    Raises:
        SettingsError: JSON has no such value: an array, a date, NaN, a key that is no text.
    """
    try:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"cannot write {type(value).__name__} to {url} as JSON: {error}; "
            "write arrays as arrays, and dates and numbers of numpy as texts and numbers"
        ) from error
    _check_keys(value, url, ())
    return put_body(place_of(url), memoryview(body), "json", to_stored(metadata))


def read_json(url: Location) -> Any:  # noqa: ANN401 (any JSON)
    """Read a JSON object.

    Raises:
        MissingObjectError: There is no such object.
        ArrayFormatError: It is no JSON.
    """
    try:
        return json.loads(read_bytes(url))
    except ValueError as error:
        raise ArrayFormatError(f"{url} is no JSON: {error}") from error


def write_pickle(
    url: Location,
    value: object,
    *,
    allow_pickle: bool = False,
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write a pickle, for readers that cannot do without.

    Raises:
        SettingsError: ``allow_pickle`` was not said, or the value cannot be pickled.
    """
    if not allow_pickle:
        raise SettingsError(
            f"refusing to write {type(value).__name__} to {url} as a pickle; write JSON or arrays, "
            "or pass allow_pickle=True"
        )
    try:
        body = pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(f"{type(value).__name__} cannot be pickled: {error}") from error
    return put_body(place_of(url), memoryview(body), "pickle", to_stored(metadata))


def read_pickle(url: Location, *, allow_pickle: bool = False, trusted: bool = False) -> Any:  # noqa: ANN401 (any object)
    """Read a pickle, if that is allowed; see ``lake_assets.arrays.pickles``.

    Raises:
        MissingObjectError: There is no such object.
        UnsafeDataError: Pickles are not allowed, or this one wants more than plain data.
        ArrayFormatError: It is broken.
    """
    place = place_of(url)
    body = place.objects.read(place.key, proof=check_crc32c).body
    return load_pickle(body, place.url, allow_pickle=allow_pickle, trusted=trusted)


def write_bytes(
    url: Location,
    body: bytes | bytearray | memoryview,
    *,
    metadata: Mapping[str, object] | None = None,
) -> Written:
    """Write bytes as they are."""
    view = memoryview(body)
    if not view.c_contiguous:
        view = memoryview(view.tobytes())
    view = view.cast("B") if view.nbytes else memoryview(b"")
    return put_body(place_of(url), view, "bytes", to_stored(metadata))


def read_bytes(url: Location) -> bytes:
    """Read the body of any object, verified.

    Raises:
        MissingObjectError: There is no such object.
        BodyMismatchError: The bytes are not the ones that were written.
    """
    place = place_of(url)
    return bytes(place.objects.read(place.key, proof=check_crc32c).body)


def write_stream(
    url: Location, file: BinaryIO, *, metadata: Mapping[str, object] | None = None
) -> Written:
    """Write what a file or stream still has, of any length, in bounded memory.

    Raises:
        StorageError: The store refused; nothing that was there is changed.
    """
    place, said = place_of(url), dict(to_stored(metadata))
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as spool:
        shutil.copyfileobj(file, spool, 1024**2)
        size = spool.tell()
        spool.seek(0)
        if size <= _MEMORY_BYTES:
            return put_body(place, memoryview(spool.read()), "bytes", said)
        said["kind"] = "bytes"  # to find out whether it has to be said would take all of it
        with tempfile.NamedTemporaryFile(prefix="lake-stream-") as named:
            shutil.copyfileobj(spool, named, 1024**2)
            named.flush()
            if place.objects.is_s3:
                _upload(place, named.name, said)
            else:
                _put_file(place, named.fileno(), said)
    return Written(place.url, "bytes", None, None, size, size)


def open_stream(url: Location, *, memory_bytes: int = _MEMORY_BYTES) -> BinaryIO:
    """The verified body as a seekable file; beyond ``memory_bytes`` it lies on local disk.

    Raises:
        MissingObjectError: There is no such object.
        BodyMismatchError: The bytes are not the ones that were written.
    """
    place = place_of(url)
    info = place.objects.store.head(place.key)
    if info is None:
        raise MissingObjectError(f"{place.url} is not there")
    file = place.objects.store.open(info, memory_bytes=memory_bytes)
    if not place.objects.is_s3:  # a bucket compares its ETag
        try:
            _check_file(place, file)
        except BaseException:  # whatever it is, nobody else will close the file
            file.close()
            raise
    return file


def put_body(place: Place, body: memoryview, kind: str, said: Mapping[str, str]) -> Written:
    """Write a body that says what it is, unless it is plain to see.

    In a folder a file stays a file: there is a sidecar only where something must be said.
    """
    from lake_assets.arrays.sniff import kind_of_body

    stored, crc32c = dict(said), crc32c_of(body)
    if kind_of_body(body, place.key) != kind:
        stored["kind"] = kind
    if place.objects.is_s3 or stored:
        stored["crc32c"] = crc32c
    place.objects.write(place.key, body, stored)
    return Written(place.url, kind, None, None, len(body), len(body), crc32c=crc32c)


def _check_file(place: Place, file: BinaryIO) -> None:
    """Compare a file with the checksum of its sidecar, where it has one."""
    found = place.objects.look(place.key)
    said = found.metadata.get("crc32c") if found else None
    if said is None:
        return
    checksum = google_crc32c.Checksum()
    while block := file.read(1024**2):
        checksum.update(block)
    if checksum.hexdigest().decode() != said.lower():
        raise BodyMismatchError(
            f"{place.url} is not the file that {place.key}{SIDECAR} describes (its checksum "
            "differs); restore both, or write it again"
        )
    file.seek(0)


def _check_keys(value: object, url: Location, above: tuple[str | int, ...]) -> None:
    """Refuse keys that JSON would make texts: 1 and "1" would be one, and the other value lost."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SettingsError(
                    f"cannot write key {key!r} ({type(key).__name__}) below {list(above)} to {url} "
                    "as JSON: its keys are texts; write str(key), or a list of pairs"
                )
            _check_keys(item, url, (*above, key))
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            _check_keys(item, url, (*above, n))


def _put_file(place: Place, fileno: int, said: Mapping[str, str]) -> None:
    """Write an open file into a folder, with its sidecar; mapped, so that it is never in memory."""
    with mmap.mmap(fileno, 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as body:
        place.objects.write(place.key, body, {**said, "crc32c": crc32c_of(body)})


def _upload(place: Place, path: str, said: Mapping[str, str]) -> None:
    from lake_assets.s3 import ObjectRef, Transfer, TransferConfig

    config = TransferConfig(encryption=None, access=place.access)
    with Transfer(place.objects.url, config) as transfer:
        ref = ObjectRef(place.key, path)
        report = transfer.upload([ref], overwrite=True, description=place.url, metadata=said)
    if not report.ok:
        raise StorageError(f"cannot write {place.url}: {report.failed[0].reason}")
