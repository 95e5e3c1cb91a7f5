"""Sixteen rows at once: what lanes compute, FFTs of every length, and that a row is alone in it."""

import math

import numba
import numpy as np
import pytest

from operators import oscillations
from operators.kernels import Told, _spectra, cpu, reference
from operators.kernels._compiled import SOURCES
from operators.kernels._fourier import POINT
from operators.kernels._levels import STRETCH
from operators.kernels._sixteen import (
    LANES,
    LN2,
    everywhere,
    exponential,
    load,
    logarithm,
    mantissa,
    piled,
    store,
    unpiled,
)
from operators.kernels._tables import aligned
from operators.kernels._windows import powers, windows
from operators.kernels.tolerances import CPU
from operators.ramps import RampState
from tests.operators.test_kernels import BANKS, frozen, near, power, signal, site

FEWEST = 0.8


@numba.njit  # not `compiled`: nothing of a test is kept
def _both(x, twos, logs, back):
    for k in range(0, len(x), LANES):
        two, rest = logarithm(load(x, k))
        store(twos, k, two)
        store(logs, k, rest)
        store(back, k, exponential(two * LN2 + rest))


def test_logarithms_and_exponentials():
    """Two units in the last place, near 1 and over the whole range; far below nothing is left."""
    rng, eps = np.random.default_rng(0), np.finfo(np.float32).eps
    x = np.concatenate([np.exp(rng.uniform(-85, 85, 4000)), 1 + rng.uniform(-1e-3, 1e-3, 4000)])
    x = x.astype(np.float32)
    twos, logs, back = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    _both(x, twos, logs, back)
    assert np.all(np.abs(logs) <= math.log(2) / 2 + eps)
    rest = np.log(x.astype(float)) - twos.astype(float) * math.log(2)
    np.testing.assert_allclose(logs, rest, rtol=2 * eps, atol=1e-12)
    exact = np.exp((twos * np.float32(LN2) + logs).astype(float))
    np.testing.assert_allclose(back, exact, rtol=2 * eps)


@numba.njit
def _piled(x, out):
    product, pile = everywhere(1.0), everywhere(0.0)
    for k in range(0, len(x), LANES):
        here = load(x, k)
        product, pile = product * mantissa(here), piled(pile, here)
    store(out, 0, unpiled(pile, len(x) // LANES))
    store(out, LANES, product)


def test_a_product_is_exponents_and_mantissas():
    """The product of as many numbers as a stretch may have, far beyond the greatest float32."""
    x = np.exp(np.random.default_rng(0).uniform(-80, 85, (STRETCH, LANES))).astype(np.float32)
    out = np.empty(2 * LANES, np.float32)
    _piled(x.ravel(), out)
    exact = np.log2(x.astype(float)).sum(axis=0)
    np.testing.assert_allclose(out[:LANES] + np.log2(out[LANES:]), exact, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(out[:LANES], (np.frexp(x)[1] - 1).sum(axis=0))


class Window:
    """As `oscillations.Look` for the FFT: a taper and the bins asked for."""

    def __init__(self, samples, first, last):
        self.taper = np.random.default_rng(samples).uniform(0.5, 1, samples)
        self.first, self.last = first, last


@pytest.mark.parametrize(
    "samples", [7, 8, 12, 13, 22, 25, 33, 64, 75, 100, 121, 140, 210, 343, 400, 1280]
)
def test_ffts(samples):
    """Powers of every bin, for lengths of all kinds of factors, within rounding of NumPy's."""
    rng, rows = np.random.default_rng(samples), 19
    x = (rng.normal(size=(rows, samples + 1)) * 1e4 + 1e6).astype(np.float32)
    one = Window(samples, 0, samples + 1)
    out, enough = aligned(2 * LANES * (samples + 1)), np.empty((1, rows, 1), bool)
    old = x[:, :3].copy(), np.ones((rows, 3), bool)
    new = x[:, 3:].copy(), np.ones((rows, samples - 2), bool)
    ends = (samples + 1, 1, samples + 1)
    powers(old, new, ends, (windows([one]), FEWEST), (out, enough), (0, 2))
    found = out.reshape(2, samples + 1, LANES).transpose(0, 2, 1).reshape(2 * LANES, -1)[:rows]
    exact = np.abs(np.fft.rfft(np.diff(x.astype(float)) * one.taper, n=2 * samples)) ** 2
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-9 * exact.max())
    assert enough.all()
    assert POINT == 2 * LANES


@pytest.mark.parametrize("bank", BANKS)
def test_a_row_is_alone(bank):
    """Whatever rows share its lanes, dead ones too: a row has the bits it has by itself."""
    rate, spans, hop_s = BANKS[bank]
    design = oscillations.design(rate, windows=spans, hop_s=hop_s, pfa=1e-9)
    x, ok = signal(np.random.default_rng(4), 19, 15 * design.hop)
    plan = cpu.plan(design, x)

    def run(rows):
        start = oscillations.start(x[rows, :1], design=design, until_hop=design.hop)
        return cpu.periodogram(x[rows], ok[rows], start, plan=plan)

    found, state = run(slice(None))
    for row in (0, 1, 2, 7, 8, 18):
        here, alone = run(slice(row, row + 1))
        np.testing.assert_array_equal(here.most[..., 0], found.most[..., row])
        for a, b in zip(here[:4], found[:4], strict=True):
            np.testing.assert_array_equal(a[:, 0], b[:, row])
        for a, b in zip(alone[:5], state[:5], strict=True):
            np.testing.assert_array_equal(a[0], b[row])


def test_what_is_not_told_changes_nothing():
    """State and the greatest of each row have the same bits, whatever else is asked for."""
    rate, spans, hop_s = BANKS["long"]
    design = oscillations.design(rate, windows=spans, hop_s=hop_s, pfa=1e-9)
    x, ok = signal(np.random.default_rng(4), 19, 40 * design.hop)
    plan = cpu.plan(design, x)
    start = oscillations.start(x[:, :1], design=design, until_hop=design.hop)
    whole, state = cpu.periodogram(x, ok, start, plan=plan)
    bands = np.array([[0, 7], [5, len(design.freq_hz)], [3, 3]])
    weight = np.linspace(1, 2, len(design.freq_hz))
    for told in (Told(bins=False), Told(False, bands, weight), Told(True, bands, weight)):
        found, then = cpu.periodogram(x, ok, start, plan=plan, told=told)
        np.testing.assert_array_equal(found.most, whole.most)
        if told.bins:
            np.testing.assert_array_equal(found.amplitude_w, whole.amplitude_w)
        else:
            assert found.now is found.lasting is found.votes is found.amplitude_w is None
        assert found.strongest_w.shape[2] == len(told.bands)
        for band, (first, last) in enumerate(told.bands):
            strongest_w = (whole.amplitude_w * weight)[:, :, first:last].max(axis=-1, initial=0)
            np.testing.assert_allclose(found.strongest_w[..., band], strongest_w, rtol=1e-6)
        for a, b in zip(then, state, strict=True):
            np.testing.assert_array_equal(a, b)
    for name, most in zip(("now", "lasting", "votes"), whole.most, strict=True):
        np.testing.assert_array_equal(getattr(whole, name).max(axis=-1), most)


def test_compiled_code_is_as_old_as_all_kernels():
    """A kernel on disk is not taken when a part that it calls, in another file, has changed."""
    assert _spectra.look._cache._cache_file._source_stamp == SOURCES
    assert _spectra.look.stats.cache_path


@pytest.mark.parametrize("per_s", [8, 9, 10, 16, 17])
@pytest.mark.parametrize(("racks", "per_pdu"), [(1, 1), (7, 3), (33, 7)])
def test_frame_of_one_second_without_a_gap(racks, per_pdu, per_s):
    """What is read in place has the reference's bits too."""
    plan, rng = site(racks, per_pdu)._replace(per_s=per_s), np.random.default_rng(per_s)
    x, _, limits = power(rng, racks + 1, 4 * per_s)
    ok = np.ones(x.shape, bool)
    for depth in (per_s, 3 * per_s):
        past = RampState(*frozen(x[:, 3 * per_s - depth : -per_s], ok[:, :depth]))
        given = (*frozen(x[:, -per_s:], ok[:, -per_s:]), past, *frozen(limits), plan)
        found, expected = cpu.frame(*given), reference.frame(*given)
        for name, a, b in zip(found._fields, found, expected, strict=True):
            near(a, b, CPU["frame"], name)
