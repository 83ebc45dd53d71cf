"""The demo: generated exports through the real graph, its runs in the lake's Dagster instance."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.demo.exports import ExportObject, TableStory, demo_objects, expected, write_folder
from lake_assets.errors import LakeError, SettingsError
from lake_assets.export.sentinel import sentinel_target
from lake_assets.lake import RunReport, open_datamart, run_datamart
from lake_assets.settings import LakeSettings

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["DemoResult", "run_demo"]

#: Folders of a root that a lake has rows in.
_STAGES = ("staging", "lake")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo did."""

    exports: Path
    n_objects: int
    runs: int
    report: RunReport
    """Of a run of the library after Dagster was done: what is in the lake."""
    differences: tuple[str, ...]
    """What did not go as scripted; nothing where all did."""


def run_demo(settings: LakeSettings, *, tell: Tell) -> DemoResult:
    """Make exports of all seven tables below the root, and bring them to the lake through Dagster.

    Args:
        settings: ``root`` is a folder; the exports are made in ``<root>/demo-exports``.
        tell: Called with one line for each step.

    Raises:
        LakeError: A stage failed.
    """
    datamart = open_datamart(settings)
    exports = Path(datamart.settings.exports_url)
    if not exports.exists() and any((Path(settings.root) / s).exists() for s in _STAGES):
        raise SettingsError(
            f"{settings.root} is a lake that the demo did not make; give --root a folder of its own"
        )
    objects = demo_objects()
    new = [item for item in objects if not _is_there(exports, item)]
    write_folder(new, exports)
    tell(f"exports: {len(objects)} objects in {exports}")
    runs = _run_graph(settings, tell)
    report = run_datamart(datamart)
    return DemoResult(exports, len(objects), runs, report, tuple(_differences(report, expected())))


def _is_there(folder: Path, item: ExportObject) -> bool:
    path = folder / item.key
    return path.is_file() and path.read_bytes() == item.body


def _run_graph(settings: LakeSettings, tell: Tell) -> int:
    """Both sensors tick in turn, their runs happen in this process, until nothing is due."""
    import dagster as dg

    from lake_assets.definitions import build_definitions
    from lake_assets.defs.resources import LakeResource

    lake = LakeResource(root=settings.root, exports=settings.exports_url)
    graph, runs = build_definitions(lake), 0
    with _instance(settings.root) as instance:
        for sensor in graph.sensors or ():
            with dg.build_sensor_context(instance=instance, resources={"lake": lake}) as context:
                result = sensor(context)
            if not isinstance(result, dg.SensorResult):
                raise LakeError(f"sensor {sensor.name} asked for nothing: {result}")
            for request in result.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(
                    request.partitions_def_name, list(request.partition_keys)
                )
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            for run in result.run_requests or ():
                _execute(graph, instance, run)
                runs += 1
                tell(f"{run.tags['lake/stage']}: {run.tags['lake/table']}")
    return runs


def _execute(graph: "dg.Definitions", instance: "dg.DagsterInstance", run: "dg.RunRequest") -> None:
    job = graph.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=list(run.asset_selection or ()),
        tags=dict(run.tags),
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}
        },  # it is in the UI
        raise_on_error=False,
    )
    if not result.success:
        raise LakeError(
            f"run {result.run_id} of {run.tags['lake/table']} failed; look at it with `lake ui`"
        )


@contextmanager
def _instance(root: str) -> Iterator["dg.DagsterInstance"]:
    """The lake's own Dagster instance, the one that ``lake ui`` shows."""
    import dagster as dg

    from lake_assets.defs.instance import instance_home

    with dg.DagsterInstance.from_config(str(instance_home(root))) as instance:
        yield instance


def _differences(report: RunReport, stories: Mapping[str, TableStory]) -> Iterator[str]:
    for name, story in stories.items():
        table = report.tables[name]
        found = {
            "rows in": table.rows_in,
            "rows": table.rows,
            "waiting": sorted(sentinel_target(w.key) or w.key for w in table.waiting),
            "quarantined": sorted(refused.export_id for refused in table.quarantined),
            "rescued": sum(table.rescued.values()),
        }
        scripted = {
            "rows in": story.rows_in,
            "rows": story.rows,
            "waiting": sorted([*story.waiting, *story.missing]),
            "quarantined": sorted(story.quarantined),
            "rescued": story.rescued,
        }
        for what, value in scripted.items():
            if found[what] != value:
                yield f"{name}: {what} is {found[what]!r}, scripted is {value!r}"
