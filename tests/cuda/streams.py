"""Streams, events and graphs of the stand-in: work waits until something waits for it."""

from collections.abc import Callable
from typing import Any


class Stream:
    """
    A queue that is worked off as late as allowed, or, eager, as early.

    Both are orders a GPU may choose: what is right under both waits where it must.
    """

    def __init__(self, cupy: Any, *, eager: bool) -> None:
        self._cupy, self._eager = cupy, eager
        self._waiting: list[Callable[[], None]] = []
        self._captured: list[Callable[[], None]] | None = None
        self.queued = self.finished = 0

    def put(self, work: Callable[[], None]) -> None:
        """Queue or, while capturing, record."""
        if self._captured is not None:
            self._captured.append(work)
            return
        self._waiting.append(work)
        self.queued += 1
        if self._eager:
            self.synchronize()

    def finish(self, count: int) -> None:
        """Work off the first ``count`` of all that was ever queued."""
        while self.finished < count:
            work = self._waiting.pop(0)
            self.finished += 1
            work()

    def synchronize(self) -> None:
        self.finish(self.queued)

    def wait_event(self, event: "Event") -> None:
        stream, count = event.stream, event.count
        if stream is not None:
            self.put(lambda: stream.finish(count))

    def begin_capture(self) -> None:
        self._captured, self._cupy.capturing = [], True

    def end_capture(self) -> "Graph":
        graph = Graph(self._captured or [])
        self._captured, self._cupy.capturing = None, False
        return graph

    def __enter__(self) -> None:
        self._cupy.current = self

    def __exit__(self, *error: object) -> None:
        self._cupy.current = None


class Event:
    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.count = 0

    def record(self, stream: Stream) -> None:
        self.stream, self.count = stream, stream.queued

    def synchronize(self) -> None:
        if self.stream is not None:
            self.stream.finish(self.count)


class Graph:
    def __init__(self, work: list[Callable[[], None]]) -> None:
        self._work = work

    def launch(self, stream: Stream) -> None:
        for one in self._work:
            stream.put(one)


class Cuda:
    """`cupy.cuda`: the first stream made is for copies, the second for kernels."""

    def __init__(self, cupy: Any, *, eager: tuple[bool, bool]) -> None:
        self._cupy, self._eager, self._streams = cupy, eager, []

    def Stream(self, *, non_blocking: bool) -> Stream:  # noqa: N802
        assert non_blocking
        self._streams.append(Stream(self._cupy, eager=self._eager[len(self._streams) % 2]))
        return self._streams[-1]

    @staticmethod
    def Event(*, disable_timing: bool) -> Event:  # noqa: N802
        assert disable_timing
        return Event()

    def Device(self, number: int = 0) -> "Cuda":  # noqa: N802
        return self

    def synchronize(self) -> None:
        for stream in self._streams:
            stream.synchronize()

    @staticmethod
    def alloc_pinned_memory(size: int) -> bytearray:
        return bytearray(b"\xab" * size)
