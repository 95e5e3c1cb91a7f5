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
        """Work off everything."""
        self.finish(self.queued)

    def wait_event(self, event: "Event") -> None:
        """Let what is queued from here on wait."""
        stream, count = event.stream, event.count
        if stream is not None:
            self.put(lambda: stream.finish(count))

    def begin_capture(self) -> None:
        """Record from here on."""
        self._captured, self._cupy.capturing = [], True

    def end_capture(self) -> "Graph":
        """Return what was recorded."""
        graph = Graph(self._captured or [])
        self._captured, self._cupy.capturing = None, False
        return graph

    def __enter__(self) -> None:
        """Launches go here."""
        self._cupy.current = self

    def __exit__(self, *error: object) -> None:
        """Launches run at once."""
        self._cupy.current = None


class Event:
    """`cupy.cuda.Event`."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.count = 0

    def record(self, stream: Stream) -> None:
        """Mark what the stream has been given."""
        self.stream, self.count = stream, stream.queued

    def synchronize(self) -> None:
        """Wait for what was marked."""
        if self.stream is not None:
            self.stream.finish(self.count)


class Graph:
    """`cupy.cuda.Graph`: what was recorded, as often as wanted."""

    def __init__(self, work: list[Callable[[], None]]) -> None:
        self._work = work

    def launch(self, stream: Stream) -> None:
        """Queue all of it."""
        for one in self._work:
            stream.put(one)


class Device:
    """`cupy.cuda.Device`: kernels launched inside are its own."""

    def __init__(self, cupy: Any, streams: list[Stream], number: int) -> None:
        self._cupy, self._streams, self._number = cupy, streams, number

    def __enter__(self) -> None:
        """Make it the current one."""
        self._cupy.device = self._number

    def __exit__(self, *error: object) -> None:
        """Leave it for the first."""
        self._cupy.device = 0

    def synchronize(self) -> None:
        """Work off everything."""
        for stream in self._streams:
            stream.synchronize()


class Cuda:
    """`cupy.cuda`: the first stream made is for copies, the second for kernels."""

    def __init__(self, cupy: Any, *, eager: tuple[bool, bool]) -> None:
        self._cupy, self._eager, self._streams = cupy, eager, []

    def Stream(self, *, non_blocking: bool) -> Stream:  # noqa: N802
        """Return the next stream."""
        assert non_blocking
        self._streams.append(Stream(self._cupy, eager=self._eager[len(self._streams) % 2]))
        return self._streams[-1]

    @staticmethod
    def Event(*, disable_timing: bool) -> Event:  # noqa: N802
        """Return an event that marks nothing yet."""
        assert disable_timing
        return Event()

    def Device(self, number: int = 0) -> "Device":  # noqa: N802
        """Return a GPU; every stream is of every one."""
        return Device(self._cupy, self._streams, number)

    @staticmethod
    def alloc_pinned_memory(size: int) -> bytearray:
        """Return memory that holds nonsense."""
        return bytearray(b"\xab" * size)
