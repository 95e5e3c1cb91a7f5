"""Synchrony: the share of the moved power that steps the same way within one second."""

from typing import Any

from array_api_compat import array_namespace

from . import _check

__all__ = ["moved", "synchrony"]


def moved(diff_w: Any, ok: Any, threshold_w: Any) -> tuple[Any, Any, Any, Any]:
    """
    Depth and count of the channels that moved at least their threshold, up and down.

    Parameters
    ----------
    diff_w, ok : arrays, shape (channel, time)
        Change over one second and whether both ends were measured: one lag of
        `ramps.differences`, in W.
    threshold_w : array, shape (channel,) or (channel, time)
        What counts as having moved, in W, above zero.

    Returns
    -------
    up_w, down_w : arrays, shape (channel, time)
        Depth of a channel that rose, or fell; both positive, zero for all others, in W.
    up_n, down_n : arrays, shape (channel, time)
        1.0 or 0.0, in the dtype of ``diff_w``: they add up with `segments.segment_sums`.
    """
    _check.frame(diff_w, name="diff_w")
    _check.match(ok, diff_w.shape, name="ok")
    xp = array_namespace(diff_w)
    if threshold_w.ndim == 1:
        threshold_w = threshold_w[:, None]
    up, down = ok & (diff_w >= threshold_w), ok & (-diff_w >= threshold_w)
    nothing = xp.zeros_like(diff_w)
    return (
        xp.where(up, diff_w, nothing),
        xp.where(down, -diff_w, nothing),
        xp.astype(up, diff_w.dtype),
        xp.astype(down, diff_w.dtype),
    )


def synchrony(up_w: Any, down_w: Any) -> Any:
    """
    Share of the moved power on the stronger side: ``max(up, down) / (up + down)``.

    Parameters
    ----------
    up_w, down_w : arrays, shape (channel, time)
        Moved power of each node: `moved`, then `segments.segment_sums`, in W.

    Returns
    -------
    array, shape (channel, time)
        0.5 (both sides equal) to 1 (all the same way); 0 where nothing moved.
        Source: the event contract, `docs/adr/0010-synchrony.md`.
    """
    _check.frame(up_w, name="up_w")
    _check.match(down_w, up_w.shape, name="down_w")
    xp = array_namespace(up_w)
    total = up_w + down_w
    some = total > 0
    share = xp.maximum(up_w, down_w) / xp.where(some, total, xp.ones_like(total))
    return xp.where(some, share, xp.zeros_like(share))
