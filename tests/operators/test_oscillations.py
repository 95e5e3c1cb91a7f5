"""Known answers of the periodogram."""

import numpy as np
import pytest

from operators import oscillations

RATE = 10
PLAN = oscillations.design(RATE)


def look(x, valid=None):
    """Whole trace, from a cold start on a grid second."""
    valid = np.ones(x.shape, bool) if valid is None else valid
    state = oscillations.start(x, design=PLAN, until_hop=RATE)
    ratio, amplitude, share, _ = oscillations.periodogram(x, valid, state, design=PLAN)
    return ratio, amplitude, share


def background(n_channel, seconds, seed=0):
    """A site of 100 MW whose power wanders as 1/f^2, as power does."""
    r = np.random.default_rng(seed)
    return 100e6 + 3e4 * r.normal(size=(n_channel, seconds * RATE)).cumsum(axis=1)


def tone(seconds, freq_hz, amplitude_w, from_s=0.0, phase=0.3):
    """A sinusoid from some second on."""
    t = np.arange(seconds * RATE) / RATE
    return np.where(t >= from_s, amplitude_w * np.cos(2 * np.pi * freq_hz * t + phase), 0.0)


@pytest.mark.parametrize("freq_hz", [0.3, 0.5, 1.15, 2.2, 4.0])
def test_amplitude_is_zero_to_peak(freq_hz):
    """A sinusoid on a bin shows its amplitude within 2 %, through differencing and taper."""
    x = background(1, 60) * 0 + tone(60, freq_hz, 1e6)
    _, amplitude, _ = look(x)
    k = np.argmin(np.abs(PLAN.freq_hz - freq_hz))
    np.testing.assert_allclose(amplitude[0, k, -1], 1e6, rtol=0.02)


def test_noise_ratio_is_exponential():
    """On differenced-white noise the ratio exceeds 5 in 0.2 to 1.5 % of bins and hops (nominal
    exp(-5) = 0.7 %, less what the parts refuse), and 14 never.
    """
    ratio, _, _ = look(background(20, 400))
    late = ratio[:, :, 60:]
    assert 0.0005 < (late > 5).mean() < 0.015
    assert late.max() < 14


def test_sinusoid_is_found_within_16_seconds():
    """1 % of site power at 1.13 Hz passes 14 within 16 s of its start, and not before it."""
    x = background(1, 120) + tone(120, 1.13, 1e6, from_s=60)
    ratio, amplitude, _ = look(x)
    best, place, _ = oscillations.peak(ratio, amplitude, np.array([3e5]))
    first = int(np.argmax(best[0] >= 14))
    assert 60 < first + 1 <= 76
    assert abs(PLAN.freq_hz[place[0, first]] - 1.13) <= 0.05


@pytest.mark.parametrize("lasts_s", [0.1, 1, 5, 15])
def test_a_ramp_is_no_oscillation(lasts_s):
    """A ramp of 60 % of the site, of any steepness, never passes 14."""
    t = np.arange(150 * RATE) / RATE
    x = background(3, 150) - 60e6 * np.clip((t - 70.3) / lasts_s, 0, 1)
    assert look(x)[0].max() < 14


@pytest.mark.parametrize("lasts_s", [4, 6, 8, 10, 12])
def test_a_dip_is_no_oscillation(lasts_s):
    """A checkpoint (down 60 %, up again, edges of 2 s) never passes 14 for 3 hops at one bin."""
    t = np.arange(150 * RATE) / RATE
    dip = np.clip((t - 70.3) / 2, 0, 1) - np.clip((t - 70.3 - lasts_s) / 2, 0, 1)
    over = look(background(3, 150) - 60e6 * dip)[0] >= 14
    assert not (over[..., 2:] & over[..., 1:-1] & over[..., :-2]).any()


def test_an_old_line_is_judged_by_its_past():
    """A weak line that was always there stays below 14; four times its size passes."""
    x = background(1, 300) + tone(300, 1.15, 9e4) + tone(300, 1.15, 2.7e5, from_s=200)
    best = look(x)[0].max(axis=1)[0]
    assert best[60:199].max() < 14
    assert best[200:220].max() >= 14


def test_a_gap_is_no_oscillation():
    """A held gap of 3 s with a step behind it leaves nothing above 14; share_valid says so."""
    x = background(1, 120)
    ok = np.ones(x.shape, bool)
    ok[:, 700:730] = False
    x[:, 700:730] = x[:, 699:700]
    x[:, 730:] += 40e6
    ratio, _, share = look(x, ok)
    assert ratio.max() < 14
    np.testing.assert_allclose(share[0, 80], 1 - 3 / 20)


def test_too_few_valid_samples_say_nothing():
    """Less than 80 % measured: ratio 0."""
    x = background(1, 60) + tone(60, 1.15, 5e6)
    ok = np.ones(x.shape, bool)
    ok[:, 500:550] = False
    ratio, _, share = look(x, ok)
    assert share[0, 58] < 0.8
    assert ratio[0, :, 58].max() == 0


def test_hops_lie_on_the_grid():
    """The first hop ends after ``until_hop`` samples, then one per second."""
    x = background(1, 3)
    state = oscillations.start(x, design=PLAN, until_hop=4)
    ratio, _, _, state = oscillations.periodogram(
        x[:, :25], np.ones((1, 25), bool), state, design=PLAN
    )
    assert ratio.shape == (1, PLAN.freq_hz.shape[0], 3)
    assert state.until_hop == 9


def test_peak_leaves_small_bins_out():
    """The strongest bin is sought among those that reach the floor."""
    ratio = np.array([[[50.0], [20.0], [5.0]]])
    amplitude = np.array([[[1.0], [9.0], [9.0]]])
    best, place, size = oscillations.peak(ratio, amplitude, np.array([2.0]))
    assert (best.item(), place.item(), size.item()) == (20.0, 1, 9.0)
    best, _, _ = oscillations.peak(ratio, amplitude, np.array([99.0]))
    assert best.item() == 0


def test_design_covers_the_band():
    """6 cycles per window up to 0.45 of the rate, at most 55 Hz."""
    assert abs(PLAN.freq_hz[0] - 0.3) < 1e-9
    assert abs(PLAN.freq_hz[-1] - 4.5) < 1e-9
    assert abs(oscillations.design(1000).freq_hz[-1] - 55.0) < 1e-9


def test_too_short_a_window_is_refused():
    """Fewer than 9 bins are refused, with rate and window."""
    with pytest.raises(ValueError, match=r"rate_hz is 1.0 and window_s 20.0: fewer than 9 bins"):
        oscillations.design(1)


def test_a_strong_line_is_seen_whatever_its_past():
    """A line that was there from the first sample passes 14 if it is 350 times its neighbours."""
    x = background(1, 120) + tone(120, 1.15, 1e6)
    assert look(x)[0][0, :, 100:].max() >= 14


def test_a_lasting_line_is_not_learned_away():
    """A weak line that starts after quiet still passes 14 four minutes later."""
    x = background(1, 400) + tone(400, 1.15, 1.2e5, from_s=150)
    best = look(x)[0].max(axis=1)[0]
    assert best[60:150].max() < 14
    assert best[390:].max() >= 14
