"""Phases and coherence on the device: `unison.snapshots` and `unison.leading`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.cuda_launch import WARP, Launcher, whole

__all__ = ["leading", "snapshots"]


def snapshots(
    launch: Launcher, window_w: Any, freq_hz: float, *, rate_hz: float, count: int
) -> Any:
    """As `unison.snapshots`, at most 32 stretches: one launch."""
    if not 1 <= count <= WARP:
        msg = f"count is {count}; kernels take 1 to {WARP} stretches"
        raise ValueError(msg)
    channels, ticks = window_w.shape
    z = launch.cupy.empty((channels, count, 2))
    sizes, turns = (whole(n) for n in (channels, ticks, count)), np.float64(freq_hz / rate_hz)
    launch.warps("snapshots", channels * count, window_w, z, turns, *sizes)
    return z


def leading(launch: Launcher, z: Any) -> tuple[Any, Any, Any]:
    """As `unison.leading`: five launches instead of one for every operation."""
    empty, (channels, count, _) = launch.cupy.empty, z.shape
    unit, matrix, vector = empty(z.shape), empty((count, count, 2)), empty((count, 2))
    value, weight = empty(()), empty((channels,))
    phase_rad, share = empty((channels,)), empty((channels,))
    n, k = whole(channels), whole(count)
    launch.warps("unit_rows", channels, z, unit, n, k)
    launch.warps("gram", count * count, unit, matrix, n, k)
    launch.warps("leading_vector", 1, matrix, value, vector, k)
    launch.warps("channel_parts", channels, unit, vector, weight, phase_rad, n, k)
    launch.warps("shares", 1, weight, share, n)
    return value, share, phase_rad
