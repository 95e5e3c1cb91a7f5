"""Known answers of synchrony."""

import numpy as np

from operators import segments, synchrony


def test_share_of_the_moved_power(xp, rows):
    """30 up and 10 down of 40 moved is 0.75; channels below their threshold do not count."""
    diff = xp.asarray([[10.0], [20.0], [-10.0], [4.0]])
    threshold = xp.asarray([5.0, 5.0, 10.0, 5.0])
    up, down, up_n, down_n = synchrony.moved(diff, diff < 1e9, threshold)
    assert rows(up_n[:, 0]) == [1, 1, 0, 0]
    assert rows(down_n[:, 0]) == [0, 0, 1, 0]
    plan = segments.to_namespace(segments.plan([[0, 1, 2, 3], [3]], 4), diff)
    share = synchrony.synchrony(segments.segment_sums(up, plan), segments.segment_sums(down, plan))
    assert rows(share) == [[0.75], [0.0]]


def test_masked_channels_have_not_moved(xp, rows):
    """A difference that is not ok counts on neither side."""
    diff = xp.asarray([[10.0], [-10.0]])
    parts = synchrony.moved(diff, diff > 1e9, xp.asarray([1.0, 1.0]))
    assert [rows(part) for part in parts] == [[[0.0], [0.0]]] * 4


def test_the_stronger_side_counts():
    """10 up and 30 down is 0.75 as well; nothing moved is 0."""
    share = synchrony.synchrony(np.array([[10.0, 0.0]]), np.array([[30.0, 0.0]]))
    assert share.tolist() == [[0.75, 0.0]]
