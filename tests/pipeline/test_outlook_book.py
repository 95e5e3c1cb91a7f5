"""What forecasts learn from their outcomes: fast at first, all together, never overconfident."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import outlook_book
from pipeline.outlook_book import Outcomes
from pipeline.outlook_slow import expected
from pipeline.outlook_state import METHODS, REGIMES, book
from schemas.units import NS_PER_S

APERIODIC, PERIODIC, UNSETTLED = (REGIMES.index(n) for n in ("aperiodic", "periodic", "unsettled"))
HORIZONS = 5
NORMAL = np.array([-1.645, -1.282, -0.674, 0.0, 0.674, 1.282, 1.645])
EVERY = np.ones(HORIZONS, bool)


def taught(outcomes, shape=NORMAL, regime=PERIODIC, of=None):
    """A book after these outcomes (issue, horizon), every one of them of the same raw forecast."""
    raw_w = np.broadcast_to(shape, (len(METHODS), HORIZONS, 7))
    kept = book(HORIZONS) if of is None else of
    held = []
    for k, y in enumerate(outcomes):
        sent_w, _ = outlook_book.blend(kept, "fast", raw_w, regime)
        held.append((sent_w[:, 0] <= y) & (y <= sent_w[:, -1]))
        kept = outlook_book.opened(kept, k, raw_w, sent_w, regime)
        one = Outcomes(np.arange(HORIZONS), y, EVERY)
        kept, _ = outlook_book.learned(kept, "fast", 0, one, (k + 1) * NS_PER_S)
        kept = outlook_book.closed(kept, 1)
    return kept, np.array(held), outlook_book.blend(kept, "fast", raw_w, regime)[0]


def drawn(count, scale=1.0, seed=3):
    """Independent outcomes (issue, horizon) of a normal."""
    return scale * np.random.default_rng(seed).standard_normal((count, HORIZONS))


def test_a_forecast_that_is_too_narrow_is_right_within_minutes():
    """Two thirds as wide as it must be: from the sixtieth outcome on, nine in ten hold."""
    held = np.stack([taught(drawn(150, scale=1.5, seed=k))[1] for k in range(8)], axis=1)
    assert held[:5].mean() < 0.8
    assert held[60:].mean() == pytest.approx(0.9, abs=0.02)


def test_a_regime_nobody_has_seen_begins_where_another_one_stands():
    """What was learned of the periodic state holds in the unsettled one until that has its own."""
    kept, _, sent_w = taught(drawn(300) + 1.0)
    raw_w = np.broadcast_to(NORMAL, (len(METHODS), HORIZONS, 7))
    other_w, _ = outlook_book.blend(kept, "fast", raw_w, UNSETTLED)
    np.testing.assert_allclose(other_w, sent_w)
    assert np.abs(sent_w[:, 3] - 1.0).max() < 0.4
    after, _, _ = taught(drawn(1), regime=UNSETTLED, of=kept)
    np.testing.assert_allclose(after.offset[UNSETTLED], kept.offset[PERIODIC], atol=0.11)
    np.testing.assert_array_equal(after.offset[PERIODIC], kept.offset[PERIODIC])


def test_horizons_that_miss_together_widen_all_at_once():
    """Ten outcomes beyond all quantiles: every regime's next forecast is wider; and it passes."""
    before, _, _ = taught(drawn(400))
    after, _, _ = taught(np.full((10, HORIZONS), 50.0), of=before)
    raw_w = np.broadcast_to(NORMAL, (len(METHODS), HORIZONS, 7))
    wide = [
        np.ptp(outlook_book.blend(of, "fast", raw_w, APERIODIC)[0], axis=1).min()
        for of in (before, after)
    ]
    assert wide[1] > 1.2 * wide[0]
    later, held, _ = taught(drawn(600, seed=4), of=after)
    assert abs(later.spread) < 0.1
    assert held[100:].mean() == pytest.approx(0.9, abs=0.03)


def test_a_level_that_never_changed_may_change_yet():
    """Three equal hours are no proof; eight are, for the next one."""
    few, many = (expected(np.full(n, 3e6), 6e4) for n in (3, 8))
    assert np.ptp(few) > 2 * 1.6 * 6e4
    assert np.ptp(many) == 0.0


def test_steps_of_one_job_count_for_fewer():
    """The same values in runs of eight give a wider forecast than in no order."""
    runs = np.repeat([0.0, 1.0, 0.0, 1.0, 0.0], 8)
    mixed = np.random.default_rng(5).permutation(runs)
    assert np.ptp(expected(runs, 0.1)) > 1.15 * np.ptp(expected(mixed, 0.1))


def test_the_middle_moves_less_than_the_edges():
    """One outcome above all levels: steps are level times one over a normal's density there."""
    kept, _, _ = taught(np.full((1, HORIZONS), 50.0))
    step = kept.offset[PERIODIC, 0]
    assert step[3] / step[6] == pytest.approx(0.26 * 0.5 / 0.95)
    assert (np.diff(step[[3, 4, 5, 6]]) > 0).all()


def test_a_record_of_five_minute_means_counts_after_four_hours():
    """A method that was right 47 times leads nothing yet; after the next time it does."""
    raw_w = np.repeat(NORMAL[None, None] + 5.0, len(METHODS), axis=0).repeat(HORIZONS, axis=1)
    raw_w[METHODS.index("analog")] = 1e-3 * NORMAL
    kept, led = book(HORIZONS), []
    for k in range(49):
        sent_w, method = outlook_book.blend(kept, "dispatch", raw_w, 0)
        led.append(METHODS[method[0]] == "analog")
        kept = outlook_book.opened(kept, k, raw_w, sent_w, 0)
        one = Outcomes(np.arange(HORIZONS), np.zeros(HORIZONS), EVERY)
        kept, _ = outlook_book.learned(kept, "dispatch", 0, one, (k + 1) * NS_PER_S)
        kept = outlook_book.closed(kept, 1)
    assert led == [False] * 48 + [True]
