"""Known answers of the reference forecasts."""

import numpy as np
import pytest

from operators import forecast


def test_climatology_is_numpys_quantiles():
    """Quantiles of the valid samples of the window, linear between order statistics."""
    r = np.random.default_rng(5)
    x, ok = r.normal(size=(3, 200)), r.random((3, 200)) < 0.7
    got = forecast.climatology(x, ok, window=90)
    for c in range(3):
        expected = np.quantile(x[c, -90:][ok[c, -90:]], forecast.LEVELS)
        np.testing.assert_allclose(got[c], expected, rtol=1e-12)


def test_persistence_is_last_plus_differences():
    """Last valid value plus quantiles of the valid horizon-step differences."""
    r = np.random.default_rng(6)
    x = r.normal(size=(2, 100)).cumsum(axis=1)
    ok = np.ones(x.shape, bool)
    ok[0, 95:] = False
    got = forecast.persistence(x, ok, horizon=4)
    for c, last in ((0, x[0, 94]), (1, x[1, 99])):
        both = ok[c, 4:] & ok[c, :-4]
        expected = last + np.quantile((x[c, 4:] - x[c, :-4])[both], forecast.LEVELS)
        np.testing.assert_allclose(got[c], expected, rtol=1e-9)


def test_quantiles_are_monotone(xp):
    """Quantiles never fall, also with ties and few samples."""
    x = np.round(np.random.default_rng(7).normal(size=(20, 30)))
    ok = xp.asarray(np.random.default_rng(8).random((20, 30)) < 0.3)
    for got in (
        forecast.climatology(xp.asarray(x), ok, window=30),
        forecast.persistence(xp.asarray(x), ok, horizon=2),
    ):
        host = np.asarray(got.get() if hasattr(got, "get") else got)
        assert (np.diff(host, axis=1) >= 0).all()


def test_nothing_valid_gives_zeros():
    """No valid sample: zeros, no NaN, no infinity."""
    x = np.ones((2, 10))
    assert not forecast.climatology(x, x > 2, window=5).any()
    assert not forecast.persistence(x, x > 2, horizon=3).any()


def test_pinball():
    """Over- and under-forecast are weighted 1 - q and q (Koenker and Bassett 1978)."""
    loss = forecast.pinball(np.zeros((2, 7)), np.array([1.0, -2.0]))
    q = np.array(forecast.LEVELS)
    np.testing.assert_allclose(loss, [q.mean(), 2 * (1 - q).mean()])


def test_coverage_of_a_random_walk():
    """On a random walk the 5-95 % band of persistence holds 90 +- 3 % of the outcomes."""
    r = np.random.default_rng(9)
    x = r.normal(size=(3000, 240)).cumsum(axis=1)
    q = forecast.persistence(x[:, :235], np.ones((3000, 235), bool), horizon=5)
    inside = (x[:, 239] >= q[:, 0]) & (x[:, 239] <= q[:, 6])
    assert abs(inside.mean() - 0.9) < 0.03


def test_too_short_a_history_is_refused():
    """A history not longer than the horizon is refused, with both."""
    with pytest.raises(ValueError, match="history_w holds 3 samples; horizon is 3"):
        forecast.persistence(np.ones((1, 3)), np.ones((1, 3), bool), horizon=3)
