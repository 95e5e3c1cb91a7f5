"""Inputs of every size for the kernels, made on the host."""

from typing import Any, NamedTuple

import numpy as np

from operators import diversity, noise, oscillations, ramps, segments, steps
from operators._arrays import narrow
from operators.kernels import FramePlan, StepPlan, tree

SIZES = (1, 31, 140, 257, 1000)
PER_S, DEPTH = 10, 23
WINDOW_S = 60
DESIGN = oscillations.design(
    30, windows=((4.0, 12.0), (10.0, 12.0)), hop_s=1.0, pfa=1e-6, vote=1e-3
)


def _segments(levels: list[list[list[int]]], channels: int) -> tuple[segments.Segments, ...]:
    plans, rows = [], channels
    for level in levels:
        plans.append(segments.plan(level, rows))
        rows += len(level)
    return tuple(plans)


def frame_plan(channels: int) -> FramePlan:
    """Leaves but for a few meters at the end; a PDU each 37 of them, two halls, one site."""
    rng = np.random.default_rng(channels)
    meters = min(3, channels - 1)
    leaves = list(range(channels - meters))
    pdus = [leaves[k : k + 37] for k in range(0, len(leaves), 37)]
    if len(leaves) > 300:
        pdus = [leaves[:260], *[p for p in pdus if p[0] >= 260]]  # more than eight warps' worth
    first, n = channels, len(pdus)
    halls = [list(range(first, first + (n + 1) // 2)), list(range(first + (n + 1) // 2, first + n))]
    top = [[first + n, first + n + 1]]
    metered = [*pdus[:-1], [channels - 1]]  # the last PDU has a meter of its own
    own = _segments([metered, halls, top], channels)
    below = _segments([pdus, halls, top], channels)
    nodes = n + 3
    return FramePlan(
        tree(own), own, tree(below), below,
        rng.integers(1, 9, nodes).astype(float), np.array([0, n, nodes - 1], np.int64),
        (0, len(leaves)), PER_S, 3.0,
    )  # fmt: skip


class FrameCase(NamedTuple):
    """Arguments of `Kernels.frame`."""

    mean_w: Any
    ok: Any
    past: ramps.RampState
    threshold_w: Any
    plan: FramePlan


def frame_case(channels: int, ticks: int) -> FrameCase:
    """Power about 50 kW with gaps; NaN where nothing was measured before."""
    rng = np.random.default_rng(1000 * ticks + channels)
    plan = frame_plan(channels)
    tail_valid = rng.random((channels, DEPTH)) > 0.2
    tail_w = np.where(tail_valid, 5e4 + 3e3 * rng.normal(size=(channels, DEPTH)), np.nan)
    threshold_w = np.where(rng.random(plan.leaves[1]) > 0.1, 1e3, np.inf)
    return FrameCase(
        5e4 + 3e3 * rng.normal(size=(channels, ticks)),
        rng.random((channels, ticks)) > 0.2,
        ramps.RampState(narrow(tail_w), tail_valid),
        threshold_w,
        plan,
    )


def scan_case(rows: int, ticks: int) -> tuple[Any, ...]:
    """Arguments of `Kernels.scan`: some rows young, some bounded, some not yet known."""
    rng = np.random.default_rng(ticks + rows)
    order, groups = 8, len(steps.GROUPS)
    jump_w = np.where(np.arange(order + ticks) > order + ticks // 2, 400.0, 0.0)
    sigma_w = np.where(rng.random(rows) > 0.2, 100.0, 0.0)
    plan = StepPlan(
        0.1 * rng.normal(size=(rows, order)),
        50 * rng.normal(size=rows),
        sigma_w,
        np.where(rng.random(rows) > 0.5, 150.0, np.inf),
        np.where(rng.random(rows) > 0.2, 600.0, 0.0),
        np.where(rng.random((rows, groups)) > 0.1, 5 + rng.random((rows, groups)), np.inf),
    )
    return (
        100 * rng.normal(size=(rows, order + ticks)) + jump_w * rng.normal(size=(rows, 1)),
        rng.random((rows, order + ticks)) > 0.01,
        100 * rng.normal(size=(rows, steps.TAIL)),
        rng.integers(0, 400, rows),
        plan,
    )


def spectral_case(rows: int, hops: int) -> tuple[Any, Any, oscillations.OscillationState]:
    """Samples of some hops, and a state that has a past: lines, silence, things never learned."""
    rng = np.random.default_rng(rows)
    ticks = hops * DESIGN.hop + 7
    bins = len(DESIGN.freq_hz)
    t_s = np.arange(ticks) / DESIGN.rate_hz
    line_hz = 2 + 0.7 * (np.arange(rows) % 13)[:, None]
    x_w = 1e3 * rng.normal(size=(rows, ticks)) + 2e3 * np.sin(2 * np.pi * line_hz * t_s)
    state = oscillations.start(x_w, design=DESIGN, until_hop=DESIGN.hop - 4)
    memory = int(DESIGN.memory.min())
    missing = np.where(np.arange(rows) % 7, 0.04, 0.5)[:, None]
    past = 1e4 * rng.exponential(size=(rows, bins))
    past[::5] = 0.0
    return x_w, rng.random((rows, ticks)) > 0.05, state._replace(
        tail_w=narrow(1e3 * rng.normal(size=state.tail_w.shape)),
        tail_valid=rng.random(state.tail_valid.shape) > missing,
        background_w2=narrow(past),
        sums=narrow(5 * rng.random((rows, bins))),
        learned=rng.choice([0, 1, 40, memory], size=state.learned.shape).astype(np.int64),
    )  # fmt: skip


def diversity_case(leaves: int) -> tuple[Any, Any, diversity.DiversityState]:
    """One second of the leaves after a minute with gaps; a leaf that never drew anything."""
    rng = np.random.default_rng(leaves)
    known = rng.random((leaves, WINDOW_S - 1)) > 0.1
    tail_w = np.where(known, 5e4 + 3e3 * rng.normal(size=known.shape), np.nan)
    tail_w[0] = 0.0
    state = diversity.DiversityState(narrow(tail_w))
    return 5e4 + 3e3 * rng.normal(size=(leaves, 1)), rng.random((leaves, 1)) > 0.1, state


def noise_case(leaves: int, seconds: int) -> tuple[Any, Any, noise.NoiseState]:
    """Peaks, with equal ones among them, of leaves that are cold, warming and warm."""
    rng = np.random.default_rng(leaves + seconds)
    peak_w = np.round(100 * rng.exponential(size=(leaves, seconds)))
    memory = np.round(100 * rng.exponential(size=(leaves, 60)))
    warm_s = rng.choice([0, 1, 2, 37, 60], size=leaves).astype(np.int64)
    return peak_w, rng.random((leaves, seconds)) > 0.2, noise.NoiseState(narrow(memory), warm_s)


def swing_case(channels: int) -> tuple[Any, float]:
    """20 s at 10 Hz: two thirds swing at 1.3 Hz with phases of their own, all are noisy."""
    rng = np.random.default_rng(channels)
    t_s = np.arange(203) / 10.0
    size_w = np.where(np.arange(channels) % 3, 800.0, 0.0)[:, None]
    phase_rad = rng.uniform(-1, 1, (channels, 1))
    swing_w = size_w * np.sin(2 * np.pi * 1.3 * t_s + phase_rad)
    x_w = 5e4 + swing_w + 500 * rng.normal(size=(channels, t_s.size))
    x_w[-1] = 5e4
    return x_w, 1.3


def samples_case(channels: int, length: int, stretches: int = 4) -> tuple[Any, Any]:
    """Raw samples with whole stretches missing; what is missing is held."""
    rng = np.random.default_rng(channels * length)
    x_w = 5e4 + 3e3 * rng.normal(size=(channels, length * stretches))
    valid = rng.random(x_w.shape) > 0.3
    valid[::3, :length] = False
    return x_w, valid
