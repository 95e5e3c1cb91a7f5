"""Known answers of the coincidence factor."""

import numpy as np

from operators import diversity


def run(x, valid, window):
    """Whole trace at once."""
    return diversity.coincidence_factor(x, valid, diversity.start(x, window=window))[0]


def test_peaks_that_fall_together_and_apart(xp, rows):
    """Equal profiles give 1; peaks that never meet give peak of the sum over sum of the peaks."""
    together = xp.asarray([[1.0, 5.0], [2.0, 10.0]])
    assert rows(run(together, together > 0, 2)) == [[1.0, 1.0]]
    apart = xp.asarray([[0.0, 5.0], [10.0, 5.0]])
    assert rows(run(apart, apart >= 0, 2)) == [[1.0, 10.0 / 15.0]]


def test_window_is_trailing():
    """It equals the definition, computed second by second, for windows of 1, 5 and 8."""
    x = np.random.default_rng(4).uniform(1, 2, size=(3, 40))
    for window in (1, 5, 8):
        got = run(x, x > 0, window)
        for t in range(40):
            seen = x[:, max(0, t - window + 1) : t + 1]
            np.testing.assert_allclose(got[0, t], seen.sum(0).max() / seen.max(1).sum())


def test_nothing_drawn_is_zero():
    """No valid power, no coincidence: 0 and no division by zero."""
    x = np.ones((2, 3))
    assert run(x, x > 2, 2).tolist() == [[0.0, 0.0, 0.0]]
