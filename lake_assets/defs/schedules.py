"""Schedules: what happens every night whatever the sensors did."""

import dagster as dg

from lake_assets.defs.lines import Line

__all__ = ["nightly_schedule"]


def nightly_schedule(line: Line, catch_up: dg.JobDefinition, cron: str) -> dg.ScheduleDefinition:
    """The nightly catch-up of a line; ``cron`` is in UTC."""
    return dg.ScheduleDefinition(
        name=f"{line.name}_nightly",
        job=catch_up,
        cron_schedule=cron,
        execution_timezone="UTC",
        tags={"lake/source": line.name},
        description=(
            "Every night, or as `schedules` says: whatever is still open is staged, compacted and"
            " published, also what a failed run or a switched-off sensor left behind. Where nothing"
            " is open it writes nothing."
        ),
    )
