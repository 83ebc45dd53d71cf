"""Many objects at once between this machine and ``s3://`` or a folder: verified, resumed, counted.

The face of the transfer layer; what happens to one object is in ``download`` and ``upload``, who
moves the bytes in the engines.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from lake_assets.errors import TransferError
from lake_assets.s3.access import located
from lake_assets.s3.client import boto_client, obstore_store, open_store
from lake_assets.s3.download import Downloads
from lake_assets.s3.engine import Engine, Found
from lake_assets.s3.engine_folder import FolderEngine
from lake_assets.s3.existence import look_up
from lake_assets.s3.flow import Flow
from lake_assets.s3.folder import FolderStore
from lake_assets.s3.pool import Job, in_batches, run_jobs
from lake_assets.s3.progress import Progress, ProgressCallback, shown
from lake_assets.s3.report import TransferReport
from lake_assets.s3.transfer_config import ObjectRef, TransferConfig
from lake_assets.s3.upload import Uploads
from lake_assets.s3.url import Location, parse_url

__all__ = ["Transfer"]


class Transfer:
    """Moves objects below one URL; used as ``with Transfer(url) as transfer:``.

    Args:
        url: A folder or ``s3://bucket[/prefix]``; keys count from there.
        config: How; the defaults are right for S3 and stores like it.
        progress: Called now and then from the calling thread. Without it a bar is drawn where
            stderr is a terminal, and lines go to the log where it is none.
        cancel: Set it from anywhere to end the transfer: what is not through is reported as
            failed, no partial file stays, unfinished multipart uploads stay to be resumed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_bytes(b"hello")
        >>> with Transfer(str(folder / "store")) as transfer:
        ...     report = transfer.upload([ObjectRef("x/a.txt", folder / "a.txt")])
        >>> report.ok, report.bytes
        (True, 5)
    """

    def __init__(
        self,
        url: Location,
        config: TransferConfig | None = None,
        progress: ProgressCallback | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> None:
        config = config or TransferConfig()
        text, access = located(url, config.access)
        self.url = parse_url(text).text
        self._config = replace(config, access=access)
        self._progress = progress
        self._cancel = cancel or threading.Event()
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        """Open the store.

        Raises:
            StorageError: The configuration cannot be used.
        """
        self._engine = _engine_of(self.url, self._config)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the store."""
        self._engine = None

    def download(
        self, refs: Iterable[ObjectRef], *, overwrite: bool = False, description: str | None = None
    ) -> TransferReport:
        """Fetch objects to their local paths; one that fails does not stop the others.

        A file that is the object already is skipped. One that is there and is not the object is
        fetched again: local files are copies. ``overwrite`` fetches all without looking.

        Args:
            refs: With size and ETag, as a listing gives them, no further request is needed.
            overwrite: Fetch even what is there.
            description: Of the progress.

        Raises:
            TransferError: Outside ``with``, or two refs have one local path; nothing was moved.
            StorageError: The look at what is there was refused.
        """
        refs, engine = tuple(refs), self._opened()
        _refuse_twice("local path", (os.path.abspath(ref.local_path) for ref in refs))
        unknown: list[str] = []
        if not overwrite and self._config.skip == "content":
            unknown = [
                ref.key
                for ref in refs
                if (ref.size_bytes is None or not ref.etag) and os.path.exists(ref.local_path)
            ]
        known, flow = self._known(unknown), self._flow(refs)
        downloads = Downloads(
            engine, config=self._config, flow=flow, overwrite=overwrite, known=known
        )
        total = _sum(ref.size_bytes for ref in refs)
        return self._run(downloads.jobs(), flow, description or f"download {self.url}", total)

    def upload(
        self,
        refs: Iterable[ObjectRef],
        *,
        overwrite: bool = False,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> TransferReport:
        """Store local files under their keys; one that fails does not stop the others.

        Without ``overwrite`` an object that is there is never replaced, by no race either: the
        same bytes are skipped, other bytes are a failure. ACLs are never sent.

        Args:
            refs: The files; size and ETag are not looked at.
            overwrite: Replace what is there, without looking.
            description: Of the progress.
            metadata: User metadata of each object, beside our ``sha256``.

        Raises:
            TransferError: Outside ``with``, or two refs have one key; nothing was moved.
            StorageError: The look at what is there was refused.
        """
        refs, engine = tuple(refs), self._opened()
        _refuse_twice("key", (ref.key for ref in refs))
        flow = self._flow(refs)
        known = {} if overwrite else self._known([ref.key for ref in refs])
        uploads = Uploads(
            engine,
            config=self._config,
            flow=flow,
            overwrite=overwrite,
            known=known,
            metadata=metadata or {},
        )
        total = _sum(_size_of(ref) for ref in refs)
        return self._run(uploads.jobs(), flow, description or f"upload {self.url}", total)

    def cancel(self) -> None:
        """End the call that is under way in another thread, and all later ones."""
        self._cancel.set()

    def _opened(self) -> Engine:
        if self._engine is None:
            raise TransferError(
                f"the transfer of {self.url} is not open; use it as "
                "`with Transfer(url) as transfer:` and call it inside"
            )
        return self._engine

    def _known(self, keys: Sequence[str]) -> dict[str, Found | None]:
        if not keys or not parse_url(self.url).is_s3:  # asking a folder for one file is cheapest
            return {}
        store = open_store(self.url, self._config.reach())
        return look_up(store, keys, policy=self._config.existence)

    def _flow(self, refs: Sequence[ObjectRef]) -> Flow:
        limit = self._config.bandwidth_limit_bytes_per_s
        return Flow(refs, cancel=self._cancel, limit=limit)

    def _run(
        self, jobs: Iterator[Job], flow: Flow, description: str, total_bytes: int | None
    ) -> TransferReport:
        started = time.monotonic()
        with shown(self._progress) as show:
            tick = _ticker(show, flow, description, total_bytes)
            n_threads = self._config.max_concurrency
            batches = in_batches(jobs, n_jobs=len(flow.refs), n_threads=n_threads)
            run_jobs(batches, n_threads=n_threads, stop=flow.cancel, tick=tick)
            tick()
        return flow.report(seconds=time.monotonic() - started)


def _engine_of(url: str, config: TransferConfig) -> Engine:
    parsed, access = parse_url(url), config.reach()
    if not parsed.is_s3:
        return FolderEngine(FolderStore(parsed.path), fsync=config.fsync)
    client = boto_client(url, access)
    if "boto3" in {config.engine, access.engine}:
        from lake_assets.s3.engine_boto3 import BotoEngine

        return BotoEngine(parsed, client, config)
    from lake_assets.s3.engine_obstore import ObstoreEngine

    return ObstoreEngine(parsed, client, config, obstore_store(url, access))


def _ticker(
    show: ProgressCallback, flow: Flow, description: str, total_bytes: int | None
) -> Callable[[], None]:
    started = time.monotonic()

    def tick() -> None:
        show(
            Progress(
                description,
                n_ended=flow.n_ended,
                n_total=len(flow.refs),
                moved_bytes=flow.moved_bytes,
                total_bytes=total_bytes,
                seconds=time.monotonic() - started,
            )
        )

    return tick


def _refuse_twice(what: str, names: Iterable[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise TransferError(
            f"{len(twice)} times two objects have one {what}, first {twice[0]!r}; "
            "give each its own; nothing was moved"
        )


def _sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _size_of(ref: ObjectRef) -> int | None:
    try:
        return os.stat(ref.local_path).st_size
    except OSError:
        return None  # its own job says why
