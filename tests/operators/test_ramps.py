"""Known answers of the ramp differences."""

import numpy as np
import pytest

from operators import ramps


def test_difference_over_each_lag(xp, rows):
    """``x[t] - x[t - lag]``, zero and not ok until ``lag`` samples are known."""
    x = xp.asarray([[1.0, 3.0, 6.0, 10.0]])
    ok = x > 0
    diff, known, _ = ramps.differences(x, ok, ramps.start(x, lags=(1, 3)), lags=(1, 3))
    assert rows(diff) == [[[0.0, 2.0, 3.0, 4.0]], [[0.0, 0.0, 0.0, 9.0]]]
    assert rows(known) == [[[False, True, True, True]], [[False, False, False, True]]]


def test_a_lost_meter_is_a_gap_and_never_a_step():
    """No difference has a masked end; the first good one spans the gap only at a longer lag."""
    x = np.array([[5.0, 5.0, 0.0, 9.0, 9.0]])
    ok = np.array([[True, True, False, True, True]])
    diff, known, _ = ramps.differences(x, ok, ramps.start(x, lags=(1, 2)), lags=(1, 2))
    assert diff[0, 0].tolist() == [0, 0, 0, 0, 0]
    assert known[0, 0].tolist() == [False, True, False, False, True]
    assert diff[1, 0].tolist() == [0, 0, 0, 4, 0]


def test_lag_below_one_is_refused():
    """A lag of 0 samples is refused with the lags that came."""
    with pytest.raises(ValueError, match=r"lags must be at least 1 sample each, got \(0, 2\)"):
        ramps.start(np.zeros((1, 3)), lags=(0, 2))


def test_a_dip_shorter_than_the_hold_gives_nothing(xp, rows):
    """Neither the edge of a two-sample dip nor its way back lasts three samples at any lag."""
    x = xp.asarray([[5.0, 5.0, 5.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]])
    for lag in (1, 2, 4):
        diff, _, _ = ramps.differences(x, x > 0, ramps.start(x, lags=(lag,)), lags=(lag,))
        state = ramps.start_sustained(diff[0, ...], ticks=3)
        up_w, down_w, _ = ramps.sustained(diff[0, ...], state, ticks=3)
        assert rows(up_w) == [[0.0] * 11]
        assert rows(down_w) == [[0.0] * 11]


def test_a_step_shows_after_the_hold(xp, rows):
    """A step is there once it has lasted, at its least size, and only in its own direction."""
    x = xp.asarray([[1.0, 1.0, 4.0, 5.0, 5.0, 5.0]])
    diff, _, _ = ramps.differences(x, x > 0, ramps.start(x, lags=(2,)), lags=(2,))
    state = ramps.start_sustained(diff[0, ...], ticks=2)
    up_w, down_w, _ = ramps.sustained(diff[0, ...], state, ticks=2)
    assert rows(up_w) == [[0.0, 0.0, 0.0, 3.0, 1.0, 0.0]]
    assert rows(down_w) == [[0.0] * 6]
