"""Every threshold from the budget: recomputed here by other means than `operators.budget` uses."""

import math

import numpy as np
import pytest

from operators import budget, oscillations
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.layout import SiteLayout
from pipeline.spectra import CLUSTER, FAST_WEIGHT, ROWS_SHARE, SLOW_S, Spectra
from tests.pipeline import site as sites


def test_shares_add_up():
    """The whole budget is shared out, and no more."""
    assert sum(budget.SHARES.values()) == pytest.approx(1.0)
    assert budget.share(2.0, "oscillation") == pytest.approx(0.6)
    with pytest.raises(ValueError, match="false_alarms_per_day must be above 0, got 0"):
        budget.share(0, "step")


@pytest.mark.parametrize("k_eff", [4, 16, 60])
@pytest.mark.parametrize("pfa", [0.1, 0.01, 1e-3])
def test_exponential_threshold_is_exceeded_that_often(k_eff, pfa):
    """An exponential over the mean of K exponentials passes with the chance asked for."""
    r = np.random.default_rng(0)
    ratio = r.exponential(size=400_000) / r.gamma(k_eff, 1 / k_eff, size=400_000)
    passed = np.mean(ratio > budget.exponential_threshold(pfa, k_eff))
    assert passed == pytest.approx(pfa, abs=5 * math.sqrt(pfa / 400_000))
    assert budget.exponential_threshold(pfa) == pytest.approx(-math.log(pfa))


def test_published_thresholds():
    """K (pfa^(-1/K) - 1) at 1e-6 and 100 bins: 72, 34.6, 24.9, 21.3 for K = 8, 16, 32, 64."""
    found = [budget.exponential_threshold(1e-8, k) for k in (8, 16, 32, 64)]
    np.testing.assert_allclose(found, [72, 34.6, 24.9, 21.3], rtol=0.01)


@pytest.mark.parametrize("pfa", [0.3, 1e-3, 1e-9, 1e-15])
def test_gaussian_threshold_inverts_the_tail(pfa):
    """The tail beyond the threshold is the chance asked for."""
    z = budget.gaussian_threshold(pfa)
    assert math.erfc(z / math.sqrt(2)) / 2 == pytest.approx(pfa, rel=1e-9)


def test_votes_are_binomial():
    """The chance of a vote gives the chance of enough of them."""
    p = budget.votes_exceedance(1e-3, 35, 3)
    voters = np.random.default_rng(1).random((200_000, 35)) < p
    assert np.mean(voters.sum(axis=1) >= 3) == pytest.approx(1e-3, rel=0.3)
    assert budget.votes_exceedance(1e-3, 2, 3) == 0.0


def test_tracy_widom_threshold_is_kept():
    """Greatest eigenvalues of 35 x 16 noise pass the threshold of 1e-2 in less than 2 %."""
    r = np.random.default_rng(2)
    z = r.normal(size=(400, 35, 16)) + 1j * r.normal(size=(400, 35, 16))
    z /= np.sqrt(np.mean(np.abs(z) ** 2, axis=2, keepdims=True))
    values = np.linalg.eigvalsh(np.swapaxes(z.conj(), 1, 2) @ z / 16)[:, -1]
    limit = budget.tracy_widom_threshold(1e-2, 35, 16)
    assert np.mean(values > limit) < 0.02
    assert limit < 1.12 * np.quantile(values, 0.99)


@pytest.mark.parametrize("per_day", [0.1, 1.0])
def test_every_threshold_of_the_spectra_follows_from_the_budget(per_day):
    """Bins times looks times rows times the chance of each is the oscillations' share; so is each
    row's threshold, whatever it rests on.
    """
    layout = SiteLayout(sites.topology())
    spectra = Spectra(layout, DetectSettings(false_alarms_per_day=per_day), choose("cpu"))
    tests = 0.0
    for feed in spectra.feeds:
        for bank in feed.banks:
            design = bank.plan.design
            weight = {1: FAST_WEIGHT, SLOW_S: 1 / CLUSTER}.get(bank.hop_s, 1.0)
            looks = len(feed.nodes) * design.tested.sum() * 86_400 / bank.hop_s
            tests += looks * max(weight, 1.0)
            assert design.pfa == spectra.pfa * weight
            for window in range(len(design.looks)):
                for bar in 1 / design.bars[window, 1:, 0]:
                    k = _independent(bar, 0.75 * design.pfa)
                    assert 1.0 <= k < 2_000
            assert design.height == pytest.approx(-math.log(0.25 * design.pfa))
    assert tests * spectra.pfa == pytest.approx(ROWS_SHARE * 0.3 * per_day * CLUSTER)


def _independent(bar: float, pfa: float) -> float:
    """The K at which ``(1 + bar / K)^-K`` is the chance, by bisection."""
    low, high = 0.5, 1e5
    for _ in range(200):
        k = math.sqrt(low * high)
        low, high = (k, high) if (1 + bar / k) ** -k > pfa else (low, k)
    return low


def test_a_stated_number_of_looks_is_independent():
    """The mean of 40 looks of 10 s, a second apart, varies as that of K_eff independent ones."""
    design = oscillations.design(10, windows=((10.0, 55.0),), pfa=1e-6)
    x = np.random.default_rng(3).normal(size=(400, 500))
    state = oscillations.start(x, design=design, until_hop=10)
    plan = oscillations.to_namespace(design, x)
    amplitude = oscillations.periodogram(x, np.ones(x.shape, bool), state, plan=plan)[3]
    power = (amplitude[:, design.tested, 10:50] / design.gain[design.tested, None]) ** 2
    mean = power.mean(axis=2)
    found = (mean.mean(axis=0) / mean.std(axis=0)) ** 2
    told = _independent(1 / design.bars[0, 40, 1], 0.75e-6)
    assert np.median(found) == pytest.approx(told, rel=0.15)


def test_independent_channels_move_together_as_a_binomial_says():
    """No more scatter than independent channels have: the chance is Bin(of, p)'s, of known p."""
    usual = (4, 3, 5, 4, 4, 3, 5, 4)
    told = budget.chance_together(12, 200, usual, 4)
    p = (sum(usual) + 4.5) / (9 * 200 + 1)
    wanted = sum(math.comb(200, k) * p**k * (1 - p) ** (200 - k) for k in range(12, 201))
    assert told == pytest.approx(wanted, rel=1e-9)
    assert told < 1e-3
    assert budget.chance_together(12, 200, usual, 20) > 0.9
    assert budget.chance_together(3, 3, (), 0) > 1e-3 > budget.chance_together(3, 3, (0,) * 16, 0)


def test_channels_that_move_in_bursts_move_together_more_often():
    """Of counts that scatter as a beta-binomial's the chance is the beta-binomial's, simulated."""
    rng = np.random.default_rng(5)

    def drawn(size):
        return rng.binomial(100, rng.beta(0.05 * 19, 0.95 * 19, size))

    told = np.median([budget.chance_together(20, 100, drawn(400).tolist(), 5) for _ in range(9)])
    assert told == pytest.approx(np.mean(drawn(400_000) >= 20), rel=0.25)
    assert told > 100 * budget.chance_together(20, 100, (5,) * 400, 5)
