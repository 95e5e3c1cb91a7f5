"""Known answers of the ramp differences."""

import numpy as np
import pytest

from operators import ramps


def test_difference_over_each_lag(xp, rows):
    """``x[t] - x[t - lag]``, zero and not ok until ``lag`` samples are known."""
    x = xp.asarray([[1.0, 3.0, 6.0, 10.0]])
    ok = x > 0
    diff, known, _ = ramps.differences(x, ok, ramps.start(x, tail=3), lags=(1, 3))
    assert rows(diff) == [[[0.0, 2.0, 3.0, 4.0]], [[0.0, 0.0, 0.0, 9.0]]]
    assert rows(known) == [[[False, True, True, True]], [[False, False, False, True]]]


def test_a_lost_meter_is_a_gap_and_never_a_step():
    """No difference has a masked end; the first good one spans the gap only at a longer lag."""
    x = np.array([[5.0, 5.0, 0.0, 9.0, 9.0]])
    ok = np.array([[True, True, False, True, True]])
    diff, known, _ = ramps.differences(x, ok, ramps.start(x, tail=2), lags=(1, 2))
    assert diff[0, 0].tolist() == [0, 0, 0, 0, 0]
    assert known[0, 0].tolist() == [False, True, False, False, True]
    assert diff[1, 0].tolist() == [0, 0, 0, 4, 0]


def test_lags_are_checked():
    """A lag of 0 samples, or one beyond the tail, is refused with what came."""
    x = np.zeros((1, 3))
    state = ramps.start(x, tail=2)
    with pytest.raises(ValueError, match=r"lags must be at least 1 sample each, got \(0, 2\)"):
        ramps.differences(x, x == 0, state, lags=(0, 2))
    with pytest.raises(ValueError, match="lags reach back 3 samples; the state holds 2"):
        ramps.differences(x, x == 0, state, lags=(1, 3))
