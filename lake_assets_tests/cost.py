"""What a piece of work costs, for tests that hold one size of it to another, never to seconds."""

import gc
import time
from collections.abc import Callable


def cost_s(work: Callable[[], object]) -> float:
    """CPU seconds of this thread: the best of five, whatever else the process and machine do."""
    costs: list[float] = []
    gc.disable()  # it looks at all objects of the process, whatever made them
    try:
        for _ in range(5):
            begin = time.thread_time()
            work()
            costs.append(time.thread_time() - begin)
    finally:
        gc.enable()
    return min(costs)
