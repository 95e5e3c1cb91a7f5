"""What happens to every frame: tick means, masked differences, sums up the tree, votes."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from operators import ramps, seconds, segments, synchrony
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.layout import SiteLayout
from pipeline.ramp_state import Moved, RampView
from pipeline.step_stage import StepStage

__all__ = ["HISTORY_S", "Ingest"]

HISTORY_S = 12
"""How far back an event can ask who moved."""


class Ingest:
    """The frame stage of one site, on the device; one download a block."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, device: ArrayDevice) -> None:
        self.layout, self.detect, self.device = layout, detect, device
        self.steps = StepStage(layout, detect)
        self._per_s = layout.ticks_per_s
        self._plans = [self._on_device(p) for p in layout.sum_plans]
        self._leaf_plans = [self._on_device(p) for p in layout.leaf_plans]
        self._watched = list(layout.watched)
        self._counts = device.upload(layout.counts)[:, None]
        self._half = max(self._per_s // 2, 1)

    def _on_device(self, plan: segments.Segments) -> segments.Segments:
        return segments.to_namespace(plan, self.device.upload(np.zeros(1)))

    def start(self) -> dict[str, Any]:
        """The frame stage's fields of the state before the first frame."""
        layout, up = self.layout, self.device.upload
        rows = up(np.zeros((len(layout.channel_ids), 1)))
        return {
            "ramp": ramps.start(rows, tail=HISTORY_S * layout.pace * self._per_s),
            "moved_threshold_w": up(np.full(len(layout.leaves), np.inf)),
            "steps": self.steps.start(),
        }

    def step(self, state: EngineState, block: Block) -> RampView:
        """Take one block into ``state`` (the caller's own copy); the ramp statistics it gives."""
        mean_w, ok = self._tick_means(state, block)
        before = state.ramp
        lags = (1, self._per_s)
        diff_w, both, state.ramp = ramps.differences(mean_w, ok, before, lags=lags)
        xp, home = array_namespace(diff_w), self.device.download
        node_diff_w = self._sum(diff_w, self._plans)
        step_ok = self._sum(xp.astype(both[0, ...], xp.float64), self._plans) > 0
        share = self._sum(xp.astype(ok, xp.float64), self._plans) / self._counts
        moved_w, moved_ok = home(node_diff_w), home(step_ok)
        found = self.steps.frame(
            state.steps, moved_w[0, self._watched, :], moved_ok[self._watched, :]
        )
        leaves = self.layout.leaves
        leaf = (slice(1, 2), slice(leaves.start, leaves.stop))
        leaf_w, leaf_ok = diff_w[*leaf, :][0, ...], both[*leaf, :][0, ...]
        state.pending.append(
            {
                **{f"x:{level}": x for level, x in block.power_w.items()},
                **{f"v:{level}": v for level, v in block.valid.items()},
                "node_w": home(self._sum(mean_w, self._plans)),
                "share": home(share),
                "second_w": moved_w[1],
                "leaf_second_w": home(xp.where(leaf_ok, xp.abs(leaf_w), -xp.ones_like(leaf_w))),
                "synchrony": home(self._together(state, leaf_w, leaf_ok)),
                "kept": self._kept(block)[:, None],
            }
        )
        return RampView(
            self.layout.tick_ends_ns(block.t0_ns, block.ticks),
            found,
            state.pending[-1]["node_w"],
            state.pending[-1]["share"],
            self._mover(before, mean_w, ok),
            home(state.moved_threshold_w),
            state.reference_w,
        )

    def _mover(self, before: ramps.RampState, mean_w: Any, ok: Any) -> Any:
        """Answers how far everything moved between two stretches; nothing is computed unasked."""
        reach, layout, home = before.tail_w.shape[-1], self.layout, self.device.download

        def moved(first: int, onset: int, tick: int) -> Moved:
            xp = array_namespace(mean_w)
            way_w = xp.concat([before.tail_w, mean_w], axis=-1)
            known = xp.concat([before.tail_valid, ok], axis=-1)
            old = slice(max(first + reach, 0), onset + reach)
            new = slice(max(tick + 1 - self._half, onset) + reach, tick + 1 + reach)
            (was_w, some), (is_w, any_now) = (_mean(way_w[:, s], known[:, s]) for s in (old, new))
            change_w = xp.where(some & any_now, is_w - was_w, xp.zeros_like(is_w))[:, None]
            node_w = home(self._sum(change_w, self._plans))[:, 0]
            leaves = slice(layout.leaves.start, layout.leaves.stop)
            return Moved(
                node_w,
                home(change_w)[leaves, 0],
                home(was_w)[leaves],
                home(way_w)[leaves, old.start : new.stop],
            )

        return moved

    def _together(self, state: EngineState, leaf_w: Any, leaf_ok: Any) -> Any:
        """Synchrony of every node from the leaves that moved within a second; (node, time)."""
        xp, leaves = array_namespace(leaf_w), self.layout.leaves
        up_w, down_w, up_n, down_n = synchrony.moved(leaf_w, leaf_ok, state.moved_threshold_w)
        channels = len(self.layout.channel_ids)
        like = {"dtype": leaf_w.dtype, "device": device(leaf_w)}
        before = xp.zeros((leaves.start, leaf_w.shape[-1]), **like)
        after = xp.zeros((channels - leaves.stop, leaf_w.shape[-1]), **like)
        nodes_up_w, nodes_down_w, count = (
            self._sum(xp.concat([before, moved, after], axis=0), self._leaf_plans)
            for moved in (up_w, down_w, up_n + down_n)
        )
        together = synchrony.synchrony(nodes_up_w, nodes_down_w)
        enough = count >= self.detect.synchrony_channels
        return xp.where(enough, together, xp.zeros_like(together))

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


def _mean(x_w: Any, valid: Any) -> tuple[Any, Any]:
    """Mean of the valid cells of a stretch, and whether there is any; (channel,)."""
    mean_w, some = seconds.frame_means(x_w, valid, samples_per_frame=x_w.shape[-1])
    return mean_w[:, 0], some[:, 0]
