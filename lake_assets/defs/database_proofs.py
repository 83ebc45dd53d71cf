"""What the checks of a database table ask: counts, keys and columns of what is published."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from lake_assets import delta
from lake_assets.catalog import read_document
from lake_assets.export.snapshot_table import SNAPSHOT_COLUMN, SnapshotTable
from lake_assets.fanout import fan_out
from lake_assets.lake.databases import Databases, staged_snapshots
from lake_assets.lake.read import scan_uri, table_uri
from lake_assets.lake.validate import Conserved
from lake_assets.s3 import storage_options

__all__ = ["DatabaseProofs"]

#: A key and its bookkeeping in memory, generously.
_KEY_BYTES = 200
_DERIVED = ("record_id", "create_time", "update_time")


@dataclass(frozen=True, slots=True)
class DatabaseProofs:
    """A published table, held against what is recorded of it."""

    databases: Databases
    table: SnapshotTable

    def rescued(self) -> Mapping[str, int]:
        """Values by column in ``_rescued_data``, of the snapshots that are staged."""
        root, workers = self.databases.root, self.databases.settings.workers
        keys = staged_snapshots(self.databases, self.table).current
        found: Counter[str] = Counter()
        for document in fan_out(lambda key: read_document(root, key), keys, workers=workers):
            found.update(document.content["rescued"])
        return dict(sorted(found.items()))

    def conserved(self) -> Conserved:
        """What was read of the exports against the live rows; zeros without a table."""
        uri, options = self._place()
        standing = delta.standing(uri, options)
        proof = (standing and standing.proof) or {}
        staged, superseded, rows = (
            int(proof.get(f"lake.{name}", 0)) for name in ("rows_in", "rows_dropped", "rows")
        )
        read = int(proof.get("lake.rows_read", staged))
        live = standing.rows if standing else 0
        return Conserved(read, read - staged + superseded, rows, live)

    def duplicate_keys(self) -> int:
        """How many ``record_id`` have several rows in a snapshot, over all partitions.

        In bounded memory. Rows without one are records of their own.
        """
        uri, options = self._place()
        standing = delta.standing(uri, options)
        if standing is None:
            return 0
        has_snapshots = SNAPSHOT_COLUMN in self.table.partition_by
        names = ["record_id", *([SNAPSHOT_COLUMN] if has_snapshots else [])]
        keys = scan_uri(uri).select(names).filter(pl.col("record_id").is_not_null())
        buckets = max(1, -(-standing.rows * _KEY_BYTES // self.databases.settings.memory))
        found = 0
        for bucket in range(buckets):
            mine = keys.filter(pl.col("record_id").hash(seed=0) % buckets == bucket)
            repeated = mine.group_by(names).len().filter(pl.col("len") > 1).select(pl.len())
            found += int(repeated.collect(engine="streaming").item())
        return found

    def schema_differences(self) -> list[str]:
        """Columns of the table that have another type than the configuration declares."""
        present = delta.table_schema(*self._place()) or pl.Schema()
        chosen = self.table.settings
        made = {name for name in _DERIVED if getattr(chosen, name) is not None}
        made.update(self.table.partition_by)
        return [
            f"{name} is {present[name]}, declared is {declared.dtype}"
            for name, declared in self.table.columns.items()
            if name in present and name not in made and present[name] != declared.dtype
        ]

    def _place(self) -> tuple[str, Mapping[str, str]]:
        uri = table_uri(self.databases.root.url, self.table)
        return uri, storage_options(uri)
