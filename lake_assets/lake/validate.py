"""Is a published table what it says: rows add up, keys are unique, columns are as declared."""

import json
from dataclasses import dataclass

import polars as pl

from lake_assets import delta
from lake_assets.compacted.partitions import partition_name
from lake_assets.compacted.schema import lake_schema
from lake_assets.export.pega_tables import INTERNAL_COLUMNS, TableSpec, column_type
from lake_assets.lake.read import scan_table, table_uri
from lake_assets.s3 import storage_options
from lake_assets.staging.keys import key_expression

__all__ = ["Conserved", "conserved_rows", "duplicate_keys", "schema_differences"]

#: A key and its bookkeeping in memory, generously.
_KEY_BYTES = 200


@dataclass(frozen=True, slots=True)
class Conserved:
    """The row counts of a table's last commit against the rows that are live."""

    rows_in: int
    rows_dropped: int
    rows: int
    live_rows: int

    @property
    def holds(self) -> bool:
        """Rows in = rows out + rows dropped, and the live files hold exactly the rows out."""
        return self.rows_in == self.rows + self.rows_dropped and self.rows == self.live_rows


def conserved_rows(root_url: str, spec: TableSpec) -> Conserved:
    """The proof of the newest commit, held against the live files; zeros without a table."""
    uri = table_uri(root_url, spec)
    options = storage_options(uri)
    proof = delta.last_proof(uri, options) or {}
    counts = [int(proof.get(f"lake.{name}", 0)) for name in ("rows_in", "rows_dropped", "rows")]
    files = delta.live_files(uri, options) if proof else []
    if (
        proof and not proof["lake.inputs"]
    ):  # only some partitions were published: it speaks of these
        spoken_of = json.loads(proof["lake.partitions"])
        files = [file for file in files if partition_name(("_month",), file.partition) in spoken_of]
    return Conserved(counts[0], counts[1], counts[2], sum(file.rows for file in files))


def duplicate_keys(root_url: str, spec: TableSpec, *, memory_bytes: int) -> int:
    """How many keys occur in more than one row, over all partitions, in bounded memory.

    Rows without a key (see ``index_frame``) are records of their own and are not counted.
    """
    frame = scan_table(root_url, spec)
    keys = frame.select(_key=key_expression(frame.collect_schema(), spec)).drop_nulls()
    rows = int(frame.select(pl.len()).collect().item())
    buckets = max(1, -(-rows * _KEY_BYTES // memory_bytes))
    found = 0
    for bucket in range(buckets):
        mine = keys.filter(pl.col("_key").hash(seed=0) % buckets == bucket)
        repeated = mine.group_by("_key").len().filter(pl.col("len") > 1).select(pl.len())
        found += int(repeated.collect(engine="streaming").item())
    return found


def schema_differences(root_url: str, spec: TableSpec) -> list[str]:
    """What of the table's schema is not as declared, one line each; none where all is."""
    present = scan_table(root_url, spec).collect_schema()
    staged = {name: str(dtype) for name, dtype in present.items()}
    wanted = lake_schema(spec, [staged])
    missing = [f"{name} is missing" for name in wanted if name not in present]
    retyped = [
        f"{name} is {present[name]}, declared is {column_type(spec, name)}"
        for name in present
        if name not in INTERNAL_COLUMNS and present[name] != column_type(spec, name)
    ]
    return missing + retyped
