"""Known answers of the single tone."""

import numpy as np
import pytest

from operators import tones


def windows(n, cycles, snr_amplitude, seed):
    """Tones of random phase and frequency beside a level, a slope and white noise."""
    r = np.random.default_rng(seed)
    t = np.arange(200)
    freq = (cycles + r.uniform(-0.4, 0.4, n)) / 200 * 10
    turn = 2 * np.pi * freq[:, None] * (t - 99.5) / 10
    phase = r.uniform(-np.pi, np.pi, n)
    x = np.cos(turn + phase[:, None]) + 50 + 0.01 * t + r.normal(size=(n, 200)) / snr_amplitude
    return x, freq, phase


def test_noiseless_tone_is_exact(xp):
    """Without noise: frequency to 1e-6 Hz, amplitude to 1e-4, phase at the middle to 1e-4."""
    x, freq, phase = windows(6, 8, 1e12, 1)
    guess = xp.asarray(np.round(freq / 0.05) * 0.05)
    got = [np.asarray(y.get() if hasattr(y, "get") else y) for y in
           tones.tone(xp.asarray(x), guess, rate_hz=10)]  # fmt: skip
    np.testing.assert_allclose(got[0], freq, atol=1e-6)
    np.testing.assert_allclose(got[1], 1.0, atol=1e-4)
    np.testing.assert_allclose(np.angle(np.exp(1j * (got[2] - phase))), 0, atol=1e-4)


@pytest.mark.parametrize(("cycles", "limit"), [(6, 1.2), (12, 1.1), (30, 1.1)])
def test_error_is_near_the_cramer_rao_bound(cycles, limit):
    """RMSE of frequency and amplitude within 1.1 of sqrt(CRB) for 12 and more cycles, 1.2 for 6."""
    n, scale = 1000, 2.0
    x, freq, _ = windows(n, cycles, scale, 2)
    got, amplitude, _ = tones.tone(x, np.round(freq / 0.05) * 0.05, rate_hz=10)
    eta = scale**2 / 2
    crb_freq = np.sqrt(12 * 100 / (4 * np.pi**2 * eta * 200 * (200**2 - 1)))
    crb_amplitude = np.sqrt(2 / scale**2 / 200)
    assert np.sqrt(np.mean((got - freq) ** 2)) < limit * crb_freq
    assert np.sqrt(np.mean((amplitude - 1) ** 2)) < limit * crb_amplitude


def test_difference_of_phase_is_the_lag():
    """Two channels a quarter turn apart differ by pi/2 in phase."""
    t = np.arange(200) / 10
    x = np.stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)])
    _, _, phase = tones.tone(x, np.array([1.0, 1.0]), rate_hz=10)
    np.testing.assert_allclose(phase[0] - phase[1], np.pi / 2, atol=1e-9)


def test_flat_window_is_zero():
    """No power, no tone: amplitude 0 and nothing that is not finite."""
    for part in tones.tone(np.full((1, 200), 7.0), np.array([1.0]), rate_hz=10):
        assert np.isfinite(part).all()
