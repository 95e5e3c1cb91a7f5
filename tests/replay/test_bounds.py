"""The bounds themselves: against printed tables, other code's figures and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from operators import budget
from pipeline.detect import DetectSettings
from pipeline.spectra import ROWS_SHARE
from replay.suite import bounds, cusum
from replay.suite.case import Setup
from replay.suite.delays import false_alarms_per_sample
from replay.suite.drive import lockstep
from replay.suite.sinusoids import Sequential
from replay.suite.sites import layout_of
from replay.suite.whitening import burg, whitened


@pytest.mark.parametrize(
    ("a", "b", "figure"),
    [
        (1.0, 1.0, 0.7328798037968203),
        (3.0, 5.0, 0.030677602084021736),
        (10.0, 8.0, 0.9801042096420508),
        (0.5, 4.0, 0.0007370353068049485),
    ],
)
def test_marcums_q_is_that_of_scipy(a: float, b: float, figure: float) -> None:
    """`scipy.stats.ncx2.sf(b**2, 2, a**2)`, SciPy 1.17.1."""
    assert bounds.marcum_q(a, b) == pytest.approx(figure, rel=1e-9)


def test_chance_and_strength_are_those_of_the_table() -> None:
    """At 1e-6 a lambda of 26.5 is found in 9 of 10, 34.7 in 99 of 100, for a bin of 100."""
    for strength, chance in ((26.5, 0.9), (34.7, 0.99)):
        assert bounds.detected(strength, 1e-8) == pytest.approx(chance, abs=0.005)


def test_the_bounds_agree_with_each_other() -> None:
    """Amplitude to lambda and back; CRB as sums over samples give it."""
    swing_w = bounds.amplitude_w(60.0, 3.0, 160.0)
    assert swing_w**2 * 160.0 / (4 * 3.0) == pytest.approx(60.0)
    n, rate_hz, strength = 1000, 100.0, 80.0
    noise, window_s = 1.0, n / rate_hz
    snr = strength * 2 / n / noise
    exact = math.sqrt(12 * rate_hz**2 / (4 * math.pi**2 * snr * n * (n**2 - 1)))
    assert bounds.crb_hz(strength, window_s) == pytest.approx(exact, rel=1e-5)
    decay, swing, t_s = 0.5, 2.0, np.arange(4000) / rate_hz
    long_window = math.sqrt(16 * decay**3 / rate_hz / swing**2)
    found = bounds.crb_growth(t_s, 3.0, -decay, swing, 0.3)
    assert found == pytest.approx(long_window, rel=0.02)


def test_the_cusum_is_page_s_loop() -> None:
    """A constant signature: the recursion. Any other: the largest sum over all onsets."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal(400)
    run, page = 0.0, []
    for value in z:
        run = max(run, 0.0) + 0.7 * value - 0.7**2 / 2
        page.append(run)
    assert cusum.statistic(z, np.array([0.7])) == pytest.approx(page)
    signature = np.array([1.0, 0.3, 0.45, 0.35])
    made = cusum.statistic(z, signature)
    for n in (0, 1, 3, 50, 399):
        sums = []
        for onset in range(n + 1):
            s = signature[np.minimum(np.arange(n + 1 - onset), 3)]
            sums.append(float(np.sum(s * z[onset : n + 1] - s**2 / 2)))
        assert made[n] == pytest.approx(max(sums))


@pytest.mark.parametrize(
    ("per_day", "delays_s"),
    [(1.0, (8.5, 2.42, 0.68, 0.20)), (0.1, (10.3, 2.85, 0.79, 0.23))],
)
def test_the_optimum_is_that_of_the_table(per_day: float, delays_s: tuple[float, ...]) -> None:
    """Optimal delays at 10 Hz, simulated elsewhere: the integral equation gives the same."""
    for shift, delay_s in zip((0.5, 1.0, 2.0, 4.0), delays_s, strict=True):
        threshold = cusum.gaussian_threshold(shift, 864_000 / per_day)
        found_s = cusum.gaussian_run_length(shift, threshold, shift) / 10
        assert found_s == pytest.approx(delay_s, rel=0.03, abs=0.01)


def test_run_lengths_and_levels_hold_in_simulation() -> None:
    """White noise alarms as often as the equation says; the level of maxima comes to the same."""
    rng = np.random.default_rng(2)
    values = cusum.statistic(rng.standard_normal((400, 12_000)), np.array([1.0]))
    threshold = cusum.gaussian_threshold(1.0, 2000.0)
    first = cusum.alarm_after(values, threshold)
    assert first.min() > 0
    assert first.mean() == pytest.approx(2000, rel=0.15)
    fitted = cusum.level(values.reshape(-1), 600, 1 / 2000)
    assert fitted == pytest.approx(threshold, abs=0.6)


def test_the_whitener_finds_what_was_put_in() -> None:
    """An autoregression of order 2 is fitted, whitened, and its step has the known signature."""
    rng = np.random.default_rng(3)
    noise, x = rng.standard_normal(60_000), np.zeros(60_000)
    for n in range(2, len(x)):
        x[n] = 0.6 * x[n - 1] + 0.2 * x[n - 2] + 5.0 * noise[n]
    fit = burg(1000.0 + x)
    assert fit.filter[:3] == pytest.approx([1.0, -0.6, -0.2], abs=0.02)
    assert fit.sigma_w == pytest.approx(5.0, rel=0.02)
    assert fit.signature[-1] == pytest.approx(0.2, abs=0.03)
    z = whitened(1000.0 + x, fit, 10)[4000:]
    assert z.std() == pytest.approx(1.0, rel=0.03)
    assert abs(float(np.mean(z[1:] * z[:-1]))) < 0.02


def test_a_node_s_share_is_what_the_engine_gives_it() -> None:
    """The suite's rates of false alarms, from the engine's own settings and layout."""
    watched, detect = len(layout_of(80, 10).watched), DetectSettings()
    share = ROWS_SHARE * budget.share(detect.false_alarms_per_day, "oscillation") / watched
    assert Sequential(name="a").false_alarms_per_day == pytest.approx(share)
    per_sample = false_alarms_per_sample(Setup(detect, lockstep), 80)
    assert per_sample * 864_000 * watched == pytest.approx(
        budget.share(detect.false_alarms_per_day, "step")
    )
