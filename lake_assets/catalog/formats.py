"""What the bytes of an object mean: read whole as a value, or batch by batch.

Kinds: ``bytes``, ``text``, ``json``, ``arrow`` (IPC file), ``arrow_stream`` (IPC stream),
``parquet``, ``csv``, ``histograms`` (boost-histogram), ``tdigests`` (datasketches).
"""

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from lake_assets.catalog.documents import canonical_json
from lake_assets.errors import SettingsError, StorageError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = [
    "KINDS",
    "histograms_bytes",
    "json_bytes",
    "open_batches",
    "read_as",
    "table_bytes",
    "tdigests_bytes",
]


def read_as(file: BinaryIO, kind: str, *, name: str) -> Any:  # noqa: ANN401 (the kind says what)
    """The value of a file: a polars frame of arrow, arrow_stream, parquet and csv.

    Args:
        file: Read from where it stands.
        kind: One of ``KINDS``.
        name: What the file is called in an error.

    Raises:
        SettingsError: There is no such kind.
        StorageError: The bytes are not of this kind.
    """
    if kind not in _READERS:
        raise SettingsError(f"there is no kind {kind!r}; kinds are {', '.join(KINDS)}")
    with _named(name, kind):
        return _READERS[kind](file)


def open_batches(file: BinaryIO, kind: str, *, name: str) -> "pa.RecordBatchReader":
    """A table, one batch at a time: what is held is one batch.

    Args:
        file: Stays open until the reader is done.
        kind: ``arrow``, ``arrow_stream``, ``parquet`` or ``csv``.
        name: What the file is called in an error.

    Raises:
        SettingsError: The kind has no batches.
        StorageError: The bytes are not of this kind.
    """
    if kind not in _BATCHES:
        raise SettingsError(f"{kind!r} has no batches; kinds that do: {', '.join(_BATCHES)}")
    with _named(name, kind):
        return _BATCHES[kind](file)


def table_bytes(table: "pl.DataFrame | pa.Table | Mapping[str, Any] | bytes") -> tuple[bytes, str]:
    """A frame as an Arrow IPC file, a description of a table as JSON; bytes stay. With the kind.

    Raises:
        SettingsError: It is none of these, or JSON cannot say it.
    """
    import polars as pl
    import pyarrow as pa

    if isinstance(table, bytes):
        return table, "bytes"
    if isinstance(table, Mapping):
        return json_bytes(table), "json"
    sink = io.BytesIO()
    if isinstance(table, pl.DataFrame):
        table.write_ipc(sink)
    elif isinstance(table, pa.Table):  # pyright: ignore[reportUnnecessaryIsInstance] (not checked for callers)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        raise SettingsError(f"{type(table).__name__} is no table; give a frame or its description")
    return sink.getvalue(), "arrow"


def histograms_bytes(histograms: Mapping[str, Any] | bytes) -> bytes:
    """boost-histogram objects by name (or anything JSON can say) as JSON in the UHI schema.

    Raises:
        SettingsError: JSON cannot say one of them.
    """
    if isinstance(histograms, bytes):
        return histograms
    from boost_histogram import Histogram
    from boost_histogram.serialization import to_uhi

    def plain(value: Any) -> Any:  # noqa: ANN401 (a JSON value)
        if isinstance(value, Histogram):
            return plain(to_uhi(value))
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value.tolist() if hasattr(value, "tolist") else value

    return json_bytes({name: plain(value) for name, value in histograms.items()})


def tdigests_bytes(digests: Mapping[str, Any] | bytes) -> bytes:
    """t-digests of datasketches by name, as JSON; their float64 stay float64.

    Raises:
        SettingsError: One of them is neither a sketch nor its bytes.
    """
    if isinstance(digests, bytes):
        return digests
    texts: dict[str, str] = {}
    for name, digest in digests.items():
        body = digest.serialize() if hasattr(digest, "serialize") else digest
        if not isinstance(body, bytes):
            raise SettingsError(
                f"{name!r} is a {type(body).__name__}; give a t-digest or its bytes"
            )
        texts[name] = base64.b64encode(body).decode()
    return json_bytes(texts)


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """The canonical JSON of a mapping: the same value gives the same bytes, hence the same id.

    Raises:
        SettingsError: JSON cannot say it.
    """
    try:
        return canonical_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingsError(f"JSON cannot say it: {error}; use texts, numbers, lists") from error


def _histograms(file: BinaryIO) -> "dict[str, Any]":
    from boost_histogram import Histogram
    from boost_histogram.serialization import from_uhi

    return {name: Histogram(from_uhi(value)) for name, value in json.load(file).items()}


def _tdigests(file: BinaryIO) -> "dict[str, Any]":
    from datasketches import (
        tdigest_double,  # pyright: ignore[reportAttributeAccessIssue] (its stubs are empty)
    )

    texts = json.load(file)
    return {n: tdigest_double.deserialize(base64.b64decode(text)) for n, text in texts.items()}


def _frame(reader: str) -> Callable[[BinaryIO], "pl.DataFrame"]:
    def read(file: BinaryIO) -> "pl.DataFrame":
        import polars as pl

        # A type guessed from the first lines would break at a later one: all lines count.
        options = {"infer_schema_length": None} if reader == "read_csv" else {}
        return getattr(pl, reader)(file, **options)

    return read


def _arrow_batches(file: BinaryIO) -> "pa.RecordBatchReader":
    import pyarrow as pa

    whole = pa.ipc.open_file(file)
    batches = (whole.get_batch(number) for number in range(whole.num_record_batches))
    return pa.RecordBatchReader.from_batches(whole.schema, batches)


def _stream_batches(file: BinaryIO) -> "pa.RecordBatchReader":
    import pyarrow as pa

    return pa.ipc.open_stream(file)


def _parquet_batches(file: BinaryIO) -> "pa.RecordBatchReader":
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pq.ParquetFile(file)
    return pa.RecordBatchReader.from_batches(whole.schema_arrow, whole.iter_batches())


def _csv_batches(file: BinaryIO) -> "pa.RecordBatchReader":
    import pyarrow.csv as pa_csv

    return pa_csv.open_csv(file)


@contextmanager
def _named(name: str, kind: str) -> Iterator[None]:
    """What a decoder raises, as an error that names the object."""
    import polars as pl
    import pyarrow as pa

    try:
        yield
    except (
        pa.ArrowException, pl.exceptions.PolarsError,
        ValueError, TypeError, KeyError, AttributeError, RuntimeError,
    ) as error:  # fmt: skip
        raise StorageError(
            f"{name} is whole, but no {kind} ({type(error).__name__}: {error}); "
            "ask for the kind it was registered as"
        ) from error


_READERS: dict[str, Callable[[BinaryIO], Any]] = {
    "bytes": lambda file: file.read(),
    "text": lambda file: file.read().decode(),
    "json": json.load,
    "arrow": _frame("read_ipc"),
    "arrow_stream": _frame("read_ipc_stream"),
    "parquet": _frame("read_parquet"),
    "csv": _frame("read_csv"),
    "histograms": _histograms,
    "tdigests": _tdigests,
}
_BATCHES: dict[str, Callable[[BinaryIO], "pa.RecordBatchReader"]] = {
    "arrow": _arrow_batches,
    "arrow_stream": _stream_batches,
    "parquet": _parquet_batches,
    "csv": _csv_batches,
}
#: What ``read_as`` reads.
KINDS = tuple(_READERS)
