"""One site's frames to events, windows, state and forecasts: no clock, no I/O, live and replay."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from operators import diversity, noise
from operators._arrays import narrow
from pipeline.align_state import Block
from pipeline.bands import NodeBands
from pipeline.causes import Causes
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState, Outcome, moved
from pipeline.ingest import Ingest
from pipeline.layout import SiteLayout
from pipeline.load_loss import LoadLoss
from pipeline.load_loss_state import Metered
from pipeline.oscillation_events import OscillationEvents
from pipeline.oscillation_state import Looks
from pipeline.outlook import Outlook, Poi
from pipeline.ramp_events import RampEvents
from pipeline.ramp_state import RampView
from pipeline.second_stage import Second, Windows, second_stats, site_state
from pipeline.spectra import Spectra
from pipeline.step_state import BLOCK_S
from pipeline.together import Together
from schemas.events import Quality, SiteEvent
from schemas.units import NS_PER_S

__all__ = ["Engine"]

NOISE_S = 60
"""Seconds whose peaks say what a leaf usually moves."""


class Engine:
    """
    The detectors of one site in a fixed order.

    ``step(state, block) -> (state, outcome)``: the same blocks give the same answer, however
    the stream was cut. A block is part of a grid second, or some whole grid seconds at once.

    Parameters
    ----------
    layout, detect, device : SiteLayout, DetectSettings, ArrayDevice
        The site, the settings, where arrays live.
    report : bool
        False: events only; no windows, states and forecasts are made.
    """

    def __init__(
        self,
        layout: SiteLayout,
        detect: DetectSettings,
        device: ArrayDevice,
        *,
        report: bool = True,
    ) -> None:
        self.layout, self.detect, self.device, self._report = layout, detect, device, report
        self._kernels = device.kernels()
        self._ingest = Ingest(layout, detect, device)
        self._spectra = Spectra(layout, detect, device)
        self._ramps = RampEvents(layout, detect)
        self._losses, self._causes = LoadLoss(layout, detect), Causes(layout)
        self._tones = OscillationEvents(
            layout, detect, self._spectra.feeds, device, self._spectra.votes_least
        )
        self._bands = NodeBands(self._spectra.feeds, len(layout.nodes))
        self._windows = Windows(layout)
        self._together = Together(layout, device)
        self._outlook = Outlook(layout, detect)

    def start(self) -> EngineState:
        """The state before the first frame: nothing known, everything warming."""
        layout, up = self.layout, self.device.upload
        leaves = up(np.zeros((len(layout.leaves), 1)))
        return EngineState(
            **self._ingest.start(),
            noise=noise.start(leaves, memory_s=NOISE_S),
            peaks=[],
            known_s=np.zeros(len(layout.leaves), np.int16),
            diversity=diversity.start(leaves, window=self.detect.diversity_window_s),
            spectra=self._spectra.start(),
            pending=[],
            reference_w=layout.nodes[layout.top].rating_w or 0.0,
            warming=len(layout.channel_ids),
            end_ns=-1,
            ramp_track=self._ramps.start(),
            tone_track=self._tones.start(),
            windows=self._windows.start(),
            outlook=self._outlook.start(),
            losses=self._losses.start(),
            causes=self._causes.start(),
        )

    def step(self, state: EngineState, block: Block) -> tuple[EngineState, Outcome]:
        """Work off one block; the given state is not changed."""
        outcome = Outcome([], [], [], [])
        if block.restart:
            outcome.events.extend(self.finish(state, "gap")[1].events)
            state = self.start()
        new = dataclasses.replace(
            state,
            ramp_track=copy.deepcopy(state.ramp_track),
            tone_track=copy.deepcopy(state.tone_track),
            losses=copy.deepcopy(state.losses),
            causes=state.causes.copied(),
            windows=copy.copy(state.windows),
            steps=copy.copy(state.steps),
            pending=list(state.pending),
        )
        if block.said:
            said = [*new.outlook.said, *block.said]
            new.outlook = dataclasses.replace(new.outlook, said=said)
            self._losses.hear(new.losses, block.said)
            self._causes.hear(new.causes, block.said)
        for piece in block.cut(self.layout, BLOCK_S):
            self._piece(new, piece, outcome)
        return new, outcome

    def finish(self, state: EngineState, quality: Quality) -> tuple[EngineState, Outcome]:
        """End of the stream: close the racks' partial window and whatever event is open."""
        new = copy.deepcopy(state)
        after_ns = new.end_ns + 1
        events = self._ramps.finish(new.ramp_track, after_ns, quality)
        events = self._losses.finish(new.losses, events, after_ns, quality)
        events += self._tones.finish(new.tone_track, after_ns, quality)
        events = self._causes.stamped(new.causes, events)
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

    # ---- ticks

    def _piece(self, state: EngineState, piece: Block, outcome: Outcome) -> None:
        """Take one piece; whole seconds at once only while nothing moves."""
        if piece.ticks <= self.layout.ticks_per_s:
            self._ticks(state, piece, self._ingest.step(state, piece), outcome)
            return
        quiet = self._ingest.steps.quiet
        if quiet(state.steps) and not state.ramp_track.open:
            trial = dataclasses.replace(
                state, steps=copy.copy(state.steps), pending=list(state.pending)
            )
            view = self._ingest.step(trial, piece)
            if quiet(trial.steps):
                vars(state).update(vars(trial))
                self._ticks(state, piece, view, outcome)
                return
        for second in piece.cut(self.layout, 1):
            self._ticks(state, second, self._ingest.step(state, second), outcome)

    def _ticks(self, state: EngineState, piece: Block, view: RampView, outcome: Outcome) -> None:
        state.end_ns, told = int(view.tick_end_ns[-1]), len(outcome.events)
        open_now = self._tones.open_now(state.tone_track)
        ramps = self._ramps.step(state.ramp_track, view, open_now)
        metered = Metered.of(self.layout, piece)
        outcome.events.extend(self._losses.step(state.losses, view, metered, ramps))
        if state.end_ns % NS_PER_S == 0:
            self._seconds(state, outcome)
        self._ingest.forget(state)
        new = outcome.events[told:]
        if new or state.causes.open:
            outcome.events[told:] = self._causes.step(state.causes, view, new, state.end_ns)

    # ---- seconds

    def _seconds(self, state: EngineState, outcome: Outcome) -> None:
        """Close the whole grid seconds that are pending, one after the other."""
        parts, state.pending = _joined(state.pending), []
        per_s, last_ns = self.layout.ticks_per_s, state.end_ns
        whole = parts["node_w"].shape[1] // per_s
        cold, leaves_w = self._learn(state, parts), self._leaves(parts)
        self._ingest.steps.seconds(state.steps, whole)
        ends_ns = [last_ns - (whole - 1 - k) * NS_PER_S for k in range(whole)]
        told = second_stats(self.layout, parts, ends_ns, self._kernels) if self._report else []
        told, state.diversity = self._together.step(state.diversity, told)
        seconds = self._spectra.seconds(state, parts, whole, last_ns, bands=self._report)
        for k, looks in enumerate(seconds):
            end_ns = ends_ns[k]
            if leaves_w is not None:
                state.reference_w = max(state.reference_w, _total(np.abs(leaves_w[:, k])))
            ahead = (whole - 1 - k) * per_s
            self._ingest.steps.close(state.steps, end_ns, ahead, state.reference_w)
            known = bool((state.steps.sigma_w > 0).all())
            state.warming = int(cold[k]) if known else len(self.layout.leaves)
            events = self._tones_of(state, looks, end_ns)
            newest = {(event.event_id, event.updated_ns): event for event in events}
            outcome.events.extend(newest.values())
            if told:
                ticks = slice(k * per_s, (k + 1) * per_s)
                top = (parts[name][self.layout.top, ticks] for name in ("node_w", "share"))
                self._tell(state, told[k], (*top,), looks, outcome)

    def _leaves(self, parts: dict[str, Any]) -> Any:
        """Means of the leaves, (leaf, second) W, where the site's rating is not known."""
        known = self.layout.nodes[self.layout.top].rating_w is not None
        return None if known else self._means(parts[f"x:{self.layout.leaf_grid.level}"])

    def _means(self, x_w: Any) -> Any:
        """Of each leaf and second, whatever was measured; (leaf, second) W."""
        rate, all_ = self.layout.leaf_grid.rate, np.ones_like(x_w, bool)
        return self._kernels.frame_means(x_w, all_, samples_per_frame=rate)[0]

    def _learn(self, state: EngineState, parts: dict[str, Any]) -> Any:
        """What a leaf usually moves within a second; how many leaves are not warm, (second,)."""
        detect, up, kernels = self.detect, self.device.upload, self._kernels
        peak_w, grid = parts["peak_w"], self.layout.leaf_grid
        known = peak_w >= 0
        known_s = state.known_s[:, None] + np.add.accumulate(known, axis=1, dtype=np.int16)
        cold = np.count_nonzero(known_s < detect.warm_s, axis=0)
        state.known_s = np.minimum(known_s[:, -1], NOISE_S)
        state.peaks = [*state.peaks, *np.ascontiguousarray(narrow(peak_w).T)]
        if state.end_ns // NS_PER_S % BLOCK_S == 0:
            latest_w, state.peaks = np.stack(state.peaks, axis=1), []
            state.noise = kernels.remember(up(latest_w), up(latest_w >= 0), state.noise)
            scale_w = self.device.download(kernels.noise_scale(state.noise))
            scale_w = np.where(state.known_s >= detect.warm_s, scale_w, np.inf)
            mean_w = self._means(parts[f"x:{grid.level}"][:, -grid.rate :])[:, 0]
            floor_w = np.abs(mean_w) * detect.moved_floor_share + 1e-9
            state.moved_threshold_w = up(np.maximum(detect.moved_factor * scale_w, floor_w))
        return cold

    def _tones_of(self, state: EngineState, looks: Looks, end_ns: int) -> list[SiteEvent]:
        events = self._tones.step(state.tone_track, looks, state.reference_w, end_ns)
        for event in list(events):
            if event.state in ("open", "update"):
                gone = self._ramps.absorb(state.ramp_track, event, end_ns)
                events += self._losses.own(state.losses, gone)
            elif event.merged_into is None:
                self._spectra.hush(state, event)
        if state.tone_track.open:
            self._ingest.steps.disturb(state.steps)
        return events

    def _tell(
        self,
        state: EngineState,
        second: Second,
        top: tuple[Any, Any],
        looks: Looks,
        outcome: Outcome,
    ) -> None:
        """Windows, state and forecasts of one second; ``top``: the POI's ticks and shares."""
        bands = self._spectra.bands.step(state, looks)
        second = second._replace(bands_w=self._bands.step(looks, second.share))
        outcome.windows.extend(self._windows.step(state.windows, second))
        extra = {
            "reference_w": state.reference_w,
            "synchrony": float(second.synchrony[self.layout.top]) or None,
            **second.together,
            "unison": self._tones.unison(state.tone_track),
            "warming": state.warming,
        }
        outcome.states.append(site_state(self.layout, state.windows, second, bands, extra))
        poi = Poi(*top, state.reference_w, second.end_ns)
        state.outlook, forecasts = self._outlook.step(state.outlook, poi)
        outcome.forecasts.extend(forecasts)


def _joined(pending: list[dict[str, Any]]) -> dict[str, Any]:
    """Frames that are a second, or some, as one; one frame is that itself."""
    if len(pending) == 1:
        return pending[0]
    joined = {k: np.concatenate([p[k] for p in pending], axis=1) for k in pending[0]}
    joined["peak_w"] = joined["peak_w"].max(axis=1, keepdims=True)
    return joined


def _total(values: Any) -> float:
    return float(np.add.reduce(np.ascontiguousarray(values)))
