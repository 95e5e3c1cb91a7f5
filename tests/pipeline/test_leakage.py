"""What the published stream gives away: how many jobs run, and whether a model was changed."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.outlook import Outlook, Poi
from pipeline.outlook_privacy import bucket, rounded, rounding_w, withheld
from replay.plan import Job
from replay.workload import Training
from schemas.forecasts import Forecast
from schemas.topology import Topology
from schemas.units import NS_PER_S

T0_NS = 1_772_496_000 * NS_PER_S
RACKS, RACK_W = 200, 8e4
WARM_S, WINDOW_S, WINDOWS = 1800, 3600, 2
SITES, MANY_SITES, SEEN_SITES = 20, 90, 6
FINE_HZ = 4
FEW, MANY = 5, 9
POINTS = 0.05


def topology(jobs, racks=RACKS):
    """200 racks of which two fifths train, in so many jobs; one meter, once a second."""
    text = [
        '[site]\nid = "leaky"',
        f'[[node]]\nid = "poi"\nlevel = "substation"\nrating_w = {racks * 1.3e5}',
        '[[channel]]\nid = "poi.p"\nnode_id = "poi"',
        '[[gateway]]\nid = "gw"\nlevel = "substation"\nrate_hz = "1"\nchannels = ["*"]',
        '[[node]]\nid = "pdu"\nlevel = "pdu"\nparent = "poi"',
    ]
    for r in range(racks):
        cohort = f'\ncohorts = ["job-{r % jobs}"]' if jobs and r < 0.4 * racks else ""
        text.append(f'[[node]]\nid = "r{r}"\nlevel = "rack"\nparent = "pdu"{cohort}')
    return Topology.parse("\n".join(text))


def power_w(jobs, changed, seed):
    """1-s means: inference that wanders, and jobs that iterate; in one the model may change."""
    rng = np.random.default_rng([seed, jobs, changed])
    seconds = WARM_S + WINDOWS * WINDOW_S
    shocks = rng.standard_normal(seconds + 2000) * 0.004
    slow = np.convolve(shocks, np.exp(-np.arange(2000) / 300), mode="valid")[:seconds]
    total_w = 0.6 * RACKS * RACK_W * (1 + 0.3 * slow + 0.002 * rng.standard_normal(seconds))
    fine_s = (np.arange(seconds * FINE_HZ) + 0.5) / FINE_HZ
    for number in range(jobs):
        old = _job(rng, 1.9)
        parts_w = Training(old, seconds, rng).power_w(fine_s)[0]
        if changed and not number:
            new_w = Training(_job(rng, 3.1, share=0.3), seconds, rng).power_w(fine_s)[0]
            at_s = WARM_S + WINDOW_S * (np.arange(WINDOWS) + 0.5)
            swap = (np.searchsorted(at_s, fine_s) % 2).astype(bool)
            parts_w = np.where(swap, new_w, parts_w)
        total_w += 0.4 * RACKS / jobs * RACK_W / 1e5 * parts_w.reshape(-1, FINE_HZ).mean(axis=1)
    return total_w


def _job(rng, period_s, share=0.25):
    return Job(
        racks=1,
        period_s=period_s * float(rng.uniform(0.9, 1.1)),
        jitter=0.02,
        communicate_share=share,
        checkpoint_every_s=float(rng.uniform(900, 1800)),
        checkpoint_s=15.0,
        start_s=-float(rng.uniform(0, 900)),
    )


@functools.cache
def published(jobs, changed, seed, consent):
    """Messages of a site that left the house, by window."""
    every_s = 30 if consent else 300  # without consent the quick classes do not leave
    detect = DetectSettings(forecast_every_s=every_s, forecast_consent=consent)
    outlook = Outlook(SiteLayout(topology(jobs)), detect)
    state, windows = outlook.start(), [[] for _ in range(WINDOWS)]
    for s, w in enumerate(power_w(jobs, changed, seed)):
        poi = Poi(np.array([w]), np.ones(1), RACKS * RACK_W, T0_NS + (s + 1) * NS_PER_S)
        state, told = outlook.step(state, poi)
        if s > WARM_S:
            left = [m for m in told if isinstance(m, Forecast) and not withheld(m)]
            windows[min((s - WARM_S) // WINDOW_S, WINDOWS - 1)] += left
    return windows


def features(messages):
    """What a stranger would look at: levels, widths, steps and their spread, class by class."""
    found = []
    for name in ("fast", "scada", "dispatch"):
        mine = [m for m in messages if m.horizon_class == name]
        if not mine:
            continue
        rows = np.array(
            [[(i.q05_w, i.q25_w, i.q50_w, i.q75_w, i.q95_w) for i in m.intervals] for m in mine]
        )
        width_w, middle_w = rows[..., 4] - rows[..., 0], rows[..., 2]
        inner_w = rows[..., 3] - rows[..., 1]
        steps_w = np.abs(np.diff(middle_w[:, 0]))
        along_w = np.abs(np.diff(middle_w, axis=1))
        for one in (width_w[:, 0], width_w[:, -1], inner_w[:, 0], steps_w, along_w.mean(axis=1)):
            found += [one.mean(), one.std(), np.quantile(one, 0.9)]
        half = len(mine) // 2
        found += [middle_w[half:, 0].mean() - middle_w[:half, 0].mean(), middle_w[:, 0].std()]
        freqs = [m.oscillation.freq_hz or 0.0 for m in mine if m.oscillation]
        found += [np.mean(freqs), np.std(freqs)] if freqs else []
    return np.array(found)


def recovered(one, other, consent, sites=SITES):
    """Share of held-out windows that a discriminant tells apart, five-fold by site."""
    x, y, site = [], [], []
    for label, (jobs, changed) in enumerate((one, other)):
        for seed in range(sites):
            for window in published(jobs, changed, seed, consent):
                x.append(features(window))
                y.append(label)
                site.append(seed)
    x, y, site = np.array(x), np.array(y), np.array(site)
    right = 0
    for fold in range(5):
        test = site % 5 == fold
        mean, scale = x[~test].mean(axis=0), x[~test].std(axis=0) + 1e-9
        z = (x - mean) / scale
        groups = [z[~test & (y == label)] for label in (0, 1)]
        centre = [g.mean(axis=0) for g in groups]
        within = sum(np.cov(g.T) for g in groups) / 2
        slope = np.linalg.solve(within + 0.3 * np.eye(x.shape[1]), centre[1] - centre[0])
        guess = z[test] @ slope > (centre[0] + centre[1]) @ slope / 2
        right += int((guess == y[test]).sum())
    return right / len(y)


def test_the_number_of_jobs_cannot_be_told():
    """Five jobs or nine of the same size together: no better than chance and five points."""
    assert recovered((FEW, False), (MANY, False), consent=False) <= 0.5 + POINTS


def test_a_changed_model_cannot_be_told():
    """One of nine jobs with another period and share in the second half: no better either."""
    assert recovered((MANY, False), (MANY, True), consent=False) <= 0.5 + POINTS


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("one", "other"), [((FEW, 0), (MANY, 0)), ((MANY, 0), (MANY, 1))])
def test_neither_can_be_told_from_many_sites(one, other):
    """The same of 90 sites: not above chance and five points by more than chance alone explains."""
    noise = 1.96 * (0.25 / (2 * WINDOWS * MANY_SITES)) ** 0.5
    assert recovered(one, other, consent=False, sites=MANY_SITES) <= 0.5 + POINTS + noise


def test_with_consent_the_same_classifier_tells_them_apart():
    """The two tests above can fail: where the quick classes leave the house, it is plain to see."""
    assert recovered((FEW, False), (MANY, False), consent=True, sites=SEEN_SITES) > 0.75


@pytest.mark.parametrize(
    ("jobs", "racks", "consent", "leaves"),
    [
        (9, 200, False, {"dispatch": True, "fast": False}),
        (0, 200, False, {"dispatch": True, "fast": True}),
        (2, 200, False, {"dispatch": False, "fast": False}),
        (0, 49, False, {"dispatch": False, "fast": False}),
        (2, 49, True, {"dispatch": True, "fast": True}),
    ],
)
def test_who_may_see_what(jobs, racks, consent, leaves):
    """Small groups, and groups with a large job, stay in the house unless the site consents."""
    outlook = Outlook(SiteLayout(topology(jobs, racks)), DetectSettings(forecast_consent=consent))
    state, seen = outlook.start(), {}
    for s in range(600):
        poi = Poi(np.array([1e6 + s]), np.ones(1), 1e6, T0_NS + (s + 1) * NS_PER_S)
        state, told = outlook.step(state, poi)
        seen |= {m.horizon_class: not withheld(m) for m in told if isinstance(m, Forecast)}
    assert {name: seen[name] for name in leaves} == leaves


def test_rounding_goes_outwards_and_counts_are_bucketed():
    """An interval that held still holds after rounding; steps are 1, 2 or 5 of a decade."""
    q = np.array([[1.04e6, 1.06e6, 1.1e6, 1.2e6, 1.3e6, 1.34e6, 1.36e6]])
    step_w = rounding_w(1e7)
    assert step_w == 2e5
    got = rounded(q, step_w)
    assert (got[:, 0] <= q[:, 0]).all()
    assert (got[:, -1] >= q[:, -1]).all()
    assert (np.diff(got) >= 0).all()
    assert np.allclose(got / step_w, np.round(got / step_w))
    assert rounding_w(6e8) == 1e7
    assert [bucket(n) for n in (49, 50, 199, 1000)] == [0, 50, 100, 1000]
