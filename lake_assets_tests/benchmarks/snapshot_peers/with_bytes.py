"""The floor: every object fetched and put again by eight threads, not looked at."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from measured import measure

_THREADS = 8


def prepare(source: str, target: str, task: dict[str, Any]) -> Callable[[], None]:  # noqa: ARG001 (as all ways)
    client = boto3.client("s3", config=Config(max_pool_connections=_THREADS))
    (bucket, prefix), (_, out) = (
        url.removeprefix("s3://").split("/", 1) for url in (source, target)
    )
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]
    keys = [item["Key"] for item in listed]

    def copy(key: str) -> None:
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.put_object(Bucket=bucket, Key=f"{out}/{key.rsplit('/', 1)[1]}", Body=body)

    def run() -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(copy, keys))

    return run


def count(target: str, task: dict[str, Any]) -> int:  # noqa: ARG001 (as all ways)
    import polars as pl

    return pl.scan_parquet(f"{target}/*.parquet").select(pl.len()).collect().item()


if __name__ == "__main__":
    measure(prepare, count)
