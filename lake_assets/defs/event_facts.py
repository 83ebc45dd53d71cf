"""What the metadata of a materialization tells the catalog: files, rows, columns, where from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from lake_assets import delta
from lake_assets.catalog import canonical_json, read_document, refer_to
from lake_assets.catalog.materialization import RecordedFile, Upstream
from lake_assets.errors import StorageError
from lake_assets.lake.run_record import manifests_of_version
from lake_assets.s3 import Store, join_url, storage_options
from lake_assets.s3.address import parse_address

__all__ = ["INPUTS", "OUTPUTS", "PROFILE", "EventFacts", "event_facts"]

#: Metadata keys under which an asset of one's own names its files.
INPUTS, OUTPUTS = "lake/inputs", "lake/outputs"
#: Metadata key with the id of a profile's document.
PROFILE = "lake/profile"

#: Larger files are recorded by size and ETag, unless the asset gives the hash: recording takes its
#: turn with the other sensors.
_HASH_BYTES = 256 * 1024**2
#: Nothing was written by these: what they name was recorded when it was made.
_IDLE = {"unchanged", "held back", "absent", "no export yet"}


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What one event says."""

    status: str
    row_count: int | None = None
    size_bytes: int | None = None
    schema: bytes | None = None
    """The columns as canonical JSON."""
    manifest_id: str | None = None
    profile_id: str | None = None
    inputs: tuple[RecordedFile, ...] = ()
    outputs: tuple[RecordedFile, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    column_lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def event_facts(root: Store, event: dg.AssetMaterialization) -> EventFacts:
    """What an event's metadata says, with what it refers to looked up in the lake.

    Raises:
        StorageError: A document is not what was written, or the store refused.
    """
    values = {name: value.value for name, value in event.metadata.items()}
    said = values.get("status")
    status = said if isinstance(said, str) and said else "materialized"
    files: dict[str, tuple[RecordedFile, ...]] = {
        name: tuple(_recorded(item) for item in _listed(values.get(name)))
        for name in (INPUTS, OUTPUTS)
    }
    upstream: tuple[Upstream, ...] = ()
    version = values.get("version")
    table = _table_path(root, values.get("dagster/uri"))
    if table is not None and isinstance(version, int) and status not in _IDLE:
        upstream = manifests_of_version(root, table, version)
        if not upstream and not files[OUTPUTS]:  # written by the IO manager: no manifest names them
            files[OUTPUTS] = tuple(_table_files(root, table, version, event.partition))
    return EventFacts(
        status=status,
        row_count=_whole(values.get("dagster/row_count")),
        size_bytes=_whole(values.get("bytes")),
        schema=_schema(values.get("dagster/column_schema")),
        manifest_id=_manifest_id(root, values.get("manifest")),
        profile_id=_text(values.get(PROFILE)),
        inputs=files[INPUTS],
        outputs=files[OUTPUTS],
        upstream=upstream,
        column_lineage=_lineage(values.get("dagster/column_lineage")),
    )


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _recorded(item: object) -> RecordedFile:
    """A file as an asset named it: an address, or an object with what is known of it."""
    known: Mapping[str, Any] = item if isinstance(item, Mapping) else {"uri": str(item)}
    uri = str(known.get("uri", ""))
    more = {
        "rows": _whole(known.get("rows")),
        "format": str(known.get("format") or uri.rpartition("/")[2].rpartition(".")[2]),
        "partition": _text(known.get("partition")),
    }
    sha256, size = _text(known.get("sha256")), _whole(known.get("size_bytes"))
    if sha256 is not None:
        return RecordedFile(uri, sha256, size, **more, etag=str(known.get("etag") or ""))
    return _looked_up(uri, more)


def _looked_up(uri: str, more: Mapping[str, Any]) -> RecordedFile:
    """A file by what is there now; one that is gone is recorded without hash and size."""
    address = parse_address(uri)
    info = address.open().head(address.path)
    if info is None:
        return RecordedFile(uri, None, None, **more)
    if info.size_bytes > _HASH_BYTES:
        return RecordedFile(uri, None, info.size_bytes, **more, etag=info.etag)
    file = refer_to(uri)
    return RecordedFile(uri, file.sha256, file.size_bytes, **more, etag=file.etag)


def _table_files(
    root: Store, table: str, version: int, partition: str | None
) -> Iterator[RecordedFile]:
    uri = join_url(root.url, "lake", table)
    for file in delta.live_files(uri, storage_options(uri), version):
        if partition is None or file.partition == (partition,):
            more = {"rows": file.rows, "format": "parquet", "partition": partition}
            yield _looked_up(join_url(uri, file.path), more)


def _table_path(root: Store, uri: object) -> str | None:
    """``shop/orders`` of the address of a table of this lake."""
    below = f"{root.url}/lake/"
    return uri[len(below) :].strip("/") if isinstance(uri, str) and uri.startswith(below) else None


def _manifest_id(root: Store, uri: object) -> str | None:
    """The id of the stage's document that the metadata names; None where it names none of ours."""
    if not isinstance(uri, str) or not uri.startswith(f"{root.url}/"):
        return None
    key = uri[len(root.url) + 1 :]
    try:
        return read_document(root, key).id
    except StorageError:
        if root.head(key) is not None:
            raise
        return None  # gone meanwhile: staging that was superseded may be swept


def _schema(value: object) -> bytes | None:
    if not isinstance(value, dg.TableSchema):
        return None
    return canonical_json(
        [
            {
                "name": column.name,
                "type": column.type,
                "nullable": column.constraints.nullable,
                "description": column.description,
                "meta": canonical_json(dict(column.tags)).decode() if column.tags else None,
            }
            for column in value.columns
        ]
    )


def _lineage(value: object) -> dict[str, tuple[tuple[str, str], ...]]:
    if not isinstance(value, dg.TableColumnLineage):
        return {}
    return {
        column: tuple((dep.asset_key.to_user_string(), dep.column_name) for dep in deps)
        for column, deps in value.deps_by_column.items()
    }


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
