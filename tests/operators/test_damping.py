"""Damping against its Cramer-Rao bound."""

import numpy as np
import pytest

from operators import damping

RATE, N, FREQ_HZ = 10, 200, 1.13
T_S = (np.arange(N) - (N - 1) / 2) / RATE


def bound(growth, noise_w):
    """sqrt(CRB) of growth, in 1/s, for a unit amplitude at the middle: Fisher matrix by columns."""
    size, angle = np.exp(growth * T_S), 2 * np.pi * FREQ_HZ * T_S
    wave, quarter = size * np.cos(angle), size * np.sin(angle)
    columns = np.stack([wave, quarter, T_S * wave, T_S * quarter], axis=1)
    return noise_w * np.sqrt(np.linalg.inv(columns.T @ columns)[2, 2])


@pytest.mark.parametrize("growth", [-0.12, 0.0, 0.1])
def test_error_is_near_the_bound(growth):
    """RMSE of growth within 1.15 sqrt(CRB) at 10 dB; its own standard error says the same."""
    r = np.random.default_rng(0)
    n, noise_w = 600, np.sqrt(0.5 / 10)
    freq, phase = FREQ_HZ + r.uniform(-0.02, 0.02, (n, 1)), r.uniform(-3, 3, (n, 1))
    x = np.exp(growth * T_S) * np.cos(2 * np.pi * freq * T_S + phase)
    x = x + noise_w * r.normal(size=x.shape) + 40 + 0.3 * T_S
    _, found, amplitude, error = damping.damped(x, np.full(n, FREQ_HZ), rate_hz=RATE)
    limit = bound(growth, noise_w)
    assert np.sqrt(np.mean((found - growth) ** 2)) < 1.15 * limit
    assert np.median(error) == pytest.approx(limit, rel=0.05)
    np.testing.assert_allclose(np.mean(amplitude), 1.0, atol=0.02)


def test_a_clean_ringdown_is_exact(xp):
    """Without noise: growth to 1e-4 per s."""
    x = np.exp(-0.4 * T_S) * np.cos(2 * np.pi * FREQ_HZ * T_S + 0.3)
    got = damping.damped(xp.asarray(x[None, :]), xp.asarray(np.array([1.1])), rate_hz=RATE)
    values = [np.asarray(y.get() if hasattr(y, "get") else y)[0] for y in got]
    np.testing.assert_allclose(values[:3], [FREQ_HZ, -0.4, 1.0], atol=1e-4)


def test_a_flat_window_is_finite():
    """No power: amplitude 0, nothing that is not finite."""
    for part in damping.damped(np.full((1, N), 7.0), np.array([1.0]), rate_hz=RATE):
        assert np.isfinite(part).all()
