"""Known answers of segment sums."""

import numpy as np
import pytest

from operators import segments


def sums(x, groups):
    """Plan, move and sum."""
    return segments.segment_sums(x, segments.to_namespace(segments.plan(groups, x.shape[-2]), x))


def test_groups_are_added(xp, rows):
    """Each group is the sum of its members; an empty group is zero; members may be shared."""
    x = xp.asarray([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    got = sums(x, [[0, 2], [], [2, 1, 0]])
    assert rows(got) == [[101.0, 202.0], [0.0, 0.0], [111.0, 222.0]]


def test_a_group_does_not_depend_on_the_others():
    """Adding a wider group to the plan leaves every bit of the first sum as it was."""
    x = np.random.default_rng(1).normal(size=(300, 5)) * 1e5
    alone = sums(x, [[3, 1, 4, 15, 9, 2, 6]])
    beside = sums(x, [[3, 1, 4, 15, 9, 2, 6], list(range(300))])
    assert alone[0].tobytes() == beside[0].tobytes()


def test_sum_of_many_float32_racks_is_exact_to_a_watt():
    """10,000 racks of 50 kW in float32 add up to 500 MW within 1e-6 W of the exact sum
    (a float32 running sum errs by 2.2 kW).
    """
    x = (50e3 + np.random.default_rng(2).normal(size=(10_000, 3)) * 5e3).astype(np.float32)
    got = sums(x, [list(range(10_000))])
    exact = [float(sum(map(int, x[:, t].astype(np.float64) * 2**20))) / 2**20 for t in range(3)]
    np.testing.assert_allclose(got[0], exact, atol=1e-6, rtol=1e-14)


def test_levels_are_summed_one_by_one():
    """Rack -> PDU -> substation: two plans one after the other, with a leading lag axis."""
    x = np.arange(24.0).reshape(2, 4, 3)
    site = sums(sums(x, [[0, 1], [2, 3]]), [[0, 1]])
    np.testing.assert_array_equal(site[:, 0], x.sum(1))


def test_unknown_channel_is_named():
    """A group that names a channel beyond the last is refused, with group and channel."""
    with pytest.raises(ValueError, match=r"groups\[1\] names channel 3, but there are 3"):
        segments.plan([[0], [3]], 3)
