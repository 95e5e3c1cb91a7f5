"""
What the published stream gives away: how many jobs run, and whether a model was changed.

The attacker sees whole messages. It draws three sets of features from each hour, tries three
classifiers on each, picks the best of the nine on the sites it may learn from, and is scored on
sites it has never seen. By chance alone a share of n windows lies within 0.98 / sqrt(n) of one half
in 95 of 100 draws: 0.063 of 240 windows, 0.032 of 960.
"""

from __future__ import annotations

import functools

import msgspec
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
WARM_S, WINDOW_S = 1800, 3600
SITES, MANY_SITES, SEEN_SITES = 20, 80, 6
HOURS, SEEN_HOURS = 6, 2
"""Windows a site: 240 of 20 sites of either kind, 960 of 80."""
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


def power_w(jobs, changed, seed, hours):
    """1-s means: inference that wanders, and jobs that iterate; in one the model may change."""
    rng = np.random.default_rng([seed, jobs, changed])
    seconds = WARM_S + hours * WINDOW_S
    shocks = rng.standard_normal(seconds + 2000) * 0.004
    slow = np.convolve(shocks, np.exp(-np.arange(2000) / 300), mode="valid")[:seconds]
    total_w = 0.6 * RACKS * RACK_W * (1 + 0.3 * slow + 0.002 * rng.standard_normal(seconds))
    fine_s = (np.arange(seconds * FINE_HZ) + 0.5) / FINE_HZ
    for number in range(jobs):
        old = _job(rng, 1.9)
        parts_w = Training(old, seconds, rng).power_w(fine_s)[0]
        if changed and not number:
            new_w = Training(_job(rng, 3.1, share=0.3), seconds, rng).power_w(fine_s)[0]
            at_s = WARM_S + WINDOW_S * (np.arange(hours) + 0.5)
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
    """Messages of a site that left the house, by hour."""
    hours = SEEN_HOURS if consent else HOURS
    every_s = 30 if consent else 300  # without consent the quick classes do not leave
    detect = DetectSettings(forecast_every_s=every_s, forecast_consent=consent)
    outlook = Outlook(SiteLayout(topology(jobs)), detect)
    state, windows = outlook.start(), [[] for _ in range(hours)]
    for s, w in enumerate(power_w(jobs, changed, seed, hours)):
        poi = Poi(np.array([w]), np.ones(1), RACKS * RACK_W, T0_NS + (s + 1) * NS_PER_S)
        state, told = outlook.step(state, poi)
        if s >= WARM_S:
            left = [m for m in told if isinstance(m, Forecast) and not withheld(m)]
            windows[min((s - WARM_S) // WINDOW_S, hours - 1)] += left
    return windows


def by_class(messages):
    """Quantiles (message, horizon, 7) W of each class that left."""
    for name in ("fast", "scada", "dispatch"):
        mine = [m for m in messages if m.horizon_class == name]
        if mine:
            yield np.array([[quantiles(i) for i in m.intervals] for m in mine])


def quantiles(i):
    """Seven numbers."""
    return (i.q05_w, i.q10_w, i.q25_w, i.q50_w, i.q75_w, i.q90_w, i.q95_w)


def shapes(messages):
    """What a stranger would look at: levels, widths, steps and their spread, class by class."""
    found = []
    for rows in by_class(messages):
        width_w, middle_w = rows[..., 6] - rows[..., 0], rows[..., 3]
        inner_w = rows[..., 4] - rows[..., 2]
        steps_w = np.abs(np.diff(middle_w[:, 0]))
        along_w = np.abs(np.diff(middle_w, axis=1))
        for one in (width_w[:, 0], width_w[:, -1], inner_w[:, 0], steps_w, along_w.mean(axis=1)):
            found += [one.mean(), one.std(), np.quantile(one, 0.9)]
        half = len(rows) // 2
        found += [middle_w[half:, 0].mean() - middle_w[:half, 0].mean(), middle_w[:, 0].std()]
    return dict(enumerate(found))


def courses(messages):
    """The course of three quantiles at three horizons over the hour, and its spectrum."""
    found = []
    for rows in by_class(messages):
        for column in rows[:, [0, len(rows[0]) // 2, -1]][..., [0, 3, 6]].reshape(len(rows), -1).T:
            course_w = (column - column.mean())[:12]
            found += [*course_w, *np.abs(np.fft.rfft(course_w))[1:5]]
    return dict(enumerate(found))


def records(messages):
    """Every other number in the messages, whatever it is called, and how often each method led."""
    found = {}
    for m in messages:
        told = msgspec.to_builtins(m)
        for i in told.pop("intervals"):
            at = f"{m.horizon_class} {i['method']}"
            found[at] = [*found.get(at, ()), 1.0]
        for key in ("issued_ns", "data_until_ns", "valid_until_ns", "seq", "provenance"):
            told.pop(key)
        for at, value in numbers(told, m.horizon_class):
            found[at] = [*found.get(at, ()), value]
    return {at: np.sum(values) / len(messages) for at, values in found.items()}


def numbers(told, at):
    """All numbers of a nested record with where they stand."""
    if isinstance(told, dict | list):
        inner = told.items() if isinstance(told, dict) else enumerate(told)
        for key, value in inner:
            yield from numbers(value, f"{at} {key}")
    elif isinstance(told, int | float):
        yield at, float(told)


def discriminant(z, y, test):
    """Linear, with a covariance shrunk towards the identity."""
    groups = [z[y == label] for label in (0, 1)]
    centre = [g.mean(axis=0) for g in groups]
    within = sum(np.cov(g.T) for g in groups) / 2
    slope = np.linalg.solve(within + 0.3 * np.eye(z.shape[1]), centre[1] - centre[0])
    return test @ slope > (centre[0] + centre[1]) @ slope / 2


def bayes(z, y, test):
    """Independent normals: sees spreads as well as means."""
    score = 0.0
    for label, sign in ((1, 1), (0, -1)):
        mean, var = z[y == label].mean(axis=0), z[y == label].var(axis=0) + 0.1
        score = score - sign * ((test - mean) ** 2 / var + np.log(var)).sum(axis=1)
    return score > 0


def neighbours(z, y, test):
    """The majority of the 25 most similar windows."""
    apart = ((test[:, None] - z[None]) ** 2).sum(axis=-1)
    return y[np.argsort(apart, axis=1)[:, :25]].mean(axis=1) > 0.5


ATTACKS = [(k, one) for k in range(3) for one in (discriminant, bayes, neighbours)]


def guessed(attack, x, y, learn, test):
    """What one attack makes of the windows ``test`` after seeing ``learn``."""
    which, classifier = attack
    rows = x[which]
    scale = rows[learn].std(axis=0)
    some = scale > 1e-9
    if not some.any():
        return np.zeros(test.sum(), bool)
    z = (rows[:, some] - rows[learn][:, some].mean(axis=0)) / scale[some]
    return classifier(z[learn], y[learn], z[test])


def recovered(one, other, consent, sites=SITES):
    """Share of held-out windows that the best attack tells apart, five-fold by site; how many."""
    windows, y, site = [], [], []
    for label, (jobs, changed) in enumerate((one, other)):
        for seed in range(sites):
            for window in published(jobs, changed, seed, consent):
                windows.append([features(window) for features in (shapes, courses, records)])
                y.append(label)
                site.append(seed)
    x, y, site = [table(part) for part in zip(*windows, strict=True)], np.array(y), np.array(site)
    right = 0
    for fold in range(5):
        test = site % 5 == fold
        inner = [(site % 5 != k) & ~test for k in range(5) if k != fold]
        scores = [
            sum((guessed(a, x, y, part, ~test & ~part) == y[~test & ~part]).sum() for part in inner)
            for a in ATTACKS
        ]
        best = ATTACKS[int(np.argmax(scores))]
        right += int((guessed(best, x, y, ~test, test) == y[test]).sum())
    return right / len(y), len(y)


def table(rows):
    """Dictionaries as an array, one column a key; what a window does not have is zero."""
    keys = sorted({key for row in rows for key in row}, key=str)
    return np.array([[row.get(key, 0.0) for key in keys] for row in rows])


@pytest.mark.parametrize(("one", "other"), [((FEW, 0), (MANY, 0)), ((MANY, 0), (MANY, 1))])
def test_neither_jobs_nor_a_changed_model_can_be_told(one, other):
    """
    Five jobs or nine of the same size together; one of nine with another period and share.

    No better than chance and five points.
    """
    share, count = recovered(one, other, consent=False)
    assert count == 2 * SITES * HOURS == 240
    assert share <= 0.5 + POINTS


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("one", "other"), [((FEW, 0), (MANY, 0)), ((MANY, 0), (MANY, 1))])
def test_neither_can_be_told_from_many_sites(one, other):
    """The same of 960 windows, of which chance alone stays within 0.032: no allowance for it."""
    share, count = recovered(one, other, consent=False, sites=MANY_SITES)
    assert count == 2 * MANY_SITES * HOURS == 960
    assert share <= 0.5 + POINTS


def test_with_consent_the_same_classifier_tells_them_apart():
    """The tests above can fail: where the quick classes leave the house, it is plain to see."""
    for one, other in (((FEW, 0), (MANY, 0)), ((MANY, 0), (MANY, 1))):
        share, _ = recovered(one, other, consent=True, sites=SEEN_SITES)
        assert share > 0.75


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
