"""What goes on beside a replay's computing, in threads of its own: reading ahead, committing."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from pipeline.clock import Spent
from pipeline.lane import Batch, Lane

__all__ = ["Commits", "ahead"]

T = TypeVar("T")
AHEAD = 2


def ahead(source: Iterator[T]) -> Iterator[T]:
    """The same items, taken from ``source`` by another thread before they are asked for."""
    with ThreadPoolExecutor(1, "read") as reader:
        coming: deque[Future[tuple[T, ...]]] = deque()

        def take() -> tuple[T, ...]:
            return next(((item,) for item in source), ())

        coming.extend(reader.submit(take) for _ in range(AHEAD))
        while item := coming.popleft().result():
            coming.append(reader.submit(take))
            yield item[0]


class Commits:
    """
    Commits of some lanes, made by one other thread while they go on computing.

    What was cut before is durable when the next cut begins; an error of it is raised there.
    """

    def __init__(self, lanes: Collection[Lane], spent: Spent) -> None:
        self._lanes, self._spent = lanes, spent
        self._writer = ThreadPoolExecutor(1, "archive")
        self._flying: list[Future[Any]] = []

    def __enter__(self) -> Commits:
        """The thread begins with the first cut."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is being written."""
        self._writer.shutdown()

    def cut(self, *, final: bool = False) -> None:
        """Hand out what every lane has; ``final`` waits until all of it is durable."""
        self._land()
        for lane in self._lanes:
            batch = lane.take(final=final)
            if batch is not None:
                self._flying.append(self._writer.submit(self._commit, lane, batch))
        if final:
            self._land()

    def _commit(self, lane: Lane, batch: Batch) -> None:
        with self._spent.on("archive"):
            lane.commit(batch)

    def _land(self) -> None:
        with self._spent.on("waited_for_archive"):
            for commit in self._flying:
                commit.result()
        self._flying = []
