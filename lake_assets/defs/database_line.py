"""The databases as a line of the graph: snapshots, each of which is a table's whole state."""

from collections.abc import Callable, Iterable, Mapping

from lake_assets.compacted.partitions import Table
from lake_assets.database_settings import SnapshotSettings
from lake_assets.defs.database_table import DatabaseTable
from lake_assets.defs.lines import Line, LineRun, LineTable, OpenTable
from lake_assets.defs.resources import LakeResource
from lake_assets.defs.runless import snapshot_run
from lake_assets.errors import SettingsError
from lake_assets.export.snapshot_table import SnapshotTable
from lake_assets.lake.snapshot_run import run_databases
from lake_assets.staging.snapshot_plan import CODE_VERSION

__all__ = ["database_line"]


def database_line(databases: Mapping[str, Mapping[str, SnapshotSettings]]) -> Line:
    """The line of all tables of all databases in the configuration.

    Raises:
        SettingsError: Dagster would call two tables the same.
    """
    tables = [
        SnapshotTable(database, name, chosen)
        for database, members in databases.items()
        for name, chosen in members.items()
    ]
    _refuse_same_steps(tables)
    return Line(
        name="databases",
        tables=tuple(_line_table(table) for table in tables),
        open=_open,
        catch_up=_catch_up,
        sensor_description=(
            "Looks for snapshots that are finished (their ready marker, or the export's own"
            " manifest, is there), registers them and requests one staging run a table for what is"
            " new or changed: of the newest snapshot, in mode `history` of each. Also observes the"
            " export assets."
        ),
    )


def _refuse_same_steps(tables: Iterable[SnapshotTable]) -> None:
    """Dagster joins the parts of an asset's key by ``__`` to name its step."""
    seen: dict[str, SnapshotTable] = {}
    for table in tables:
        other = seen.setdefault(f"{table.database}__{table.name}", table)
        if other is not table:
            raise SettingsError(
                f"databases.{other.id} and databases.{table.id} have the same name in Dagster,"
                f" {table.database}__{table.name}; rename one of them without `__`"
            )


def _open(lake: LakeResource) -> Callable[[Table], OpenTable]:
    databases = lake.open_databases()
    return lambda table: DatabaseTable(databases, databases.table(table.id))


def _catch_up(lake: LakeResource, run_id: str) -> LineRun:
    databases = lake.open_databases()
    return snapshot_run(run_databases(databases, run_id=run_id), databases)


def _line_table(table: SnapshotTable) -> LineTable:
    return LineTable(
        table=table,
        export_kinds=frozenset({_STORES.get(_scheme(table), "file"), table.settings.format}),
        code_version=CODE_VERSION,
        checks=_checks(table),
        drift_at="lake" if table.settings.profile else None,
        descriptions={
            "export": _export_text(table),
            "staging": _staging_text(table),
            "compacted": _compacted_text(table),
            "lake": _lake_text(table),
        },
    )


_STORES = {"s3": "s3", "gs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}


def _scheme(table: SnapshotTable) -> str:
    return table.settings.source.partition("://")[0].lower()


def _checks(table: SnapshotTable) -> tuple[str, ...]:
    """Those that the configuration gives something to hold the table against."""
    chosen = table.settings
    has_key = chosen.record_id is not None and chosen.dedupe == "newest"
    return (
        *("nothing_quarantined", "nothing_rescued", "rows_conserved"),
        *(("key_unique",) if has_key else ()),
        *(("schema_as_declared",) if chosen.columns else ()),
    )


def _export_text(table: SnapshotTable) -> str:
    chosen = table.settings
    ready = (
        f"once `{chosen.ready}` lies in its folder" if chosen.ready else "when its format says so"
    )
    return (
        f"Snapshots of `{table.id}` in the format {chosen.format}, each finished {ready}.\n\n"
        f"*Grain*: one file. *Stored at*: `{chosen.source}`, never changed by us. *Observed by*:"
        " the sensor `databases_exports`."
    )


def _staging_text(table: SnapshotTable) -> str:
    return (
        f"Rows of the snapshots of `{table.id}` with their derived columns, split by hive"
        " partition; values that do not fit are kept in `_rescued_data`.\n\n*Grain*: one exported"
        f" row. *Partitions*: one snapshot. *Stored at*: `staging/{table.path}/<snapshot>/`, the"
        " snapshot's manifest last. *Fresh when*: every group of its files is in it. A snapshot"
        " with a bad file is quarantined: its other groups are staged, nothing of it is loaded."
    )


def _compacted_text(table: SnapshotTable) -> str:
    chosen = table.settings
    keyed = chosen.record_id is not None and chosen.dedupe == "newest"
    rows = "one for each `record_id` (the newest wins)" if keyed else "all of them"
    names = " / ".join(f"`{name}`" for name in table.partition_by) or "one, `all`"
    order = ", ".join(f"`{name}`" for name in chosen.sort_by) or "nothing"
    return (
        f"Rows of `{table.id}`, {rows}, sorted by {order}.\n\n*Grain*: one record. *Partitions*:"
        f" {names}. *Stored at*: `lake/{table.path}/`, invisible until published; manifests under"
        f" `compacted/{table.path}/`. *Fresh when*: it is made of the newest staged snapshot."
    )


def _lake_text(table: SnapshotTable) -> str:
    what = {
        "replace": "the newest snapshot, whole",
        "history": "every snapshot, told apart by `_snapshot`",
    }
    return (
        f"The Delta table `{table.id}`: {what[table.settings.mode]}.\n\n*Grain*: one record."
        f" *Stored at*: `lake/{table.path}/`. *Fresh when*: every compacted partition is published;"
        " one commit publishes them all, with the proof that rows in = rows out + rows dropped in"
        " its metadata."
    )
