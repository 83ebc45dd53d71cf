# ruff: noqa: E501 (GraphQL)
"""Schedules of a running Dagster, as the UI switches them on and shows their ticks."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lake_assets_tests.graph.daemon import Running, until

__all__ = ["fired", "started"]


@contextlib.contextmanager
def started(dagster: Running, *names: str) -> Iterator[None]:
    """Schedules that run meanwhile."""
    for name in names:
        answer = dagster.ask(
            "mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }",
            s={**dagster.repository, "scheduleName": name},
        )
        assert answer["startSchedule"]["__typename"] == "ScheduleStateResult", answer
    try:
        yield
    finally:
        for name in names:
            _stop(dagster, name)


def fired(dagster: Running, name: str) -> str:
    """The id of the run that the first tick of a schedule launched, waited for."""

    def first() -> str | None:
        ticks = _state(dagster, name)["ticks"]
        failed = [tick for tick in ticks if tick["status"] not in ("STARTED", "SUCCESS")]
        assert not failed, failed
        launched = [run for tick in ticks for run in tick["runIds"]]
        return launched[-1] if launched else None

    return until(first, f"{name} to fire")


def _stop(dagster: Running, name: str) -> None:
    answer = dagster.ask(
        "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }",
        id=_state(dagster, name)["id"],
    )
    assert answer["stopRunningSchedule"]["__typename"] == "ScheduleStateResult", answer


def _state(dagster: Running, name: str) -> dict[str, Any]:
    return dagster.ask(
        """query($s: ScheduleSelector!) { scheduleOrError(scheduleSelector: $s) { ... on Schedule {
          scheduleState { id ticks(limit: 20) { status runIds error { message } } } } } }""",
        s={**dagster.repository, "scheduleName": name},
    )["scheduleOrError"]["scheduleState"]
