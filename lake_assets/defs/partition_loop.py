"""The loop of every asset that takes many partitions in one run.

One pattern survived all of: everything fine, one partition failing, a cancelled run (measured on
Dagster 1.13). What was finished is recorded whatever happens after it; the facts of each partition
reach its own event; downstream in the same run goes on only when all partitions are done.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

__all__ = ["record_each"]


def record_each(
    context: dg.AssetExecutionContext, results: Iterable[tuple[str, Mapping[str, Any]]]
) -> None:
    """Materialize the partitions that ``results`` yields, with their metadata.

    Args:
        context: Of the asset; its partition keys must not be empty.
        results: Yields (partition key, metadata) as partitions get done; raising stops the run
            after what was done has been recorded.

    Raises:
        dagster.Failure: The run holds no partition (a range given in the wrong order does that).
    """
    if not context.partition_keys:
        raise dg.Failure(
            "this run holds no partition: its range is empty, or its ends are swapped (a range"
            " follows the order in which keys were added); choose the partitions again",
            allow_retries=False,
        )
    done: dict[str, Mapping[str, Any]] = {}
    try:
        for key, facts in results:
            done[key] = facts  # noqa: PERF403 (a comprehension would lose what was done)
    except BaseException:  # a cancelled run as well
        for key, facts in done.items():
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=key, metadata=facts)
            )
        raise
    for key, facts in done.items():
        context.add_asset_metadata(facts, partition_key=key)
