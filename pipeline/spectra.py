"""Spectra once a grid second: which rows are watched, and how the device's answers come home."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import oscillations, tones
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Look
from pipeline.second_stage import Bands

__all__ = ["Spectra"]

SUM_SHARE = 0.5
"""A sum counts as measured while at least this share of its channels is."""
SUMS = "sums"


class Spectra:
    """The spectral stage of one site: a feed for each sample rate."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        self._designs, self.feeds = self._plan_feeds()

    def _plan_feeds(self) -> tuple[dict[str, Any], tuple[Feed, ...]]:
        """Spectra: channels of PDUs and above (all of a small site), and nodes that are sums."""
        layout, feeds, designs = self.layout, [], {}
        window_s = self.detect.oscillation_window_s
        for grid in layout.grids:
            if grid.stride > 1 or grid.rate < 2 or not (layout.small or grid.level != "rack"):
                continue
            designs[grid.level] = oscillations.design(grid.rate, window_s=window_s)
            rows = layout.level_rows[grid.level]
            names = layout.channel_ids[rows]
            nodes = tuple(int(node) for node in layout.channel_nodes[rows])
            freq_hz = designs[grid.level].freq_hz
            leaves, first = grid is layout.leaf_grid, designs[grid.level].first_bin
            feeds.append(Feed(grid.level, float(grid.rate), nodes, names, leaves, first, freq_hz))
        if layout.summed and layout.ticks_per_s >= 2 and layout.leaf_grid.stride == 1:
            designs[SUMS] = oscillations.design(layout.ticks_per_s, window_s=window_s)
            freq_hz = designs[SUMS].freq_hz
            none = (None,) * len(layout.summed)
            per_s, first = float(layout.ticks_per_s), designs[SUMS].first_bin
            feeds.append(Feed(SUMS, per_s, layout.summed, none, False, first, freq_hz))
        return designs, tuple(feeds)

    def start(self) -> dict[str, oscillations.OscillationState]:
        """The windows before the first sample."""
        rows = {feed.name: np.zeros((len(feed.nodes), 1)) for feed in self.feeds}
        return {
            name: oscillations.start(
                self.device.upload(rows[name]), design=design, until_hop=round(design.rate_hz)
            )
            for name, design in self._designs.items()
        }

    def step(
        self, state: EngineState, parts: dict[str, Any]
    ) -> tuple[dict[str, Look], Bands | None]:
        """One hop of every feed: strongest bins by feed, and the POI's own spectrum."""
        looks, bands = {}, None
        spectra = dict(state.spectra)
        for feed in self.feeds:
            design = self._designs[feed.name]
            if feed.name == SUMS:
                rows = list(feed.nodes)
                x, v = parts["node_w"][rows], parts["share"][rows] >= SUM_SHARE
            else:
                x, v = parts[f"x:{feed.name}"], parts[f"v:{feed.name}"]
                kept = parts["kept"][self.layout.level_rows[feed.name]].all(axis=1)[:, None]
                tail = spectra[feed.name].tail_valid & self.device.upload(kept)
                spectra[feed.name] = spectra[feed.name]._replace(tail_valid=tail)
            ratio, amplitude_w, seen, spectra[feed.name] = oscillations.periodogram(
                self.device.upload(x), self.device.upload(v), spectra[feed.name], design=design
            )
            looks[feed.name] = Look(
                self.device.download(ratio)[:, :, 0],
                self.device.download(amplitude_w)[:, :, 0],
                self._refiner(spectra[feed.name], feed.rate_hz),
                self.device.download(seen)[:, 0] >= design.valid_share,
            )
            if self.layout.top in feed.nodes:
                row = feed.nodes.index(self.layout.top)
                look = looks[feed.name]
                bands = Bands(design.freq_hz, look.amplitude_w[row], bool(look.seen[row]))
        state.spectra = spectra
        return looks, bands

    def _refiner(self, spectrum: oscillations.OscillationState, rate_hz: float) -> Any:
        def refine(freq_hz: Any) -> tuple[Any, Any, Any]:
            guess = self.device.upload(freq_hz)
            found = tones.tone(spectrum.tail_w[:, 1:], guess, rate_hz=rate_hz)
            return tuple(self.device.download(a) for a in found)

        return refine
