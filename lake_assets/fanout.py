"""Run independent tasks: bounded threads, so that waiting for a store overlaps with work.

Polars uses all cores inside one task; threads only hide latency. Tasks are idempotent and their
order does not matter.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar, cast

__all__ = ["fan_out", "one_ahead"]

T = TypeVar("T")
R = TypeVar("R")


def fan_out(work: Callable[[T], R], tasks: Iterable[T], *, workers: int) -> Iterator[R]:
    """The result of each task, in the order of the tasks.

    At most ``workers`` tasks are under way or wait to be taken, so memory is bounded whatever the
    number of tasks. The first error is raised; tasks not begun are not begun.

    Args:
        work: What to do with one task; it may run in another thread.
        tasks: Drawn one by one, only as places become free.
        workers: Threads, at least 1; 1 works in the calling thread.

    Example:
        >>> list(fan_out(len, ["a", "bb"], workers=2))
        [1, 2]
    """
    if workers == 1:
        yield from map(work, tasks)
        return
    queue = iter(tasks)
    with ThreadPoolExecutor(workers, thread_name_prefix="fan-out") as pool:
        under_way: deque[Future[R]] = deque(
            pool.submit(work, task) for task in islice(queue, workers)
        )
        try:
            while under_way:
                result = under_way.popleft().result()
                under_way.extend(pool.submit(work, task) for task in islice(queue, 1))
                yield result
        finally:
            for future in under_way:
                future.cancel()


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items; while the caller works on one, the next is made in another thread.

    An error is raised where its item would have come.

    Example:
        >>> list(one_ahead(iter("abc")))
        ['a', 'b', 'c']
    """
    nothing = object()
    with ThreadPoolExecutor(1, thread_name_prefix="one-ahead") as pool:
        future = pool.submit(next, items, nothing)
        while (item := future.result()) is not nothing:
            future = pool.submit(next, items, nothing)
            yield cast("T", item)
            del item  # the caller alone keeps it alive while the next is made
