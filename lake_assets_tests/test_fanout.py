"""fan_out: bounded, in order, first error wins, nothing goes on behind one's back."""

import threading
import time
from collections.abc import Iterator

import pytest

from lake_assets.fanout import fan_out


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_the_order_of_the_tasks(workers: int):
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * 2

    assert list(fan_out(work, range(50), workers=workers)) == [n * 2 for n in range(50)]
    assert list(fan_out(work, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_tasks_are_drawn_than_there_are_places(workers: int):
    drawn = taken = most = 0

    def tasks() -> Iterator[int]:
        nonlocal drawn
        for number in range(200):
            drawn += 1
            yield number

    for _ in fan_out(lambda number: number, tasks(), workers=workers):
        taken += 1
        most = max(most, drawn - taken)
    assert taken == 200
    assert most <= workers


def test_no_more_tasks_run_at_once_than_workers():
    lock, now, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    list(fan_out(work, range(40), workers=4))
    assert most == 4


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_error_in_order_is_raised_and_the_rest_is_not_begun(workers: int):
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number in (5, 6):
            raise ValueError(f"task {number}")
        return number

    done: list[int] = []
    with pytest.raises(ValueError, match="task 5"):
        done.extend(fan_out(work, range(1000), workers=workers))
    assert done == list(range(5))
    assert max(begun) < 5 + 2 * workers


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_task_list_is_raised(workers: int):
    def tasks() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError):
        list(fan_out(lambda number: number, tasks(), workers=workers))


def test_a_reader_who_stops_early_leaves_no_thread_behind():
    results = fan_out(lambda number: number, range(1000), workers=3)
    assert next(results) == 0
    results.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
    assert not [t for t in threading.enumerate() if t.name.startswith("fan-out")]


def test_one_worker_works_in_the_calling_thread():
    assert set(fan_out(lambda _: threading.get_ident(), range(3), workers=1)) == {
        threading.get_ident()
    }


def test_no_worker_at_all_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        list(fan_out(lambda number: number, [1], workers=0))
