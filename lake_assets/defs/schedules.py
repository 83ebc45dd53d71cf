"""Schedules: what happens every night whatever the sensors did."""

import dagster as dg

__all__ = ["nightly_schedule"]


def nightly_schedule(catch_up: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The nightly catch-up, 02:30 UTC."""
    return dg.ScheduleDefinition(
        name="datamart_nightly",
        job=catch_up,
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
        tags={"lake/source": "datamart"},
        description=(
            "Every night at 02:30 UTC: whatever is still open is staged, compacted and published,"
            " also what a failed run or a switched-off sensor left behind. Where nothing is open"
            " it writes nothing."
        ),
    )
