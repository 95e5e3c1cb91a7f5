"""What counts as one event: its node, kind, onset, depth, and what it must not be mistaken for."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.detect import DetectSettings
from replay.injections import Move
from replay.suite.backgrounds import Noise
from replay.suite.drive import drive, lockstep
from replay.suite.scene import T0_NS, Scene
from tests.pipeline.scenes import at_s, drop, last, metered, only, play

A02, P2, ALL = [1], [4, 5, 6, 7], list(range(8))


def swing(t, share, start_s, stop_s, freq_hz=1.3):
    """A sine of this share from start to stop."""
    inside = (t >= start_s) & (t < stop_s)
    return np.where(inside, share * np.sin(2 * np.pi * freq_hz * (t - start_s)), 0.0)


@pytest.mark.parametrize(
    ("racks", "by", "node", "level", "kind", "depth_w"),
    [
        (A02, 0.75, "a02", "rack", "ramp", -15e3),
        (P2, 0.5, "p2", "pdu", "synchronized_ramp", -40e3),
        (ALL, 0.5, "poi", "substation", "synchronized_ramp", -80e3),
        (ALL, -0.25, "poi", "substation", "synchronized_ramp", 40e3),
        ([0, 1, 2, *P2], 0.5, "poi", "substation", "synchronized_ramp", -70e3),
    ],
)
def test_a_step_is_one_event_at_the_lowest_node_that_holds_it(
    tmp_path, racks, by, node, level, kind, depth_w
):
    """Lowest node with 90 % of the power that moved; onset, depth and duration as they were."""
    events = play(tmp_path, metered(lambda t: only(racks, drop(t, 20.03, by)), 50))
    (event,) = last(events)
    assert events[0].state == "open"
    assert (event.kind, event.node_id, event.level, event.state) == (kind, node, level, "closed")
    assert at_s(event.onset_ns) == pytest.approx(20.03, abs=0.11)
    assert 20.03 <= at_s(event.opened_ns) <= 21.03
    assert event.depth_w == pytest.approx(depth_w, rel=0.02)
    assert event.duration_s == pytest.approx(0.1, abs=0.11)
    assert event.ramp_w_per_s == pytest.approx(event.depth_w / event.duration_s)
    assert event.peak_share == pytest.approx(abs(event.depth_w) / 1e9)
    assert event.closed_ns == event.updated_ns
    assert event.quality == "good"


def test_a_synchronized_ramp_names_who_moved_and_how_far_apart(tmp_path):
    """Channels that stepped the same way within 1 s, their share, the spread of their onsets."""
    late = np.array([20.0, 20.0, 20.2, 20.2, 20.4, 20.4, 20.6, 20.6])
    parts = metered(lambda t: np.stack([drop(t, at, 0.5) for at in late]), 48)
    (event,) = last(play(tmp_path, parts))
    assert event.kind == "synchronized_ramp"
    assert event.channels == tuple(f"c{row}{n:02d}" for row in "ab" for n in range(1, 5))
    assert event.synchrony == pytest.approx(1.0, abs=0.02)
    assert event.onset_spread_s == pytest.approx(0.6, abs=0.11)
    assert event.duration_s == pytest.approx(0.7, abs=0.11)


def test_a_slow_ramp_is_one_ramp_and_not_synchronized(tmp_path):
    """Half of the site's power over 5 s: less than half of it moves within any second."""
    events = play(tmp_path, metered(lambda t: drop(t, 20, 0.5, over_s=5), 55))
    (event,) = last(events)
    assert (event.kind, event.node_id) == ("ramp", "poi")
    assert event.synchrony is event.channels is None
    assert at_s(event.onset_ns) == pytest.approx(20.0, abs=0.3)
    assert event.duration_s == pytest.approx(4.5, abs=0.3)
    assert event.depth_w == pytest.approx(-80e3, rel=0.02)


def test_two_racks_are_too_few_to_be_synchronized(tmp_path):
    """Synchronized means at least three channels, whatever their share."""
    events = play(tmp_path, metered(lambda t: only([0, 1], drop(t, 20, 0.75)), 48))
    assert {event.kind for event in events} == {"ramp"}


def test_a_fall_and_its_recovery_are_two_events(tmp_path):
    """Each direction is an event of its own; the first may still be open when the second opens."""
    parts = metered(lambda t: drop(t, 20, 0.5) + 0.5 * (t >= 28), 56)
    down, up = last(play(tmp_path, parts))
    assert (down.depth_w, up.depth_w) == (
        pytest.approx(-80e3, rel=0.02),
        pytest.approx(80e3, rel=0.02),
    )
    assert at_s(up.onset_ns) == pytest.approx(28.0, abs=0.11)
    assert down.event_id != up.event_id


def test_noise_alone_opens_nothing(tmp_path):
    """Ninety quiet seconds: no event, also while the thresholds are being learned."""
    assert play(tmp_path, metered(lambda t: np.ones((8, len(t))), 90)) == []


def test_an_oscillation_is_one_event(tmp_path):
    """Ramps that were its first swings close into it; frequency, amplitude and parts are right."""
    events = play(tmp_path, metered(lambda t: 1 + swing(t, 0.1, 15, 60)[None, :], 75))
    (event,) = last(events)
    assert (event.kind, event.node_id, event.state) == ("oscillation", "poi", "closed")
    assert event.freq_hz == pytest.approx(1.3, rel=0.005)
    assert event.amplitude_w == pytest.approx(16e3, rel=0.03)
    assert 15 <= at_s(event.onset_ns) <= at_s(event.opened_ns) <= 35
    assert 60 < at_s(event.closed_ns or 0) < 75
    parts = {part.channel_id: part for part in event.contributors or ()}
    assert parts["cs"].amplitude_w == pytest.approx(16e3, rel=0.03)
    assert parts["cp1"].amplitude_w == pytest.approx(8e3, rel=0.03)
    assert parts["ca01"].amplitude_w == pytest.approx(2e3, rel=0.05)
    merged = {e.event_id for e in events if e.merged_into}
    assert merged == {e.event_id for e in events if e.kind != "oscillation"}
    assert {e.merged_into for e in events if e.merged_into} <= {event.event_id}
    assert all(e.state == "closed" for e in events if e.merged_into)


def test_an_oscillation_sits_at_the_lowest_node_that_holds_it(tmp_path):
    """Four racks of one PDU swing: the event is at that PDU."""
    parts = metered(lambda t: only(P2, 1 + swing(t, 0.1, 15, 50)), 60)
    (event,) = last(play(tmp_path, parts))
    assert (event.kind, event.node_id) == ("oscillation", "p2")


def test_beside_an_oscillation_a_checkpoint_is_a_ramp_and_an_iteration_is_not(tmp_path):
    """While it swings no swing opens a ramp; a lasting shift of the mean by 40 % does."""

    def share(t):
        return 1 + (swing(t, 0.1, 15, 95) - 0.4 * ((t >= 50) & (t < 62)))[None, :]

    events = play(tmp_path, metered(share, 95))
    ramps = [e for e in last(events) if e.kind != "oscillation"]
    assert len(last(events)) == 3
    down, up = ramps
    assert 50 <= at_s(down.opened_ns) <= 52.5
    assert 62 <= at_s(up.opened_ns) <= 64.5
    assert down.depth_w == pytest.approx(-64e3, abs=20e3)
    assert up.depth_w == pytest.approx(64e3, abs=20e3)


def test_a_square_iteration_is_one_event(tmp_path):
    """A square wave has many harmonics and is one oscillation, at its fundamental."""

    def share(t):
        square = np.sign(np.sin(2 * np.pi * 0.5 * (t - 15)))
        return 1 + np.where((t >= 15) & (t < 60), 0.1 * square, 0)[None, :]

    (event,) = last(play(tmp_path, metered(share, 75)))
    assert event.kind == "oscillation"
    assert event.freq_hz == pytest.approx(0.5, rel=0.02)


def test_records_are_unique_and_tell_a_life_in_order(tmp_path):
    """(event_id, updated_ns) never repeats; open, updates, closed; the id and onset stay."""
    parts = metered(lambda t: drop(t, 20, 0.5, over_s=5) + swing(t, 0.1, 40, 70), 85)
    events = play(tmp_path, parts)
    keys = [(e.event_id, e.updated_ns) for e in events]
    assert len(set(keys)) == len(keys)
    assert [e.updated_ns for e in events] == sorted(e.updated_ns for e in events)
    for event_id in {e.event_id for e in events}:
        life = [e for e in events if e.event_id == event_id]
        states = [e.state for e in life]
        assert states == ["open", *["update"] * (len(life) - 2), "closed"]
        assert len({(e.onset_ns, e.opened_ns) for e in life}) == 1
        assert all(e.closed_ns is None for e in life[:-1])
        family, end_ns, _rank = event_id.split(":")[1:]
        assert family == ("oscillation" if life[0].kind == "oscillation" else "ramp")
        assert int(end_ns) == life[0].updated_ns == life[0].opened_ns
        assert life[0].onset_ns < life[0].opened_ns


def without(parts, gate, row, start_s, stop_s):
    """One channel of a gateway (or all of them) missing for a while."""
    x = parts[gate].copy()
    hz = {"ga": 10, "gb": 10, "gp": 30, "gs": 50}[gate]
    x[slice(None) if row is None else row, round(start_s * hz) : round(stop_s * hz)] = np.nan
    return {**parts, gate: x}


@pytest.mark.parametrize(
    ("gate", "row"), [("ga", 1), ("ga", None), ("gb", None), ("gp", 0), ("gp", None), ("gs", 0)]
)
@pytest.mark.parametrize("gone_s", [0.4, 3.0, 12.0])
def test_a_lost_meter_is_a_gap_and_never_an_event(tmp_path, gate, row, gone_s):
    """A channel or a whole gateway goes and comes back: nothing opens."""
    parts = without(metered(lambda t: np.ones((8, len(t))), 55), gate, row, 20.3, 20.3 + gone_s)
    assert play(tmp_path, parts) == []


def test_a_meter_that_comes_back_elsewhere_is_no_step(tmp_path):
    """What moved while nobody looked is not an event: no difference crosses the gap."""
    parts = metered(lambda t: only(A02, drop(t, 21, 0.75)), 50)
    for gate in ("ga", "gp", "gs"):
        parts = without(parts, gate, None, 20.0, 23.0)
    assert play(tmp_path, parts) == []


def test_a_step_seen_over_more_than_ten_seconds_is_judged_over_all_of_them():
    """0.65 sigma of the site, seen after 17 s: by a window of 19 s, its onset where it was."""
    rng, racks = np.random.default_rng(3), np.arange(80)
    scene = Scene(Noise(80, 4000.0, rng), 80, 10, rng)
    each_w, start_s = 0.65 * 4000.0 / 80**0.5, np.full(80, 900.0)
    scene.injections.append(Move(racks, 900.0, 0.01, each_w, 0.01, start_s, True))
    (event,) = drive(scene, 960, lockstep(scene.layout, DetectSettings(), ())).events
    assert event.step_test is not None
    assert event.step_test.window_s > 10
    assert abs((event.onset_ns - T0_NS) / 1e9 - 900) < 3


def test_two_oscillations_are_two_events(tmp_path):
    """Lines that are no harmonics of each other are told apart, each with its own frequency."""

    def share(t):
        return 1 + (swing(t, 0.08, 15, 60) + swing(t, 0.04, 15, 60, freq_hz=4.55))[None, :]

    swings = [e for e in last(play(tmp_path, metered(share, 70))) if e.kind == "oscillation"]
    assert sorted(e.freq_hz or 0.0 for e in swings) == pytest.approx([1.3, 4.55], abs=0.02)
