"""The false-alarm budget: false alarms per site and day, shared out, turned into thresholds."""

import math
from collections.abc import Callable, Sequence

__all__ = [
    "SHARES",
    "chance_together",
    "exceedance",
    "exponential_threshold",
    "gaussian_threshold",
    "log_likelihood_threshold",
    "share",
    "tracy_widom_threshold",
    "votes_exceedance",
]

DAY_S = 86_400
_NOTHING = -746.0
"""A logarithm whose exponential is zero."""
SHARES = {
    "step": 0.15,
    "oscillation": 0.3,
    "synchrony": 0.1,
    "load_loss": 0.1,
    "unforeseen": 0.35,
}
"""
What part of a site's false alarms each detector may cause; they add up to one. The last is for what
real power does that no law fitted to an hour of it foresees (docs/detectors.md).
"""


def share(false_alarms_per_day: float, detector: str) -> float:
    """Return the false alarms per site and day that ``detector`` (a key of `SHARES`) may cause."""
    if not false_alarms_per_day > 0:
        msg = f"false_alarms_per_day must be above 0, got {false_alarms_per_day}"
        raise ValueError(msg)
    return false_alarms_per_day * SHARES[detector]


def exceedance(false_alarms_per_day: float, tests_per_day: float) -> float:
    """
    Probability that one test may be a false alarm: ``F / tests`` (a union bound), at most 1/2.

    Tests that look at overlapping samples count in full: that errs towards fewer false alarms.
    """
    return min(false_alarms_per_day / max(tests_per_day, 1.0), 0.5)


def exponential_threshold(pfa: float, k_eff: float = math.inf) -> float:
    """
    Threshold of a periodogram over its noise: ``K (pfa^(-1/K) - 1)``; ``ln(1/pfa)`` for K = inf.

    ``k_eff`` is the number of independent periodograms the noise rests on: the ratio is then
    F(2, 2K) (Sulis, Mary and Bigot, arXiv 1702.02049).
    """
    if math.isinf(k_eff):
        return -math.log(pfa)
    return k_eff * math.expm1(-math.log(pfa) / k_eff)


def log_likelihood_threshold(pfa: float) -> float:
    """
    Threshold of a log-likelihood CUSUM that starts anew at zero: ``ln(1/pfa)`` (Wald).

    ``pfa`` is then the chance per test of reaching it from there, under noise alone.
    """
    return -math.log(pfa)


def gaussian_threshold(pfa: float) -> float:
    """One-sided threshold of a unit normal: ``P(z > threshold) = pfa``, by Newton steps."""
    z = math.sqrt(max(-2 * math.log(2 * min(pfa, 0.5)), 0.0))
    for _ in range(60):
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        tail = math.erfc(z / math.sqrt(2)) / 2
        if tail <= 0 or density <= 0:
            break
        z += math.log(tail / pfa) * tail / density
    return z


def votes_exceedance(pfa: float, voters: int, least: int) -> float:
    """
    Chance p of one vote at which ``least`` of ``voters`` independent votes have chance ``pfa``.

    ``P(Bin(voters, p) >= least) = pfa``, by bisection.
    """
    if least > voters:
        return 0.0
    low, high = -700.0, -1e-9
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _tail(math.exp(middle), voters, least) < pfa else (low, middle)
        )
    return math.exp(low)


def chance_together(moved: int, of: int, usual: Sequence[int], against: int) -> float:
    """
    Chance that ``moved`` or more of ``of`` channels move the same way at once without a cause.

    ``P(BetaBin(of, p, rho) >= moved)``, `Skellam 1948`_: p is the share that moved one way in
    ``usual`` (counts at earlier instants, either way) and ``against`` (those that move the other
    way now, and no less than these say alone); rho, the correlation of two channels, is what the
    counts of ``usual`` scatter more than independent channels would.

    .. _Skellam 1948: J. R. Stat. Soc. B 10, 257-261.
    """
    p = (sum(usual) + against + 0.5) / ((len(usual) + 1) * of + 1)
    p = min(max(p, against / of), 0.5)
    if len(usual) < 2 or of < 2:
        return _tail(p, of, moved)
    mean = sum(usual) / len(usual)
    scatter = sum((count - mean) ** 2 for count in usual) / (len(usual) - 1)
    rho = (scatter / (of * p * (1 - p)) - 1) / (of - 1)
    if rho <= 1e-6:
        return _tail(p, of, moved)
    a, b = (q * (1 / min(rho, 0.99) - 1) for q in (p, 1 - p))
    all_of = _log_beta(a, b)
    return _summed(lambda k: _log_beta(k + a, of - k + b) - all_of, of, moved)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _tail(p: float, n: int, least: int) -> float:
    """``P(Bin(n, p) >= least)``."""
    log_p, log_rest = math.log(p), math.log1p(-p)

    def log_chance(k: int) -> float:
        return k * log_p + (n - k) * log_rest

    if least > n * p and _log_choose(n, least) + log_chance(least) < _NOTHING:
        return 0.0  # past the mode: what follows is no more
    return _summed(log_chance, n, least)


def _summed(log_chance: Callable[[int], float], n: int, least: int) -> float:
    """Chance of ``least`` of n and more, of the logarithm for one choice of them."""
    total = 0.0
    for k in range(least, n + 1):
        term = math.exp(_log_choose(n, k) + log_chance(k))
        total += term
        if term < 1e-12 * total:
            break
    return total


def tracy_widom_threshold(pfa: float, channels: int, snapshots: int) -> float:
    """
    Greatest eigenvalue of a complex coherence matrix that noise exceeds with chance ``pfa``.

    ``mu + sigma s`` with ``mu = (sqrt K + sqrt M)^2 / K``,
    ``sigma = (sqrt K + sqrt M) (K^-1/2 + M^-1/2)^(1/3) / K`` (Johansson 2000) and s the quantile of
    the Tracy-Widom law of order 2, from its right tail ``exp(-4/3 s^(3/2)) / (16 pi s^(3/2))``.
    The tail errs upwards: 6.53 at 1e-2 for M = 35, K = 16, where 6.36 was simulated.
    """
    root_m, root_k = math.sqrt(channels), math.sqrt(snapshots)
    mu = (root_k + root_m) ** 2 / snapshots
    sigma = (root_k + root_m) * (1 / root_k + 1 / root_m) ** (1 / 3) / snapshots
    low, high = 0.05, 60.0
    for _ in range(80):
        s = (low + high) / 2
        tail = math.exp(-4 / 3 * s**1.5) / (16 * math.pi * s**1.5)
        low, high = (s, high) if tail > pfa else (low, s)
    return mu + sigma * low
