"""Known answers of the triggers."""

import numpy as np
import pytest

from operators import trigger


def test_hysteresis(xp, rows):
    """On at the upper threshold, off only below the lower one."""
    s = xp.asarray([[0.0, 2.0, 1.5, 1.0, 0.9, 1.5, 2.0, 0.0]])
    active, state = trigger.two_threshold(s, s[:, 0] > 0, threshold_on=2.0, threshold_off=1.0)
    assert rows(active) == [[False, True, True, True, False, False, True, False]]
    assert rows(state) == [False]


def test_scan_is_the_loop():
    """The scan equals the plain loop over 1,000 random samples, NaN holding."""
    s = np.random.default_rng(3).normal(size=(4, 1000))
    s[:, ::17] = np.nan
    active, _ = trigger.two_threshold(
        s, np.array([True, False] * 2), threshold_on=1.0, threshold_off=-1.0
    )
    for c in range(4):
        on = c % 2 == 0
        for t in range(1000):
            on = True if s[c, t] >= 1 else False if s[c, t] < -1 else on
            assert active[c, t] == on


def test_thresholds_the_wrong_way_round_are_refused():
    """An off threshold above the on threshold is refused with both."""
    with pytest.raises(ValueError, match="threshold_off is 3, above threshold_on 2"):
        trigger.two_threshold(np.ones((1, 2)), np.array([True]), threshold_on=2, threshold_off=3)
