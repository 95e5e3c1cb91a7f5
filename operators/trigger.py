"""Triggers: from a statistic to on and off."""

from typing import Any

from array_api_compat import array_namespace, device

from . import _check

__all__ = ["ramp_ratio", "two_threshold"]


def two_threshold(
    statistic: Any, state: Any, *, threshold_on: float, threshold_off: float
) -> tuple[Any, Any]:
    """
    Switch on at ``threshold_on``, off below ``threshold_off``, hold in between.

    Parameters
    ----------
    statistic : array, shape (channel, time)
        A number that grows with suspicion. A NaN holds.
    state : array of bool, shape (channel,)
        Active after the last sample of the previous frame; all False at the start.
    threshold_on, threshold_off : float
        In units of the statistic; ``threshold_off <= threshold_on``.

    Returns
    -------
    active : array of bool, shape (channel, time)
    state : array of bool, shape (channel,)

    Notes
    -----
    Each sample is a map of the previous state (on, off or hold); maps compose associatively,
    so a Hillis-Steele scan of log2(time) steps replaces the loop (Hillis and Steele, CACM
    29, 1986). Booleans only: exact for every cut. No delay.
    """
    _check.frame(statistic, name="statistic")
    _check.match(state, (statistic.shape[0],), name="state")
    if threshold_off > threshold_on:
        msg = f"threshold_off is {threshold_off}, above threshold_on {threshold_on}"
        raise ValueError(msg)
    xp = array_namespace(statistic)
    n_time = statistic.shape[-1]
    if n_time == 0:
        return xp.zeros(tuple(statistic.shape), dtype=xp.bool, device=device(statistic)), state
    value = statistic >= threshold_on
    known = value | (statistic < threshold_off)
    step = 1
    while step < n_time:
        older_value, older_known = value[:, : n_time - step], known[:, : n_time - step]
        newer_value, newer_known = value[:, step:], known[:, step:]
        joined = xp.where(newer_known, newer_value, older_value)
        value = xp.concat([value[:, :step], joined], axis=-1)
        known = xp.concat([known[:, :step], newer_known | older_known], axis=-1)
        step *= 2
    active = xp.where(known, value, state[:, None])
    return active, active[:, n_time - 1]


def ramp_ratio(diff_w: Any, ok: Any, threshold_w: Any) -> tuple[Any, Any, Any, Any]:
    """
    Largest difference over its threshold, over all lags, upwards and downwards.

    Parameters
    ----------
    diff_w, ok : arrays, shape (lag, channel, time)
        From `ramps.differences`, in W.
    threshold_w : array, shape (lag, channel) or (lag, channel, time)
        What counts as a ramp at each lag, in W, above zero.

    Returns
    -------
    up, down : arrays, shape (channel, time)
        ``max over lags of +-diff / threshold``, at least zero; zero where nothing is ok.
    up_lag, down_lag : arrays of int64, shape (channel, time)
        Index of the lag that gave it; the first (shortest) on ties.
    """
    _check.frame(diff_w, name="diff_w", axes=("lag", "channel", "time"))
    _check.match(ok, diff_w.shape, name="ok")
    xp = array_namespace(diff_w)
    if threshold_w.ndim == 2:
        threshold_w = threshold_w[:, :, None]
    ratio = xp.where(ok, diff_w / threshold_w, xp.zeros_like(diff_w))
    none = xp.zeros(tuple(diff_w.shape[1:]), dtype=diff_w.dtype, device=device(diff_w))
    first = xp.zeros(tuple(none.shape), dtype=xp.int64, device=device(diff_w))
    up, down, up_lag, down_lag = none, none, first, first
    for lag in range(diff_w.shape[0]):
        here = xp.full_like(first, lag)
        risen, fallen = ratio[lag, ...] > up, -ratio[lag, ...] > down
        up, up_lag = xp.where(risen, ratio[lag, ...], up), xp.where(risen, here, up_lag)
        down, down_lag = xp.where(fallen, -ratio[lag, ...], down), xp.where(fallen, here, down_lag)
    return up, down, up_lag, down_lag
