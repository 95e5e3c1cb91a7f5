"""Spectra by bands: the strongest line of every node in each, and what the POI shows of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.engine_state import EngineState
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Looks
from pipeline.second_stage import BANDS_HZ, Bands
from pipeline.side_by_side import as_slice
from schemas.events import Band

__all__ = ["NodeBands", "PoiBands"]

MEASURED = 0.8
"""Share of the second, or of the window, that must be measured for bands to say anything."""


class NodeBands:
    """For each band the shortest window of each feed that covers it."""

    def __init__(self, feeds: tuple[Feed, ...], nodes: int) -> None:
        self._nodes = nodes
        self._rows = [as_slice(np.array(feed.nodes)) for feed in feeds]
        self._plans: dict[tuple[int, int], list[tuple[int, Any]]] = {}
        for number, feed in enumerate(feeds):
            for k, (_low_hz, high_hz) in enumerate(BANDS_HZ):
                place = _bank(feed, k)
                if place is not None:
                    able = np.array([bool(s.observable(high_hz)) for s in feed.sensors])
                    self._plans.setdefault((number, place), []).append((k, able))

    def step(self, looks: Looks, share: Any) -> Any:
        """
        Zero-to-peak amplitudes, (band, node) W.

        NaN where a band cannot be seen, was not measured, or its window is not due this second.
        ``share`` (node,) is what was measured of the second.
        """
        bands_w = np.full((len(BANDS_HZ), self._nodes), np.nan)
        for look in looks.due:
            rows = self._rows[look.feed]
            for k, able in self._plans.get((look.feed, look.bank), ()):
                seen = able & (share[rows] >= MEASURED)
                line_w = look.strongest_w[:, k]
                bands_w[k, rows] = np.where(seen, line_w, np.nan)
        return bands_w


class PoiBands:
    """What ``grid.state.v1`` says of the POI's bands."""

    def __init__(self, layout: SiteLayout, feeds: tuple[Feed, ...]) -> None:
        self._layout, self._feeds = layout, feeds
        self._plans, self._highest_hz = self._plan(), self._reach()

    def _plan(self) -> list[tuple[float, float, int, int]]:
        """For each band: feed and bank of the POI's shortest window that covers it."""
        top, found = self._layout.top, []
        for k, (low_hz, high_hz) in enumerate(BANDS_HZ):
            best = (low_hz, high_hz, -1, -1)
            for number, feed in enumerate(self._feeds):
                if top not in feed.nodes or best[2] >= 0:
                    continue
                place = _bank(feed, k)
                able = feed.sensors[feed.nodes.index(top)].observable(high_hz)
                if place is not None and able:
                    best = (low_hz, high_hz, number, place)
            found.append(best)
        return found

    def step(self, state: EngineState, looks: Looks) -> Bands:
        """Amplitude in each of the POI's bands; a bank that is not due keeps what it said."""
        track, top = state.tone_track, self._layout.top
        if not track.bands_w:
            track.bands_w = [float("nan")] * len(BANDS_HZ)
        due = {(look.feed, look.bank): look for look in looks.due}
        for k, (_low, _high, number, place) in enumerate(self._plans):
            look = due.get((number, place))
            if look is None:
                continue
            feed = self._feeds[number]
            row = feed.nodes.index(top)
            seen = looks.measured(number, place, row) >= MEASURED
            track.bands_w[k] = float(look.strongest_w[row, k]) if seen else float("nan")
        bands = tuple(
            Band(low, high, observable=not np.isnan(w), amplitude_w=None if np.isnan(w) else w)
            for (low, high, *_rest), w in zip(self._plans, track.bands_w, strict=True)
        )
        return Bands(bands, self._highest_hz)

    def _reach(self) -> float | None:
        """Up to where the POI can be seen."""
        found = [
            float(freq_hz[sensor.observable(freq_hz)].max(initial=0.0))
            for feed in self._feeds
            if self._layout.top in feed.nodes
            for sensor in [feed.sensors[feed.nodes.index(self._layout.top)]]
            for freq_hz in [feed.banks[0].plan.design.freq_hz]
        ]
        return max(found, default=None)


def _bank(feed: Feed, k: int) -> int | None:
    """The bank of the shortest window that covers a band; None: no window does."""
    covered = (
        place for place, bank in enumerate(feed.banks) if bank.bands[k, 0] < bank.bands[k, 1]
    )
    return next(covered, None)
