"""Known answers of the whitening autoregression."""

import numpy as np
import pytest

from operators import whitening

TRUE = np.array([0.72, -0.16])


def coloured(n_time, seed=0):
    """An AR(2) process with unit innovations about a mean of 50; (1, time)."""
    noise = np.random.default_rng(seed).standard_normal(n_time)
    x = np.zeros(n_time)
    for t in range(2, n_time):
        x[t] = TRUE[0] * x[t - 1] + TRUE[1] * x[t - 2] + noise[t]
    return 50 + x[None, :]


def fitted(x, order=4):
    """Ten stretches added up, as the pipeline does."""
    parts = np.split(x, 10, axis=1)
    sums = sum(whitening.autocovariance(p, p > -1e9, order=order) for p in parts)
    return whitening.levinson(sums, np.array([x.shape[1]]))


def test_a_known_process_is_found():
    """6,000 samples give both coefficients within 0.05, the others near 0, sigma within 3 %."""
    found = fitted(coloured(6000))
    assert found.coefficients[0] == pytest.approx([*TRUE, 0, 0], abs=0.05)
    assert found.sigma_w[0] == pytest.approx(1, rel=0.03)


def test_innovations_are_white():
    """Their autocorrelation is within 3 standard errors of zero at lags 1 to 8; the mean is
    (1 - sum a) times that of the power.
    """
    x = coloured(6000)
    found = fitted(x)
    tail = (x[:, :4], x[:, :4] > 0)
    e, known = whitening.innovations(x[:, 4:], x[:, 4:] > 0, tail, found.coefficients)
    assert known.all()
    assert e.mean() == pytest.approx(50 * (1 - found.coefficients.sum()), abs=0.1)
    z = e[0] - e.mean()
    for lag in range(1, 9):
        assert abs((z[lag:] * z[:-lag]).mean() / z.var()) < 3 / np.sqrt(len(z))


def test_a_lost_sample_is_unknown_as_long_as_it_is_needed():
    """A masked sample, and the ``order`` after it, give no innovation."""
    x, ok = np.ones((1, 6)), np.array([[True, False, True, True, True, True]])
    tail = (np.ones((1, 2)), np.ones((1, 2), bool))
    _, known = whitening.innovations(x, ok, tail, np.zeros((1, 2)))
    assert known.tolist() == [[True, False, False, False, True, True]]


def test_a_flat_meter_has_no_noise():
    """No variance: no coefficients, sigma 0, nothing infinite."""
    x = np.full((1, 100), 7.0)
    sums = whitening.autocovariance(x, x > 0, order=3)
    found = whitening.levinson(sums, np.array([100]))
    assert found.coefficients.tolist() == [[0, 0, 0]]
    assert found.sigma_w.tolist() == [0]
