"""Compiled kernels against the reference made of the operators: odd sizes, gaps, every cut."""

import numpy as np
import pytest

from operators import decimation, diversity, noise, oscillations, segments, steps
from operators._arrays import narrow
from operators.kernels import FramePlan, StepPlan, cpu, reference, tree
from operators.kernels.tolerances import CPU, Tolerance
from operators.ramps import RampState

PER_S = 10
TALL = ((1, 1, 10), (7, 3, 1), (33, 7, 3), (50, 51, 10), (33, 7, 130), (130, 9, 100))
"""Racks, racks a PDU, ticks: one, fewer than a second, more than the past holds."""
BANKS = {
    "short": (30, oscillations.FAST, 1),
    "long": (10, ((20.0, 55.0), (40.0, 15.0)), 2),
    "slow": (2, ((80.0, 0.8), (160.0, 0.8), (640.0, 0.15)), 8),
}


def near(found, expected, tolerance, what=""):
    """Within the stated tolerance; exactly where it is zero."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    assert found.dtype == expected.dtype, what
    if tolerance == Tolerance():
        np.testing.assert_array_equal(found, expected, err_msg=what)
    else:
        np.testing.assert_allclose(
            found, expected, tolerance.relative, tolerance.absolute, err_msg=what
        )


def site(racks, per_pdu):
    """Racks, PDUs that are the sum of theirs, and a substation with a meter of its own."""
    channels = racks + 1
    pdus = [
        range(channels + k, channels + min(k + per_pdu, racks)) for k in range(0, racks, per_pdu)
    ]
    own = segments.plan([[k] for k in range(racks)], channels)
    middle = segments.plan(pdus, channels + racks)
    below = channels + racks + len(pdus)
    tops = ([[racks]], [list(range(channels + racks, below))])
    levels, leaf_levels = ((own, middle, segments.plan(top, below)) for top in tops)
    nodes = racks + len(pdus) + 1
    counts = np.array([1.0] * racks + [float(len(pdu)) for pdu in pdus] + [1.0])
    watched = np.arange(racks, nodes)
    return FramePlan(
        tree(levels),
        levels,
        tree(leaf_levels),
        leaf_levels,
        counts,
        watched,
        (0, racks),
        PER_S,
        3.0,
    )


def power(rng, channels, ticks):
    """Power with gaps, and the thresholds of the leaves, some of which are not known."""
    x, ok = narrow(rng.normal(5e4, 1e3, (channels, ticks))), rng.random((channels, ticks)) > 0.07
    ok[channels // 2] = False
    limits = rng.uniform(500, 2000, channels - 1)
    limits[::5] = np.inf
    return x, ok, limits


def frozen(*arrays):
    """Contiguous arrays that nobody can write to."""
    found = [np.ascontiguousarray(a) for a in arrays]
    for a in found:
        a.flags.writeable = False
    return found


@pytest.mark.parametrize(("racks", "per_pdu", "ticks"), TALL)
def test_frame(racks, per_pdu, ticks):
    """Sums, masked differences, votes and peaks have the reference's bits."""
    plan, rng = site(racks, per_pdu), np.random.default_rng(racks)
    x, ok, limits = power(rng, racks + 1, 120 + ticks)
    for depth in {120, PER_S, min(max(ticks, PER_S), 120)}:
        past = RampState(*frozen(x[:, 120 - depth : 120], ok[:, 120 - depth : 120]))
        given = (*frozen(x[:, 120:], ok[:, 120:]), past, *frozen(limits), plan)
        found, expected = cpu.frame(*given), reference.frame(*given)
        assert racks < 3 or (np.asarray(expected.synchrony) > 0).any() or ticks < 10
        for name, a, b in zip(found._fields, found, expected, strict=True):
            near(a, b, CPU["frame"], name)


def test_frame_does_not_see_the_cut():
    """Frames of a tick and of three seconds at once say the same of every tick."""
    plan, rng = site(33, 7), np.random.default_rng(3)
    x, ok, limits = power(rng, 34, 160)

    def run(cut):
        found = []
        for start in range(120, 150, cut):
            past = RampState(*frozen(x[:, start - 120 : start], ok[:, start - 120 : start]))
            now = frozen(x[:, start : start + cut], ok[:, start : start + cut])
            found.append(cpu.frame(*now, past, limits, plan))
        return [np.concatenate(part, axis=1) for part in zip(*found, strict=True)]

    *whole, peaks = run(30)
    for cut in (1, 2, 10):
        *parts, tick_peaks = run(cut)
        for a, b in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(a, b)
        by_second = tick_peaks.reshape(33, 3, -1).max(axis=2)
        np.testing.assert_array_equal(by_second, peaks)


def nodes(rng, rows, ticks):
    """Ways of some nodes, one without noise, one without a baseline; what they are judged by."""
    order = 8
    sigma_w, baseline = rng.uniform(1, 2, rows), np.full(rows, 600.0)
    sigma_w[rows // 2], baseline[rows // 3] = 0, 0
    path_w = np.cumsum(rng.standard_normal((rows, order + ticks)), axis=1)
    path_w[0, order + ticks // 2 :] += 40
    bound_w = np.where(np.arange(rows) % 2, np.inf, 3.5 * sigma_w)
    plan = StepPlan(
        rng.normal(0, 0.1, (rows, order)), rng.normal(0, 1, rows), sigma_w, bound_w, baseline,
        rng.uniform(3, 5, (rows, len(steps.GROUPS))),
    )  # fmt: skip
    ok = rng.random(path_w.shape) > 0.02
    return path_w, ok, rng.standard_normal((rows, steps.TAIL)), rng.integers(0, 400, rows), plan


@pytest.mark.parametrize(("rows", "ticks"), [(1, 1), (5, 37), (11, 100), (3, 600)])
def test_scan(rows, ticks):
    """Innovations and likelihood ratios have the reference's bits."""
    *given, plan = nodes(np.random.default_rng(rows), rows, ticks)
    given = frozen(*given)
    found, expected = cpu.scan(*given, plan), reference.scan(*given, plan)
    for name, a, b in zip(found._fields, found, expected, strict=True):
        near(a, b, CPU["scan"], name)
    alone = cpu.KERNELS.innovations(*given[:2], plan), reference.innovations(*given[:2], plan)
    near(*alone, CPU["innovations"])
    near(alone[0][:, -steps.TAIL :], found.innovations_w[:, -ticks:], CPU["innovations"])


def test_two_threshold():
    """Hysteresis as the reference has it; a NaN holds."""
    statistic = np.random.default_rng(1).normal(0.6, 0.5, (5, 77))
    statistic[:, ::9] = np.nan
    state = np.array([True, False, True, False, False])
    limits = {"threshold_on": 1.0, "threshold_off": 0.5}
    given = frozen(statistic, state)
    for a, b in zip(
        cpu.two_threshold(*given, **limits),
        reference.KERNELS.two_threshold(*given, **limits),
        strict=True,
    ):
        near(a, b, CPU["two_threshold"])


def signal(rng, rows, ticks):
    """Walks that grow louder, a line, a dead row and gaps; (row, time) W and what was measured."""
    x = np.cumsum(rng.standard_normal((rows, ticks)), axis=1) * 1e3 + 1e6
    x[1, ticks // 3 :] += 1e5 * np.sin(1.1 * np.arange(ticks - ticks // 3))
    x[:, -ticks // 5 :] += np.cumsum(rng.standard_normal((rows, ticks // 5)) * 1e4, axis=1)
    x[2] = 0
    ok = rng.random(x.shape) > 0.01
    ok[0, ticks // 2 : 2 * ticks // 3] = False
    return x, ok


@pytest.mark.parametrize("rows", [3, 17])
@pytest.mark.parametrize("bank", BANKS)
def test_periodogram(bank, rows):
    """What stands out and what is learned, within the tolerances, hop after hop."""
    rate, windows, hop_s = BANKS[bank]
    design = oscillations.design(rate, windows=windows, hop_s=hop_s, pfa=1e-9)
    x, ok = signal(np.random.default_rng(rows), rows, 40 * design.hop)
    plans = cpu.plan(design, x), oscillations.to_namespace(design, x)
    state = oscillations.start(x[:, :1], design=design, until_hop=design.hop - 1)
    state = state._replace(sums=state.sums + 0.9 * design.height)  # as after hours: they are heard
    state = state._replace(**{n: frozen(a)[0] for n, a in state._asdict().items() if n[0] != "u"})
    found, after = cpu.periodogram(*frozen(x, ok), state, plan=plans[0])
    expected, then = reference.periodogram(x, ok, state, plan=plans[1])
    for name, a, b in zip(found._fields, found, expected, strict=True):
        near(a, b, CPU[f"periodogram.{name}"], name)
    for name, a, b in zip(after._fields, after, then, strict=True):
        near(a, b, CPU.get(f"periodogram.{name}", Tolerance()), name)
    assert (np.asarray(found.now) > 1).any()
    assert np.all(state.background_w2 == 0)


@pytest.mark.parametrize("bank", BANKS)
def test_periodogram_does_not_see_the_cut(bank):
    """One call and many of any length give the same bits, outputs and state."""
    rate, windows, hop_s = BANKS[bank]
    design = oscillations.design(rate, windows=windows, hop_s=hop_s, pfa=1e-9)
    rng = np.random.default_rng(5)
    x, ok = signal(rng, 5, 30 * design.hop)
    plan = cpu.plan(design, x)
    start = oscillations.start(x[:, :1], design=design, until_hop=3)
    whole, last = cpu.periodogram(x, ok, start, plan=plan)
    state, parts, at = start, [], 0
    while at < x.shape[1]:
        n = int(rng.integers(1, 4 * design.hop))
        found, state = cpu.periodogram(x[:, at : at + n], ok[:, at : at + n], state, plan=plan)
        parts.append(found)
        at += n
    for name, expected in whole._asdict().items():
        hops = [getattr(part, name) for part in parts]
        a, b = np.concatenate(hops, axis=1 if name == "most" else 0), expected
        np.testing.assert_array_equal(a, b)
    for a, b in zip(state, last, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (5, 3), (7, 10), (3, 64), (19, 10)])
def test_seconds_and_frames(rows, length):
    """Means, least, greatest and counts have the reference's bits; nothing valid is no NaN."""
    rng = np.random.default_rng(length)
    x, ok, _ = power(rng, rows, 6 * length)
    ok[: rows // 2] = True  # eight rows without a gap are computed at once
    both = (cpu.KERNELS, reference.KERNELS)
    for given in (frozen(x, ok), frozen(rng.normal(5e4, 1e3, x.shape), ok)):
        stats = [k.second_stats(*given, samples_per_second=length) for k in both]
        means = [k.frame_means(*given, samples_per_frame=length) for k in both]
        for a, b in [*zip(*stats, strict=True), *zip(*means, strict=True)]:
            near(a, b, CPU["second_stats"])


@pytest.mark.parametrize("seconds", [1, 3, 10, 70])
def test_noise(seconds):
    """The memory and its medians have the reference's bits: ties, gaps, more than it holds."""
    both, states = (cpu.KERNELS, reference.KERNELS), []
    for kernels in both:
        rng, state = np.random.default_rng(seconds), noise.start(np.zeros((9, 1)))
        for _ in range(12):
            peak_w = rng.integers(0, 40, (9, seconds)).astype(float)
            keep = rng.random(peak_w.shape) > np.arange(9)[:, None] / 8
            state = kernels.remember(*frozen(peak_w, keep), noise.NoiseState(*frozen(*state)))
        states.append(state)
    for a, b in zip(*states, strict=True):
        near(a, b, CPU["remember"])
    scales = [kernels.noise_scale(state) for kernels, state in zip(both, states, strict=True)]
    near(*scales, CPU["noise_scale"])


@pytest.mark.parametrize("ticks", [9, 200, 333])
def test_autocovariance(ticks):
    """Sums of products have the reference's bits, and a row without a sample has none."""
    x, ok, _ = power(np.random.default_rng(ticks), 5, ticks)
    pair = [
        k.autocovariance(*frozen(x.astype(float), ok), order=8)
        for k in (cpu.KERNELS, reference.KERNELS)
    ]
    near(*pair, CPU["autocovariance"])


@pytest.mark.parametrize(("leaves", "cut"), [(1, 1), (5, 3), (64, 1), (131, 25), (65, 75)])
def test_diversity(leaves, cut):
    """How leaves fall together, some seconds at a time, with gaps; the state has the same bits."""
    rng, both = np.random.default_rng(leaves), (cpu.KERNELS, reference.KERNELS)
    states = [diversity.start(np.zeros((leaves, 1)), window=60)] * 2
    for second in range(0, 75, cut):
        x = rng.normal(5e4, 1e3, (leaves, cut)) * (np.arange(second, second + cut) != 20)
        ok = rng.random(x.shape) > 0.1
        found = [k.together(*frozen(x, ok), s) for k, s in zip(both, states, strict=True)]
        for a, b in zip(found[0][0], found[1][0], strict=True):
            near(a, b, CPU["together"])
        states = [diversity.DiversityState(*frozen(*state)) for _, state in found]
        for a, b in zip(*states, strict=True):
            near(a, b, Tolerance())


@pytest.mark.parametrize("blocks", [1, 7, 360])
def test_block_moments(blocks):
    """Moments and quantiles of block maxima have the reference's bits; none filled: zeros."""
    rng = np.random.default_rng(blocks)
    maxima, count = narrow(rng.gumbel(3, 1, (9, blocks))), rng.integers(0, blocks + 1, 9)
    count[:2] = 0, blocks
    alike = np.full(9, blocks // 2)
    both = (cpu.KERNELS, reference.KERNELS)
    for some in (count, alike):
        pair = [k.block_moments(*frozen(maxima, some)) for k in both]
        for a, b in zip(*pair, strict=True):
            near(a, b, CPU["block_moments"])


@pytest.mark.parametrize(("factor", "count"), [(1, 4), (3, 7), (5, 16), (15, 32)])
def test_newest(factor, count):
    """A slower series has the reference's bits, and what of it was measured."""
    taps = decimation.taps(factor)
    x, ok, _ = power(np.random.default_rng(factor), 5, (count + 13) * factor + 2)
    both = (cpu.KERNELS, reference.KERNELS)
    pair = [k.newest(*frozen(narrow(x), ok, taps), factor=factor, count=count) for k in both]
    for a, b in zip(*pair, strict=True):
        near(a, b, CPU["newest"])
    assert pair[0][1].any()
    assert not pair[0][1].all()
