"""What a run without Dagster did, as catalog documents: one for each table published or failed.

Staged exports and compacted partitions have their documents already, written by their stages.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.catalog.materialization import Materialization, Upstream, record_materialization
from lake_assets.errors import StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.publish import Published
from lake_assets.s3 import Store, join_url, storage_options

__all__ = ["TableRun", "manifests_of_version", "record_run_report"]

#: Documents read at once: small objects, so only their latency counts.
_READERS = 16
#: Commits looked through for that of a version: later ones came in meanwhile.
_COMMITS = 10


class TableRun(Protocol):
    """What a run left of one table; the reports of both lines are such."""

    @property
    def table(self) -> str:
        """``shop.orders``."""
        ...

    @property
    def published(self) -> Published | None:
        """What was published; None where nothing was."""
        ...

    @property
    def error(self) -> str | None:
        """Why the table was not brought up to date."""
        ...


def record_run_report(
    root: Store,
    reports: Iterable[TableRun],
    *,
    run_id: str = "",
    started_at: datetime | None = None,
) -> tuple[str, ...]:
    """Write a document for each table that a run published, and for each that failed.

    A run that found everything up to date writes nothing.

    Args:
        root: The lake's store.
        reports: ``RunReport.tables.values()``, or those of database tables.
        run_id: The run's name; a new one where it is empty.
        started_at: When the run began (UTC); left out, it is not told from its end.

    Returns:
        The ids of the documents.

    Raises:
        StorageError: The store refused.
    """
    run_id, ended = run_id or str(uuid.uuid4()), datetime.now(UTC)
    recorded: list[str] = []
    for report in reports:
        published = report.published
        if report.error is None and (published is None or not published.committed):
            continue
        path = report.table.replace(".", "/")
        version = None if published is None else published.version
        done = Materialization(
            asset=f"lake/{path}",
            run_id=run_id,
            step="lake run",
            status="failed" if report.error else "published",
            started_at=started_at or ended,
            finished_at=ended,
            data_version=None if version is None else f"delta-{version}",
            upstream=() if version is None else manifests_of_version(root, path, version),
            row_count=None if published is None else published.rows,
            size_bytes=None if published is None else published.size_bytes,
            error=report.error,
        )
        recorded.append(record_materialization(root, done)[0])
    return tuple(recorded)


def manifests_of_version(root: Store, path: str, version: int) -> tuple[Upstream, ...]:
    """The compacted partitions that the commit of a table's version names; none of other tables.

    Args:
        root: The lake's store.
        path: ``shop/orders``.
        version: Of the table.

    Raises:
        StorageError: The log or a manifest cannot be read.
    """
    uri = join_url(root.url, "lake", path)
    commits = delta.history(uri, _COMMITS, storage_options(uri))
    named = next((c.get("lake.partitions") for c in commits if c["version"] == version), None)
    plans = {name: item["manifest"] for name, item in json.loads(named or "{}").items()}

    def upstream(item: tuple[str, str]) -> Upstream:
        name, plan = item
        key = f"compacted/{path}/{name}/{plan}.json"
        try:
            found = read_document(root, key).id
        except StorageError:
            if root.head(key) is not None:
                raise
            found = None  # replaced since, by a later compaction of the same plan
        return Upstream(f"compacted/{path}", plan, found)

    return tuple(fan_out(upstream, plans.items(), workers=_READERS))
