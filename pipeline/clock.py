"""Wall time, handed to whoever needs it; event time comes from the samples, never from here."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Protocol

__all__ = ["Clock", "ManualClock", "Spent", "SystemClock", "stopwatch"]


class Clock(Protocol):
    """What the pipeline may ask about wall time."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970; may jump when the host's clock is set."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary origin; never jumps."""
        ...


class SystemClock:
    """The host's clocks."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary origin; never jumps."""
        return time.monotonic()


class ManualClock:
    """A clock that stands until told to move; for tests and replay."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        return self._now_ns

    def monotonic_s(self) -> float:
        """Seconds this clock has been advanced."""
        return self._monotonic_ns / 1e9

    def advance(self, seconds_s: float) -> None:
        """Let time pass."""
        step_ns = round(seconds_s * 1e9)
        self._now_ns += step_ns
        self._monotonic_ns += step_ns


def stopwatch() -> Callable[[], float]:
    """Start one; it returns the seconds since. For pacing only, never for event time."""
    start_s = time.monotonic()
    return lambda: time.monotonic() - start_s


class Spent:
    """Wall time by stage, s; a stage belongs to one thread."""

    def __init__(self) -> None:
        self.stage_s: dict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def on(self, stage: str) -> Iterator[None]:
        """Count what happens within towards a stage."""
        begun_s = time.monotonic()
        try:
            yield
        finally:
            self.stage_s[stage] += time.monotonic() - begun_s
