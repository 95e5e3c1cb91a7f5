"""Decimation: what passes, what does not, and that pieces make the same whole."""

import numpy as np
import pytest

from operators import decimation


def slowed(x, factor, count):
    """The newest samples of the slower series."""
    taps = decimation.taps(factor)
    return decimation.newest(x, np.ones(x.shape, bool), taps, factor=factor, count=count)[0]


@pytest.mark.parametrize("factor", [5, 10])
def test_slow_lines_pass_and_fast_ones_do_not_fold(factor):
    """Up to 0.35 of the slow rate within 2 %; what would fold below that, 40 dB down."""
    t = np.arange(4000.0)
    for share, low, high in ((0.1, 0.98, 1.02), (0.35, 0.98, 1.02), (0.67, 0.0, 0.01)):
        x = np.cos(2 * np.pi * share / factor * t)[None, :]
        size = np.abs(slowed(x, factor, 100)).max()
        assert low <= size <= high


def test_pieces_make_the_same_whole():
    """Eight at once are twice four, bit for bit."""
    x = np.random.default_rng(0).normal(size=(3, 400))
    whole = slowed(x, 5, 8)
    first, second = slowed(x[:, :-20], 5, 4), slowed(x, 5, 4)
    assert np.concatenate([first, second], axis=1).tobytes() == whole.tobytes()


def test_factor_one_is_the_series_itself():
    """Nothing is changed."""
    x = np.arange(20.0)[None, :]
    assert slowed(x, 1, 4).tolist() == [[16.0, 17.0, 18.0, 19.0]]


def test_what_was_not_measured_is_said():
    """A slow sample rests on at least 0.8 of what is behind it."""
    x = np.zeros((1, 300))
    ok = np.ones(x.shape, bool)
    ok[:, -40:] = False
    known = decimation.newest(x, ok, decimation.taps(5), factor=5, count=20)[1]
    assert known[0, 0]
    assert not known[0, -4:].any()
