"""Strongest line of every node in each band, once a grid second: what windows keep of spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.oscillation_state import Feed, Looks
from pipeline.second_stage import BANDS_HZ

__all__ = ["NodeBands"]

MEASURED = 0.8
"""Share of the second that must be measured for a node's bands to say anything."""
COVERED = 0.9
"""Share of a band that a window's bins must cover."""
HIGHEST_HZ = 55.0


class NodeBands:
    """For each band the shortest window of each feed that covers it."""

    def __init__(self, feeds: tuple[Feed, ...], nodes: int) -> None:
        self._nodes = nodes
        self._rows = [list(feed.nodes) for feed in feeds]
        self._plans: dict[tuple[int, int], list[tuple[int, Any, Any]]] = {}
        for number, feed in enumerate(feeds):
            for k, (low_hz, high_hz) in enumerate(BANDS_HZ):
                found = _window(feed, low_hz, min(high_hz, HIGHEST_HZ))
                if found is not None:
                    place, inside = found
                    able = np.array([bool(s.observable(high_hz)) for s in feed.sensors])
                    self._plans.setdefault((number, place), []).append((k, inside, able))

    def step(self, looks: Looks, share: Any) -> Any:
        """
        Zero-to-peak amplitudes, (band, node) W.

        NaN where a band cannot be seen, was not measured, or its window is not due this second.
        ``share`` (node,) is what was measured of the second.
        """
        bands_w = np.full((len(BANDS_HZ), self._nodes), np.nan)
        for look in looks.due:
            rows = self._rows[look.feed]
            for k, inside, able in self._plans.get((look.feed, look.bank), ()):
                seen = able & (share[rows] >= MEASURED)
                line_w = look.amplitude_w[:, inside].max(axis=1)
                bands_w[k, rows] = np.where(seen, line_w, np.nan)
        return bands_w


def _window(feed: Feed, low_hz: float, high_hz: float) -> tuple[int, Any] | None:
    """Bank and bins of the shortest window that covers a band."""
    for place, bank in enumerate(feed.banks):
        design = bank.plan.design
        for look in design.looks:
            inside = np.zeros(len(design.freq_hz), bool)
            inside[look.place] = True
            inside &= design.tested & (design.freq_hz >= low_hz * 0.99)
            inside &= design.freq_hz <= high_hz
            freq_hz = design.freq_hz[inside]
            if len(freq_hz) and freq_hz.max() - freq_hz.min() >= COVERED * (high_hz - low_hz):
                return place, inside
    return None
