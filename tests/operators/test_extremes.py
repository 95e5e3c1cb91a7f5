"""Known answers of the level from block maxima."""

import numpy as np
import pytest

from operators import extremes

PRIOR = (3.4, 1.0, 6.0)


def blocks(scale, count=360, seed=3):
    """Gumbel maxima of location 3.4; (1, block)."""
    return np.random.default_rng(seed).gumbel(3.4, scale, (1, count))


def found(maxima, *, filled=True, exceed=1e-5, heavy=False):
    """The level of one channel."""
    law = extremes.tail(maxima, np.full(maxima.shape, filled), np.array([heavy]), prior=PRIOR)
    return float(extremes.level(law, np.array([heavy]), exceed=exceed, least=PRIOR[1])[0])


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("scale", [1.0, 2.0, 5.0])
def test_level_is_the_quantile(scale, heavy):
    """An hour's level is the law's own quantile and up to 15 % more; on a tail wider than the
    prior's a quarter of the prior's scale more.
    """
    reduced = -np.log(-np.log1p(-1e-5))
    true = 3.4 + (scale + (0.25 if scale > 1 else 0)) * reduced
    levels = [found(blocks(scale, seed=s), heavy=heavy) for s in range(40)]
    assert 0.96 * true < np.mean(levels) < 1.15 * true


def test_little_data_asks_for_more():
    """Nothing seen: the prior, widened; the same law known for an hour asks for less."""
    nothing = found(blocks(1.0), filled=False, heavy=True)
    assert nothing > found(blocks(1.0), heavy=True) + 1


def test_lighter_tails_than_the_prior_are_not_believed():
    """The scale is never below the prior's."""
    assert found(blocks(0.2)) > 3.4 + 11


def test_a_few_blocks_with_events_move_the_tail_and_not_the_middle():
    """One block in 20 at 15: the middle's level rises by less than 15 %, the moments' by more than
    half.
    """
    maxima = blocks(1.0)
    mixed = maxima.copy()
    mixed[:, ::20] = 15.0
    assert found(mixed) < 1.15 * found(maxima)
    assert found(mixed, heavy=True) > 1.5 * found(maxima, heavy=True)


def test_rarer_is_higher():
    """A tenth of the rate lies higher by the scale times ln 10, and the widening."""
    maxima = blocks(1.0)
    step = found(maxima, exceed=1e-6) - found(maxima, exceed=1e-5)
    assert 2.3 < step < 2.6
