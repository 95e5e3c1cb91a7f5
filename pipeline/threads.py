"""
Rows of one computation shared between threads of this process.

Kernels release the interpreter's lock, and a row's bits do not depend on who computes it
(`operators/kernels`): how many threads there are changes nothing but the time it takes. All lanes
of a process share one pool; what no thread has begun when the caller is done, the caller does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

__all__ = ["MOST", "cores", "shared"]

MOST = 4
"""Threads that pay at 10,000 racks: every further one saves less than it costs to wake."""
LEAST_NUMBERS = 125_000
"""What is smaller (some 300 µs) is done where it is: handing over costs some 100 µs."""

Job = Callable[[int, int], None]
Share = Callable[[Job, int, int], None]


def cores() -> int:
    """Processors this process may use, at most `MOST`."""
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(able or 1, MOST))


class _Pool:
    """Threads beside the caller's; made when first needed, anew in a forked process."""

    def __init__(self) -> None:
        self._made: ThreadPoolExecutor | None = None
        self.most = 1
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._made = None

    def submit(self, job: Job, first: int, last: int) -> Future[None]:
        if self._made is None:
            self._made = ThreadPoolExecutor(self.most, thread_name_prefix="rows")
        return self._made.submit(job, first, last)


_POOL = _Pool()


def shared(threads: int) -> Share:
    """
    ``share(job, count, numbers)``: ``job(first, last)`` over parts of 0 to ``count``, all done.

    ``numbers`` says how much there is to compute; with little of it the caller does it all.
    """
    _POOL.most = max(_POOL.most, threads - 1)

    def share(job: Job, count: int, numbers: int) -> None:
        parts = min(threads, count)
        if parts < 2 or numbers < LEAST_NUMBERS:
            job(0, count)
            return
        bounds = [count * k // parts for k in range(parts + 1)]
        begun = [_POOL.submit(job, *bounds[k : k + 2]) for k in range(1, parts)]
        try:
            job(0, bounds[1])
            for k, future in reversed(list(enumerate(begun, 1))):
                if future.cancel():
                    job(*bounds[k : k + 2])
        finally:
            wait([future for future in begun if not future.cancel()])
        for future in begun:
            if not future.cancelled():
                future.result()

    return share
