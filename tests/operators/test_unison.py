"""Unison: the order parameter, the leading eigenvalue, groups."""

import numpy as np

from operators import budget, unison

RATE = 10


def fleet(n, seconds, share, spread=0.0, seed=0):
    """Channels of unit noise, of which a share swings at 1.3 Hz with phases this far apart."""
    r = np.random.default_rng(seed)
    t = np.arange(seconds * RATE) / RATE
    phase = spread * r.normal(size=(n, 1))
    wave = np.cos(2 * np.pi * 1.3 * t + phase)
    return r.normal(size=(n, len(t))) + np.where(np.arange(n)[:, None] < share * n, wave, 0)


def test_leading_value_is_that_of_the_coherence_matrix(xp):
    """Against NumPy's eigenvalues of the M x M matrix; weights add up to one."""
    z = unison.snapshots(xp.asarray(fleet(20, 20, 0.5)), 1.3, rate_hz=RATE, count=8)
    value, weight, _ = unison.leading(z)
    host = np.asarray(z.get() if hasattr(z, "get") else z)
    c = host[..., 0] + 1j * host[..., 1]
    c /= np.sqrt(np.mean(np.abs(c) ** 2, axis=1, keepdims=True))
    expected = np.linalg.eigvalsh(c @ c.conj().T / 8)[-1]
    np.testing.assert_allclose(float(value), expected, rtol=1e-6)
    np.testing.assert_allclose(float(np.sum(np.asarray(weight))), 1.0, rtol=1e-9)


def test_swinging_together_passes_and_noise_does_not():
    """Half of 40 channels at 0 dB pass the threshold of 1e-6; noise never does in 100 draws."""
    limit = budget.tracy_widom_threshold(1e-6, 40, 8)

    def value(share, seed):
        z = unison.snapshots(fleet(40, 20, share, seed=seed), 1.3, rate_hz=RATE, count=8)
        return float(unison.leading(z)[0])

    assert value(0.5, 0) > limit
    assert max(value(0.0, seed) for seed in range(100)) < limit


def test_order_is_one_in_step_and_small_by_chance():
    """In step 1; 256 random phases stay below 0.27 (P = 1e-8)."""
    assert unison.order(np.ones(5), np.full(5, 2.0)) == 1.0
    phase = np.random.default_rng(0).uniform(-np.pi, np.pi, 256)
    assert unison.order(np.ones(256), phase) < 0.27
    assert unison.order(np.zeros(3), np.zeros(3)) == 0.0


def test_groups_are_told_apart():
    """Two groups in opposite phase are two, also across the seam of the circle; one stays one."""
    phase = np.array([0.0, 0.1, 3.0, 3.1, -0.1, 2.9, -3.1])
    number = unison.clusters(phase, least_gap_rad=0.8)
    assert len(set(number[[0, 1, 4]].tolist())) == len(set(number[[2, 3, 5, 6]].tolist())) == 1
    assert number[0] != number[2]
    assert unison.clusters(np.linspace(-3, 3, 40), least_gap_rad=0.8).max() == 0
