"""Publishes of tables as OpenLineage 2 run events: one START and one COMPLETE for each version.

The events are made of the documents, so they can be written at any time, and again: the same
version has the same run id. The format: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version as package_version
from typing import Any

from lake_assets import delta
from lake_assets.export.pega_tables import TableSpec
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake.column_lineage import ColumnOrigin, column_lineage
from lake_assets.lake.lineage_graph import Lineage, Node, table_lineage
from lake_assets.lake.recorded import (
    TableVersion,
    common_place,
    compacted_manifest,
    table_versions,
)
from lake_assets.s3 import Store, join_url, parse_url, storage_options

__all__ = ["run_events"]

_SPEC = "https://openlineage.io/spec"
_RUN_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "schema": "1-2-0/SchemaDatasetFacet",
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
}


def run_events(root: Store, table: TableSpec | SnapshotTable) -> Iterator[dict[str, Any]]:
    """The events of all published versions of a table, oldest first.

    A run's inputs are the export files whose rows it brought: those of the partitions that it
    changed. Column lineage names the place of the exports as one dataset, the first input.

    Args:
        root: The lake's store.
        table: As it is configured now; its settings tell what derived columns are made of.

    Raises:
        StorageError: A document is not what was written, or the store refused.
    """
    before: Mapping[str, str] = {}
    for version in reversed(list(table_versions(root.url, table.path))):
        changed = {key for name, key in version.manifests.items() if before.get(name) != key}
        before = version.manifests
        files = _export_files(table_lineage(root, table.path, version=version.version), changed)
        yield from _events(root, table, version, files, _started_at(root, version, changed))


def _events(
    root: Store,
    table: TableSpec | SnapshotTable,
    version: TableVersion,
    files: tuple[Node, ...],
    started_at: datetime,
) -> Iterator[dict[str, Any]]:
    uri = join_url(root.url, "lake", table.path)
    source = common_place([node.id for node in files])
    common = {
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}@{version.version}"))},
        "job": {"namespace": "lake_assets", "name": f"lake/{table.path}"},
        "producer": _producer(),
        "schemaURL": _RUN_EVENT,
        "inputs": [*([_dataset(source)] if source else []), *map(_input, files)],
    }
    output = _dataset(uri)
    yield {
        "eventType": "START",
        "eventTime": _time(started_at),
        **common,
        "outputs": [output],
    }
    yield {
        "eventType": "COMPLETE",
        "eventTime": _time(version.committed_at),
        **common,
        "outputs": [output | _described(uri, table, version, source)],
    }


def _described(
    uri: str, table: TableSpec | SnapshotTable, version: TableVersion, source: str
) -> dict[str, Any]:
    options = storage_options(uri)
    live = delta.live_files(uri, options, version.version)
    # Columns are only ever added, so today's are those of any version, and maybe some more.
    schema = delta.table_schema(uri, options) or {}
    origins = column_lineage(table, schema) if source else ()
    return {
        "facets": {
            "schema": _facet(
                "schema",
                fields=[{"name": name, "type": str(dtype)} for name, dtype in schema.items()],
            ),
            "version": _facet("version", datasetVersion=str(version.version)),
            "columnLineage": _facet(
                "columnLineage",
                fields={o.column: _column(o, source) for o in origins if o.inputs},
            ),
        },
        "outputFacets": {
            "outputStatistics": _facet(
                "outputStatistics",
                rowCount=sum(file.rows for file in live),
                size=sum(file.size_bytes for file in live),
                fileCount=len(live),
            )
        },
    }


def _column(origin: ColumnOrigin, source: str) -> dict[str, Any]:
    subtype = "IDENTITY" if origin.kind == "identity" else "TRANSFORMATION"
    how = {"type": "DIRECT", "subtype": subtype, "description": origin.how, "masking": False}
    fields = [
        _dataset(source) | {"field": name, "transformations": [how]} for name in origin.inputs
    ]
    return {"inputFields": fields}


def _input(node: Node) -> dict[str, Any]:
    counted = {"rowCount": node.rows, "size": node.size_bytes, "fileCount": 1}
    known = {name: value for name, value in counted.items() if value is not None}
    facets = {"facets": {"version": _facet("version", datasetVersion=node.sha256)}}
    return (
        _dataset(node.id)
        | (facets if node.sha256 else {})
        | {"inputFacets": {"inputStatistics": _facet("inputStatistics", **known)}}
    )


def _dataset(address: str) -> dict[str, Any]:
    """Namespace and name as OpenLineage has them for object stores and files."""
    url = parse_url(address)
    if "://" not in url.text:
        return {"namespace": "file", "name": url.text}
    scheme, _, rest = url.text.partition("://")
    bucket, _, key = rest.partition("/")
    return {"namespace": f"{scheme}://{bucket}", "name": key or "/"}


def _facet(name: str, **values: object) -> dict[str, Any]:
    path = _FACETS[name]
    schema = f"{_SPEC}/facets/{path}.json#/$defs/{path.rpartition('/')[2]}"
    return {"_producer": _producer(), "_schemaURL": schema, **values}


def _producer() -> str:
    return f"https://pypi.org/project/lake_assets/{package_version('lake_assets')}"


def _export_files(graph: Lineage, manifests: set[str]) -> tuple[Node, ...]:
    """The export files with rows in the partitions of these manifests."""
    above: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.rows != 0:
            above.setdefault(edge.target, []).append(edge.source)
    starts = [n.id for n in graph.of_kind("compacted by") if n.id.endswith(tuple(manifests))]
    seen, queue = set(starts), list(starts)
    while queue:
        new = [item for item in above.get(queue.pop(), ()) if item not in seen]
        seen.update(new)
        queue += new
    return tuple(node for node in graph.of_kind("export") if node.id in seen)


def _started_at(root: Store, version: TableVersion, manifests: set[str]) -> datetime:
    """When the first of its partitions was begun."""
    read = (compacted_manifest(root, key) for key in manifests)
    begun = [item.written_at - timedelta(seconds=item.seconds) for item in read]
    return min([*begun, version.committed_at])


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
