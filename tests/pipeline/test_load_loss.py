"""Load lost in voltage dips: one event for many dips, nothing where one of the two is missing."""

from __future__ import annotations

import functools
import itertools

import msgspec
import numpy as np
import pytest

from pipeline import snapshot
from pipeline.align_state import Block, Said
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.engine_state import EngineState
from pipeline.publish import grid_event
from pipeline.ride_through import CURVES
from replay.plan import Fault, Ramp, Site
from replay.suite.drive import standing
from schemas.events import GridSignal, SiteEvent
from schemas.units import NS_PER_S
from tests.pipeline.campuses import Simulated, run

SITE = Site(pdus=4, racks_per_pdu=10, substation_hz=200, nominal_v=230e3)
LOST = {"depth": 0.06, "racks": 0.2}
SIX = (
    Fault(onset_s=120.013, residual_pu=0.45, duration_s=0.08, **LOST, reconnects_s=95),
    Fault(onset_s=131.4, residual_pu=0.6, duration_s=0.1, **LOST, reconnects_s=84),
    Fault(onset_s=150.0, residual_pu=0.4, duration_s=0.3, trips_s=0.27, **LOST, reconnects_s=65),
    Fault(onset_s=168.2, residual_pu=0.75, duration_s=0.1),
    Fault(onset_s=185.0, residual_pu=0.6, duration_s=0.1, **LOST, reconnects_s=30),
    Fault(onset_s=202.0, residual_pu=0.15, duration_s=0.1, **LOST, reconnects_s=14),
)


@functools.cache
def six(seconds: int = 330) -> tuple[Simulated, tuple[Block, ...]]:
    """Six dips in 82 s, five of them with loss; the load is back some 15 s after the last."""
    one = Simulated(msgspec.structs.replace(SITE, fault=SIX), seconds)
    return one, tuple(one.seconds())


@functools.cache
def records() -> tuple[SiteEvent, ...]:
    """What is told of them."""
    one, blocks = six()
    return tuple(run(one.layout, blocks))


def test_six_dips_are_one_event() -> None:
    """Six dips, one event, the power lost within 5 %, back within 1 s of the truth; no more."""
    (truth,) = six()[0].truth
    (event,) = standing(list(records()))
    assert (event.kind, event.state) == ("load_loss", "closed")
    assert abs(event.onset_ns - truth.onset_ns) < NS_PER_S // 2
    assert event.opened_ns - truth.onset_ns < NS_PER_S
    assert [d.onset_ns / NS_PER_S for d in event.dips or ()] == pytest.approx(
        [f.onset_s for f in SIX], abs=0.006
    )
    assert event.depth_w == pytest.approx(truth.depth_w, rel=0.05)
    assert event.recovery_s == pytest.approx(truth.recovery_s, abs=1.0)
    assert event.lost_share == pytest.approx(0.3, abs=0.02)
    assert [f.node_id for f in event.feeders or ()] != []


def test_each_dip_has_its_verdict() -> None:
    """Gone before the curve let it, after, ridden through, or back in time; with the margin."""
    (event,) = standing(list(records()))
    dips = event.dips or ()
    assert [d.verdict for d in dips] == [
        "recovered", "violation", "permitted", "rode_through", "violation", "violation",
    ]  # fmt: skip
    assert dips[0].margin_s == pytest.approx(2.0, abs=0.1)  # above 0.9 all the time
    assert (dips[1].rule, round(dips[1].margin_s or 0, 2)) == (
        "ERCOT-VRT: below 0.8 pu for 0.5 s", -0.46,
    )  # fmt: skip
    assert dips[2].rule == "ERCOT-VRT: below 0.5 pu for 0.25 s"
    assert dips[2].margin_s == pytest.approx(0.03, abs=0.015)
    assert [round(d.residual_pu, 1) for d in dips] == [0.4, 0.6, 0.4, 0.7, 0.6, 0.1]
    assert [d.lost_w > 0 for d in dips] == [True, True, True, False, True, True]


def test_other_curves_judge_otherwise() -> None:
    """Under ITIC a load may leave after 20 ms below 0.7 pu."""
    one, blocks = six()
    (event,) = standing(run(one.layout, blocks[:200], DetectSettings(ride_through="itic")))
    assert [d.verdict for d in event.dips or ()][:3] == ["permitted"] * 3


def test_dips_alone_and_losses_alone_are_no_load_loss() -> None:
    """A dip that all ride through tells nothing; a fall without a dip stays a ramp."""
    site = msgspec.structs.replace(
        SITE,
        fault=(Fault(onset_s=100.0), Fault(onset_s=130.0, duration_s=0.5)),
        ramp=(Ramp(onset_s=160.0, depth=-0.2, duration_s=0.1, recovers_s=190.0),),
    )
    one = Simulated(site, 240)
    kinds = [(e.kind, e.dips) for e in standing(run(one.layout, one.seconds()))]
    assert kinds == [("synchronized_ramp", None)] * 2


def test_a_fall_long_after_a_dip_is_a_ramp() -> None:
    """More than 2 s after the voltage is back, the dip is no reason."""
    faults = (Fault(onset_s=120.0),)
    for onset_s, kind in ((121.5, "load_loss"), (123.5, "synchronized_ramp")):
        ramp = Ramp(onset_s=onset_s, depth=-0.2, duration_s=0.1, onset_jitter_s=0.01)
        one = Simulated(msgspec.structs.replace(SITE, fault=faults, ramp=(ramp,)), 150)
        assert [e.kind for e in standing(run(one.layout, one.seconds()))] == [kind]


def test_low_voltage_that_stays_is_no_reason_for_ever() -> None:
    """A minute into a brown-out a fall is a ramp; a loss within it closes after ten minutes."""
    site = msgspec.structs.replace(
        SITE,
        substation_hz=20,
        fault=(Fault(onset_s=100.0, residual_pu=0.85, duration_s=1e4),),
        ramp=tuple(Ramp(onset_s=t, depth=-0.15, duration_s=0.1) for t in (101.0, 160.0)),
    )
    one = Simulated(site, 760)
    loss, ramp = standing(run(one.layout, one.seconds()))
    assert (loss.kind, ramp.kind) == ("load_loss", "synchronized_ramp")
    assert loss.closed_ns == 720 * NS_PER_S
    assert [(d.end_ns, d.verdict) for d in loss.dips or ()] == [(None, None)]


def ticks(blocks: tuple[Block, ...], sizes: list[int]) -> list[Block]:
    """The same seconds cut after so many ticks, over and over."""
    out = []
    for block in blocks:
        at, turn = 0, itertools.cycle(sizes)
        while at < block.ticks:
            take = min(next(turn), block.ticks - at)
            power_w, valid = (
                {
                    k: x[:, at * x.shape[1] // 10 : (at + take) * x.shape[1] // 10]
                    for k, x in of.items()
                }
                for of in (block.power_w, block.valid)
            )
            volts = block.voltage_pu[at * 20 : (at + take) * 20]
            t0_ns = block.t0_ns + at * NS_PER_S // 10
            out.append(Block(t0_ns, take, power_w, valid, {}, restart=False, voltage_pu=volts))
            at += take
    return out


def joined(blocks: tuple[Block, ...], count: int) -> list[Block]:
    """So many seconds in one block."""
    out = []
    for k in range(0, len(blocks), count):
        part = blocks[k : k + count]
        power_w, valid = (
            {
                name: np.concatenate([getattr(b, of)[name] for b in part], axis=1)
                for name in part[0].power_w
            }
            for of in ("power_w", "valid")
        )
        volts = np.concatenate([b.voltage_pu for b in part])
        total = sum(b.ticks for b in part)
        out.append(Block(part[0].t0_ns, total, power_w, valid, {}, restart=False, voltage_pu=volts))
    return out


@pytest.mark.parametrize("cut", ["tick", "odd", "minute"])
def test_the_cut_changes_nothing(cut: str) -> None:
    """Tick by tick, in odd pieces, by the minute: the same records, bit for bit."""
    one, blocks = six()
    pieces = {
        "tick": lambda: ticks(blocks, [1]),
        "odd": lambda: ticks(blocks, [3, 1, 4]),
        "minute": lambda: joined(blocks, 30),
    }
    assert run(one.layout, pieces[cut]()) == list(records())


def test_a_snapshot_within_a_dip_changes_nothing() -> None:
    """Saved and read back every 7 ticks through 120 s to 125 s, and between dips."""
    one, blocks = six()
    engine = Engine(one.layout, DetectSettings(), choose("cpu"), report=False)
    state, found = engine.start(), []
    for block in (*blocks[:119], *ticks(blocks[119:125], [7]), *blocks[125:]):
        if 119 <= block.t0_ns // NS_PER_S <= 155:
            data = snapshot.encode(state, layout="x")
            state = snapshot.decode(data, EngineState, layout="x")
        state, outcome = engine.step(state, block)
        found += outcome.events
    found += engine.finish(state, "end_of_stream")[1].events
    assert found == list(records())


def test_without_a_meter_the_grid_may_tell_of_a_dip() -> None:
    """A ramp already told becomes a load loss once the grid says that its voltage was low."""
    one, blocks = six()
    deaf = [b._replace(voltage_pu=None) for b in blocks[:150]]
    low, back = (
        GridSignal(site_id="campus", t_ns=t, signal="voltage", value=v, unit="V")
        for t, v in ((120 * NS_PER_S, 105e3), (121 * NS_PER_S, 230e3))
    )
    for second, signal in ((122, low), (123, back)):
        deaf[second] = deaf[second]._replace(said=(Said(second * NS_PER_S, signal=signal),))
    told = run(one.layout, deaf)
    first = [e for e in told if e.event_id == told[0].event_id]
    assert first[0].kind in ("ramp", "synchronized_ramp")
    assert [(e.kind, e.state) for e in first[1:]][-1] == ("load_loss", "closed")
    (dip,) = first[-1].dips or ()
    assert (dip.source, dip.residual_pu) == ("signal", round(105 / 230, 4))
    assert dip.lost_w == pytest.approx(0.06 * one.campus.site_w, rel=0.1)


def test_nothing_is_guessed_without_voltage() -> None:
    """The same losses with no voltage known are ramps, every one."""
    one, blocks = six()
    told = run(one.layout, [b._replace(voltage_pu=None) for b in blocks])
    assert {e.kind for e in told} <= {"ramp", "synchronized_ramp"}
    assert len(standing(told)) >= 5


def test_a_meter_lost_in_a_dip_ends_it() -> None:
    """Voltage that stops within a dip: the dip ends where it was seen last, the event goes on."""
    one, blocks = six()
    cut = [b if b.t0_ns < 120 * NS_PER_S else b._replace(voltage_pu=None) for b in blocks[:125]]
    gone = blocks[120].voltage_pu.copy()
    gone[10:] = np.nan
    cut[120] = cut[120]._replace(voltage_pu=gone)
    (event,) = standing(run(one.layout, cut))
    (dip,) = event.dips or ()
    assert event.kind == "load_loss"
    assert dip.end_ns == 120 * NS_PER_S + NS_PER_S // 10


def test_the_grid_gets_no_feeder() -> None:
    """Dips and verdicts, no PDU's name; feeders as a count, from 50 on."""
    (event,) = standing(list(records()))
    told = grid_event(event, "poi")
    assert told.dips == event.dips
    assert told.feeders is None
    assert b"pdu-" not in msgspec.json.encode(told)


def test_curves() -> None:
    """The step reached that lets go first, with what is left of it."""
    volts = np.array([0.85] * 10 + [0.45] * 20)
    stay = CURVES["ercot"].stay(volts, 100.0)
    assert stay.rule == "ERCOT-VRT: below 0.5 pu for 0.25 s"
    assert stay.left_s == pytest.approx(0.05)
    assert CURVES["ercot"].stay(np.ones(9), 100.0).left_s == 2.0
    assert CURVES["caiso"].stay(np.full(130, 0.4), 100.0).left_s == pytest.approx(-0.1)
