"""Who moved in a ramp: the node that holds it, the leaves that took part, how far together."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import budget
from pipeline.detect import DetectSettings
from pipeline.ingest import HISTORY_S
from pipeline.layout import SiteLayout
from pipeline.ramp_record import sign_of
from pipeline.ramp_state import OpenRamp, RampView

__all__ = ["Census"]

MAX_CHANNELS = 10_000
INSTANTS = 8
"""Seconds before the onset that tell how many leaves move by chance."""


class Census:
    """Asks once a second who took part in an open ramp."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._layout, self._detect = layout, detect
        self._per_s = layout.ticks_per_s
        self._reach = HISTORY_S * layout.pace * self._per_s

    def take(self, ramp: OpenRamp, view: RampView, k: int) -> None:
        """Who moved since before the onset; kept where the most power has moved."""
        layout, sign, tick_ns = self._layout, sign_of(ramp.direction), self._layout.tick_ns
        onset = k + 1 - round((int(view.tick_end_ns[k]) - ramp.onset_ns) / tick_ns)
        moved = view.moved(onset - ramp.onset_tick, onset, k)
        node_w, leaf_w = sign * moved.node_w, sign * moved.leaf_w
        top = layout.watched[ramp.watched]
        if node_w[top] <= ramp.moved_w:
            return
        ramp.moved_w, was = float(node_w[top]), ramp.node
        ramp.node = self.holder(node_w, top)
        below = layout.leaves_under(ramp.node) - layout.leaves.start
        if ramp.node != was or not ramp.usual:
            ramp.usual = self._usual(view, onset, below)
        least_w = np.maximum(view.leaf_scale_w, 1e-9)[below]
        mine_w = leaf_w[below]
        who = below[mine_w >= least_w]
        against = -mine_w >= least_w
        against_w = float(np.add.reduce(-mine_w[against]))
        ramp.channels = tuple(
            layout.channel_ids[layout.leaves.start + i] for i in who[:MAX_CHANNELS]
        )
        if not len(who):
            ramp.synchrony = 0.0
            return
        way_w = sign * moved.leaf_way_w[who]
        crossing = self._crossings(way_w, moved.before)
        together_w = _within_a_second(np.add.reduce(way_w, axis=0), self._per_s)
        low, high = np.sort(crossing)[[int(q * (len(who) - 1)) for q in (0.1, 0.9)]]
        ramp.spread_s = float(high - low) / self._per_s
        total_w = float(np.add.reduce(leaf_w[who])) + against_w
        ramp.synchrony = min(together_w / max(total_w, ramp.depth_w), 1.0)
        together = self._synchronized(ramp, len(who), len(below), int(against.sum()))
        ramp.kind = "synchronized_ramp" if together else "ramp"

    def _synchronized(self, ramp: OpenRamp, moved: int, of: int, against: int) -> bool:
        """Enough leaves, together, and more of them than chance moves."""
        detect = self._detect
        if moved < detect.synchrony_channels or ramp.synchrony < detect.synchrony_min:
            return False
        chance = budget.chance_together(moved, of, ramp.usual, against)
        return chance <= detect.synchrony_chance

    def _usual(self, view: RampView, onset: int, below: Any) -> tuple[int, ...]:
        """How many of these leaves rose, and fell, within each second before the onset."""
        least_w, per_s = np.maximum(view.leaf_scale_w, 1e-9)[below], self._per_s
        instants = min((onset + self._reach) // per_s - 1, INSTANTS)
        counts = []
        for back in range(1, instants + 1):
            end = onset - (back - 1) * per_s
            moved_w = view.moved(end - 2 * per_s, end - per_s, end - 1).leaf_w[below]
            counts += [int((side >= least_w).sum()) for side in (moved_w, -moved_w)]
        return tuple(counts)

    def _crossings(self, way_w: Any, before: int) -> Any:
        """Tick at which each row has gone half of its way; (row,)."""
        rest_w = np.add.reduce(way_w[:, :before], axis=1, keepdims=True) / before
        path_w = way_w - rest_w
        half_w = 0.5 * np.median(path_w[:, -max(self._per_s // 2, 1) :], axis=1, keepdims=True)
        return np.argmax(path_w[:, before:] >= half_w, axis=1)

    def holder(self, node_w: Any, node: int) -> int:
        """The lowest node that holds at least 90 % of the power that moved."""
        nodes, need_w = self._layout.nodes, self._detect.hold_share * float(node_w[node])
        while True:
            below = [c for c in nodes[node].children if node_w[c] >= need_w]
            if not below:
                return node
            node = max(below, key=lambda c: float(node_w[c]))


def _within_a_second(way_w: Any, per_s: int) -> float:
    """Most that a way moves within a second."""
    span = min(per_s, len(way_w) - 1)
    return float((way_w[span:] - way_w[:-span]).max())
