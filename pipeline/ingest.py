"""What happens to every frame: tick means, masked differences, sums up the tree, votes."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import ramps, seconds, segments
from operators._arrays import namespace, widen
from operators.kernels import FramePlan, Tree, tree
from operators.kernels.reference import up_the_tree
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.history import LEAF_S, Ticks, forget, later, newest, recent
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
        self._kernels = device.kernels()
        self.steps = StepStage(layout, detect, self._kernels)
        self._per_s = layout.ticks_per_s
        self._half = max(self._per_s // 2, 1)
        self._depth = HISTORY_S * layout.pace * self._per_s
        self._plan = self._planned()

    def _planned(self) -> FramePlan:
        """The site as the frame kernel reads it, its tables on the device."""
        layout, up = self.layout, self.device.upload
        like, leaves = up(np.zeros(1)), layout.leaves
        levels, leaf_levels = (
            tuple(segments.to_namespace(plan, like) for plan in plans)
            for plans in (layout.sum_plans, layout.leaf_plans)
        )
        trees = [
            Tree(*(up(table) for table in tree(plans)))
            for plans in (layout.sum_plans, layout.leaf_plans)
        ]
        return FramePlan(
            trees[0], levels, trees[1], leaf_levels, up(layout.counts),
            up(np.array(layout.watched, np.int64)), (leaves.start, leaves.stop), self._per_s,
            float(self.detect.synchrony_channels),
        )  # fmt: skip

    def start(self) -> dict[str, Any]:
        """The frame stage's fields of the state before the first frame."""
        layout, up = self.layout, self.device.upload
        rows = up(np.zeros((len(layout.channel_ids), 1), np.float32))
        return {
            "history": [Ticks(*ramps.start(rows, tail=self._depth))],
            "moved_threshold_w": up(np.full(len(layout.leaves), np.inf)),
            "steps": self.steps.start(),
        }

    def step(self, state: EngineState, block: Block) -> RampView:
        """Take one block into ``state`` (the caller's own copy); the ramp statistics it gives."""
        mean_w, ok = self._tick_means(state, block)
        before, home, new = state.history, self.device.download, Ticks(mean_w, ok)
        past = newest(before, self._per_s)
        frame = self._kernels.frame(mean_w, ok, past, state.moved_threshold_w, self._plan)
        state.history = later(before, new, self._per_s)
        found = self.steps.frame(state.steps, home(frame.moved_w), home(frame.moved_ok))
        state.pending.append(
            {
                **{f"x:{level}": x for level, x in block.power_w.items()},
                **{f"v:{level}": v for level, v in block.valid.items()},
                "node_w": home(frame.node_w),
                "share": home(frame.share),
                "second_w": home(frame.second_w),
                "peak_w": home(frame.peak_w),
                "synchrony": home(frame.synchrony),
                "kept": self._kept(block)[:, None],
            }
        )
        return RampView(
            self.layout.tick_ends_ns(block.t0_ns, block.ticks),
            found,
            state.pending[-1]["node_w"],
            state.pending[-1]["share"],
            self._mover(before, new),
            home(state.moved_threshold_w),
            state.reference_w,
        )

    def forget(self, state: EngineState) -> None:
        """Let go of ticks that nobody will ask for any more, at the end of a block."""
        depth = max(self._depth + self._per_s, LEAF_S * self._per_s)
        state.history = recent(state.history, self._per_s, depth)

    def _mover(self, before: list[Ticks], now: Ticks) -> Any:
        """Answers how far everything moved between two stretches; nothing is computed unasked."""
        reach, layout, home = self._depth, self.layout, self.device.download

        def moved(first: int, onset: int, tick: int) -> Moved:
            xp = namespace(now.x_w)
            way_w, known = (
                xp.concat(list(pair), axis=-1)
                for pair in zip(newest(before, reach), now, strict=True)
            )
            way_w = widen(way_w)
            start = max(first + reach, 0)  # what is older than the history is taken from its begin
            old = slice(start, max(onset + reach, start + self._half))
            new = slice(max(tick + 1 - self._half, onset) + reach, tick + 1 + reach)
            (was_w, some), (is_w, any_now) = (_mean(way_w[:, s], known[:, s]) for s in (old, new))
            change_w = xp.where(some & any_now, is_w - was_w, xp.zeros_like(is_w))[:, None]
            node_w = home(up_the_tree(change_w, self._plan.levels))[:, 0]
            leaves = slice(layout.leaves.start, layout.leaves.stop)
            return Moved(
                node_w,
                home(change_w)[leaves, 0],
                home(was_w)[leaves],
                home(way_w)[leaves, old.start : new.stop],
                old.stop - old.start,
            )

        return moved

    def _tick_means(self, state: EngineState, block: Block) -> tuple[Any, Any]:
        """
        Tick means of all channels (channel, time), rounded to float32, as they are remembered.

        Samples come as float32, so that only means of several are rounded. Resets clear what
        would cross the gap.
        """
        means, valid = [], []
        for grid in self.layout.grids:
            x = self.device.upload(block.power_w[grid.level])
            v = self.device.upload(block.valid[grid.level])
            if grid.per_tick > 1:
                x, v = self._kernels.frame_means(x, v, samples_per_frame=grid.per_tick)
            means.append(x)
            valid.append(v if grid.votes else v & False)
        xp = namespace(means[0])
        if block.resets:
            kept = self.device.upload(self._kept(block)[:, None])
            state.history = forget(state.history, kept)
        means = [xp.astype(mean_w, xp.float32, copy=False) for mean_w in means]
        if len(means) == 1:
            return means[0], valid[0]
        return xp.concat(means, axis=0), xp.concat(valid, axis=0)

    def _kept(self, block: Block) -> Any:
        kept = [~block.resets.get(g.level, np.zeros(g.channels, bool)) for g in self.layout.grids]
        return np.concatenate(kept)


def _mean(x_w: Any, valid: Any) -> tuple[Any, Any]:
    """Mean of the valid cells of a stretch, and whether there is any; (channel,)."""
    mean_w, some = seconds.frame_means(x_w, valid, samples_per_frame=x_w.shape[-1])
    return mean_w[:, 0], some[:, 0]
