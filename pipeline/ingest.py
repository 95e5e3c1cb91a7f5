"""What happens to every frame: tick means, differences, sums up the tree, triggers, votes."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from operators import noise, ramps, seconds, segments, synchrony, trigger
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.ramp_state import RampView

__all__ = ["Ingest"]


class Ingest:
    """The frame stage of one site, on the device; one download a block."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        per_s = layout.ticks_per_s
        self.lags = tuple(sorted({per_s, *(max(round(s * per_s), 1) for s in detect.lags_s)}))
        self._hold = max(round(detect.ramp_hold_s * per_s), 1)
        self._second_lag = self.lags.index(per_s)
        self._plans = [self._on_device(p) for p in layout.sum_plans]
        self._leaf_plans = [self._on_device(p) for p in layout.leaf_plans]
        self._watched = device.upload(np.array(layout.watched, dtype=np.int64))
        self._counts = device.upload(layout.counts)[:, None]

    def _on_device(self, plan: segments.Segments) -> segments.Segments:
        return segments.to_namespace(plan, self.device.upload(np.zeros(1)))

    def start(self) -> dict[str, Any]:
        """The frame stage's fields of the state before the first frame."""
        layout, up = self.layout, self.device.upload
        watched, leaves = len(layout.watched), len(layout.leaves)
        rows = up(np.zeros((len(self.lags) * watched + leaves, 1)))
        return {
            "ramp": ramps.start(up(np.zeros((len(layout.channel_ids), 1))), lags=self.lags),
            "sustained": ramps.start_sustained(rows[:-leaves, :], ticks=self._hold),
            "noise": noise.start(rows),
            "up": up(np.zeros(watched, bool)),
            "down": up(np.zeros(watched, bool)),
            "threshold_w": up(np.full((len(self.lags), watched), np.inf)),
            "moved_threshold_w": up(np.full(leaves, np.inf)),
            "peak_w": rows - 1.0,
            "busy": up(np.zeros(watched, bool)),
            "busy_s": up(np.zeros(watched, np.int64)),
        }

    def step(self, state: EngineState, block: Block) -> RampView:
        """Take one block into ``state`` (the caller's own copy); the ramp statistics it gives."""
        before_w = state.ramp.tail_w
        mean_w, ok = self._tick_means(state, block)
        diff_w, both, state.ramp = ramps.differences(mean_w, ok, state.ramp, lags=self.lags)
        node_diff_w = self._sum(diff_w, self._plans)
        xp = array_namespace(diff_w)
        share = self._sum(xp.astype(ok, xp.float64), self._plans) / self._counts
        node_ok = self._sum(xp.astype(both, xp.float64), self._plans) > 0
        trigger_view = self._triggers(state, node_diff_w, node_ok)
        leaf_w, nodes_w, count = self._votes(state, diff_w, both)
        together = synchrony.synchrony(*nodes_w)
        enough = count >= self.detect.synchrony_channels
        self._learn(state, (node_diff_w, node_ok), (diff_w, both), trigger_view[0])
        home = self.device.download
        state.pending.append(
            {
                **{f"x:{level}": x for level, x in block.power_w.items()},
                **{f"v:{level}": v for level, v in block.valid.items()},
                "node_w": home(self._sum(mean_w, self._plans)),
                "share": home(share),
                "second_w": home(node_diff_w[self._second_lag, ...]),
                "synchrony": home(xp.where(enough, together, xp.zeros_like(together))),
                "kept": self._kept(block)[:, None],
            }
        )
        active, ratio, lag, moved_w, leaves_w = (
            np.stack([home(up), home(down)]) for up, down in (*trigger_view, nodes_w, leaf_w)
        )
        return RampView(
            self.layout.tick_ends_ns(block.t0_ns, block.ticks),
            active,
            ratio,
            lag,
            home(state.threshold_w),
            home(node_diff_w),
            moved_w,
            leaves_w,
            np.concatenate([home(before_w), home(mean_w)], axis=1),
            home(share),
        )

    def _triggers(self, state: EngineState, node_diff_w: Any, node_ok: Any) -> tuple[Any, Any, Any]:
        """Active, ratio and lag of the watched nodes, each as (up, down)."""
        xp = array_namespace(node_diff_w)
        watched_w, watched_ok = (xp.take(a, self._watched, axis=1) for a in (node_diff_w, node_ok))
        shape = watched_w.shape
        rows_w = xp.reshape(watched_w, (shape[0] * shape[1], shape[2]))
        up_w, down_w, state.sustained = ramps.sustained(rows_w, state.sustained, ticks=self._hold)
        lasting_w = xp.reshape(up_w + down_w, shape)
        up, down, up_lag, down_lag = trigger.ramp_ratio(lasting_w, watched_ok, state.threshold_w)
        limits = {"threshold_on": 1.0, "threshold_off": self.detect.ramp_off}
        rising, state.up = trigger.two_threshold(up, state.up, **limits)
        falling, state.down = trigger.two_threshold(down, state.down, **limits)
        return (rising, falling), (up, down), (up_lag, down_lag)

    def _votes(self, state: EngineState, diff_w: Any, both: Any) -> tuple[Any, Any, Any]:
        """Depth of the leaves that moved within a second; sums of it and their count by node."""
        xp, leaves = array_namespace(diff_w), self.layout.leaves
        second_w = diff_w[self._second_lag, leaves.start : leaves.stop, :]
        second_ok = both[self._second_lag, leaves.start : leaves.stop, :]
        up_w, down_w, up_n, down_n = synchrony.moved(second_w, second_ok, state.moved_threshold_w)
        before = xp.zeros_like(diff_w[0, : leaves.start, :])
        after = xp.zeros_like(diff_w[0, leaves.stop :, :])
        nodes_up_w, nodes_down_w, count = (
            self._sum(xp.concat([before, moved, after], axis=0), self._leaf_plans)
            for moved in (up_w, down_w, up_n + down_n)
        )
        return (up_w, down_w), (nodes_up_w, nodes_down_w), count

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

    def _learn(
        self, state: EngineState, nodes: tuple[Any, Any], channels: tuple[Any, Any], busy: Any
    ) -> None:
        """
        Remember the second's largest differences, and where an event keeps it from teaching.

        ``nodes`` and ``channels`` are differences (lag, row, time) and whether both ends were
        measured. A row in which nothing was measured all second stays at -1.
        """
        xp, leaves = array_namespace(nodes[0]), self.layout.leaves
        watched_w, watched_ok = (xp.take(a, self._watched, axis=1) for a in nodes)
        lags, watched, ticks = watched_w.shape
        leaf_w, leaf_ok = (a[self._second_lag, leaves.start : leaves.stop, :] for a in channels)
        size_w = [xp.abs(xp.reshape(watched_w, (lags * watched, ticks))), xp.abs(leaf_w)]
        ok = [xp.reshape(watched_ok, (lags * watched, ticks)), leaf_ok]
        size_w = xp.where(xp.concat(ok, axis=0), xp.concat(size_w, axis=0), -1.0)
        state.peak_w = xp.maximum(state.peak_w, xp.max(size_w, axis=-1, keepdims=True))
        state.busy = state.busy | xp.any(busy[0] | busy[1], axis=-1)
