"""Arrays as Dagster metadata: what a person sees of one that was written, with a picture of it.

The libraries of the extra ``[arrays]`` are imported where they are used: the graph loads without.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

if TYPE_CHECKING:
    from lake_assets.arrays.records import Written
    from lake_assets.arrays.zarr_versions import ZarrVersion

__all__ = ["array_preview", "picture", "written_facts", "zarr_facts"]

#: Of the part of an array that is shown.
_SHOWN = 64
_CHARACTERS = 1500


def written_facts(written: "Written") -> dict[str, Any]:
    """An array, tree or document that is one object or several without versions."""
    facts: dict[str, Any] = {
        "dagster/uri": written.url,
        "status": "written",
        "format": written.kind,
        "bytes": written.n_bytes,
        "stored_bytes": written.stored_bytes,
        "objects": written.n_objects,
        "codec": written.codec or "none",
    }
    if written.shape is not None:
        facts |= {"shape": str(written.shape), "dtype": str(written.dtype)}
    return facts | ({"checksum": f"crc32c {written.crc32c}"} if written.crc32c else {})


def zarr_facts(url: str, version: "ZarrVersion") -> dict[str, Any]:
    """A version of a zarr array."""
    return {
        "dagster/uri": url,
        "status": "written" if version.changed else "unchanged",
        "format": "zarr",
        "version": version.number,
        "shape": str(version.shape),
        "dtype": version.dtype,
        "bytes": version.nbytes,
        "stored_bytes": version.stored_bytes,
        "objects": version.n_objects,
        "chunks": str(version.chunks),
        "shards": str(version.shards or "none"),
        "codec": version.codec,
        "checksum": f"sha256 {version.checksum}",
        "coordinates": ", ".join(version.coordinates) or "none",
    }


def picture(png: bytes, text: str) -> dg.MarkdownMetadataValue:
    """A picture that the UI shows: markdown that carries it, so that no file has to be served."""
    return dg.MetadataValue.md(f"![{text}](data:image/png;base64,{base64.b64encode(png).decode()})")


def array_preview(value: Any) -> dg.MarkdownMetadataValue:  # noqa: ANN401 (any kind of array)
    """An array as a picture, where it has an axis or two of numbers, and its corner as text.

    Of more axes the first index is shown. The picture is a sample of what is in memory; of a lazy
    array no more than its corner is computed.
    """
    from lake_assets.arrays.picture import picture_of

    if isinstance(value, Mapping):
        lines = [f"- `{key}`: {_said(item)}" for key, item in list(value.items())[:_SHOWN]]
        return dg.MetadataValue.md("\n".join(lines) or "empty")
    if not hasattr(value, "shape") or not hasattr(value, "ndim"):
        return _code(repr(value))
    if hasattr(value, "nnz"):  # sparse
        return _code(f"{_said(value)}, {value.nnz} stored\n{value}")
    if 0 in value.shape:
        return _code(np.array2string(np.empty(value.shape)))
    plane = value[(0,) * max(0, value.ndim - 2)]
    corner = np.asarray(plane[(slice(_SHOWN),) * plane.ndim])
    text = _code(np.array2string(corner, threshold=_SHOWN, edgeitems=3))
    drawn = picture_of(plane if isinstance(plane, np.ndarray) else corner)
    if drawn is None:
        return text
    low, high = ("light", "dark") if len(drawn.steps) > 1 else ("bottom", "top")  # a map, a line
    shown = [f"{drawn.low:.6g} ({low}) to {drawn.high:.6g} ({high})"]
    if value.ndim > plane.ndim:
        shown.append(f"index {', '.join('0' * (value.ndim - plane.ndim))} of {value.shape}")
    if not isinstance(plane, np.ndarray) and plane.shape != corner.shape:
        shown.append(f"its first {corner.shape}")
    if max(drawn.steps) > 1:
        shown.append(f"every {drawn.steps} of it")
    said = "; ".join(shown)
    return dg.MetadataValue.md(f"{picture(drawn.png, 'preview').value}\n\n{said}\n\n{text.value}")


def _said(value: object) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} {shape} {dtype}"


def _code(text: str) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"```\n{text[:_CHARACTERS]}\n```")
