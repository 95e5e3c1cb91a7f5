"""Known answers of the coincidence factor and of how moves fall together."""

import numpy as np

from operators import diversity


def run(x, valid, window):
    """Whole trace at once."""
    return diversity.together(x, valid, diversity.start(x, window=window))[0].peaks


def test_peaks_that_fall_together_and_apart(xp, rows):
    """Equal profiles give 1; peaks that never meet give peak of the sum over sum of the peaks."""
    together = xp.asarray([[1.0, 5.0], [2.0, 10.0]])
    assert rows(run(together, together > 0, 2)) == [[1.0, 1.0]]
    apart = xp.asarray([[0.0, 5.0], [10.0, 5.0]])
    assert rows(run(apart, apart >= 0, 2)) == [[1.0, 10.0 / 15.0]]


def test_window_is_trailing():
    """It equals the definition, computed second by second, for windows of 2, 5 and 8."""
    x = np.random.default_rng(4).uniform(1, 2, size=(3, 40))
    for window in (2, 5, 8):
        got = run(x, x > 0, window)
        for t in range(40):
            seen = x[:, max(0, t - window + 1) : t + 1]
            np.testing.assert_allclose(got[0, t], seen.sum(0).max() / seen.max(1).sum(), 1e-6)


def test_nothing_drawn_is_zero():
    """No valid power, no coincidence: 0 and no division by zero."""
    x = np.ones((2, 3))
    assert run(x, x > 2, 2).tolist() == [[0.0, 0.0, 0.0]]


def moves(x, valid=None, window=None):
    """The last second's movement over the whole trace."""
    window = window or x.shape[1]
    valid = np.ones(x.shape, bool) if valid is None else valid
    start = diversity.start(x, window=window)
    _, *found = diversity.together(x, valid, start)[0]
    return [float(y[0, -1]) for y in found]


def test_moves_at_once_and_apart():
    """Four channels that step together are one source; apart, four; one alone is concentrated."""
    step = np.zeros((4, 9))
    step[:, 5:] = 1.0
    assert moves(100 + step) == [1.0, 1.0, 0.25]
    apart = np.zeros((4, 9))
    for row in range(4):
        apart[row, 2 * row + 1 :] = 1.0
    assert moves(100 + apart) == [0.25, 4.0, 0.25]
    alone = np.zeros((4, 9))
    alone[2, 3:] = 1.0
    assert moves(100 + alone) == [1.0, 1.0, 1.0]


def test_independent_channels_count_as_many_as_they_are():
    """Fifty random walks: the effective number is 50 within a fifth, a common walk makes it 1."""
    rng = np.random.default_rng(5)
    walks = np.cumsum(rng.standard_normal((50, 4000)), axis=1)
    assert 40 < moves(walks)[1] <= 50
    assert moves(walks + 100 * np.cumsum(rng.standard_normal(4000)))[1] < 1.1


def test_a_lost_meter_does_not_move():
    """A channel that falls silent and returns moves nothing; no move at all is 0."""
    x, valid = np.full((2, 6), 50.0), np.ones((2, 6), bool)
    x[0, 3] = 0.0
    valid[0, 3] = False
    assert moves(x, valid) == [0.0, 0.0, 0.0]
