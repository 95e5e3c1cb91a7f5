"""The life of an oscillation: opened, told, closed; damping, origin, modes, groups."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.suite.backgrounds import Noise
from replay.suite.drive import drive, lockstep
from replay.suite.scene import T0_NS, Scene
from replay.suite.sinusoids import Tone
from schemas.topology import Topology
from schemas.units import NS_PER_S

HZ = 10


def poi(channel: str, site: str = "") -> Topology:
    """A site of one meter at 10 Hz."""
    return Topology.parse(f"""
        [site]
        id = "one"
        {site}
        [[node]]
        id = "poi"
        level = "substation"
        [[channel]]
        id = "c"
        node_id = "poi"
        {channel}
        [[gateway]]
        id = "g"
        level = "substation"
        rate_hz = {HZ}
    """)


def run(topology: Topology, *rows):
    """Final oscillation events and all states of a run second by second; one row a channel."""
    found, states = everything(topology, *rows)
    return [e for e in found if e.kind == "oscillation" and not e.merged_into], states


def everything(topology: Topology, *rows):
    """Final events of all kinds and all states."""
    layout = SiteLayout(topology)
    engine = Engine(layout, DetectSettings(), choose("cpu"))
    state, found, states = engine.start(), {}, []
    level = layout.grids[0].level
    x = np.stack([np.asarray(row, dtype=float) for row in rows])
    for second in range(x.shape[1] // HZ):
        here = x[:, second * HZ : (second + 1) * HZ]
        block = Block(
            second * NS_PER_S, layout.ticks_per_s, {level: here},
            {level: np.ones(here.shape, bool)}, {}, restart=False,
        )  # fmt: skip
        state, outcome = engine.step(state, block)
        states += outcome.states
        found.update({e.event_id: e for e in outcome.events})
    _, outcome = engine.finish(state, "end_of_stream")
    found.update({e.event_id: e for e in outcome.events})
    return list(found.values()), states


def noise(n, seed=0, size=300.0):
    """White meter noise."""
    return np.random.default_rng(seed).normal(0, size, n)


T_S = np.arange(3000) / HZ


def test_a_natural_one_rings_down_and_its_damping_is_told():
    """A 0.7 Hz swing that decays by 0.08 per s: natural, damping ratio 0.018, growth -0.08."""
    wave = np.where(T_S > 150, 60e3 * np.exp(-0.08 * (T_S - 150)), 0) * np.sin(
        2 * np.pi * 0.7 * T_S
    )
    (event,), _ = run(poi(""), 1e6 + wave + noise(3000))
    assert event.growth_per_s == pytest.approx(-0.08, rel=0.15)
    assert event.damping_ratio == pytest.approx(0.08 / (2 * np.pi * 0.7), rel=0.15)
    assert event.origin == "natural"
    assert event.freq_hz == pytest.approx(0.7, abs=0.005)


def test_a_forced_one_has_harmonics_and_the_mode_it_excites_is_named():
    """A square wave of 0.6 Hz is forced; its third harmonic falls on the 1.8 Hz mode."""
    wave = np.where((T_S > 150) & (T_S < 250), 40e3 * np.sign(np.sin(2 * np.pi * 0.6 * T_S)), 0)
    (event,), _ = run(poi("", "modes_hz = [1.81, 7.0]"), 1e6 + wave + noise(3000))
    assert event.origin == "forced"
    assert event.freq_hz == pytest.approx(0.6, abs=0.01)
    assert 3 in {h.order for h in event.harmonics}
    assert event.resonance_hz == 1.81


def test_a_very_slow_swing_is_found():
    """0.05 Hz, seen in the 160-s window: opened while it swings, closed after it."""
    t = np.arange(14_000) / HZ
    wave = np.where((t > 600) & (t < 1100), 50e3 * np.sin(2 * np.pi * 0.05 * t), 0)
    (event,), _ = run(poi(""), 1e6 + wave + noise(14_000))
    assert event.freq_hz == pytest.approx(0.05, abs=0.002)
    assert event.amplitude_w == pytest.approx(50e3, rel=0.05)
    assert 600 < event.opened_ns / NS_PER_S < 860
    assert 1100 < (event.closed_ns or 0) / NS_PER_S < 1200


def test_an_end_and_a_new_beginning_are_two_events():
    """A minute without the line parts two events; no chatter in between or after."""
    swings = ((T_S > 100) & (T_S < 160)) | ((T_S > 220) & (T_S < 280))
    wave = np.where(swings, 50e3 * np.sin(2 * np.pi * 1.3 * T_S), 0)
    events, _ = run(poi(""), 1e6 + wave + noise(3000))
    assert len(events) == 2
    first, second = events
    assert 160 < (first.closed_ns or 0) / NS_PER_S < 175
    assert 220 < second.opened_ns / NS_PER_S < 232
    assert (second.closed_ns or 0) / NS_PER_S < 295


def racks(n):
    """A site of some racks at 10 Hz."""
    return Topology.parse(f"""
        [site]
        id = "some"
        [[node]]
        id = "poi"
        level = "substation"
        [[node]]
        id = "r{{n}}"
        level = "rack"
        parent = "poi"
        count = {n}
        [[channel]]
        id = "c{{n}}"
        node_id = "r{{n}}"
        count = {n}
        [[gateway]]
        id = "g"
        level = "rack"
        rate_hz = {HZ}
    """)


def test_jobs_against_each_other_are_two_groups():
    """Four racks swing one way and three the other: unison well below 1, two groups by name."""
    rows = []
    for k in range(12):
        sign = 1 if k < 4 else -1 if k < 7 else 0
        wave = np.where(T_S > 150, sign * 5e3 * np.sin(2 * np.pi * 1.1 * T_S), 0)
        rows.append(50e3 + wave + noise(3000, k, 200.0))
    (event,), _ = run(racks(12), *rows)
    assert event.unison == pytest.approx(1 / 7, abs=0.05)
    assert event.groups == (("c1", "c2", "c3", "c4"), ("c5", "c6", "c7"))


def test_all_in_step_are_one_group():
    """Twelve racks in step: unison 1, no groups; the state says so while it is open."""
    wave = np.where(T_S > 150, 5e3 * np.sin(2 * np.pi * 1.1 * T_S), 0)
    rows = [50e3 + wave + noise(3000, k, 200.0) for k in range(12)]
    (event,), states = run(racks(12), *rows)
    assert event.unison == pytest.approx(1.0, abs=0.01)
    told = [s.unison for s in states if s.unison is not None]
    assert told == pytest.approx([1.0] * len(told), abs=0.01)
    assert {s.unison for s in states if s.t_ns < event.opened_ns} == {None}
    assert len(told) > 100
    assert event.groups is None
    assert event.amplitude_w == pytest.approx(60e3, rel=0.04)


def test_a_step_beside_a_swing_longer_than_the_history_is_told():
    """A swing of 20 s is open when half the power goes: told, though its periods are forgotten."""
    t_s = np.arange(4000) / HZ
    wave = np.where(t_s > 30, 8e3 * np.sin(2 * np.pi * 0.05 * t_s), 0)
    power = 60e3 + wave - np.where(t_s > 330, 40e3, 0.0)
    events, _ = everything(racks(12), *(power + noise(4000, k, 200.0) for k in range(12)))
    swing = next(e for e in events if e.kind == "oscillation")
    assert swing.freq_hz == pytest.approx(0.05, rel=0.02)
    assert 100 < swing.opened_ns / NS_PER_S < 200
    fallen = [e for e in events if e is not swing and 300 < e.onset_ns / NS_PER_S < 332]
    assert min(e.depth_w for e in fallen) == pytest.approx(-480e3, rel=0.2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_weak_one_is_let_go_when_it_ends_and_takes_no_stronger_one_in(seed):
    """Seen by 40 s of it and no less, over after four minutes; then 2 Hz, far above it."""
    t_s = np.arange(13_500) / HZ
    weak = np.where((t_s > 900) & (t_s < 1140), 1800 * np.sin(2 * np.pi * 0.34 * t_s), 0)
    strong = np.where((t_s > 1240) & (t_s < 1300), 9e3 * np.sin(2 * np.pi * 1.99 * t_s), 0)
    events, _ = run(poi(""), 1e6 + weak + strong + noise(13_500, seed, size=3000.0))
    first, *_, last = sorted(events, key=lambda e: e.opened_ns)
    assert first.freq_hz == pytest.approx(0.34, rel=0.02)
    ended_s = [e.closed_ns / NS_PER_S for e in events if e is not last]
    assert max(ended_s) <= 1140 + 60
    assert last.freq_hz == pytest.approx(1.99, rel=0.01)
    assert 1240 <= last.opened_ns / NS_PER_S <= 1250


@pytest.mark.parametrize(("freq_hz", "seed"), [(0.96, 1), (0.96, 3), (3.1, 1), (3.1, 2)])
def test_a_line_that_only_sums_show_is_one_event_from_there_to_its_end(freq_hz, seed):
    """Of 5.8 standard errors in 40 s: not lost while it lasts, over within a minute of its end."""
    rng, racks = np.random.default_rng(seed), np.arange(80)
    scene = Scene(Noise(80, 4000.0, rng), 80, HZ, rng)
    scene.injections.append(Tone(racks, 15500.0, freq_hz, 0.3, 1200.0, 1440.0))
    (event,) = drive(scene, 1680, lockstep(scene.layout, DetectSettings(), ())).events
    assert event.freq_hz == pytest.approx(freq_hz, abs=0.01)
    assert 1440 <= ((event.closed_ns or 0) - T0_NS) / NS_PER_S <= 1500
