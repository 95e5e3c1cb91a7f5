"""Whole grid seconds closed as one block: the same samples, masks and resets as singly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.align_state import Said
from schemas.events import WorkloadHint
from schemas.telemetry import Slice
from schemas.units import NS_PER_S
from tests.pipeline.site import T0_NS
from tests.pipeline.test_align_time import RATES
from tests.pipeline.tiny import ONE, Bench, Gate, count, flat, tiny


def length_s(block, layout):
    """Grid seconds of a block."""
    return block.ticks / layout.ticks_per_s


def whole(bench):
    """All blocks are part of one grid second, or whole seconds within ten."""
    layout = bench.aligner.layout
    for block in bench.blocks:
        last_ns = int(layout.tick_ends_ns(block.t0_ns, block.ticks)[-1]) - 1
        if block.ticks > layout.ticks_per_s:
            assert block.t0_ns % NS_PER_S == (last_ns + 1) % NS_PER_S == 0
            assert block.t0_ns // (10 * NS_PER_S) == last_ns // (10 * NS_PER_S)
        else:
            assert block.t0_ns // NS_PER_S == last_ns // NS_PER_S
    ends = [int(layout.tick_ends_ns(b.t0_ns, b.ticks)[-1]) for b in bench.blocks]
    assert all(a <= b.t0_ns for a, (_, b) in zip(ends, pairwise(bench.blocks), strict=False))
    return max(length_s(block, layout) for block in bench.blocks)


def fed(gates, spans_s, *, at_once):
    """Counts on every gateway in these spans (s), in pieces of 1 s or longer where it is slower."""
    bench = Bench(tiny(gates))
    for start_s, stop_s in spans_s:
        for s in range(start_s, stop_s):
            for name, gateway in bench.site.gateway_by_id.items():
                hz = gateway.rate.hz
                first, last = (
                    -(-round(s * hz * 1e6) // 10**6),
                    -(-round((s + 1) * hz * 1e6) // 10**6),
                )
                if last > first:
                    bench.push(name, first / hz, count(last - first, first))
            if not at_once:
                bench.blocks += bench.aligner.advance(singly=True)
    bench.end()
    bench.close()
    return bench


@pytest.mark.parametrize("gates", RATES.values(), ids=RATES)
def test_together_is_what_singly_is(gates):
    """At any rate: 37 s closed in one call are those closed second by second, bit for bit."""
    bulk = fed(gates, [(3, 40)], at_once=True)
    single = fed(gates, [(3, 40)], at_once=False)
    assert whole(single) <= 1
    assert whole(bulk) in (1, 10)
    assert flat(bulk.blocks) == flat(single.blocks)
    assert bulk.state.gap_cells == single.state.gap_cells


def test_ten_seconds_are_one_block():
    """Rates that divide a second are closed in tens, on the grid."""
    bench = fed({"a": Gate(), "s": Gate("substation", "50", 1)}, [(3, 40)], at_once=True)
    lengths = [length_s(block, bench.aligner.layout) for block in bench.blocks]
    assert lengths == [7, 10, 10, 10]


@pytest.mark.parametrize("spans_s", [
    [(0, 15), (18, 40)],
    [(0, 15), (16, 17), (40, 63)],
    [(0, 15), (3700, 3724)],
    [(0, 15), (3620, 3640)],
])  # fmt: skip
def test_holes_are_where_they_were(spans_s):
    """Gaps, resets in the midst of a second and holes of an hour: as if closed singly."""
    gates = {"a": Gate(), "s": Gate("substation", "50", 1)}
    bulk, single = (fed(gates, spans_s, at_once=at_once) for at_once in (True, False))
    assert whole(bulk) == 10
    assert whole(single) <= 1
    assert flat(bulk.blocks) == flat(single.blocks)
    for name in ("gap_cells", "resets", "late_samples", "closed_ns"):
        assert getattr(bulk.state, name) == getattr(single.state, name), name


def test_a_gap_of_a_slow_level_is_counted_once():
    """Of a level slower than 1 Hz seconds go singly: its gap's cells are counted as they were."""
    gates = RATES["with a slow level"]
    bulk, single = (fed(gates, [(0, 16), (24, 40)], at_once=once) for once in (True, False))
    assert flat(bulk.blocks) == flat(single.blocks)
    assert bulk.state.gap_cells == single.state.gap_cells


def test_voltage_goes_singly():
    """A second in which no voltage was measured says None, and not NaN."""
    gates = {"g": Gate(), "s": Gate("substation", "20")}
    bench = Bench(tiny(gates, nominal_v=100.0))
    rate, names = bench.site.gateway_by_id["s"].rate, bench.names("s")
    for s in range(4):
        t0_ns, rows = T0_NS + s * NS_PER_S, np.full((1, 20), 90.0, np.float32)
        volts = rows if s == 2 else rows * np.nan
        bench.push("g", s, count(10))
        bench.push_slice(
            Slice("tiny", "substation", "s", s, t0_ns, rate, names, rows, voltage_v=volts)
        )
    assert [block.voltage_pu is None for block in bench.close()] == [True, True, False, True]


def test_a_gap_of_one_channel_is_its_own():
    """Where one channel is missing others are not held; the mask has the slots it had singly."""
    found = []
    for at_once in (True, False):
        bench = Bench(tiny(ONE))
        for s in range(24):
            values_w = np.stack([count(10, 10 * s), count(10, 10 * s)])
            values_w[0, 3 : 5 + s % 5] = np.nan
            values_w[1, :] = np.nan if 7 <= s < 9 else values_w[1]
            bench.push("g", s, values_w)
            if not at_once:
                bench.close()
        bench.end()
        bench.close()
        found.append((flat(bench.blocks), bench.state.gap_cells, bench.state.resets))
    assert found[0] == found[1]
    assert found[0][2] > 0


def test_what_was_said_begins_a_block():
    """A hint acts from the second it acts from singly: no seconds before it are in its block."""
    bench = Bench(tiny(ONE))
    hint = WorkloadHint(
        site_id="tiny", t_ns=T0_NS, hint="job_stop", start_ns=T0_NS, power_change_w=-1.0
    )
    bench.state.said = [Said(T0_NS + round(4.3 * NS_PER_S), hint)]
    for s in range(10):
        bench.push("g", s, count(10, 10 * s))
    blocks = bench.close()
    starts_s = [(block.t0_ns - T0_NS) // NS_PER_S for block in blocks]
    assert starts_s[:2] == [0, 4]
    assert [length_s(block, bench.aligner.layout) for block in blocks[:2]] == [4, 1]


def test_a_site_that_lost_its_state_goes_on_singly():
    """`singly` closes second by second, so that what was open closes with the first of them."""
    bench = Bench(tiny(ONE))
    for s in range(10):
        bench.push("g", s, count(10, 10 * s))
    bench.blocks = list(bench.aligner.advance(singly=True))
    assert whole(bench) == 1
