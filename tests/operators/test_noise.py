"""Known answers of the noise scale."""

import numpy as np

from operators import noise


def test_median_of_the_peaks_before(xp, rows):
    """The scale is the median of the kept peaks before the second, zero at first."""
    peak = xp.asarray([[4.0, 2.0, 9.0, 1.0, 5.0]])
    scale, state = noise.noise_scale(peak, peak > 0, noise.start(peak))
    assert rows(scale) == [[0.0, 4.0, 3.0, 4.0, 3.0]]
    assert rows(state.warm_s) == [5]


def test_what_is_not_kept_teaches_nothing():
    """A second of an event neither moves the scale nor counts as warm."""
    peak = np.array([[2.0, 2.0, 900.0, 900.0, 2.0]])
    keep = peak < 100
    scale, state = noise.noise_scale(peak, keep, noise.start(peak))
    assert scale[0, 1:].tolist() == [2.0] * 4
    assert state.warm_s.tolist() == [3]


def test_a_new_regime_is_learned_in_half_the_memory():
    """Ten times the noise is the new scale 31 seconds after a full memory of 60."""
    peak = np.concatenate([np.ones((1, 200)), np.full((1, 60), 10.0)], axis=1)
    scale, state = noise.noise_scale(peak, peak > 0, noise.start(peak))
    assert scale[0, 200 + 29] == 1.0
    assert scale[0, 200 + 31] == 10.0
    assert state.warm_s.tolist() == [60]
