"""What an asset returned in a run over many partitions, taken apart; and its facts, put back.

Shared by the IO managers. The stock ones fail on a run over more than one partition (measured on
Dagster 1.13); here such an asset returns a dict of partition key to value, and each partition gets
an event of its own with its own metadata.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import dagster as dg

__all__ = ["add_facts", "only_of_run"]

V = TypeVar("V")


def only_of_run(values: Mapping[str, V], keys: Collection[str], name: str) -> dict[str, V]:
    """The values by partition key, none of a partition that the run is not about.

    Args:
        values: By partition key.
        keys: Of the run.
        name: Of the asset's value, for the message.

    Raises:
        dagster.DagsterInvariantViolationError: There are values of other partitions.
    """
    by_key = {str(key): value for key, value in values.items()}
    if odd := set(by_key) - set(keys):
        raise dg.DagsterInvariantViolationError(
            f"{name} returned values of partitions that are not in this run: {sorted(odd)[:5]}"
        )
    return by_key


def add_facts(context: dg.OutputContext, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Metadata of what was written, by partition key; by ``""`` where there are no partitions."""
    for key, of_key in facts.items():
        if key:  # each partition has an event of its own
            context.step_context.add_asset_metadata(dict(of_key), context.asset_key, key)
        else:
            context.add_output_metadata(dict(of_key))
