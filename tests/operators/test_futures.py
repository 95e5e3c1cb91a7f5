"""Known answers of the forecasting operators."""

import array_api_strict as strict
import numpy as np
import pytest

from operators import calibration, forecast, futures, harmonics, joint, periods
from operators.futures import Targets

RNG = np.random.default_rng(4)
LEVELS = np.array(forecast.LEVELS)


@pytest.mark.parametrize("true", [6.3, 19.0, 47.7, 61.25])
def test_the_period_of_a_square_wave_is_found_between_samples(true):
    """Jitter of 1 % and noise: right within half a per cent; noise alone has no period."""
    ends = np.cumsum(true * (1 + 0.01 * RNG.standard_normal(400)))
    t = np.arange(1000) + 0.5
    x = 1.0 * (t - np.concatenate([[0], ends])[np.searchsorted(ends, t)] < 0.3 * true)
    found = periods.period(x + 0.05 * RNG.standard_normal(1000), longest=330)
    assert found.samples == pytest.approx(true, rel=0.006)
    assert found.strength > 0.5
    assert periods.period(RNG.standard_normal(1000), longest=330).samples == 0.0


def test_means_ahead_and_before_are_plain_means():
    """Two look-ups in the running sum are the mean of a slice."""
    x = RNG.normal(size=200)
    total = futures.running(x)
    targets = Targets(np.array([1, 7, 30]), np.array([1, 5, 10]))
    origins = np.array([50, 77, 170])
    ahead, before = (
        futures.means_ahead(total, origins, targets),
        futures.means_before(total, origins, targets.width),
    )
    for h, (until, width) in enumerate(zip(*targets, strict=True)):
        for k, o in enumerate(origins):
            assert ahead[h, k] == pytest.approx(x[o + until - width : o + until].mean(), abs=1e-12)
            assert before[h, k] == pytest.approx(x[o - width : o].mean(), abs=1e-12)


def test_quantiles_are_those_of_numpy():
    """Linear between order statistics."""
    x = RNG.normal(size=(3, 41))
    np.testing.assert_allclose(futures.quantiles(x), np.quantile(x, LEVELS, axis=1).T, atol=1e-14)


def test_the_nearest_stretches_are_those_of_a_plain_search():
    """FFT distances order the past as sums of squared differences about the mean do."""
    x = RNG.normal(size=400).cumsum() * 1e3 + 5e6
    distance, shift = futures.unlikeness(x, length=25)
    newest = x[-25:] - x[-25:].mean()
    for k in (0, 13, 200, 375):
        piece = x[k : k + 25]
        plain = ((piece - piece.mean() - newest) ** 2).sum() - (newest**2).sum()
        assert distance[k] == pytest.approx(plain, rel=1e-6, abs=1.0)
        assert shift[k] == pytest.approx(x[-25:].mean() - piece.mean(), rel=1e-9)
    assert distance.argmin() == 375
    best = futures.nearest(distance[:368], count=5)
    assert best[0] == distance[:368].argmin()
    assert len(np.unique(best // futures.BLOCK)) == 5


def test_a_regression_finds_what_is_linear():
    """``y = 3 a - 2 b + 1`` with noise 0.5: the median is right, the 5-95 % band is 1.645 sigma."""
    features = RNG.normal(size=(2, 4000))
    ahead = (3 * features[0] - 2 * features[1] + 1 + 0.5 * RNG.standard_normal(4000))[None, :]
    got = futures.regressed(ahead, features, np.array([1.0, 1.0]))[0]
    assert got[3] == pytest.approx(2.0, abs=0.05)
    assert got[-1] - got[3] == pytest.approx(1.645 * 0.5, rel=0.05)


def test_seasonal_takes_the_same_phase():
    """Of a wave without noise every quantile is the value to come."""
    x = np.sin(2 * np.pi * np.arange(500) / 20)
    targets = Targets(np.arange(1, 31), np.ones(30, int))
    got = futures.seasonal(futures.running(x), targets, period=20.0, cycles=10)
    coming = np.sin(2 * np.pi * (499 + np.arange(1, 31)) / 20)
    np.testing.assert_allclose(got, np.repeat(coming[:, None], 7, axis=1), atol=1e-9)


def test_harmonics_carry_a_wave_on():
    """Level and two harmonics go on, also as means over ten samples."""
    t = np.arange(900) + 0.5
    x = 5 + np.cos(2 * np.pi * t / 31) + 0.5 * np.sin(4 * np.pi * t / 31)
    targets = Targets(np.array([1, 40, 100]), np.array([1, 10, 10]))
    got = harmonics.carried_on(x[:600], targets, period=31.0)
    for row, until, width in zip(got, *targets, strict=True):
        assert row[3] == pytest.approx(x[600 + until - width : 600 + until].mean(), abs=1e-2)


def test_a_mixture_has_the_quantiles_of_its_parts():
    """Certain shifts move it; one of two far apart leaves the halves where they were."""
    base = np.array([[-1.64, -1.28, -0.67, 0.0, 0.67, 1.28, 1.64]])
    moved = futures.mixed(base, np.array([[10.0]]), np.array([1.0]))
    np.testing.assert_allclose(moved, base + 10, atol=0.2)
    both = futures.mixed(base, np.array([[0.0], [100.0]]), np.array([0.5, 0.5]))
    assert both[0, 2] == pytest.approx(0.0, abs=0.2)
    assert both[0, 4] == pytest.approx(100.0, abs=0.2)
    assert (np.diff(both) >= 0).all()


def test_the_loss_of_a_true_forecast_has_its_closed_form():
    """N(0, 1) forecast as such: each level loses its density there; in all 0.81 of the CRPS."""
    z = np.array(futures.NORMAL)
    y = RNG.standard_normal(200_000)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    parts = [
        calibration.losses(np.repeat(z[None], 1000, axis=0), y[k : k + 1000]).mean()
        for k in range(0, len(y), 1000)
    ]
    assert np.mean(parts) == pytest.approx(2 * density.mean(), rel=0.01)
    assert 2 * density.mean() * np.sqrt(np.pi) == pytest.approx(0.806, abs=0.001)


def test_the_better_record_weighs_more():
    """Twice the loss counts next to nothing; equals share; weights add up to one."""
    weight = calibration.weights(np.array([[1.0, 1.0], [2.0, 1.0]]))
    np.testing.assert_allclose(weight.sum(axis=0), 1.0)
    assert weight[0, 0] > 0.999
    assert weight[0, 1] == pytest.approx(0.5)
    got = calibration.blended(np.stack([np.zeros((2, 7)), np.ones((2, 7))]), weight)
    np.testing.assert_allclose(got[:, 0], weight[1])


def test_tracked_offsets_hold_whatever_comes():
    """Forecasts far too narrow and off centre: after tracking, each level holds."""
    offset, below = np.zeros((1, 7)), np.zeros(7)
    base = np.linspace(-0.3, 0.3, 7)[None]
    y = 1 + RNG.standard_normal(30_000)
    for k, value in enumerate(y):
        sent = calibration.corrected(base, offset)
        if k >= 10_000:
            below += value <= sent[0]
        offset = calibration.tracked(offset, sent, np.array([value]), rate=0.02, most=50.0)
    np.testing.assert_allclose(below / 20_000, LEVELS, atol=0.02)


def test_levels_that_would_cross_do_not_change_places():
    """A level is pressed outwards by its inner neighbour; the order is that of the levels."""
    base, offset = np.linspace(0.0, 10.0, 7)[None], np.zeros((1, 7))
    offset[0, 0], offset[0, 6] = 0.5, -0.5
    sent = calibration.corrected(base, offset)
    np.testing.assert_allclose(sent[0], [base[0, 1], *base[0, 1:6], base[0, 5]])


def test_offsets_stay_small_where_forecasts_are_right_already():
    """Two-humped forecasts whose gap comes and goes: levels next to it drift, none runs away."""
    rng = np.random.default_rng(8)
    offset, inside = np.zeros((1, 7)), 0
    for k in range(8000):
        low, high = 0.0, 10.0 if k % 40 < 20 else 0.3
        shape = np.array(
            [low - 0.1, low, low + 0.1, (low + high) / 2, high - 0.1, high, high + 0.1]
        )
        side = rng.random() < 0.5
        y = (high if side else low) + 0.08 * rng.standard_normal()
        sent = calibration.corrected(shape[None], offset)
        inside += k >= 2000 and sent[0, 0] <= y <= sent[0, 6]
        offset = calibration.tracked(offset, sent, np.array([y]), rate=0.05, most=0.5)
    assert inside / 6000 == pytest.approx(0.9, abs=0.02)
    assert np.abs(offset[0, [0, 6]]).max() < 0.3


def test_quantiles_of_a_sum_are_not_the_sum_of_quantiles():
    """The sum of independent sites is narrower by the root of their number; in step it is not."""
    z = np.array(futures.NORMAL)
    sites = np.repeat(z[None], 4, axis=0)
    free = joint.summed(sites, RNG.uniform(size=(4000, 4)))
    one = RNG.uniform(size=(4000, 1))
    tied = joint.summed(sites, np.repeat(one, 4, axis=1))
    width = z[-1] - z[0]
    assert (free[-1] - free[0]) / width == pytest.approx(2.0, abs=0.15)
    assert (tied[-1] - tied[0]) / width == pytest.approx(4.0, abs=0.2)


def test_ranks_say_where_an_outcome_lay():
    """At a quantile its level, half way between two the middle, beyond the outer ones a tail."""
    q = np.array([[0.0, 1, 2, 3, 4, 5, 6]] * 4)
    got = joint.ranks(q, np.array([3.0, 2.5, -9.0, 99.0]))
    np.testing.assert_allclose(got, [0.5, 0.375, 0.025, 0.975])


X = RNG.normal(size=300)
SEVEN = np.sort(RNG.normal(size=(3, 7)), axis=-1)
PAIR = (np.array([1, 7, 30]), np.array([1, 5, 10]))
OPERATORS = {
    "means_ahead": lambda u: futures.means_ahead(
        futures.running(u(X)), u(np.array([50, 77])), Targets(*map(u, PAIR))
    ),
    "means_before": lambda u: futures.means_before(
        futures.running(u(X)), u(np.array([50, 77])), u(PAIR[1])
    ),
    "persisted": lambda u: futures.persisted(
        u(X.reshape(3, 100)), u(X[::-1].copy().reshape(3, 100)), u(X[:3])
    ),
    "seasonal": lambda u: futures.seasonal(
        futures.running(u(X)), Targets(*map(u, PAIR)), period=20.5, cycles=4
    ),
    "unlikeness": lambda u: futures.unlikeness(u(X), length=20)[0],
    "nearest": lambda u: futures.nearest(u(X), count=6),
    "regressed": lambda u: futures.regressed(
        u(X.reshape(3, 100)), u(X[::-1].copy()[:200].reshape(2, 100)), u(X[:2])
    ),
    "mixed": lambda u: futures.mixed(u(SEVEN), u(X[:6].reshape(2, 3)), u(np.array([0.3, 0.7]))),
    "carried_on": lambda u: harmonics.carried_on(u(X), Targets(*map(u, PAIR)), period=20.5),
    "losses": lambda u: calibration.losses(u(SEVEN), u(X[:3])),
    "weights": lambda u: calibration.weights(u(np.abs(X[:6].reshape(2, 3)))),
    "blended": lambda u: calibration.blended(
        u(np.stack([SEVEN, SEVEN + 1])), u(np.abs(X[:6].reshape(2, 3)))
    ),
    "corrected": lambda u: calibration.corrected(u(SEVEN), u(0.1 * SEVEN)),
    "widened": lambda u: calibration.widened(u(SEVEN), 0.3),
    "tracked": lambda u: calibration.tracked(
        u(0.1 * SEVEN), u(SEVEN), u(X[:3]), rate=0.01, most=0.5
    ),
    "ranks": lambda u: joint.ranks(u(SEVEN), u(X[:3])),
    "summed": lambda u: joint.summed(u(SEVEN), u(np.abs(np.sin(X.reshape(100, 3))))),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_any_array_library_gives_the_same(name):
    """The strict array API agrees with NumPy, and gives its own arrays back."""
    got = OPERATORS[name](strict.asarray)
    assert type(got) is type(strict.asarray(X))
    np.testing.assert_allclose(np.asarray(got), OPERATORS[name](np.asarray), rtol=1e-9, atol=1e-9)
