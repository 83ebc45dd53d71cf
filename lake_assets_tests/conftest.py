"""Fixtures for every ring: a clean environment, one moto server, a fresh bucket for each test."""

import gc
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder without any configuration; one for the run, as clients are cached by it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def clean_environment(
    request: pytest.FixtureRequest, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No AWS or lake variable of the machine reaches a test.

    Polars' and deltalake's Rust object stores read AWS_* themselves, past any options.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "LAKE_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(empty_home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    if "s3_env" in request.fixturenames:
        request.getfixturevalue("s3_env")


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> None:
    """A new Dagster instance costs a third; where no test knows Dagster it stays unloaded."""
    if "dagster" in sys.modules:
        from lake_assets_tests.graph.migrations import read_once

        read_once()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Address of a moto server in a thread of this process; one for the run, on a free port."""
    from moto import backends
    from moto.server import ThreadedMotoServer

    # It lists its own folder at every request: a sixth of the time of one.
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_env(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment a user has whose store is the moto server; gives its address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return moto_url


@pytest.fixture(scope="session")
def bucket_maker(moto_url: str) -> "S3Client":
    import boto3

    session = boto3.Session("testing", "testing", region_name="us-east-1")
    return session.client("s3", endpoint_url=moto_url)


@pytest.fixture
def bucket(s3_env: str, bucket_maker: "S3Client") -> str:  # noqa: ARG001 (sets the environment)
    """The name of a fresh, empty bucket on the moto server of ``s3_env``."""
    name = f"lake-{uuid.uuid4().hex[:12]}"
    bucket_maker.create_bucket(Bucket=name)
    return name


# A skip must not hide a feature: with CI set, any skipped test fails the run, except for want of
# the real-data folder, whose cases generated data covers as well.
_ALLOWED_REASON = "shared/data"
_hidden: list[str] = []


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if _ALLOWED_REASON not in reason:
            _hidden.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if (
        os.environ.get("CI")
        and _hidden
        and not is_worker
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("CI") and _hidden:
        terminalreporter.section("skipped tests hide a feature: install what they need")
        for line in dict.fromkeys(_hidden):
            terminalreporter.line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest first: else it starts when the other worker has nothing left."""
    items.sort(key=lambda item: "graph/test_daemon.py" not in item.nodeid)


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays: the garbage collector need not go over it again.

    A fourteenth of the suite's time.
    """
    gc.collect()
    gc.freeze()
