"""An open ramp as the record that leaves the process: depth, length, steepness and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import magnitude
from pipeline.layout import SiteLayout
from pipeline.ramp_state import OpenRamp
from schemas.events import SiteEvent

__all__ = ["DONE_SHARE", "mean", "peak_share", "record", "settled_w", "sign_of"]

DONE_SHARE = 0.9
SETTLE_S = 3
MEDIAN_LOSS = 1.2533
"""Standard error of a median over that of a mean, in Gaussian noise."""
BACK_SHARE = 0.05
"""A way is still monotone while it goes back by less than this share of the depth."""


def record(layout: SiteLayout, ramp: OpenRamp, state: Any, time_ns: int) -> SiteEvent:
    """The event as it stands."""
    sign, node = sign_of(ramp.direction), layout.nodes[ramp.node]
    depth_w, error_w = settled_w(layout, ramp)
    reached = np.flatnonzero(np.array(ramp.path_w) >= DONE_SHARE * ramp.depth_w)
    done = int(reached[0]) if len(reached) else len(ramp.path_w) - 1
    ticks = max(done - ramp.onset_tick + 1, 1)
    duration_s = ticks / layout.ticks_per_s
    synchronized = ramp.kind == "synchronized_ramp"
    return SiteEvent(
        event_id=ramp.event_id,
        kind=ramp.kind,  # type: ignore[arg-type]
        site_id=layout.site_id,
        node_id=node.id,
        level=node.level,
        state=state,
        onset_ns=ramp.onset_ns,
        opened_ns=ramp.opened_ns,
        updated_ns=time_ns,
        closed_ns=time_ns if state == "closed" else None,
        quality=ramp.quality,  # type: ignore[arg-type]
        statistic=ramp.statistic,
        threshold=ramp.threshold,
        step_test=ramp.test,
        end_ns=ramp.onset_ns + ticks * layout.tick_ns,
        depth_w=sign * depth_w,
        duration_s=duration_s,
        monotone_s=_monotone(ramp) / layout.ticks_per_s,
        ramp_w_per_s=sign * depth_w / duration_s,
        ramp_error_w_per_s=error_w / duration_s,
        synchrony=ramp.synchrony if synchronized else None,
        onset_spread_s=ramp.spread_s if synchronized else None,
        channels=ramp.channels if synchronized else None,
        peak_share=peak_share(layout, depth_w),
        merged_into=ramp.merged_into,
    )


def settled_w(layout: SiteLayout, ramp: OpenRamp) -> tuple[float, float]:
    """Depth between medians (before the onset, and the 3 s after the rise) and its error, W."""
    path_w = np.array(ramp.path_w)
    top = int(np.flatnonzero(path_w >= DONE_SHARE * ramp.depth_w)[0])
    after = path_w[top : top + max(SETTLE_S * layout.ticks_per_s, 2 * ramp.smooth)]
    before = path_w[: ramp.onset_tick]
    spread_w = float(np.std(before))
    error_w = MEDIAN_LOSS * spread_w * (1 / len(before) + 1 / len(after)) ** 0.5
    return float(np.median(after) - np.median(before)), error_w


def _monotone(ramp: OpenRamp) -> int:
    """Ticks from the onset until the way first goes back."""
    path_w = np.array(ramp.path_w)[ramp.onset_tick :]
    fallen = np.maximum.accumulate(path_w) - path_w > BACK_SHARE * ramp.depth_w
    return int(np.argmax(fallen)) if fallen.any() else len(path_w)


def peak_share(layout: SiteLayout, depth_w: float) -> float | None:
    """Share of the balancing authority's peak; None where the topology does not say it."""
    peak_w = layout.topology.site.authority_peak_w
    if peak_w is None:
        return None
    return float(magnitude.peak_share(np.array([depth_w]), peak_w)[0])


def sign_of(direction: int) -> float:
    """1 for up, -1 for down."""
    return 1.0 if direction == 0 else -1.0


def mean(x_w: Any) -> float:
    """Mean in the order of the array."""
    return float(np.add.reduce(np.ascontiguousarray(x_w)) / len(x_w))
