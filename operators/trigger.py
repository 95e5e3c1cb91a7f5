"""Triggers: from a statistic to on and off."""

from typing import Any

from array_api_compat import array_namespace, device

from . import _check

__all__ = ["two_threshold"]


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
