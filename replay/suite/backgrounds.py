"""What the suite's sites draw: real server power rolled and rerolled at random, or plain noise."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from replay.inference import TRACE_HZ, Library, load_library
from replay.suite.sites import RACK_W

__all__ = ["REROLLED", "SERVERS", "Background", "Noise", "Serving"]

SERVERS = 8
"""Servers of a rack."""
REROLL_S = 3600
"""Every server changes to another trace and place once in this time, at an instant of its own."""
_CHUNK = 60 * TRACE_HZ + 1
REROLLED = (
    "2 h of real server power (ML.ENERGY, H100, 10 Hz); every server plays a trace from a place "
    "drawn at random and is redrawn once an hour, at an instant of its own"
)


class Background(Protocol):
    """Power of all racks without injections, minute by minute."""

    def minute(self) -> Any:
        """The next 60 s and one sample more (the next minute's first); (rack, 601) W."""


@lru_cache(maxsize=1)
def _windows() -> tuple[Library, Any, Any]:
    """Each trace followed by its own beginning; all windows of a minute; where traces start."""
    library = load_library()
    parts = []
    for start, length in zip(library.starts, library.lengths, strict=True):
        trace = library.relative[start : start + length]
        parts.append(np.concatenate([trace, trace[:_CHUNK]]))
    starts = library.starts + _CHUNK * np.arange(len(parts))
    flat = np.concatenate(parts)
    return library, np.lib.stride_tricks.sliding_window_view(flat, _CHUNK), starts


class Serving:
    """
    Racks of inference servers; each server plays one real trace from a place of its own.

    A gather of whole windows and a sum over the servers of a rack: no index per sample.
    """

    def __init__(self, racks: int, rng: np.random.Generator) -> None:
        self._library, self._views, self._starts = _windows()
        self._rng = rng
        self._trace, self._place = self._draw((racks, SERVERS))
        phase = np.arange(racks * SERVERS) % REROLL_S
        self._due_s = rng.permutation(phase).reshape(racks, SERVERS)
        self._now_s = 0

    def _draw(self, shape: Any) -> tuple[Any, Any]:
        trace = self._rng.integers(len(self._starts), size=shape)
        return trace, self._rng.integers(self._library.lengths[trace])

    def minute(self) -> Any:
        """The next 60 s and one sample more; (rack, 601) W."""
        at = self._starts[self._trace] + self._place
        total = self._views[at[:, 0]].copy()
        for server in range(1, SERVERS):
            total += self._views[at[:, server]]
        self._place = (self._place + 60 * TRACE_HZ) % self._library.lengths[self._trace]
        self._reroll(total, at)
        self._now_s += 60
        return total.astype(np.float64) * (RACK_W / SERVERS)

    def _reroll(self, total: Any, at: Any) -> None:
        """Servers whose hour is over within this minute go on elsewhere, from their instant on."""
        since_s = (self._now_s - self._due_s) % REROLL_S
        rack, server = np.nonzero(since_s >= REROLL_S - 60)
        if not len(rack):
            return
        trace, place = self._draw(len(rack))
        new = self._views[self._starts[trace] + place] - self._views[at[rack, server]]
        sample = (REROLL_S - since_s[rack, server]) * TRACE_HZ
        sample -= self._rng.integers(TRACE_HZ, size=len(rack))
        new[np.arange(_CHUNK)[None, :] < sample[:, None]] = 0
        np.add.at(total, rack, new)
        self._trace[rack, server] = trace
        self._place[rack, server] = (place + 60 * TRACE_HZ) % self._library.lengths[trace]


class Noise:
    """Racks whose power is a constant and white Gaussian noise: the background of the bounds."""

    def __init__(self, racks: int, sigma_w: float, rng: np.random.Generator) -> None:
        self._racks, self._sigma_w, self._rng = racks, sigma_w, rng
        self._next = self._draw(1)

    def _draw(self, count: int) -> Any:
        return RACK_W + self._sigma_w * self._rng.standard_normal((self._racks, count))

    def minute(self) -> Any:
        """The next 60 s and one sample more; (rack, 601) W."""
        power_w = np.concatenate([self._next, self._draw(_CHUNK - 1)], axis=1)
        self._next = power_w[:, -1:]
        return power_w
