"""Units and the time grid: the only place where seconds, nanoseconds and slots are converted."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NS_PER_S", "Rate", "rfc3339", "slot_times_ns", "slots_of"]

NS_PER_S = 1_000_000_000
MAX_RATE_HZ = 4000
MAX_PERIOD_S = 3600


class Rate(NamedTuple):
    """Sample rate: ``samples`` a UTC second, or one sample every ``seconds`` (samples = 1)."""

    samples: int
    seconds: int = 1

    @classmethod
    def parse(cls, value: str | int | float) -> Rate:
        """
        Read ``10``, ``"10"``, ``"1/4"`` or ``0.25``.

        Raises
        ------
        ValueError
            One sentence, when it is neither a whole number 1-4000 nor ``1/n`` with n <= 3600.
        """
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,4}(\.0{1,3})?", text) and 1 <= int(float(text)) <= MAX_RATE_HZ:
            return cls(int(float(text)))
        match = re.fullmatch(r"1/([0-9]{1,4})", text)
        period = int(match.group(1)) if match else 0
        if not match and re.fullmatch(r"0?\.[0-9]{1,20}", text) and float(text) > 0:
            period = round(1 / float(text))
            if abs(1 / period - float(text)) > 1e-9:
                period = 0
        if 1 <= period <= MAX_PERIOD_S:
            return cls(1, period)
        use = f"a whole number 1-{MAX_RATE_HZ} or 1/n, n <= {MAX_PERIOD_S}"
        msg = f"rate_hz is {text[:24]!r}; use {use}"
        raise ValueError(msg)

    @property
    def hz(self) -> float:
        """Samples per second."""
        return self.samples / self.seconds

    def __str__(self) -> str:
        """The form the wire carries: ``10`` or ``1/4``."""
        return str(self.samples) if self.seconds == 1 else f"1/{self.seconds}"


def slots_of(t0_ns: int, count: int, rate: Rate) -> np.ndarray[Any, np.dtype[np.int64]]:
    """
    Grid slots of a slice's samples, shape (time,), int64.

    Sample *i* lies at ``t0_ns + round(i * 1e9 / rate)``; it goes to the nearest slot of the
    rate's grid, counted from the UTC second (from 1970 below 1 Hz). Integers only, half rounds up.
    """
    index = np.arange(count, dtype=np.int64)
    if rate.seconds > 1:
        step_ns = rate.seconds * NS_PER_S
        return (t0_ns + index * step_ns + step_ns // 2) // step_ns
    offset_ns = (2 * index * NS_PER_S + rate.samples) // (2 * rate.samples)
    time_ns = np.int64(t0_ns) + offset_ns
    second, rest_ns = time_ns // NS_PER_S, time_ns % NS_PER_S
    in_second = (2 * rest_ns * rate.samples + NS_PER_S) // (2 * NS_PER_S)
    return second * rate.samples + in_second


def slot_times_ns(slots: np.ndarray[Any, np.dtype[np.int64]], rate: Rate) -> Any:
    """Times of grid slots, same shape, int64 ns: the inverse of `slots_of` on the grid."""
    slots = np.asarray(slots, dtype=np.int64)
    if rate.seconds > 1:
        return slots * (rate.seconds * NS_PER_S)
    second, k = slots // rate.samples, slots % rate.samples
    return second * NS_PER_S + (2 * k * NS_PER_S + rate.samples) // (2 * rate.samples)


def rfc3339(time_ns: int) -> str:
    """UTC time in RFC 3339 with all nine digits: what CloudEvents carry."""
    second, rest_ns = divmod(int(time_ns), NS_PER_S)
    stamp = np.datetime_as_string(np.datetime64(second, "s"))
    return f"{stamp}.{rest_ns:09d}Z"
