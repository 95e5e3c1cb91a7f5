"""Eight rows at once: what lanes compute, FFTs of every length, and that a row is alone in it."""

import math

import numba
import numpy as np
import pytest

from operators import oscillations
from operators._arrays import narrow
from operators.kernels import Told, _spectra, cpu, reference
from operators.kernels._compiled import SOURCES
from operators.kernels._fourier import POINT
from operators.kernels._lanes import exponential, load, logarithm, narrowed, store
from operators.kernels._tables import aligned
from operators.kernels._windows import powers, windows
from operators.kernels.tolerances import CPU
from operators.ramps import RampState
from tests.operators.test_kernels import BANKS, frozen, near, power, signal, site

FEWEST = 0.8


@numba.njit  # not `compiled`: nothing of a test is kept
def _both(x, logs, back):
    for k in range(0, len(x), 8):
        store(logs, k, logarithm(load(x, k)))
        store(back, k, exponential(load(logs, k)))


def test_logarithms_and_exponentials():
    """Two units in the last place, near 1 and over the whole range; far below nothing is left."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 4000)), 1 + rng.uniform(-1e-3, 1e-3, 4000)])
    logs, back = np.empty_like(x), np.empty_like(x)
    _both(x, logs, back)
    exact = np.array([math.log(one) for one in x])
    np.testing.assert_allclose(logs, exact, rtol=2 * np.finfo(float).eps)
    np.testing.assert_allclose(back, [math.exp(one) for one in logs], rtol=2 * np.finfo(float).eps)


@numba.njit
def _remembered(x, out, kept):
    for k in range(0, len(x), 8):
        store(out, k, narrowed(load(x, k)))
        store(kept, k, load(out, k))
        store(out, k, load(kept, k))


def test_what_is_remembered_is_rounded_alike():
    """NumPy and lanes: the nearest float32, at most the greatest; it comes back with its bits."""
    most = np.finfo(np.float32).max
    x = np.concatenate([np.exp(np.random.default_rng(0).uniform(-90, 80, 4000)), np.zeros(4)])
    x = np.concatenate([x, [most, 1.00000001 * most, 1e77, np.inf]])
    out, kept = np.empty_like(x), np.empty(len(x), np.float32)
    _remembered(x, out, kept)
    np.testing.assert_array_equal(kept, narrow(x))
    np.testing.assert_array_equal(out, kept)
    assert kept[-4:].tolist() == [most] * 4
    assert np.isnan(narrow(np.array([np.nan]))).all()
    assert narrow(np.array([-1e77])).tolist() == [-most]


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
    rng, rows = np.random.default_rng(samples), 11
    x = (rng.normal(size=(rows, samples + 1)) * 1e4 + 1e6).astype(np.float32)
    one = Window(samples, 0, samples + 1)
    out, enough = aligned(2 * 8 * (samples + 1)), np.empty((1, rows, 1), bool)
    old = x[:, :3].copy(), np.ones((rows, 3), bool)
    new = x[:, 3:].copy(), np.ones((rows, samples - 2), bool)
    ends = (samples + 1, 1, samples + 1)
    powers(old, new, ends, (windows([one]), FEWEST), (out, enough), (0, 2))
    found = out.reshape(2, samples + 1, 8).transpose(0, 2, 1).reshape(16, -1)[:rows]
    exact = np.abs(np.fft.rfft(np.diff(x.astype(float)) * one.taper, n=2 * samples)) ** 2
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-14 * exact.max())
    assert enough.all()
    assert POINT == 16


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
            np.testing.assert_allclose(found.strongest_w[..., band], strongest_w, rtol=1e-15)
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
