"""Schedules: what happens every night whatever the sensors did."""

import dagster as dg

from lake_assets.defs.lines import Line

__all__ = ["nightly_schedule"]


def nightly_schedule(line: Line, catch_up: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The nightly catch-up of a line, in UTC."""
    minute, hour, *_ = line.cron_schedule.split()
    return dg.ScheduleDefinition(
        name=f"{line.name}_nightly",
        job=catch_up,
        cron_schedule=line.cron_schedule,
        execution_timezone="UTC",
        tags={"lake/source": line.name},
        description=(
            f"Every night at {hour:0>2}:{minute:0>2} UTC: whatever is still open is staged,"
            " compacted and published, also what a failed run or a switched-off sensor left"
            " behind. Where nothing is open it writes nothing."
        ),
    )
