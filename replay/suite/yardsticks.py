"""What common tools ship, plainly: a dP/dt alarm, and a 15-s RMS at 3 times its median."""

from __future__ import annotations

from typing import Any

import numpy as np

from replay.suite.sites import RACK_HZ

__all__ = ["DPDT_SHARE", "REST_S", "dpdt", "first_after", "rms"]

DPDT_SHARE = 0.008
"""The dP/dt alarm's threshold: this share of the site's power within one second."""
REST_S = 10
"""Alarms closer than this are one."""
_RMS_S, _MEDIAN_S, _TIMES = 15, 120, 3.0
_FIRST_S = 30
_SWING_S = 6


def dpdt(power_w: Any, site_w: float, share: float = DPDT_SHARE) -> Any:
    """
    Instants (s) at which the power's change over one second reaches a fixed threshold.

    ``power_w`` (tick,) at 10 Hz; the end of the sample that shows it counts.
    """
    change_w = np.abs(power_w[RACK_HZ:] - power_w[:-RACK_HZ])
    return _alarms(np.flatnonzero(change_w >= share * site_w) + RACK_HZ, RACK_HZ)


def rms(power_w: Any, rate_hz: int = RACK_HZ) -> Any:
    """
    Instants (s) at which the RMS over 15 s is 3 times its own running median over 120 s.

    Of the power less its mean over 6 s, so that what is slower does not count; once a second,
    like the PNNL Archive Walker's ring-down detector with its defaults. Before 120 s the median is
    over what there is, from 30 s on.
    """
    swing_w = power_w - _moving(power_w, _SWING_S * rate_hz)
    energy_w2 = _moving(swing_w**2, _RMS_S * rate_hz)
    level_w = np.sqrt(np.maximum(energy_w2[rate_hz - 1 :: rate_hz], 0))
    usual_w = np.full(len(level_w), np.inf)
    for k in range(_FIRST_S, min(_MEDIAN_S, len(level_w))):
        usual_w[k] = np.median(level_w[_RMS_S - 1 : k])
    if len(level_w) > _MEDIAN_S:
        past_w = np.lib.stride_tricks.sliding_window_view(level_w, _MEDIAN_S)
        usual_w[_MEDIAN_S:] = np.median(past_w[:-1], axis=1)
    high = np.flatnonzero(level_w >= _TIMES * usual_w) + 1
    return _alarms(high, 1)


def first_after(alarms_s: Any, onset_s: float, within_s: float) -> float | None:
    """Delay of the first alarm after an instant, None where none comes in time."""
    at = int(np.searchsorted(alarms_s, onset_s))
    if at == len(alarms_s) or alarms_s[at] > onset_s + within_s:
        return None
    return float(alarms_s[at] - onset_s)


def _moving(x: Any, n: int) -> Any:
    """Mean of the last ``n`` values, of as many as there are at the start."""
    total = np.cumsum(np.concatenate([[0.0], x - x[0]]))
    count = np.minimum(np.arange(1, len(x) + 1), n)
    ends = np.arange(1, len(x) + 1)
    return (total[ends] - total[ends - count]) / count + x[0]


def _alarms(at: Any, per_s: int) -> Any:
    """The first of each run of exceedances: a rest of `REST_S` without one begins another."""
    if not len(at):
        return np.zeros(0)
    first = np.concatenate([[True], np.diff(at) > REST_S * per_s])
    return (at[first] + (per_s > 1)) / per_s
