"""Nothing lasts that should not: what is no number, a lost channel, a month of additions."""

import math

import numpy as np
import pytest

from operators import oscillations
from operators.kernels import cpu, reference
from tests.operators.test_kernels import BANKS, frozen, nodes, signal

HOUR = 3600


def in_two(x, ok, state, plan):
    """A window first, so that what follows has all of its past; as if it had been one call."""
    first = plan.design.window + 1
    parts = []
    for part in (slice(first), slice(first, None)):
        found, state = cpu.periodogram(x[:, part], ok[:, part], state, plan=plan)
        parts.append(found)
    joined = [
        np.concatenate(pair, axis=1 if name == "most" else 0)
        for name, *pair in zip(found._fields, *parts, strict=True)
    ]
    return found._make(joined), state


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e17, None])
def test_what_is_no_number_is_forgotten(bank, bad):
    """A second of it, or a channel that is lost: one window later every amplitude has its bits."""
    rate, windows, hop_s = BANKS[bank]
    design = oscillations.design(rate, windows=windows, hop_s=hop_s, pfa=1e-9)
    hops = 3 * design.window // design.hop
    x, ok = signal(np.random.default_rng(9), 3, hops * design.hop)
    ok[:] = True
    hurt_w, hurt = x.copy(), ok.copy()
    at = slice(design.window + 5, design.window + 5 + design.hop)
    if bad is None:
        hurt[1, at] = False
    else:
        hurt_w[1, at] = bad
    plan = cpu.plan(design, x)
    start = oscillations.start(x[:, :1], design=design, until_hop=design.hop)
    found, state = in_two(hurt_w, hurt, start, plan)
    clean, then = cpu.periodogram(x, ok, start, plan=plan)
    for name, values in {**found._asdict(), **state._asdict()}.items():
        if not name.startswith("tail"):
            assert np.isfinite(values).all(), name
    after = -(-(at.stop + design.window + 1) // design.hop)
    np.testing.assert_array_equal(found.amplitude_w[after:], clean.amplitude_w[after:])
    np.testing.assert_array_equal(state.background_w2[[0, 2]], then.background_w2[[0, 2]])


def test_the_sums_come_down_after_a_line_of_a_day():
    """They stop a little above their threshold, however long it lasts: the state is bounded."""
    design = oscillations.design(10, pfa=1e-9)
    plan, bins = cpu.plan(design, None), len(design.freq_hz)
    state = oscillations.start(np.zeros((1, 1)), design=design, until_hop=design.hop)
    state = state._replace(sums=np.full((1, bins), 3e38, np.float32))
    _, after = cpu.periodogram(np.zeros((1, 10)), np.ones((1, 10), bool), state, plan=plan)
    assert after.sums.max() <= oscillations.FULL * design.height


def test_a_month_of_additions():
    """The way of a node after 30 days at 10 Hz is right to a ten-thousandth of a watt."""
    rng, way_w, exact = np.random.default_rng(1), 0.0, []
    for _ in range(30):
        moved_w = rng.normal(0, 1e4, 24 * HOUR * 10)
        way_w = float(np.add.accumulate(np.concatenate([[way_w], moved_w]))[-1])
        exact.append(math.fsum(moved_w))
    assert abs(way_w - math.fsum(exact)) < 1e-4
    # and what is judged is its difference within a window, whose error is that of one addition


def test_steps_of_a_long_way_are_those_of_a_short_one():
    """Ratios do not change by more than rounding where the way is 1 TW from where it began."""
    path_w, ok, past, since, plan = nodes(np.random.default_rng(3), 5, 100)
    here = cpu.scan(*frozen(path_w, ok, past, since), plan)
    plan = plan._replace(offset_w=plan.offset_w + (1 - plan.coefficients.sum(axis=1)) * 1e12)
    far = cpu.scan(*frozen(path_w + 1e12, ok, past, since), plan)
    np.testing.assert_allclose(far.ratio, here.ratio, rtol=1e-2, atol=5e-3)
    expected = reference.scan(path_w + 1e12, ok, past, since, plan)
    np.testing.assert_array_equal(far.ratio, expected.ratio)
