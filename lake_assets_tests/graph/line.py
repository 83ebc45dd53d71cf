"""The graph over a folder lake with an instance of its own, run in this process."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from lake_assets.definitions import build_definitions
from lake_assets.defs.resources import LakeResource
from lake_assets.lake import Datamart

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
#: Dagster itself still asks in the old way where one resource holds another.
NESTED_RESOURCE = "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
EVERY_STAGE = ("staging", "compacted", "lake")


@dataclass(frozen=True, slots=True)
class Line:
    """A lake, its exports, its graph and a Dagster instance."""

    lake: LakeResource
    graph: dg.Definitions
    instance: dg.DagsterInstance
    exports: Path

    @property
    def datamart(self) -> Datamart:
        return self.lake.open()

    def with_instance(self, instance: dg.DagsterInstance) -> "Line":
        return Line(self.lake, self.graph, instance, self.exports)

    def register(self, name: str, *keys: str) -> None:
        self.instance.add_dynamic_partitions(name, list(keys))

    def run(
        self,
        *assets: Sequence[str],
        ends: tuple[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """One run of these assets over a range of partitions; a failure is in the result."""
        tags = dict(tags or {})
        if ends:
            names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
            tags |= dict(zip(names, ends, strict=True))
        job = self.graph.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(list(path)) for path in assets],
            tags=tags,
            run_config=QUIET,
            raise_on_error=False,
        )

    def job(self, name: str) -> dg.ExecuteInProcessResult:
        job = self.graph.resolve_job_def(name)
        return job.execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False
        )

    def tick(self, name: str, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
        """Evaluate a sensor; its partitions and observations are recorded, as the daemon does."""
        sensor = next(found for found in self.graph.sensors or () if found.name == name)
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, resources={"lake": self.lake}
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        if isinstance(result, dg.SensorResult):
            for request in result.dynamic_partitions_requests or ():
                self.register(request.partitions_def_name, *request.partition_keys)
            for event in result.asset_events:
                self.instance.report_runless_asset_event(event)
        return result

    def requested(self, name: str) -> list[dg.RunRequest]:
        """The runs that a sensor asks for now."""
        result = self.tick(name)
        assert isinstance(result, dg.SensorResult), result
        return list(result.run_requests or ())

    def follow(self, *sensors: str) -> list[dg.ExecuteInProcessResult]:
        """Tick the sensors in turn and carry out what they ask for."""
        return [
            self.run(*(key.path for key in request.asset_selection or ()), tags=request.tags)
            for name in sensors
            for request in self.requested(name)
        ]

    def events(
        self, stage: str, table: str = "model_snapshot", *, source: str = "datamart"
    ) -> list[dg.AssetMaterialization]:
        """All materializations of an asset, oldest first."""
        records = self.instance.fetch_materializations(
            dg.AssetKey([stage, source, table]), limit=1000, ascending=True
        ).records
        return [found for record in records if (found := record.asset_materialization)]


def build_line(
    folder: Path,
    instance: dg.DagsterInstance,
    *,
    root: str | None = None,
    exports: str | None = None,
    config: Mapping[str, object] | None = None,
) -> Line:
    """The graph over ``<folder>/lake`` and ``<folder>/exports``, unless other places are given."""
    (folder / "exports" / "datamart").mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "lake.yaml").write_text(json.dumps(config))
    lake = LakeResource(
        root=root or str(folder / "lake"),
        exports=exports or str(folder / "exports"),
        config=None if config is None else str(folder / "lake.yaml"),
    )
    return Line(lake, build_definitions(lake), instance, folder / "exports")


def path(stage: str, table: str = "model_snapshot") -> list[str]:
    return [stage, "datamart", table]


def values(event: dg.AssetMaterialization) -> dict[str, Any]:
    """The metadata of an event as plain values."""
    return {name: entry.value for name, entry in event.metadata.items()}


def bytes_below(root: Path, *stages: str) -> dict[str, tuple[int, int]]:
    """Size and time of every file of these stages: they stay where nothing is written."""
    return {
        str(item.relative_to(root)): (item.stat().st_size, item.stat().st_mtime_ns)
        for stage in stages or EVERY_STAGE
        for item in sorted((root / stage).rglob("*"))
        if item.is_file()
    }
