"""Known answers of the seconds and frames."""

import numpy as np
import pytest

from operators import seconds


def test_only_valid_samples_count(xp, rows):
    """Mean, least, greatest and count leave masked samples out."""
    x = xp.asarray([[1.0, 2.0, 900.0, 4.0, 5.0, -7.0]])
    mean, low, high, n = seconds.second_stats(x, x < 100, samples_per_second=3)
    assert rows(mean) == [[1.5, 2.0 / 3.0]]
    assert rows(low) == [[1.0, -7.0]]
    assert rows(high) == [[2.0, 5.0]]
    assert rows(n) == [[2, 3]]


def test_a_second_without_samples_is_held_and_says_so():
    """Where nothing is valid the held values are given, finite, and the count is 0."""
    x = np.array([[6.0, 6.0]])
    mean, low, high, n = seconds.second_stats(x, x > 9, samples_per_second=2)
    assert [mean.item(), low.item(), high.item(), n.item()] == [6, 6, 6, 0]


def test_frame_means(xp, rows):
    """A frame is valid if any sample of it is; its mean is over those."""
    x = xp.asarray([[1.0, 900.0, 900.0, 900.0]])
    mean, valid = seconds.frame_means(x, x < 100, samples_per_frame=2)
    assert rows(mean) == [[1.0, 900.0]]
    assert rows(valid) == [[True, False]]


def test_part_of_a_second_is_refused():
    """Samples that are no whole number of seconds are refused, with both numbers."""
    words = "x_w holds 3 samples; samples_per_second is 2 and must divide it"
    with pytest.raises(ValueError, match=words):
        seconds.second_stats(np.ones((1, 3)), np.ones((1, 3), bool), samples_per_second=2)
