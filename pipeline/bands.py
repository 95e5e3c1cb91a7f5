"""The POI's spectrum by bands: the strongest line in each, or not observable."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Looks
from pipeline.second_stage import BANDS_HZ, Bands
from schemas.events import Band

__all__ = ["PoiBands"]


class PoiBands:
    """What ``grid.state.v1`` says of the POI's bands."""

    def __init__(self, layout: SiteLayout, feeds: tuple[Feed, ...], device: ArrayDevice) -> None:
        self._layout, self._feeds, self._device = layout, feeds, device
        self._plans = self._plan()

    def _plan(self) -> list[tuple[float, float, int, int, Any]]:
        """For each band: feed, bank and bins of the POI's shortest window that reaches to it."""
        top, found = self._layout.top, []
        for low_hz, high_hz in BANDS_HZ:
            best = None
            for number, feed in enumerate(self._feeds):
                if top not in feed.nodes:
                    continue
                sensor = feed.sensors[feed.nodes.index(top)]
                for place, bank in enumerate(feed.banks):
                    for look in bank.plan.design.looks:
                        freq_hz = np.where(bank.plan.design.tested, bank.plan.design.freq_hz, -1.0)
                        inside = np.zeros(len(freq_hz), bool)
                        inside[look.place] = True
                        inside &= (freq_hz >= low_hz * 0.99) & (freq_hz <= high_hz)
                        enough = inside.any() and sensor.observable(high_hz)
                        width = freq_hz[inside].max() - freq_hz[inside].min() if enough else 0
                        if width >= 0.9 * (min(high_hz, 55.0) - low_hz) and best is None:
                            best = (low_hz, high_hz, number, place, inside)
            found.append(best or (low_hz, high_hz, -1, -1, None))
        return found

    def step(self, state: EngineState, looks: Looks) -> Bands:
        """Amplitude in each of the POI's bands; a bank that is not due keeps what it said."""
        track, top = state.tone_track, self._layout.top
        if not track.bands_w:
            track.bands_w = [float("nan")] * len(BANDS_HZ)
        due = {(look.feed, look.bank): look for look in looks.due}
        for k, (_low, _high, number, place, inside) in enumerate(self._plans):
            look = due.get((number, place))
            if look is None:
                continue
            feed = self._feeds[number]
            row = feed.nodes.index(top)
            tail = state.spectra[feed.banks[place].key].tail_valid
            seen = float(self._device.download(tail[row : row + 1, :]).mean()) >= 0.8
            track.bands_w[k] = float(look.amplitude_w[row][inside].max()) if seen else float("nan")
        bands = tuple(
            Band(low, high, observable=not np.isnan(w), amplitude_w=None if np.isnan(w) else w)
            for (low, high, *_rest), w in zip(self._plans, track.bands_w, strict=True)
        )
        return Bands(bands, self._highest_hz())

    def _highest_hz(self) -> float | None:
        """Up to where the POI can be seen."""
        found = [
            float(freq_hz[sensor.observable(freq_hz)].max(initial=0.0))
            for feed in self._feeds
            if self._layout.top in feed.nodes
            for sensor in [feed.sensors[feed.nodes.index(self._layout.top)]]
            for freq_hz in [feed.banks[0].plan.design.freq_hz]
        ]
        return max(found, default=None)
