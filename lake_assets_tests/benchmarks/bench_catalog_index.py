"""What it costs to keep the catalog: indexing documents, and recording a finished run.

Run it: ``python lake_assets_tests/benchmarks/bench_catalog_index.py [documents] [rows]``.

Index: 10,000 new documents (2 files each, 1,000 a day) in one go; then 100 new ones on top of
``documents`` (100,000), with the look-back of 7 days and with all days listed. Recording: one
run that stages, compacts and publishes an export of ``rows`` rows, and ``record_run`` on it.
Folder store: on S3 each document costs a GET, 16 at a time.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from lake_assets.catalog.documents import FORMAT, canonical_json
from lake_assets.catalog.materialization import Materialization, RecordedFile, document_key
from lake_assets.defs.recording import record_run
from lake_assets.lake.catalog_tables import index_catalog
from lake_assets.s3 import open_store
from lake_assets_tests.factories import EXPORT_ID, export_files, put_folder
from lake_assets_tests.graph.line import build_line

NOW = datetime(2026, 9, 1, tzinfo=UTC)
PER_DAY = 1000


def write_documents(root: Path, first: int, number: int, last_day: datetime) -> None:
    """Documents as they are written, without the conditional PUT, which is not measured."""
    for n in range(first, first + number):
        at = last_day - timedelta(days=(n - first) // PER_DAY)
        source = RecordedFile(f"s3://exports/{n}.json.gz", f"{n:064x}", 10_000, 300, "json")
        made = RecordedFile(f"s3://lake/{n}.parquet", f"{n + 1:064x}", 5_000, 300, "parquet")
        document = Materialization(
            asset=f"lake/shop/table_{n % 20}",
            partition=f"day={n}",
            run_id=f"run-{n // 10}",
            step="step",
            status="materialized",
            started_at=at,
            finished_at=at,
            inputs=(source,),
            outputs=(made,),
            row_count=300,
        ).document()
        path = root / document_key(document, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {
            "format": FORMAT, "kind": document.kind, "id": document.id,
            "content": document.content, "facts": document.facts,
        }  # fmt: skip
        path.write_bytes(canonical_json(body))


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bench-catalog-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def bench_index(total: int) -> None:
    with folder() as path:
        store = open_store(str(path))
        write_documents(path, 0, 10_000, NOW)
        done = index_catalog(store, now=NOW)
        print(f"10,000 documents: {done.seconds:.1f} s ({done.rows})")
    with folder() as path:
        store = open_store(str(path))
        write_documents(path, 0, total, NOW)
        done = index_catalog(store, now=NOW)
        print(f"{done.documents:,} documents: {done.seconds:.1f} s")
        for look_back, what in ((timedelta(days=7), "7 days back"), (None, "all days listed")):
            write_documents(path, total, 100, NOW)
            done = index_catalog(store, now=NOW, look_back=look_back)
            print(f"{done.documents} new of {total:,}, {what}: {done.seconds:.2f} s")
            total += 100
        done = index_catalog(store, now=NOW)
        print(f"{done.documents} new: {done.seconds:.2f} s")


def bench_recording(rows: int) -> None:
    with folder() as path, dg.DagsterInstance.ephemeral() as instance:
        put_folder(path / "exports", export_files("snapshot", rows))
        line = build_line(path, instance)
        line.register("datamart_snapshot_exports", EXPORT_ID)
        line.register("datamart_snapshot_hive_partitions", "_month=2026-09")
        for stage, key in (("staging", EXPORT_ID), ("compacted", "_month=2026-09"), ("lake", None)):
            run = line.run([stage, "datamart", "snapshot"], ends=(key, key) if key else None)
            if not run.success:
                raise SystemExit(f"{stage} failed")
            stats = instance.get_run_stats(run.run_id)
            took = (stats.end_time or 0) - (stats.start_time or 0)
            started = time.perf_counter()
            done = record_run(instance, line.datamart.root, run.run_id)
            recording = time.perf_counter() - started
            print(
                f"{stage} of {rows:,} rows: {took:.2f} s; recorded afterwards"
                f" ({done.new} documents) in {recording:.3f} s = {recording / took:.1%}"
            )


if __name__ == "__main__":
    bench_recording(int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
    bench_index(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
