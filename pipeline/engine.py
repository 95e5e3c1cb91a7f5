"""One site's frames to events, windows, state and forecasts: no clock, no I/O, live and replay."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, NamedTuple, Protocol

import numpy as np
from array_api_compat import array_namespace

from operators import diversity, noise, oscillations, ramps, seconds, segments, synchrony, tones
from operators import trigger
from pipeline.align import Block
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.oscillation_events import Feed, Look, OscillationEvents, OscillationTrack
from pipeline.outlook import Outlook, OutlookState
from pipeline.ramp_events import RampEvents, RampTrack, RampView
from pipeline.second_stage import Bands, Second, Windows, WindowState, site_state
from schemas.events import Forecast, Quality, SiteEvent, SiteState
from schemas.units import NS_PER_S

SUM_SHARE = 0.5
"""A sum counts as measured while at least this share of its channels is."""
BUSY_S = 60
"""A node active for longer than this teaches again: no event lasts for ever."""

__all__ = ["ArrayDevice", "Engine", "EngineState", "Outcome"]


class ArrayDevice(Protocol):
    """Where arrays live: one copy up and one copy down per block."""

    def upload(self, array: Any) -> Any:
        """Host to device."""

    def download(self, array: Any) -> Any:
        """Device to host."""


class Outcome(NamedTuple):
    """All that one block produced; every row knows the end of the frame that made it."""

    events: list[SiteEvent]
    windows: list[dict[str, Any]]
    states: list[SiteState]
    forecasts: list[Forecast]


@dataclasses.dataclass
class EngineState:
    """One site's memory; arrays live on the device, the rest on the host."""

    ramp: ramps.RampState
    noise: noise.NoiseState
    up: Any
    down: Any
    threshold_w: Any
    moved_threshold_w: Any
    peak_w: Any
    busy: Any
    busy_s: Any
    diversity: diversity.DiversityState
    spectra: dict[str, oscillations.OscillationState]
    pending: list[dict[str, Any]]
    reference_w: float
    warming: int
    gap_cells: int
    end_ns: int
    ramp_track: RampTrack
    tone_track: OscillationTrack
    windows: WindowState
    outlook: OutlookState


class Engine:
    """
    The detectors of one site in a fixed order.

    ``step(state, block) -> (state, outcome)``: the same blocks give the same answer, however
    the stream was cut, since blocks never cross a grid second and operators do not mind.
    """

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        per_s = layout.ticks_per_s
        self._lags = tuple(sorted({max(round(s * per_s), 1) for s in detect.lags_s}))
        self._second_lag = self._lags.index(per_s)
        self._plans = [self._on_device(p) for p in layout.sum_plans]
        self._leaf_plans = [self._on_device(p) for p in layout.leaf_plans]
        self._watched = device.upload(np.array(layout.watched, dtype=np.int64))
        self._counts = device.upload(layout.counts)[:, None]
        self._designs, self._feeds, self._feed_rows = self._plan_feeds()
        self._ramps = RampEvents(layout, detect, self._lags)
        self._tones = OscillationEvents(layout, detect, self._feeds)
        self._windows = Windows(layout)
        self._outlook = Outlook(layout, detect)

    def _on_device(self, plan: segments.Segments) -> segments.Segments:
        return segments.to_namespace(plan, self.device.upload(np.zeros(1)))

    def _plan_feeds(self) -> tuple[dict[str, Any], tuple[Feed, ...], dict[str, Any]]:
        """Spectra: channels of PDUs and above (all of a small site), and nodes that are sums."""
        layout, feeds, designs, rows_of = self.layout, [], {}, {}
        owner = {c: row for row, node in enumerate(layout.nodes) for c in node.channels}
        window_s = self.detect.oscillation_window_s
        for grid in layout.grids:
            if not grid.votes or grid.rate < 2 or not (layout.small or grid.level != "rack"):
                continue
            designs[grid.level] = oscillations.design(grid.rate, window_s=window_s)
            rows = range(*layout.level_rows[grid.level].indices(len(layout.channel_ids)))
            names = tuple(layout.channel_ids[i] for i in rows)
            nodes = tuple(owner[i] for i in rows)
            freq_hz = designs[grid.level].freq_hz
            feeds.append(Feed(grid.level, float(grid.rate), nodes, names, freq_hz))
        if layout.summed and layout.ticks_per_s >= 2:
            designs["sums"] = oscillations.design(layout.ticks_per_s, window_s=window_s)
            freq_hz = designs["sums"].freq_hz
            none = (None,) * len(layout.summed)
            feeds.append(Feed("sums", float(layout.ticks_per_s), layout.summed, none, freq_hz))
            rows_of["sums"] = self.device.upload(np.array(layout.summed, dtype=np.int64))
        return designs, tuple(feeds), rows_of

    def start(self) -> EngineState:
        """The state before the first frame: nothing known, everything warming."""
        layout, up = self.layout, self.device.upload
        channels, watched = len(layout.channel_ids), len(layout.watched)
        one = up(np.zeros((channels, 1)))
        noise_rows = len(self._lags) * watched + len(layout.leaves)
        never = np.full((len(self._lags), watched), np.inf)
        second = {f.name: up(np.zeros((len(f.nodes), 1))) for f in self._feeds}
        return EngineState(
            ramp=ramps.start(one, lags=self._lags),
            noise=noise.start(up(np.zeros((noise_rows, 1)))),
            up=up(np.zeros(watched, bool)),
            down=up(np.zeros(watched, bool)),
            threshold_w=up(never),
            moved_threshold_w=up(np.full(len(layout.leaves), np.inf)),
            peak_w=up(np.zeros((noise_rows, 1))),
            busy=up(np.zeros(watched, bool)),
            busy_s=up(np.zeros(watched, np.int64)),
            diversity=diversity.start(
                up(np.zeros((len(layout.leaves), 1))), window=self.detect.diversity_window_s
            ),
            spectra={
                name: oscillations.start(
                    second[name], design=design, until_hop=round(design.rate_hz)
                )
                for name, design in self._designs.items()
            },
            pending=[],
            reference_w=layout.nodes[layout.top].rating_w or 0.0,
            warming=len(layout.channel_ids),
            gap_cells=0,
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
            end_ns=block.t0_ns + block.ticks * self.layout.tick_ns,
        )
        events += self._ingest(new, block)
        outcome = Outcome(events, [], [], [])
        if new.end_ns % NS_PER_S >= NS_PER_S - self.layout.ticks_per_s or not new.end_ns % NS_PER_S:
            new.end_ns = -(-new.end_ns // NS_PER_S) * NS_PER_S
            outcome = self._second(new, outcome)
        return new, outcome

    def finish(self, state: EngineState, quality: Quality) -> tuple[EngineState, Outcome]:
        """End of the stream: close the racks' partial window and whatever event is open."""
        new = copy.deepcopy(state)
        after_ns = new.end_ns + 1
        events = self._ramps.finish(new.ramp_track, after_ns, quality)
        events += self._tones.finish(new.tone_track, after_ns, quality)
        rest = self._windows.flush(new.windows)
        return new, Outcome(events, [rest] if rest else [], [], [])

    def to_host(self, state: EngineState) -> EngineState:
        """The same state with every array on the host: what a snapshot holds."""
        return _moved(state, self.device.download)

    def to_device(self, state: EngineState) -> EngineState:
        """The same state with its arrays on the device."""
        return _moved(state, self.device.upload)

    # ---- every frame

    def _ingest(self, state: EngineState, block: Block) -> list[SiteEvent]:
        mean_w, ok = self._tick_means(state, block)
        before_w = state.ramp.tail_w
        diff_w, both, state.ramp = ramps.differences(mean_w, ok, state.ramp, lags=self._lags)
        xp = array_namespace(diff_w)
        node_diff_w = self._sum(diff_w, self._plans)
        node_ok = self._sum(xp.astype(both, xp.float64), self._plans) > 0
        node_w = self._sum(mean_w, self._plans)
        share = self._sum(xp.astype(ok, xp.float64), self._plans) / self._counts
        watched_w, watched_ok = (xp.take(a, self._watched, axis=1) for a in (node_diff_w, node_ok))
        up, down, up_lag, down_lag = trigger.ramp_ratio(watched_w, watched_ok, state.threshold_w)
        off = self.detect.ramp_off
        rising, state.up = trigger.two_threshold(up, state.up, threshold_on=1.0, threshold_off=off)
        falling, state.down = trigger.two_threshold(
            down, state.down, threshold_on=1.0, threshold_off=off
        )
        leaves = len(self.layout.leaves)
        second_w, second_ok = diff_w[self._second_lag, ...], both[self._second_lag, ...]
        moved = synchrony.moved(
            second_w[:leaves, :], second_ok[:leaves, :], state.moved_threshold_w
        )
        rest = xp.zeros((diff_w.shape[1] - leaves, diff_w.shape[2]), dtype=diff_w.dtype)
        nodes_moved = [self._sum(xp.concat([m, rest], axis=0), self._leaf_plans) for m in moved]
        self._learn(state, watched_w, second_w[:leaves, :], rising | falling)
        down_here = self.device.download
        state.pending.append(
            {
                **{f"x:{level}": x for level, x in block.power_w.items()},
                **{f"v:{level}": v for level, v in block.valid.items()},
                "node_w": down_here(node_w),
                "share": down_here(share),
                "second_w": down_here(node_diff_w[self._second_lag, ...]),
                "synchrony": down_here(synchrony.synchrony(*nodes_moved[:2])),
                "kept": self._kept(block)[:, None],
            }
        )
        ends = block.t0_ns + self.layout.tick_ns * np.arange(1, block.ticks + 1, dtype=np.int64)
        ends = np.where(ends % NS_PER_S >= NS_PER_S - self.layout.ticks_per_s, -(-ends // NS_PER_S) * NS_PER_S, ends)
        view = RampView(
            ends,
            np.stack([down_here(rising), down_here(falling)]),
            np.stack([down_here(up), down_here(down)]),
            np.stack([down_here(up_lag), down_here(down_lag)]),
            down_here(node_diff_w),
            np.stack([down_here(nodes_moved[0]), down_here(nodes_moved[1])]),
            np.stack([down_here(nodes_moved[2]), down_here(nodes_moved[3])]),
            np.stack([down_here(moved[0]), down_here(moved[1])]),
            np.concatenate([down_here(before_w), down_here(mean_w)], axis=1),
            down_here(share),
        )
        return self._ramps.step(state.ramp_track, view, self._tones.open_now(state.tone_track))

    def _tick_means(self, state: EngineState, block: Block) -> tuple[Any, Any]:
        """Tick means of all channels (channel, time); resets clear what would cross the gap."""
        means, valid = [], []
        for grid in self.layout.grids:
            x = self.device.upload(block.power_w[grid.level])
            v = self.device.upload(block.valid[grid.level])
            mean_w, ok = seconds.frame_means(x, v, samples_per_frame=grid.per_tick)
            means.append(mean_w)
            valid.append(ok if grid.votes else ok & False)
        xp = array_namespace(means[0])
        if block.resets:
            state.ramp = state.ramp._replace(
                tail_valid=state.ramp.tail_valid & self.device.upload(self._kept(block)[:, None])
            )
        return xp.concat(means, axis=0), xp.concat(valid, axis=0)

    def _kept(self, block: Block) -> Any:
        kept = [~block.resets.get(g.level, np.zeros(g.channels, bool)) for g in self.layout.grids]
        return np.concatenate(kept)

    def _sum(self, x: Any, plans: list[segments.Segments]) -> Any:
        """Channel rows (…, channel, time) to node rows, level by level, float64."""
        xp = array_namespace(x)
        channels = x.shape[-2]
        for plan in plans:
            x = xp.concat([x, segments.segment_sums(x, plan)], axis=-2)
        return x[..., channels:, :]

    def _learn(self, state: EngineState, watched_w: Any, leaf_w: Any, busy: Any) -> None:
        """Remember the second's largest differences, and where an event keeps it from teaching."""
        xp = array_namespace(watched_w)
        lags, watched, ticks = watched_w.shape
        rows = xp.concat([xp.reshape(watched_w, (lags * watched, ticks)), leaf_w], axis=0)
        peak = xp.max(xp.abs(rows), axis=-1, keepdims=True)
        state.peak_w = xp.maximum(state.peak_w, peak)
        state.busy = state.busy | xp.any(busy, axis=-1)

    # ---- every second

    def _second(self, state: EngineState, outcome: Outcome) -> Outcome:
        for name in ("tone_track", "windows", "outlook"):
            setattr(state, name, copy.deepcopy(getattr(state, name)))
        parts = {k: np.concatenate([p[k] for p in state.pending], axis=1) for k in state.pending[0]}
        state.pending = []
        second = self._stats(state, parts)
        self._thresholds(state, parts)
        looks, bands = self._spectra(state, parts)
        events = outcome.events + self._tones.step(state.tone_track, looks, state.end_ns)
        for event in events[len(outcome.events) :]:
            swing_w = event.amplitude_w or 0.0
            if event.state in ("open", "update"):
                events += self._ramps.absorb(state.ramp_track, event.event_id, swing_w, state.end_ns)
        windows = self._windows.step(state.windows, second)
        top = self.layout.top
        share = float(second.share[top])
        factor = self._coincidence(state, second)
        extra = {
            "reference_w": state.reference_w,
            "synchrony": float(parts["synchrony"][top].max()),
            "coincidence_factor": factor,
            "diversity_factor": 1 / factor if factor else None,
            "warming": state.warming,
        }
        row = site_state(self.layout, state.windows, second, bands, extra)
        forecasts = self._outlook.step(
            state.outlook, float(second.mean_w[top]), share, state.end_ns
        )
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
            first = self.layout.level_rows[grid.level].start
            for row, node in enumerate(self.layout.nodes):
                if len(node.channels) == 1 and first <= node.channels[0] < first + grid.channels:
                    here = node.channels[0] - first
                    mean_w[row], min_w[row], max_w[row] = (s[here, 0] for s in own[:3])
                    valid[row] = own[3][here, 0] * grid.stride / grid.rate
        rise_w = np.maximum(parts["second_w"].max(axis=1), 0.0)
        fall_w = np.maximum((-parts["second_w"]).max(axis=1), 0.0)
        return Second(state.end_ns, mean_w, min_w, max_w, rise_w, fall_w, valid)

    def _thresholds(self, state: EngineState, parts: dict[str, Any]) -> None:
        """Next second's thresholds from the noise learned so far and the site's size."""
        layout, detect = self.layout, self.detect
        leaf_w = parts[f"x:{layout.grids[0].level}"]
        rate = layout.grids[0].rate
        stats = seconds.second_stats(leaf_w, np.ones_like(leaf_w, bool), samples_per_second=rate)
        if layout.nodes[layout.top].rating_w is None:
            state.reference_w = max(state.reference_w, _total(np.abs(stats[0][:, 0])))
        xp = array_namespace(state.peak_w)
        lags, watched = len(self._lags), len(layout.watched)
        state.busy_s = xp.where(state.busy, state.busy_s + 1, xp.zeros_like(state.busy_s))
        teaches = ~state.busy | (state.busy_s > BUSY_S)
        quiet = xp.reshape(xp.broadcast_to(teaches[None, :], (lags, watched)), (-1, 1))
        leaf_keep = xp.ones((len(layout.leaves), 1), dtype=xp.bool)
        keep = xp.concat([quiet, leaf_keep], axis=0) & (state.peak_w > 0)
        scale_w, state.noise = noise.noise_scale(state.peak_w, keep, state.noise)
        scale_w = xp.where(state.noise.warm_s >= detect.warm_s, scale_w[:, 0], xp.inf)
        nodes_w = xp.reshape(scale_w[: lags * watched], (lags, watched))
        floor_w = detect.ramp_floor_share * state.reference_w
        state.threshold_w = xp.maximum(detect.ramp_factor * nodes_w, xp.asarray(max(floor_w, 1e-9)))
        mean_w = np.abs(stats[0][:, 0]) * detect.moved_floor_share
        moved_w = xp.maximum(
            detect.moved_factor * scale_w[lags * watched :], self.device.upload(mean_w + 1e-9)
        )
        state.moved_threshold_w = moved_w
        warm = self.device.download(state.noise.warm_s)[lags * watched :] >= detect.warm_s
        state.warming = int(np.count_nonzero(~warm))
        state.peak_w, state.busy = xp.zeros_like(state.peak_w), state.busy & False

    def _spectra(
        self, state: EngineState, parts: dict[str, Any]
    ) -> tuple[dict[str, Look], Bands | None]:
        looks, bands = {}, None
        spectra = dict(state.spectra)
        for feed in self._feeds:
            design = self._designs[feed.name]
            if feed.name == "sums":
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
            floor_w = self.detect.oscillation_floor_share * state.reference_w
            floors = self.device.upload(np.full(len(feed.nodes), floor_w))
            best = oscillations.peak(ratio, amplitude_w, floors)
            best_ratio, best_bin, best_w = (self.device.download(a)[:, 0] for a in best)
            looks[feed.name] = Look(
                best_ratio, best_bin, best_w, self._refiner(spectra[feed.name], feed.rate_hz)
            )
            if self.layout.top in feed.nodes:
                row = feed.nodes.index(self.layout.top)
                share = float(self.device.download(seen)[row, 0])
                line_w = self.device.download(amplitude_w[row, :, 0])
                bands = Bands(design.freq_hz, line_w, share >= design.valid_share)
        state.spectra = spectra
        return looks, bands

    def _refiner(self, spectrum: oscillations.OscillationState, rate_hz: float) -> Any:
        def refine(freq_hz: Any) -> tuple[Any, Any, Any]:
            guess = self.device.upload(freq_hz)
            found = tones.tone(spectrum.tail_w[:, 1:], guess, rate_hz=rate_hz)
            return tuple(self.device.download(a) for a in found)  # type: ignore[return-value]

        return refine

    def _coincidence(self, state: EngineState, second: Second) -> float:
        leaves = self.layout.leaves
        owner = {c: row for row, node in enumerate(self.layout.nodes) for c in node.channels}
        rows = [owner[leaf] for leaf in leaves]
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


_ON_DEVICE = (
    "ramp", "noise", "up", "down", "threshold_w", "moved_threshold_w", "peak_w", "busy", "busy_s",
    "diversity",
)  # fmt: skip


def _moved(state: EngineState, move: Any) -> EngineState:
    def each(value: Any) -> Any:
        if isinstance(value, tuple):
            return type(value)(*(v if isinstance(v, int) else move(v) for v in value))  # type: ignore[call-arg]
        return move(value)

    spectra = {name: each(spectrum) for name, spectrum in state.spectra.items()}
    fields = {name: each(getattr(state, name)) for name in _ON_DEVICE}
    return dataclasses.replace(state, spectra=spectra, **fields)
