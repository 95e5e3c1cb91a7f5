"""Steps and ramps: a generalized likelihood ratio over box windows of whitened power."""

from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from . import _check

__all__ = ["GROUPS", "TAIL", "WINDOWS", "StepView", "box_sums", "likelihood_ratio"]

WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lengths of the boxes, in samples: powers of two and halfway (in steps of about the root of 2)."""
GROUPS = ((0, 1), (1, 3), (3, 6), (6, 10), (10, 16))
"""Windows that share one threshold, as (first, past the last) places in `WINDOWS`."""
TAIL = WINDOWS[-1] - 1
"""Samples of the past that the longest window needs."""


class StepView(NamedTuple):
    """What the windows say of every sample; (channel, time)."""

    up: Any
    """Largest rise over its threshold, at least 0: 1 opens."""
    down: Any
    up_window: Any
    """Place in `WINDOWS` of the window that says so; int64."""
    down_window: Any
    greatest: Any
    """Largest ``|G|`` of each group within the frame: what thresholds are learned from;
    (channel, group, time)."""


def box_sums(z_w: Any) -> list[Any]:
    """
    Sums of the newest 1, 2, 3, 4, 6, … 256 samples, each from two shorter ones.

    Parameters
    ----------
    z_w : array, shape (channel, TAIL + time)

    Returns
    -------
    list of arrays, shape (channel, time)
        In the order of `WINDOWS`. Each bit depends on its window's samples alone, not on the cut.
    """
    n_time = z_w.shape[-1] - TAIL
    whole: dict[int, tuple[Any, int]] = {1: (z_w, 0)}

    def joined(a: int, b: int) -> tuple[Any, int]:
        """Newest ``a`` samples, and the ``b`` before them; counted from their first known place."""
        (newer, na), (older, nb) = whole[a], whole[b]
        first = max(na, nb + a)
        length = z_w.shape[-1] - first
        return newer[:, first - na :] + older[:, first - nb - a : first - nb - a + length], first

    for window in WINDOWS[1:]:
        half = 1 << (window.bit_length() - 1)
        parts = (half // 2, half // 2) if half == window else (half, window - half)
        whole[window] = joined(*parts)
    found = [whole[window] for window in WINDOWS]
    return [sums[:, TAIL - first : TAIL - first + n_time] for sums, first in found]


def likelihood_ratio(z_w: Any, sigma_w: Any, since: Any, baseline: Any, limits: Any) -> StepView:
    """
    Largest mean shift over all windows that end at each sample, in units of its threshold.

    Parameters
    ----------
    z_w : array, shape (channel, TAIL + time)
        Innovations about their mean, zero where not known; the past first. In W.
    sigma_w : array, shape (channel,)
        Their standard deviation; a channel with 0 says nothing.
    since : array, shape (channel, time)
        Samples since the channel's past counts (this one included): longer windows say nothing.
    baseline : array, shape (channel,)
        Samples behind the mean that was taken off; 0: the channel says nothing.
    limits : array, shape (channel, group)
        Threshold of ``|G|`` for each group of windows, above 0.

    Returns
    -------
    StepView

    Notes
    -----
    ``G_w = sum of w innovations / (sigma sqrt(w (1 + w / baseline)))``: standard normal without a
    step, the generalized likelihood ratio for a mean shift of unknown size at the window's start
    (Lai, IEEE Trans. Inf. Theory 44, 1998, window-limited GLR). The second root pays for the
    baseline's own error.
    """
    _check.frame(z_w, name="z_w")
    xp = array_namespace(z_w)
    n_time = z_w.shape[-1] - TAIL
    able = (sigma_w > 0) & (baseline > 0)
    scale_w = xp.where(able, sigma_w, xp.full_like(sigma_w, xp.inf))[:, None]
    rest = xp.where(able, baseline, xp.ones_like(baseline))[:, None]
    none = xp.zeros((z_w.shape[0], n_time), dtype=z_w.dtype, device=device(z_w))
    first = xp.zeros(tuple(none.shape), dtype=xp.int64, device=device(z_w))
    up, down, up_window, down_window, greatest = none, none, first, first, []
    sums = box_sums(z_w)
    for group, (start, stop) in enumerate(GROUPS):
        limit, most = limits[:, group : group + 1], none
        for place in range(start, stop):
            window = WINDOWS[place]
            spread_w = scale_w * xp.sqrt(window * (1 + window / rest))
            shift = xp.where(since >= window, sums[place] / spread_w, none)
            most = xp.maximum(most, xp.abs(shift))
            ratio = shift / limit
            here = xp.full_like(first, place)
            risen, fallen = ratio > up, -ratio > down
            up, up_window = xp.where(risen, ratio, up), xp.where(risen, here, up_window)
            down, down_window = xp.where(fallen, -ratio, down), xp.where(fallen, here, down_window)
        greatest.append(most)
    return StepView(up, down, up_window, down_window, xp.stack(greatest, axis=1))
