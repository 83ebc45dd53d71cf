"""Builders for the tests of delta: content-named parquet files, publications, three readers."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import polars as pl
from deltalake import DeltaTable

from lake_assets.delta import DataFile, Publication, column_statistics

PARTITION_BY = ("year", "month")
SCHEMA = pl.Schema({"id": pl.Int64, "text": pl.String, "year": pl.String, "month": pl.String})
Partition = tuple[str | None, ...]
Contents = Mapping[Partition, Sequence[int]]


def frame_of(partition: Partition, ids: Sequence[int]) -> pl.DataFrame:
    """Rows of the usual table; every row says in ``text`` where it belongs."""
    texts = [f"{partition!r} {n}" for n in ids]
    return pl.DataFrame({"id": ids, "text": texts}, schema_overrides={"id": pl.Int64})


def write_file(
    uri: str,
    frame: pl.DataFrame,
    partition: Partition = (),
    partition_by: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    *,
    statistics: bool = True,
) -> DataFile:
    """Put ``frame`` into the table's folder under the hash of its bytes; nothing is published."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, statistics=statistics)
    body = buffer.getvalue()
    folders = [
        f"{name}={'__HIVE_DEFAULT_PARTITION__' if value is None else quote(value, safe='')}"
        for name, value in zip(partition_by, partition, strict=True)
    ]
    path = "/".join([*folders, f"{hashlib.sha256(body).hexdigest()[:24]}.parquet"])
    _put(f"{uri}/{path}", body, options)
    return DataFile(path, len(body), frame.height, partition, column_statistics(frame))


def publication(replace: Mapping[Partition, Sequence[DataFile]], **other: Any) -> Publication:
    """A publication into the usual table, generation 1 unless said otherwise."""
    generation = other.pop("generation", 1)
    values = {
        "schema": SCHEMA,
        "partition_by": PARTITION_BY,
        "transaction": (other.pop("app", "test"), generation),
        "proof": {"lake.generation": str(generation)},
        **other,
    }
    return Publication(replace=replace, **values)


def written(
    uri: str, contents: Contents, options: Mapping[str, str] | None = None, **other: Any
) -> Publication:
    """Write one file for each partition with ids and give the publication that replaces them."""
    return publication(
        {
            partition: [write_file(uri, frame_of(partition, ids), partition, PARTITION_BY, options)]
            if ids
            else []
            for partition, ids in contents.items()
        },
        **other,
    )


def expected_rows(*contents: Contents) -> list[tuple]:
    """What the table holds after these were published in this order."""
    held: dict[Partition, Sequence[int]] = {}
    for each in contents:
        held.update(each)
    return ordered((n, f"{p!r} {n}", *p) for p, ids in held.items() for n in ids)


def rows_by_reader(uri: str, options: Mapping[str, str] | None = None) -> dict[str, list[tuple]]:
    """All rows as each reader of Delta tables that works offline gives them."""
    table = DeltaTable(uri, storage_options=dict(options) if options else None)
    names = [field.name for field in table.schema().fields]
    dataset = table.to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("held", dataset)
        by_duckdb = connection.table("held").fetchall()
    return {
        "polars": ordered(
            pl.scan_delta(uri, storage_options=options).select(names).collect().rows()
        ),
        "pyarrow": ordered(
            zip(*dataset.to_table().select(names).to_pydict().values(), strict=True)
        ),
        "duckdb": ordered(by_duckdb),
    }


def ordered(rows) -> list[tuple]:
    return sorted((tuple(row) for row in rows), key=repr)


def commits(uri: str) -> list[str]:
    """The names of the commits in the log of a folder."""
    return sorted(path.name for path in Path(uri, "_delta_log").glob("*.json"))


def _put(address: str, body: bytes, options: Mapping[str, str] | None) -> None:
    if options is None:
        path = Path(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return
    import boto3

    bucket, _, key = address.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=options["aws_endpoint_url"],
        region_name=options["aws_region"],
        aws_access_key_id=options["aws_access_key_id"],
        aws_secret_access_key=options["aws_secret_access_key"],
    )
    client.put_object(Bucket=bucket, Key=key, Body=body)
