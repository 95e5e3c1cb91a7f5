"""The periodogram kernels: a design's tables, and one hop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import oscillations
from operators._arrays import narrow
from operators._oscillation_design import BLOCK
from operators.kernels import Found
from operators.oscillations import OscillationDesign, OscillationState
from pipeline.cuda_launch import THREADS, Launcher, whole

__all__ = ["SpectralTables", "periodogram", "spectral_plan"]

MOST_SHARED = 40_000
"""Bytes of shared memory of a block; every GPU gives 48 KiB without being asked."""
WINDOW = np.dtype(
    [("memory", "f8"), ("height", "f8"), ("bars_from", "i8")]
    + [
        (name, "i4")
        for name in (
            "windows", "all", "window", "first_bin", "place", "bins",
            "first_wide", "wides", "all_wides", "samples",
        )
    ],
    align=True,
)  # fmt: skip
"""``struct Window`` of ``spectra.cu``."""


class SpectralTables(NamedTuple):
    """An `OscillationDesign` as the kernels read it."""

    design: OscillationDesign
    tapers: list[Any]
    windows: list[np.ndarray]
    """`WINDOW` of each window, (1,) each: what CuPy passes by value."""
    per_bin: Any
    """(8, bin) float64, the rows as ``spectra.cu`` numbers them."""
    near: Any
    """First and past-the-last bin of the near neighbourhood; (2, bin) int64."""
    edges: Any
    """low, inner low, inner high, high; (4, neighbourhood) int64."""
    wide_weight: Any
    bars: Any
    """(window and looks learned, 4)"""


def spectral_plan(design: OscillationDesign, like: Any, cupy: Any) -> SpectralTables:
    """Return the design's tables on the device of ``like``, which is a CuPy array."""
    del like  # tables go to the current device, as everything here
    plan = oscillations.to_namespace(design, np.zeros(1))
    up = cupy.asarray
    wide, near = plan.wide, plan.narrow
    rows = (near[2], plan.louder, plan.cap, plan.factor, plan.offset, plan.heard)
    windows, first_wide = [], 0
    for number, look in enumerate(design.looks):
        bins = look.place.stop - look.place.start
        wides = -(-bins // BLOCK)
        shared = 8 * (3 * bins + 2 * wides)
        if shared > MOST_SHARED:
            msg = f"a window of {bins} bins needs {shared} bytes of shared memory, of {MOST_SHARED}"
            raise ValueError(msg)
        fixed = (
            plan.memory[number], design.height, plan.base[number],
            len(design.looks), len(design.freq_hz), number, look.first, look.place.start, bins,
            first_wide, wides, len(wide.low), look.samples,
        )  # fmt: skip
        windows.append(np.array([fixed], WINDOW))
        first_wide += wides
    return SpectralTables(
        design,
        [up(taper) for taper in plan.tapers],
        windows,
        up(np.stack([*rows, plan.tested, plan.gain])),
        up(np.stack(near[:2])),
        up(np.stack([wide.low, wide.inner_low, wide.inner_high, wide.high])),
        up(wide.weight),
        up(plan.bars),
    )


def _look(
    launch: Launcher,
    series: tuple[Any, ...],
    state: OscillationState,
    plan: SpectralTables,
    said: list[Any],
) -> tuple[Any, OscillationState]:
    """
    One hop: the window of ``series`` (x_w, valid, at) that begins at place ``at``, into ``said``.

    Returns the greatest over the bins, (3, channel), and the state.
    """
    xp, (channels, depth) = launch.cupy, series[0].shape
    bins = plan.per_bin.shape[1]
    past, sums = (xp.empty((channels, bins), dtype=xp.float32) for _ in range(2))
    learned = xp.empty(state.learned.shape, dtype=xp.int64)
    most = xp.empty((3, channels))
    tables = (plan.per_bin, plan.near, plan.edges, plan.wide_weight, plan.bars)
    for taper, window in zip(plan.tapers, plan.windows, strict=True):
        samples = int(window["samples"][0])
        moved_w = xp.empty((channels, 2 * samples))
        count = xp.zeros((channels,), dtype=xp.int32)
        launch(
            "window_moves", (channels, -(-2 * samples // THREADS)),
            (*series, taper, moved_w, count,
             whole(samples), whole(plan.design.window), whole(depth)),
        )  # fmt: skip
        spectrum = xp.fft.rfft(moved_w, axis=-1).view(xp.float64)
        launch(
            "look", (channels,),
            (spectrum, count, state.background_w2, state.sums, state.learned,
             past, sums, learned, *said, most, *tables, window),
            shared=8 * (3 * int(window["bins"][0]) + 2 * int(window["wides"][0])),
        )  # fmt: skip
    return most, state._replace(background_w2=past, sums=sums, learned=learned)


def periodogram(
    launch: Launcher, series: tuple[Any, Any], state: OscillationState, plan: SpectralTables
) -> tuple[Found, OscillationState]:
    """Look at every hop that ends in ``series`` (x_w, valid); as `Kernels.periodogram`."""
    xp, design = launch.cupy, plan.design
    joined = tuple(
        xp.concatenate([old, new], axis=1)
        for old, new in zip(state[:2], (narrow(series[0]), series[1]), strict=True)
    )
    channels, ticks = series[0].shape
    hops = len(range(state.until_hop, ticks + 1, design.hop))
    at = state.until_hop + design.hop * xp.arange(hops, dtype=xp.int64)
    until_hop = state.until_hop - ticks + hops * design.hop
    said = [xp.empty((hops, channels, len(design.freq_hz))) for _ in range(4)]
    most = xp.empty((3, hops, channels))
    for hop in range(hops):
        here = [part[hop] for part in said]
        most[:, hop], state = _look(launch, (*joined, at[hop : hop + 1]), state, plan, here)
    tails = [xp.ascontiguousarray(part[:, ticks:]) for part in joined]
    new = state._replace(tail_w=tails[0], tail_valid=tails[1], until_hop=until_hop)
    return Found._make([*said, None, most]), new
