"""What a run without Dagster did, as catalog documents: one for each table published or failed.

Staged exports and compacted partitions have their documents already, written by their stages. With
``recorded_run`` those of the tables tell the settings, the graph and the log of the run as well, as
a run of Dagster's does.
"""

import io
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from lake_assets import delta
from lake_assets.catalog import (
    Document,
    Objects,
    canonical_json,
    content_id,
    read_document,
    write_document,
)
from lake_assets.catalog.materialization import Materialization, Upstream, record_materialization
from lake_assets.errors import StorageError
from lake_assets.fanout import fan_out
from lake_assets.lake.publish import Published
from lake_assets.s3 import Store, join_url, storage_options
from lake_assets.settings import LakeSettings

__all__ = [
    "RunContext",
    "TableRun",
    "manifests_of_version",
    "record_run_report",
    "recorded_run",
]

#: Documents read at once: small objects, so only their latency counts.
_READERS = 16
#: Commits looked through for that of a version: later ones came in meanwhile.
_COMMITS = 10
#: Characters of a log that are kept, its last ones.
_LOG_CHARACTERS = 4 * 1024**2
#: Refusals of input that are recorded, by table.
_REFUSALS = "catalog/refusals/"
_STAGES = ("export", "staging", "compacted", "lake")


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all documents of a run have in common."""

    id: str
    started_at: datetime
    """UTC."""
    settings: Mapping[str, Any]
    """As JSON can say them; credentials are no settings."""
    log: io.StringIO
    """What the library logged meanwhile."""


@contextmanager
def recorded_run(settings: LakeSettings) -> Iterator[RunContext]:
    """A run by the library alone: it has an id, and what is logged in its block is its log."""
    said = settings.model_dump(mode="json", fallback=str)
    run = RunContext(str(uuid.uuid4()), datetime.now(UTC), said, io.StringIO())
    logger = logging.getLogger("lake_assets")
    level, propagates = logger.level, logger.propagate
    kept, heard = logging.StreamHandler(run.log), _Relay(logger.getEffectiveLevel())
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for handler in (kept, heard):
        logger.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    logger.propagate = False
    try:
        yield run
    finally:
        for handler in (kept, heard):
            logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


class _Relay(logging.Handler):
    """Whoever listens hears what they heard before: no more for the sake of the run's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it to the handlers of the root, or to what stands in for them."""
        logging.getLogger().callHandlers(record)


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

    @property
    def only_refused(self) -> bool:
        """Whether the error is input that is refused, so that it is the same again."""
        ...


def record_run_report(
    root: Store,
    reports: Iterable[TableRun],
    *,
    run_id: str = "",
    started_at: datetime | None = None,
    run: RunContext | None = None,
) -> tuple[str, ...]:
    """Write a document for each table that a run published, and for each that failed.

    A run that found everything up to date writes nothing, nor does one that changed nothing and
    was refused the same input as one before it.

    Args:
        root: The lake's store.
        reports: ``RunReport.tables.values()``, or those of database tables.
        run_id: The run's name; a new one where it is empty.
        started_at: When the run began (UTC); left out, it is not told from its end.
        run: Instead of both, what ``recorded_run`` gave.

    Returns:
        The ids of the documents.

    Raises:
        StorageError: The store refused.
    """
    done = [report for report in reports if _is_news(root, report)]
    if not done:
        return ()
    ended = datetime.now(UTC)
    id_, began = (run.id, run.started_at) if run else (run_id or str(uuid.uuid4()), started_at)
    config, log = _blobs(root, run)
    recorded: list[str] = []
    for report in done:
        published, path = report.published, report.table.replace(".", "/")
        version = None if published is None else published.version
        made = Materialization(
            asset=f"lake/{path}",
            run_id=id_,
            step="lake run",
            # In a history a snapshot may be refused while others are published.
            status="published" if published is not None and published.committed else "failed",
            started_at=began or ended,
            finished_at=ended,
            data_version=None if version is None else f"delta-{version}",
            config_id=config,
            graph_id=_graph(root, path) if run else None,
            schema_id=_schema(root, path) if version is not None else None,
            log_id=log,
            upstream=() if version is None else manifests_of_version(root, path, version),
            row_count=None if published is None else published.rows,
            size_bytes=None if published is None else published.size_bytes,
            error=report.error,
        )
        recorded.append(record_materialization(root, made)[0])
        if report.only_refused:  # after it: who is killed in between is recorded once more
            _remember(root, report, recorded[-1], ended)
    return tuple(recorded)


def _is_news(root: Store, report: TableRun) -> bool:
    if report.published is not None and report.published.committed:
        return True
    if report.error is None:
        return False
    return not report.only_refused or root.head(_refusal_key(report)) is None


def _remember(root: Store, report: TableRun, manifest_id: str, at: datetime) -> None:
    """Write down that a refusal is recorded, where the next run looks for it."""
    content = {"asset": f"lake/{report.table.replace('.', '/')}", "error": report.error}
    facts = {"manifest_id": manifest_id, "written_at": at.isoformat()}
    write_document(root, _refusal_key(report), Document("refusal", content, facts))


def _refusal_key(report: TableRun) -> str:
    return f"{_REFUSALS}{report.table.replace('.', '/')}/{content_id(report.error)[:32]}.json"


def _blobs(root: Store, run: RunContext | None) -> tuple[str | None, str | None]:
    """The objects with a run's settings and its log."""
    if run is None:
        return None, None
    log = run.log.getvalue()[-_LOG_CHARACTERS:].encode(errors="backslashreplace")
    objects = Objects(root)
    config = objects.put(canonical_json(dict(run.settings))).id
    return config, objects.put(log).id if log else None


def _graph(root: Store, path: str) -> str:
    """The object with the steps of a table, as a run of Dagster's has them."""
    names = [f"{stage}/{path}" for stage in _STAGES]
    steps = [
        {"step": name, "assets": [name], "after": names[max(place - 1, 0) : place]}
        for place, name in enumerate(names)
    ]
    return Objects(root).put(canonical_json({"steps": steps})).id


def _schema(root: Store, path: str) -> str:
    """The object with the columns of a table."""
    uri = join_url(root.url, "lake", path)
    schema = delta.table_schema(uri, storage_options(uri)) or {}
    columns = [
        {"name": name, "type": str(dtype), "nullable": True, "description": None, "meta": None}
        for name, dtype in schema.items()
    ]
    return Objects(root).put(canonical_json(columns)).id


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
