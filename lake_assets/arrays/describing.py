"""What is at an address, found out without reading an array: by metadata, headers and indexes."""

from collections.abc import Sequence
from typing import Any

from lake_assets.arrays import npy
from lake_assets.arrays.chunked import chunked_at
from lake_assets.arrays.metadata import from_stored
from lake_assets.arrays.nodes import Node, folder_kind, nodes_below
from lake_assets.arrays.one import Reading, read_folder, value_of
from lake_assets.arrays.place import Place, in_threads, place_of
from lake_assets.arrays.raw import check_crc32c, header_of, is_raw
from lake_assets.arrays.records import Description
from lake_assets.arrays.sniff import kind_of_object
from lake_assets.errors import LakeError, MissingObjectError
from lake_assets.s3 import Location
from lake_assets.s3.engine import Found
from lake_assets.s3.url import text_of

__all__ = ["describe", "describe_at", "describe_node", "glance_at_folder", "glance_at_object"]

#: A larger body is not read to find out what it is.
_LOOK_BYTES = 16 * 1024**2
_HEAD_BYTES = 4096


def describe(url: Location) -> Sequence[Description]:
    """What is at an address: one line for an array or document, one for each in a prefix.

    Raises:
        MissingObjectError: Nothing is there.
        ArrayFormatError: What is named by itself is broken; in a prefix it is said in its line.
    """
    return describe_at(place_of(url), is_folder=text_of(url).endswith("/"))


def describe_at(place: Place, *, is_folder: bool = False) -> Sequence[Description]:
    """``describe`` at an opened place; no object of its name where it says folder."""
    found = None if not place.key or is_folder else place.objects.look(place.key)
    if found is not None:
        return (_of_object(place, found),)
    if folder_kind(place) is not None:
        [node] = nodes_below(place)
        return (_of_folder(place, node),)
    nodes = nodes_below(place)
    if not nodes:
        raise MissingObjectError(f"there is nothing at {place.url}, no object and nothing below")
    return in_threads(lambda node: _said(place, node), nodes)


def describe_node(place: Place, node: Node) -> Description:
    """What a node below a place is.

    Raises:
        ArrayFormatError: It is broken.
    """
    at = place.at(node.path) if node.path else place
    if node.kind != "object":
        return _of_folder(at, node)
    found = at.objects.look(at.key)
    if found is None:
        raise MissingObjectError(f"{at.url} is gone since it was listed")
    return _of_object(at, found)


def _said(place: Place, node: Node) -> Description:
    try:
        return describe_node(place, node)
    except LakeError as error:  # one that is damaged, gone or refused does not end the listing
        size = sum(info.size_bytes for info in node.objects)
        url = place.at(node.path).url
        return Description(url, f"broken: {error}", None, None, None, size, len(node.objects))


def _of_folder(place: Place, node: Node) -> Description:
    size, n_objects = sum(info.size_bytes for info in node.objects), len(node.objects)
    if node.kind == "chunks":
        index = chunked_at(place).index
        first: tuple[int, ...] | None = tuple(lengths[0] for lengths in index.chunks)
        codec = None if index.is_plain else "of its parts"
        return Description(
            place.url, "chunks", index.shape, str(index.dtype), codec, size, n_objects, first
        )
    array: Any = read_folder(place, node.kind)
    first, codec, kind = None, "gzip or Blosc", f"sparse {getattr(array, 'format', '')}"
    if node.kind == "zarr":
        from lake_assets.arrays.zarr_store import open_zarr_array

        opened = open_zarr_array(place.url, access=place.access)
        codec = ", ".join(type(item).__name__ for item in opened.compressors) or None
        first, kind = tuple(map(int, opened.chunks)), "zarr"
    shape = tuple(map(int, array.shape))
    return Description(place.url, kind, shape, str(array.dtype), codec, size, n_objects, first)


def glance_at_object(place: Place, found: Found) -> Description | None:
    """What metadata or a header say of an object, in one small request more; None for no array.

    Raises:
        ArrayFormatError: It is broken.
    """
    said = from_stored(found.metadata)
    if is_raw(found.metadata):
        header = header_of(found, place.url)
        codec = None if header.is_plain else header.codec
        kind, shape, dtype = "raw", header.shape, str(header.dtype)
        return Description(place.url, kind, shape, dtype, codec, found.size_bytes, 1, metadata=said)
    header = _npy_header(place, found)
    if header is None:
        return None
    return Description(
        place.url, "npy", header.shape, str(header.dtype), None, found.size_bytes, 1,
        metadata=said,
    )  # fmt: skip


def glance_at_folder(place: Place) -> tuple[str, tuple[int, ...] | None, str | None] | None:
    """Kind, shape and dtype of a folder that is one array, by its index; None for any other.

    Raises:
        ArrayFormatError: It is broken.
    """
    kind = folder_kind(place)
    if kind == "chunks":
        index = chunked_at(place).index
        return kind, index.shape, str(index.dtype)
    if kind == "zarr":
        from lake_assets.arrays.zarr_store import open_zarr_array

        array = open_zarr_array(place.url, access=place.access)
        return kind, tuple(map(int, array.shape)), str(array.dtype)
    return None if kind is None else (kind, None, None)


def _of_object(place: Place, found: Found) -> Description:
    known = glance_at_object(place, found)
    if known is not None:
        return known
    kind, shape, dtype = "bytes", None, None
    if found.size_bytes <= _LOOK_BYTES:
        stored = place.objects.read(place.key, etag=found.etag, proof=check_crc32c)
        kind = kind_of_object(found.metadata, stored.body, place.key)
        if kind == "sparse":
            matrix = value_of(stored, place, Reading())
            kind, shape, dtype = f"sparse {matrix.format}", tuple(matrix.shape), str(matrix.dtype)
    said = from_stored(found.metadata)
    return Description(place.url, kind, shape, dtype, None, found.size_bytes, 1, metadata=said)


def _npy_header(place: Place, found: Found) -> npy.NpyHeader | None:
    objects, key = place.objects, place.key
    n_bytes = min(found.size_bytes, _HEAD_BYTES)
    head = objects.read_span(key, 0, n_bytes, etag=found.etag)
    if bytes(head[:6]) != npy.MAGIC:
        return None
    size = min(npy.header_size(head, place.url), found.size_bytes)
    if size > len(head):
        head = objects.read_span(key, 0, size, etag=found.etag)
    return npy.parse_header(head, place.url)
