# ruff: noqa: E501 (GraphQL)
"""A Dagster of a test's own: code server, webserver, daemon as child processes, and its GraphQL.

What ``dagster dev`` starts, on free ports, over a temporary DAGSTER_HOME and lake. The daemon's
loops turn each second instead of each thirty, and the processes of runs are forked from one that
has imported everything (see preload); nothing else differs. All processes are of one group,
which is killed at the end.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from lake_assets.defs.instance import instance_home

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
#: Seconds for anything that has to come about; a loaded machine needs its time.
DEADLINE_S = 180
_DAEMON = """
import dagster._daemon.controller as controller, dagster._daemon.sensor as sensor
from dagster._core.run_coordinator import QueuedRunCoordinator
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 1
sensor.MIN_INTERVAL_LOOP_TIME = 1
QueuedRunCoordinator.dequeue_interval_seconds = property(lambda self: 1)
from dagster._daemon.__main__ import main
main()
"""
_CODE_SERVER = """
import multiprocessing
own = multiprocessing.get_context
multiprocessing.get_context = lambda name=None: own("forkserver" if name == "spawn" else name)
multiprocessing.set_forkserver_preload(["lake_assets_tests.graph.preload"])
from dagster._cli import main
main()
"""
_GOOD_ENDS = ("SUCCESS", "COMPLETED_SUCCESS", "COMPLETED")
_ENDS = (*_GOOD_ENDS, "FAILURE", "CANCELED", "FAILED", "COMPLETED_FAILED")


@dataclass(frozen=True, slots=True)
class Running:
    """A running Dagster over a lake; talks GraphQL as the UI does."""

    url: str
    root: Path
    exports: Path
    home: Path
    location: str

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer; an error in it is an error here."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310 (our own child)
            f"{self.url}/graphql", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            found = json.load(answer)
        if found.get("errors"):
            raise AssertionError(json.dumps(found["errors"])[:3000])
        return found["data"]

    @property
    def repository(self) -> dict[str, str]:
        return {"repositoryLocationName": self.location, "repositoryName": "__repository__"}

    def register(self, name: str, *keys: str) -> None:
        """Add dynamic partitions as the dialog of the UI does."""
        for key in keys:
            answer = self.ask(
                """mutation($repository: RepositorySelector!, $name: String!, $key: String!) {
                  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $name,
                  partitionKey: $key) {
                    __typename } }""",
                repository=self.repository,
                name=name,
                key=key,
            )
            assert answer["addDynamicPartition"]["__typename"] == "AddDynamicPartitionSuccess", (
                answer
            )

    def launch(
        self,
        assets: Sequence[Sequence[str]] = (),
        *,
        job: str = "__ASSET_JOB",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launch one run; gives its id."""
        selector: dict[str, object] = {**self.repository, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": list(path)} for path in assets]
        pairs = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        answer = self.ask(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
              __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
              ... on InvalidSubsetError { message } ... on RunConfigValidationInvalid { errors { message } } } }""",
            params={
                "selector": selector,
                "executionMetadata": {"tags": pairs},
                "runConfigData": "{}",
            },
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def launch_range(self, assets: Sequence[Sequence[str]], first: str, last: str) -> str:
        """Launch one run over a range of partitions, as the UI does for a "single run"."""
        ends = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        return self.launch(assets, tags=ends)

    def backfill(
        self, assets: Sequence[Sequence[str]], keys: Sequence[str] = (), **more: object
    ) -> str:
        """Launch a backfill of these keys, or of what ``more`` says; gives its id."""
        answer = self.try_backfill(assets, keys, **more)
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def try_backfill(
        self, assets: Sequence[Sequence[str]], keys: Sequence[str] = (), **more: object
    ) -> dict[str, Any]:
        """What the webserver says to a backfill."""
        params = {"assetSelection": [{"path": list(path)} for path in assets], **more}
        if keys:
            params["partitionNames"] = list(keys)
        return self.ask(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
              __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
              ... on UnauthorizedError { message } ... on InvalidSubsetError { message }
              ... on PartitionKeysNotFoundError { message } } }""",
            params=params,
        )["launchPartitionBackfill"]

    def run(self, run_id: str) -> dict[str, Any]:
        """A run's status, tags and materializations."""
        return self.ask(
            """query($id: ID!) { runOrError(runId: $id) { ... on Run { runId status startTime endTime
              tags { key value } stats { ... on RunStatsSnapshot { stepsFailed } }
              assetMaterializations { assetKey { path } partition metadataEntries { label } } } } }""",
            id=run_id,
        )["runOrError"]

    def finished(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended, well or not."""
        status = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

        until(lambda: self.ask(status, id=run_id)["runOrError"]["status"] in _ENDS, f"run {run_id}")
        return self.run(run_id)

    def succeeded(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended, which must be well."""
        run = self.finished(run_id)
        assert run["status"] == "SUCCESS", f"{run['status']}: {self.errors(run_id)}"
        return run

    def errors(self, run_id: str) -> list[str]:
        """Messages of the failures in a run."""
        events = self.ask(
            """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename
              ... on ExecutionStepFailureEvent { error { message causes { message } }
              failureMetadata {
                metadataEntries { label ... on JsonMetadataEntry { jsonString } } } }
              ... on RunFailureEvent { message error { message } } } } } }""",
            id=run_id,
        )["logsForRun"]["events"]
        return [json.dumps(event) for event in events if len(event) > 1]

    def backfilled(self, backfill_id: str) -> list[dict[str, Any]]:
        """The runs of a backfill once it has ended, which must be well."""
        query = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
          status error { message } %s } } }"""
        runs = """runs(limit: 100) { runId status tags { key value }
          assetMaterializations { assetKey { path } partition metadataEntries { label } } }"""

        def asked(more: str = "") -> dict[str, Any]:
            return self.ask(query % more, id=backfill_id)["partitionBackfillOrError"]

        until(lambda: asked()["status"] in _ENDS, f"backfill {backfill_id} to end")
        found = asked(runs)
        assert found["status"] in _GOOD_ENDS, found
        return found["runs"]

    def asset(self, path: Sequence[str]) -> dict[str, Any]:
        """Partition keys, materializations (newest first) and check results of an asset."""
        return self.ask(
            """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
              partitionKeys
              assetMaterializations(limit: 200) { partition runId metadataEntries { label
                ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } } }
              assetObservations(limit: 20) { runId metadataEntries { label ... on IntMetadataEntry {
              intValue } } } assetChecksOrError { ... on AssetChecks { checks { name
              executionForLatestMaterialization {
                status evaluation { severity success description metadataEntries { label
                  ... on MarkdownMetadataEntry { mdStr } } } } } } } } } }""",
            key={"path": list(path)},
        )["assetNodeOrError"]

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs with these tags (``__`` in a name stands for ``/``), newest first."""
        pairs = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        return self.ask(
            """query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 200) { ... on Runs { results {
              runId status startTime endTime tags { key value } } } } }""",
            filter={"tags": pairs},
        )["runsOrError"]["results"]

    def sensor(self, name: str) -> dict[str, Any]:
        """State of a sensor and its newest ticks, newest first."""
        return self.ask(
            """query($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
              sensorState { id status ticks(limit: 50) { tickId status runIds runKeys skipReason
              timestamp
                error { message } } } } } }""",
            sensor={**self.repository, "sensorName": name},
        )["sensorOrError"]["sensorState"]

    @contextlib.contextmanager
    def switched_on(self, *sensors: str) -> Iterator[None]:
        """Sensors that run meanwhile."""
        for name in sensors:
            answer = self.ask(
                "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }",
                s={**self.repository, "sensorName": name},
            )
            assert answer["startSensor"]["__typename"] == "Sensor", answer
        try:
            yield
        finally:
            # A tick that had begun goes on: what is exported from now on must not be its find.
            until(lambda: self.are_at_rest(sensors), f"{sensors} to stop")

    def stop_sensor(self, name: str) -> None:
        """Switch a sensor off, as the toggle of the UI does."""
        answer = self.ask(
            "mutation($id: String!) { stopSensor(id: $id) { __typename } }",
            id=self.sensor(name)["id"],
        )
        assert answer["stopSensor"]["__typename"] == "StopSensorMutationResult", answer

    def are_at_rest(self, sensors: Sequence[str]) -> bool:
        """Whether sensors are stopped and their last ticks over, seen twice, a second apart.

        A tick reads its sensor's state and writes it back whole, at its begin and at its end
        (Dagster 1.13): a stop between the two is lost. So one that runs again is stopped again.
        """
        for pause in (1, 0):
            found: set[str] = set()
            for name in sensors:
                state = self.sensor(name)
                if state["status"] == "RUNNING":
                    self.stop_sensor(name)
                found |= {state["status"], *(tick["status"] for tick in state["ticks"])}
            if found & {"RUNNING", "STARTED"}:
                return False
            time.sleep(pause)
        return True


def until(found: Callable[[], T | None], what: str, *, seconds: float = DEADLINE_S) -> T:
    """What ``found`` gives once that is something; asked again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.5)  # each look is work for the webserver
    raise AssertionError(f"waited {seconds} s for {what}")


@contextlib.contextmanager
def running(folder: Path, config: Mapping[str, object]) -> Iterator[Running]:
    """A Dagster over ``<folder>/lake`` and ``<folder>/exports``; no process outlives the block.

    ``config`` is what the YAML file of the lake says.
    """
    root, exports = folder / "lake", folder / "exports"
    (folder / "lake.yaml").write_text(json.dumps(config))
    (exports / "datamart").mkdir(parents=True, exist_ok=True)
    home, (grpc, web) = instance_home(str(root)), _free_ports(2)
    workspace = folder / "workspace.yaml"
    server = {"grpc_server": {"host": "localhost", "port": grpc, "location_name": "lake_assets"}}
    workspace.write_text(json.dumps({"load_from": [server]}))
    module = ["--module-name", "lake_assets_tests.graph.location"]
    module += ["--working-directory", str(REPOSITORY)]
    commands = [
        ["-c", _CODE_SERVER, "api", "grpc", "--port", str(grpc), *module],
        ["-m", "dagster_webserver", "--port", str(web), "-w", str(workspace)],
        ["-c", _DAEMON, "run", "-w", str(workspace)],
    ]
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "LAKE_ROOT": str(root),
        "LAKE_EXPORTS": str(exports),
        "LAKE_CONFIG": str(folder / "lake.yaml"),
        "PYTHONWARNINGS": "ignore",
    }
    log = folder / "dagster.log"
    with dg.DagsterInstance.from_config(str(home)):
        pass  # its databases are made once: two processes that make them at the same time fail
    with log.open("wb") as out, group(commands, environment, out, folder) as children:
        dagster = Running(f"http://127.0.0.1:{web}", root, exports, home, "lake_assets")
        try:
            until(lambda: _answers(dagster, children), "Dagster to answer")
            yield dagster
        except BaseException as error:
            error.add_note(log.read_text(errors="replace")[-6000:])
            raise


@contextlib.contextmanager
def group(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], out: Any, folder: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of one group of their own, all of it killed at the end."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            # A child of a shell's background job ignores SIGINT, and Dagster copies that to
            # SIGTERM.
            child = subprocess.Popen(
                ["env", "--default-signal=INT,TERM", sys.executable, *command],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=started[0].pid if started else 0,
            )
            started.append(child)
        yield started
    finally:
        if started:
            end_group(started)


def end_group(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask a process group to end, then make it; returns when none of it is left."""
    leader = started[0].pid
    for wanted, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, wanted)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            left = [child.poll() for child in started]
            if None not in left and not _is_there(leader):
                return
            time.sleep(0.1)
    raise AssertionError(f"process group {leader} does not end")


def _is_there(group_id: int) -> bool:
    try:
        os.killpg(group_id, 0)
    except ProcessLookupError:
        return False
    return True


def _answers(dagster: Running, children: Sequence[subprocess.Popen[bytes]]) -> bool:
    assert all(child.poll() is None for child in children), "a process of Dagster has ended"
    try:
        found = dagster.ask(
            """{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } }
              instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"""
        )
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    daemons = found["instance"]["daemonHealth"]["allDaemonStatuses"]
    wanted = ("BACKFILL", "SENSOR", "QUEUED_RUN_COORDINATOR")
    healthy = {item["daemonType"] for item in daemons if item["healthy"]}
    return bool(found["repositoriesOrError"].get("nodes")) and healthy.issuperset(wanted)


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
