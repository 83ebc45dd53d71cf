"""One bounded set of threads for all requests of a transfer.

A job may return further jobs, so a big object becomes many small jobs without a pool inside the
pool: no job ever waits for another one.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

__all__ = ["Job", "in_batches", "run_jobs"]

Job = Callable[[], "Sequence[Job]"]
#: How often the waiting thread looks up to show progress, and to notice Ctrl-C.
_TICK_S = 0.1
#: Jobs of a batch, at most.
_BATCH = 16


class _Queue:
    """Jobs still to do: what jobs returned comes before the next of the iterator."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._more: deque[Job] = deque()
        self._running = 0
        self._changed = threading.Condition()
        self.error: BaseException | None = None

    def take(self) -> Job | None:
        """The next job; None when there is none and no running job can add one."""
        with self._changed:
            while self.error is None:
                job = self._more.popleft() if self._more else next(self._jobs, None)
                if job is not None:
                    self._running += 1
                    return job
                if not self._running:
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            return None

    def finish(self, more: Sequence[Job]) -> None:
        with self._changed:
            self._more.extend(more)
            self._running -= 1
            if more or not self._running:
                self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            self._running -= 1
            self.error = self.error or error
            self._changed.notify_all()


def in_batches(jobs: Iterable[Job], *, n_jobs: int, n_threads: int) -> Iterator[Job]:
    """Several small jobs as one, where there are many: threads meet less often at the queue.

    Args:
        jobs: Each must catch its own errors.
        n_jobs: How many there are; batches stay small enough that no thread ends much later.
        n_threads: How many share them.
    """
    size = max(1, min(_BATCH, n_jobs // (n_threads * 8)))
    remaining = iter(jobs)
    while batch := list(islice(remaining, size)):
        yield partial(_run_batch, batch)


def run_jobs(
    jobs: Iterable[Job],
    *,
    n_threads: int,
    stop: Callable[[], None],
    tick: Callable[[], None],
) -> None:
    """Run all jobs and the jobs they return; returns when the last one has ended.

    Args:
        jobs: Taken one by one as threads come free.
        n_threads: How many run at once.
        stop: Called once on Ctrl-C (or any error here): makes the remaining jobs end early.
        tick: Called now and then from the calling thread.

    Raises:
        BaseException: The first error that a job let out, or KeyboardInterrupt; in both cases
            no thread is left running.
    """
    queue = _Queue(iter(jobs))
    threads = [
        threading.Thread(target=_work, args=(queue,), name=f"transfer-{n}", daemon=True)
        for n in range(n_threads)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_TICK_S)
                tick()
    except BaseException:  # Ctrl-C as well: no thread outlives the call
        stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if queue.error is not None:
        raise queue.error


def _run_batch(batch: Sequence[Job]) -> Sequence[Job]:
    return [further for job in batch for further in job()]


def _work(queue: _Queue) -> None:
    while (job := queue.take()) is not None:
        try:
            more = job()
        except BaseException as error:  # noqa: BLE001 (handed to the calling thread, which raises it)
            queue.fail(error)
        else:
            queue.finish(more)
