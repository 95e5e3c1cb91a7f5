"""One site's frames to events, windows, state and forecasts: no clock, no I/O, live and replay."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from operators import diversity, noise, seconds
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState, Outcome, moved
from pipeline.ingest import Ingest
from pipeline.layout import SiteLayout
from pipeline.oscillation_events import OscillationEvents
from pipeline.outlook import Outlook, Poi
from pipeline.ramp_events import RampEvents
from pipeline.second_stage import Second, Windows, site_state
from pipeline.spectra import Spectra
from schemas.events import Quality, SiteEvent
from schemas.units import NS_PER_S

__all__ = ["Engine"]

BUSY_S = 60
"""A node active for longer than this teaches again: no event lasts for ever."""


class Engine:
    """
    The detectors of one site in a fixed order.

    ``step(state, block) -> (state, outcome)``: the same blocks give the same answer, however
    the stream was cut, since blocks never cross a grid second and operators do not mind.
    """

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        self._ingest = Ingest(layout, detect, device)
        self._spectra = Spectra(layout, detect, device)
        self._ramps = RampEvents(layout, detect, self._ingest.lags)
        self._tones = OscillationEvents(layout, detect, self._spectra.feeds)
        self._windows = Windows(layout)
        self._outlook = Outlook(layout, detect)
        racks = np.array([layout.nodes[row].level == "rack" for row in layout.watched])
        self._floor_share = np.where(racks, detect.rack_floor_share, detect.ramp_floor_share)

    def start(self) -> EngineState:
        """The state before the first frame: nothing known, everything warming."""
        layout, up = self.layout, self.device.upload
        return EngineState(
            **self._ingest.start(),
            diversity=diversity.start(
                up(np.zeros((len(layout.leaves), 1))), window=self.detect.diversity_window_s
            ),
            spectra=self._spectra.start(),
            pending=[],
            reference_w=layout.nodes[layout.top].rating_w or 0.0,
            warming=len(layout.channel_ids),
            end_ns=-1,
            ramp_track=self._ramps.start(),
            tone_track=self._tones.start(),
            windows=self._windows.start(),
            outlook=self._outlook.start(),
        )

    def step(self, state: EngineState, block: Block) -> tuple[EngineState, Outcome]:
        """Work off one block; the given state is not changed."""
        events: list[SiteEvent] = []
        if block.restart:
            events = self.finish(state, "gap")[1].events
            state = self.start()
        new = dataclasses.replace(
            state,
            ramp_track=copy.deepcopy(state.ramp_track),
            pending=list(state.pending),
            end_ns=int(self.layout.tick_ends_ns(block.t0_ns, block.ticks)[-1]),
        )
        if block.said:
            said = [*new.outlook.said, *block.said]
            new.outlook = dataclasses.replace(new.outlook, said=said)
        view = self._ingest.step(new, block)
        events += self._ramps.step(new.ramp_track, view, self._tones.open_now(new.tone_track))
        outcome = Outcome(events, [], [], [])
        if new.end_ns % NS_PER_S == 0:
            outcome = self._second(new, outcome)
        return new, outcome

    def finish(self, state: EngineState, quality: Quality) -> tuple[EngineState, Outcome]:
        """End of the stream: close the racks' partial window and whatever event is open."""
        new = copy.deepcopy(state)
        after_ns = new.end_ns + 1
        events = self._ramps.finish(new.ramp_track, after_ns, quality)
        events += self._tones.finish(new.tone_track, after_ns, quality)
        rest = {**self._windows.flush(new.windows)}
        if rest:
            rest["produced_ns"] = after_ns
        return new, Outcome(events, [rest] if rest else [], [], [])

    def to_host(self, state: EngineState) -> EngineState:
        """The same state with every array on the host: what a snapshot holds."""
        return moved(state, self.device.download)

    def to_device(self, state: EngineState) -> EngineState:
        """The same state with its arrays on the device."""
        return moved(state, self.device.upload)

    def _second(self, state: EngineState, outcome: Outcome) -> Outcome:
        for name in ("tone_track", "windows"):
            setattr(state, name, copy.deepcopy(getattr(state, name)))
        parts = {k: np.concatenate([p[k] for p in state.pending], axis=1) for k in state.pending[0]}
        state.pending = []
        second = self._stats(state, parts)
        self._thresholds(state, parts)
        looks, bands = self._spectra.step(state, parts)
        events = outcome.events + self._tones.step(
            state.tone_track, looks, state.reference_w, state.end_ns
        )
        for event in events[len(outcome.events) :]:
            swing_w = event.amplitude_w or 0.0
            if event.state in ("open", "update"):
                events += self._ramps.absorb(
                    state.ramp_track, event.event_id, swing_w, state.end_ns
                )
        windows = self._windows.step(state.windows, second)
        top = self.layout.top
        factor = self._coincidence(state, second)
        extra = {
            "reference_w": state.reference_w,
            "synchrony": float(parts["synchrony"][top].max()) or None,
            "coincidence_factor": factor,
            "diversity_factor": 1 / factor if factor else None,
            "warming": state.warming,
        }
        row = site_state(self.layout, state.windows, second, bands, extra)
        poi = Poi(parts["node_w"][top], parts["share"][top], state.reference_w, state.end_ns)
        state.outlook, forecasts = self._outlook.step(state.outlook, poi)
        newest = {(event.event_id, event.updated_ns): event for event in events}
        return Outcome(list(newest.values()), windows, [row], forecasts)

    def _stats(self, state: EngineState, parts: dict[str, Any]) -> Second:
        """Mean, least and greatest of every node: own channel at full rate, sums at tick rate."""
        node_w, share = parts["node_w"], parts["share"]
        known = share > 0
        stats = seconds.second_stats(node_w, known, samples_per_second=node_w.shape[1])
        mean_w, min_w, max_w = (np.array(s[:, 0]) for s in stats[:3])
        valid = _mean(share)
        for grid in self.layout.grids:
            x, v = parts[f"x:{grid.level}"], parts[f"v:{grid.level}"]
            own = seconds.second_stats(x, v, samples_per_second=grid.rate)
            rows, here = self.layout.own_meters[grid.level]
            mean_w[rows], min_w[rows], max_w[rows] = (s[here, 0] for s in own[:3])
            valid[rows] = own[3][here, 0] / grid.rate
        rise_w = np.maximum(parts["second_w"].max(axis=1), 0.0)
        fall_w = np.maximum((-parts["second_w"]).max(axis=1), 0.0)
        return Second(state.end_ns, mean_w, min_w, max_w, rise_w, fall_w, valid)

    def _thresholds(self, state: EngineState, parts: dict[str, Any]) -> None:
        """Next second's thresholds from the noise learned so far and the site's size."""
        layout, detect = self.layout, self.detect
        leaf_w, rate = parts[f"x:{layout.leaf_grid.level}"], layout.leaf_grid.rate
        stats = seconds.second_stats(leaf_w, np.ones_like(leaf_w, bool), samples_per_second=rate)
        if layout.nodes[layout.top].rating_w is None:
            state.reference_w = max(state.reference_w, _total(np.abs(stats[0][:, 0])))
        xp = array_namespace(state.peak_w)
        lags, watched = len(self._ingest.lags), len(layout.watched)
        state.busy_s = xp.where(state.busy, state.busy_s + 1, xp.zeros_like(state.busy_s))
        teaches = ~state.busy | (state.busy_s > BUSY_S)
        teaches = teaches & (not state.tone_track.open)
        quiet = xp.reshape(xp.broadcast_to(teaches[None, :], (lags, watched)), (-1, 1))
        leaf_keep = xp.ones((len(layout.leaves), 1), dtype=xp.bool)
        keep = xp.concat([quiet, leaf_keep], axis=0) & (state.peak_w >= 0)
        scale_w, state.noise = noise.noise_scale(state.peak_w, keep, state.noise)
        scale_w = xp.where(state.noise.warm_s >= detect.warm_s, scale_w[:, 0], xp.inf)
        nodes_w = xp.reshape(scale_w[: lags * watched], (lags, watched))
        floor_w = np.maximum(self._floor_share * state.reference_w, 1e-9)
        floor_w = self.device.upload(floor_w)[None, :]
        state.threshold_w = xp.maximum(detect.ramp_factor * nodes_w, floor_w)
        mean_w = np.abs(stats[0][:, 0]) * detect.moved_floor_share
        moved_w = xp.maximum(
            detect.moved_factor * scale_w[lags * watched :], self.device.upload(mean_w + 1e-9)
        )
        state.moved_threshold_w = moved_w
        warm = self.device.download(state.noise.warm_s)[lags * watched :] >= detect.warm_s
        state.warming = int(np.count_nonzero(~warm))
        state.peak_w, state.busy = xp.zeros_like(state.peak_w) - 1.0, state.busy & False

    def _coincidence(self, state: EngineState, second: Second) -> float:
        leaves = self.layout.leaves
        rows = self.layout.channel_nodes[leaves.start : leaves.stop]
        x = self.device.upload(second.mean_w[rows][:, None])
        v = self.device.upload(second.share[rows][:, None] > 0)
        factor, state.diversity = diversity.coincidence_factor(x, v, state.diversity)
        return float(self.device.download(factor)[0, 0])


def _mean(values: Any) -> Any:
    total = np.zeros(values.shape[0])
    for k in range(values.shape[1]):
        total = total + values[:, k]
    return total / values.shape[1]


def _total(values: Any) -> float:
    return float(np.add.reduce(np.ascontiguousarray(values)))
