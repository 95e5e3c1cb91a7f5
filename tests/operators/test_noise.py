"""Known answers of the noise scale."""

import numpy as np

from operators import noise


def scales(peak, keep):
    """The scale before each second, and the memory at the end."""
    state, found = noise.start(peak), []
    for second in range(peak.shape[1]):
        found.append(float(noise.noise_scale(state)[0]))
        part = slice(second, second + 1)
        state = noise.remember(peak[:, part], keep[:, part], state)
    return found, state


def test_median_of_the_peaks_before(xp, rows):
    """The scale is the median of the kept peaks, zero at first."""
    peak = xp.asarray([[4.0, 2.0, 9.0, 1.0, 5.0]])
    scale, state = scales(peak, peak > 0)
    assert scale == [0.0, 4.0, 3.0, 4.0, 3.0]
    assert rows(state.warm_s) == [5]


def test_what_is_not_kept_teaches_nothing():
    """A second in which nothing was measured neither moves the scale nor counts as warm."""
    peak = np.array([[2.0, 2.0, 900.0, 900.0, 2.0]])
    scale, state = scales(peak, peak < 100)
    assert scale[1:] == [2.0] * 4
    assert state.warm_s.tolist() == [3]


def test_a_new_regime_is_learned_in_half_the_memory():
    """Ten times the noise is the new scale 31 seconds after a full memory of 60."""
    peak = np.concatenate([np.ones((1, 200)), np.full((1, 60), 10.0)], axis=1)
    scale, state = scales(peak, peak > 0)
    assert scale[200 + 29] == 1.0
    assert scale[200 + 31] == 10.0
    assert state.warm_s.tolist() == [60]
