"""dbsnaplake's functional API, steps 1.1 to 2.3; its own environment, see ``bench_snapshots``.

Its manifest of the snapshot is made beforehand, as its users bring it.
"""

from collections.abc import Callable
from typing import Any

import boto3
import polars as pl
from dbsnaplake import api  # pyright: ignore[reportMissingImports] (not of the project)
from measured import measure
from s3pathlib import S3Path  # pyright: ignore[reportMissingImports] (not of the project)

GROUP_BYTES, FILE_BYTES = 100_000_000, 128_000_000
KEYS, SORT_BY = ["year", "month"], ["update_time"]


def prepare(source: str, target: str, task: dict[str, Any]) -> Callable[[], None]:  # noqa: ARG001 (as all ways)
    client = boto3.client("s3")
    manifest = snapshot_manifest(client, source)
    place = api.S3Location(s3uri_staging=f"{target}/staging/", s3uri_datalake=f"{target}/lake/")

    def read(db_snapshot_file_group_manifest_file: Any, **_: object) -> pl.DataFrame:
        files = db_snapshot_file_group_manifest_file.data_file_list
        paths = [S3Path.from_s3_uri(file["uri"]) for file in files]
        created = pl.col("created_at")
        return api.read_many_parquet_from_s3(s3path_list=paths, s3_client=client).with_columns(
            record_id=pl.col("order_id"),
            create_time=created,
            update_time=pl.col("updated_at"),
            year=created.dt.strftime("%Y"),
            month=created.dt.strftime("%m"),
        )

    def run() -> None:
        at: dict[str, Any] = {"s3_client": client, "s3_loc": place}
        api.step_1_1_plan_snapshot_to_staging(
            **at, db_snapshot_manifest_file=manifest, target_size=GROUP_BYTES
        )
        for group in api.step_1_2_get_snapshot_to_staging_todo_list(**at):
            api.step_1_3_process_db_snapshot_file_group_manifest_file(
                **at,
                db_snapshot_file_group_manifest_file=group,
                batch_read_snapshot_data_file_func=read,
                partition_keys=KEYS,
                sort_by=SORT_BY,
                descending=[False],
            )
        api.step_2_1_plan_staging_to_datalake(**at, target_size=FILE_BYTES)
        for group in api.step_2_2_get_staging_to_datalake_todo_list(**at):
            api.step_2_3_process_partition_file_group_manifest_file(
                **at,
                partition_file_group_manifest_file=group,
                sort_by=SORT_BY,
                descending=[False],
            )

    return run


def snapshot_manifest(client: Any, source: str) -> Any:
    """Its manifest, over all files of the source; file names end in their number of rows."""
    bucket, prefix = source.removeprefix("s3://").split("/", 1)
    files = [
        {
            "uri": f"s3://{bucket}/{item['Key']}",
            "etag": item["ETag"].strip('"'),
            "size": item["Size"],
            "n_record": int(item["Key"].rpartition("-")[2].partition(".")[0]),
        }
        for item in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]
    ]
    return api.DBSnapshotManifestFile.new(
        uri=f"{source}.manifest.parquet",
        uri_summary=f"{source}.manifest.json",
        data_file_list=files,
        calculate=True,
    )


def count(target: str, task: dict[str, Any]) -> int:  # noqa: ARG001 (as all ways)
    return pl.scan_parquet(f"{target}/lake/**/*.parquet").select(pl.len()).collect().item()


if __name__ == "__main__":
    measure(prepare, count)
