"""Known answers of the periodograms, and their promises in white noise."""

import numpy as np
import pytest

from operators import oscillations

RATE = 10
PFA = 1e-9
PLAN = oscillations.design(RATE, windows=((10.0, 55.0), (20.0, 55.0)), pfa=PFA)


def look(x, valid=None, design=PLAN):
    """Whole trace, from a cold start on a grid second: now, lasting, votes, amplitude."""
    valid = np.ones(x.shape, bool) if valid is None else valid
    state = oscillations.start(x, design=design, until_hop=design.hop)
    plan = oscillations.to_namespace(design, x)
    *found, state = oscillations.periodogram(x, valid, state, plan=plan)
    return (*found, state)


def background(n_channel, seconds, seed=0):
    """A site of 100 MW whose power wanders as 1/f^2, as power does."""
    r = np.random.default_rng(seed)
    return 100e6 + 3e4 * r.normal(size=(n_channel, seconds * RATE)).cumsum(axis=1)


def tone(seconds, freq_hz, amplitude_w, from_s=0.0, phase=0.3):
    """A sinusoid from some second on."""
    t = np.arange(seconds * RATE) / RATE
    return np.where(t >= from_s, amplitude_w * np.cos(2 * np.pi * freq_hz * t + phase), 0.0)


@pytest.mark.parametrize("freq_hz", [0.6, 1.15, 2.2, 4.0])
def test_amplitude_is_zero_to_peak(freq_hz):
    """A sinusoid on a bin shows its amplitude within 2 % in every window that sees it."""
    amplitude = look(background(1, 60) * 0 + tone(60, freq_hz, 1e6))[3]
    for window in PLAN.looks:
        k = window.place.start + np.argmin(np.abs(PLAN.freq_hz[window.place] - freq_hz))
        np.testing.assert_allclose(amplitude[0, k, -1], 1e6, rtol=0.02)


@pytest.mark.parametrize("kind", ["white", "walk"])
def test_noise_passes_the_threshold_as_rarely_as_the_budget_says(kind):
    """At 1e-4 per bin and look: between a twentieth and three times that, in white noise and in
    a random walk, once the past is known.
    """
    design = oscillations.design(RATE, windows=((10.0, 55.0),), pfa=1e-4)
    r = np.random.default_rng(1)
    x = r.normal(size=(60, 700 * RATE))
    x = x.cumsum(axis=1) if kind == "walk" else x
    now, lasting, _, _, _ = look(x, design=design)
    late = np.maximum(now, lasting)[:, design.tested, 350:] >= 1
    assert 5e-6 < late.mean() < 3e-4


def test_no_false_alarm_while_it_learns():
    """At 1e-9, white noise from a cold start: nothing passes, however little is known."""
    r = np.random.default_rng(2)
    now, lasting, _, _, _ = look(r.normal(size=(60, 200 * RATE)))
    assert max(now.max(), lasting.max()) < 1


def test_detection_is_at_the_bound():
    """A line of lambda = A^2 T / (4 S2) = 60 passes in at least 90 % of looks at 1e-9 per bin."""
    design = oscillations.design(RATE, windows=((20.0, 55.0),), pfa=PFA)
    r = np.random.default_rng(3)
    rows, amplitude = 200, np.sqrt(4 * 60 / RATE / 20)
    freq, phase = r.uniform(0.5, 4.0, (rows, 1)), r.uniform(0, 6.3, (rows, 1))
    t = np.arange(800 * RATE) / RATE
    x = r.normal(size=(rows, 800 * RATE))
    x += np.where(t >= 600, amplitude * np.cos(2 * np.pi * freq * t + phase), 0)
    now = look(x, design=design)[0]
    assert (now[:, :, 620].max(axis=1) >= 1).mean() >= 0.9
    assert (now[:, :, 300:599] >= 1).sum() == 0


def test_a_lasting_weak_line_adds_up():
    """A line too weak for any single window of 10 s passes as a sum within two minutes."""
    design = oscillations.design(RATE, windows=((10.0, 55.0),), pfa=PFA)
    r = np.random.default_rng(4)
    x = r.normal(size=(40, 600 * RATE)) + tone(600, 1.5, np.sqrt(4 * 10 / RATE / 10), 450)
    now, lasting, _, _, _ = look(x, design=design)
    assert (now[:, :, 455:].max(axis=(1, 2)) >= 1).mean() < 0.5
    assert (lasting[:, :, :570].max(axis=(1, 2)) >= 1).mean() > 0.9
    assert lasting[:, :, :449].max() < 1


def openings(x, from_s):
    """Most seconds in a row in which a line passes and is in every part of its window."""
    now = look(x)[0].max(axis=0)
    most = row = 0
    for second in range(from_s, now.shape[1]):
        found = False
        for window in PLAN.looks:
            here = now[window.place, second]
            at = slice((second + 1) * RATE - window.samples - 1, (second + 1) * RATE)
            for k in np.flatnonzero(here >= 1):
                freq_hz = np.full(len(x), PLAN.freq_hz[window.place][k])
                ok = np.ones((len(x), window.samples + 1), bool)
                share = oscillations.steadiness(x[:, at], ok, freq_hz, rate_hz=RATE)
                found = found or bool((share >= 0.3).any())
        row = row + 1 if found else 0
        most = max(most, row)
    return most


@pytest.mark.parametrize("lasts_s", [0.1, 1, 5, 15])
def test_a_ramp_is_no_oscillation(lasts_s):
    """A ramp of 60 % of the site, of any steepness, is in every part for 2 s at most."""
    t = np.arange(150 * RATE) / RATE
    x = background(1, 150) - 60e6 * np.clip((t - 70.3) / lasts_s, 0, 1)
    assert openings(x, 60) < 3


@pytest.mark.parametrize("lasts_s", [4, 8, 12])
def test_a_dip_is_no_oscillation(lasts_s):
    """A checkpoint (down 60 %, up again, edges of 2 s) is so for less than 3 seconds too."""
    t = np.arange(150 * RATE) / RATE
    dip = np.clip((t - 70.3) / 2, 0, 1) - np.clip((t - 70.3 - lasts_s) / 2, 0, 1)
    assert openings(background(1, 150) - 60e6 * dip, 60) < 3


def test_a_line_is_in_every_part():
    """A sinusoid is steady, for as long as it lasts."""
    assert openings(background(1, 100) + tone(100, 1.15, 2e6, from_s=60), 60) > 25


def test_an_old_line_is_judged_by_its_past():
    """A line that was always there passes nothing; five times its size does."""
    x = background(1, 400) + tone(400, 1.15, 9e4) + tone(400, 1.15, 3.6e5, from_s=300)
    now = look(x)[0].max(axis=1)[0]
    assert now[60:299].max() < 1
    assert now[300:330].max() >= 1


def test_a_line_from_the_first_sample_is_seen():
    """A line that was there from the cold start on passes, far above its neighbours."""
    x = background(1, 150) + tone(150, 1.15, 2e6)
    assert look(x)[0][0, :, 100:].max() >= 1


def test_a_lasting_line_is_not_learned_away():
    """A line that starts after quiet still passes four minutes later."""
    x = background(1, 500) + tone(500, 1.15, 2e5, from_s=250)
    now = look(x)[0].max(axis=1)[0]
    assert now[60:250].max() < 1
    assert now[490:].max() >= 1


def test_a_gap_is_no_line():
    """A held gap of 3 s with a step behind it passes nothing."""
    x = background(1, 120)
    ok = np.ones(x.shape, bool)
    ok[:, 700:730] = False
    x[:, 700:730] = x[:, 699:700]
    x[:, 730:] += 40e6
    assert look(x, ok)[0].max() < 1


def test_too_few_valid_samples_say_nothing():
    """Less than 80 % measured: 0."""
    x = background(1, 60) + tone(60, 1.15, 5e6)
    ok = np.ones(x.shape, bool)
    ok[:, 500:550] = False
    assert look(x, ok)[0][0, :, 58].max() == 0


def test_hops_lie_on_the_grid():
    """The first hop ends after ``until_hop`` samples, then one per second."""
    x = background(1, 3)
    state = oscillations.start(x, design=PLAN, until_hop=4)
    now, *_rest, state = oscillations.periodogram(
        x[:, :25], np.ones((1, 25), bool), state, plan=oscillations.to_namespace(PLAN, x)
    )
    assert now.shape == (1, PLAN.freq_hz.shape[0], 3)
    assert state.until_hop == 9


def test_design_covers_the_band():
    """6 cycles per window up to 0.45 of the rate, at most 55 Hz; the edges are not tested."""
    freq_hz = PLAN.freq_hz[PLAN.tested]
    assert abs(freq_hz.min() - 0.3) < 1e-9
    assert abs(freq_hz.max() - 4.5) < 1e-9
    fast = oscillations.design(1000)
    assert abs(fast.freq_hz[fast.tested].max() - 55.0) < 1e-9


def test_too_short_a_window_is_refused():
    """Too few bins are refused, with rate and windows."""
    with pytest.raises(ValueError, match=r"rate_hz is 1.0 and windows .*: fewer than 8 bins"):
        oscillations.design(1)
