"""The engine against plain arithmetic, and what it must not do: change its input, see ahead."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from pipeline import snapshot
from pipeline.align import Aligner
from pipeline.decode import Decoder
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.history import newest
from pipeline.layout import SiteLayout
from schemas.units import NS_PER_S
from tests.pipeline import site as sites
from tests.pipeline.lanes import eventful
from tests.pipeline.scenes import archived, table
from tests.pipeline.tiny import Bench, Gate, tiny


def holes(parts, seed=0):
    """Knock single samples out of every channel: 3 % of them, never two neighbours."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, x in parts.items():
        gone = rng.random(x.shape) < 0.03
        gone[:, 1:] &= ~gone[:, :-1]
        gone[:, 0] = False
        found[name] = np.where(gone, np.nan, x).astype(np.float32)
    return found


NODES = {
    **{f"a{n + 1:02d}": ("ga", n) for n in range(4)},
    **{f"b{n + 1:02d}": ("gb", n) for n in range(4)},
    "p1": ("gp", 0),
    "p2": ("gp", 1),
    "poi": ("gs", 0),
}
HZ = {"ga": 10, "gb": 10, "gp": 30, "gs": 50}


@pytest.mark.parametrize("missing", [False, True])
def test_windows_are_what_numpy_says(tmp_path, missing):
    """Mean, least, greatest and share of every window equal plain NumPy on the samples sent."""
    parts = holes(eventful()) if missing else eventful()
    rows = table(archived(tmp_path, parts), "windows")
    assert len(rows) == 50 * 3 + 5 * 8
    for row in rows:
        gate, channel = NODES[row["node_id"]]
        first = (row["t0_ns"] - sites.T0_NS) // NS_PER_S
        seconds = row["duration_ns"] // NS_PER_S
        x = parts[gate][channel, first * HZ[gate] : (first + seconds) * HZ[gate]].astype(np.float64)
        assert row["mean_w"] == pytest.approx(np.nanmean(x), rel=1e-12)
        assert (row["min_w"], row["max_w"]) == (np.nanmin(x), np.nanmax(x))
        assert row["valid_share"] == pytest.approx(np.mean(~np.isnan(x)), abs=1e-12)
        assert row["produced_ns"] == row["t0_ns"] + row["duration_ns"]


def test_ramps_of_windows_are_the_largest_one_second_changes(tmp_path):
    """``ramp_up`` and ``ramp_down``: the extremes of 1-s differences of the 0.1-s means."""
    parts = eventful()
    for row in table(archived(tmp_path, parts), "windows"):
        gate, channel = NODES[row["node_id"]]
        tick_w = parts[gate][channel].astype(np.float64).reshape(-1, HZ[gate] // 10).mean(axis=1)
        step_w = np.concatenate([np.zeros(10), tick_w[10:] - tick_w[:-10]])
        first = 10 * ((row["t0_ns"] - sites.T0_NS) // NS_PER_S)
        here = step_w[first : first + 10 * row["duration_ns"] // NS_PER_S]
        ulp_w = float(np.spacing(np.float32(tick_w.max())))  # tick means are remembered in float32
        assert row["ramp_up_w_per_s"] == pytest.approx(max(here.max(), 0), abs=ulp_w)
        assert row["ramp_down_w_per_s"] == pytest.approx(max(-here.min(), 0), abs=ulp_w)


def test_states_say_once_a_second_what_the_poi_does(tmp_path):
    """One state a grid second: the POI's mean, its reference and full quality."""
    parts = eventful()
    rows = table(archived(tmp_path, parts), "states")
    assert [row["t_ns"] for row in rows] == [sites.T0_NS + (k + 1) * NS_PER_S for k in range(50)]
    means = parts["gs"][0].astype(np.float64).reshape(50, 50).mean(axis=1)
    np.testing.assert_allclose([row["power_w"] for row in rows], means, rtol=1e-12)
    assert {row["valid_share"] for row in rows} == {1.0}


def test_the_reference_grows_to_the_largest_second_without_a_rating(tmp_path):
    """Without a rated substation, sizes are shares of the largest sum of the leaves so far."""
    parts = eventful()
    rows = table(archived(tmp_path, parts), "states")
    leaves = np.concatenate([parts["ga"], parts["gb"]]).astype(np.float64)
    totals = leaves.reshape(8, 50, 10).mean(axis=2).sum(axis=0)
    found = [row["reference_w"] for row in rows]
    np.testing.assert_allclose(found, np.maximum.accumulate(totals), rtol=1e-9)


def blocks_of(bench, parts, names, piece_s=0.5):
    """Push parts of named gateways through an aligner; returns the blocks."""
    for at in range(round(max(x.shape[1] / hz for x, hz in parts.values()) / piece_s)):
        for name in names:
            x, hz = parts[name]
            piece = x[:, round(at * piece_s * hz) : round((at + 1) * piece_s * hz)]
            if piece.shape[1]:
                bench.push(name, at * piece_s, piece)
        bench.close()
    return bench.blocks


@pytest.fixture
def usual():
    """The engine of the usual site and blocks of its eventful minute."""
    site = sites.topology()
    layout = SiteLayout(site)
    aligner, decoder, blocks = Aligner(layout), Decoder({"t1": site}), []
    for number, piece in enumerate(sites.site_slices(site, eventful(), 0.5)):
        aligner.push(decoder.check(piece), number)
        blocks += aligner.advance()
    return Engine(layout, DetectSettings(), choose("cpu")), blocks


def test_a_step_changes_neither_state_nor_block(usual):
    """State in, state out: what was given is bit for bit what it was, events open or not."""
    engine, blocks = usual
    state = engine.start()
    for k, block in enumerate(blocks):
        watch = k % 7 == 0 or k > len(blocks) - 12
        before = copy.deepcopy((state, block.power_w, block.valid)) if watch else None
        new, _ = engine.step(state, block)
        if before:
            assert snapshot.difference(before, (state, block.power_w, block.valid)) is None
        state = new
    before = copy.deepcopy(state)
    engine.finish(state, "end_of_stream")
    assert snapshot.difference(before, state) is None


def test_a_step_taken_twice_gives_the_same(usual):
    """From one state, the same block gives the same outcome and the same state again."""
    engine, blocks = usual
    state = engine.start()
    for k, block in enumerate(blocks):
        new, outcome = engine.step(state, block)
        if k % 9 == 0:
            again, repeated = engine.step(state, block)
            assert snapshot.difference(new, again) is None
            assert repr(outcome) == repr(repeated)
        state = new


def test_every_tick_alone_gives_the_same(usual):
    """Blocks cut into single ticks: the same outcomes and the same state, bit for bit."""
    engine, blocks = usual
    whole = parts = engine.start()
    said: list[list[str]] = [[], []]
    for block in blocks:
        whole, outcome = engine.step(whole, block)
        said[0] += [repr(x) for table in outcome for x in table]
        for tick in range(block.ticks):
            x, v = (
                {
                    g.level: values[g.level][:, tick * g.per_tick : (tick + 1) * g.per_tick]
                    for g in engine.layout.grids
                }
                for values in (block.power_w, block.valid)
            )
            one = block._replace(
                t0_ns=block.t0_ns + tick * engine.layout.tick_ns, ticks=1, power_w=x, valid=v,
                resets=block.resets if tick == 0 else {},
            )  # fmt: skip
            parts, outcome = engine.step(parts, one)
            said[1] += [repr(x) for table in outcome for x in table]
    assert sorted(said[0]) == sorted(said[1])
    assert snapshot.difference(whole, parts) is None


def test_a_reset_clears_what_crosses_the_gap_and_keeps_what_was_learned():
    """After a long gap: no difference and no window reach across it; the noise scale stays."""
    bench = Bench(tiny({"g": Gate(channels=3), "s": Gate("substation", "10", 1)}))
    engine = Engine(bench.aligner.layout, DetectSettings(), choose("cpu"))
    rng = np.random.default_rng(0)
    x, poi = rng.normal(9e3, 50, (3, 300)), rng.normal(27e3, 90, (1, 300))
    x[1, 200:214] = np.nan
    state = before = engine.start()
    for block in blocks_of(bench, {"g": (x, 10), "s": (poi, 10)}, "gs"):
        if block.t0_ns == sites.T0_NS + 20 * NS_PER_S:
            before = state
        state, _ = engine.step(state, block)
        if block.resets:
            assert block.resets["rack"].tolist() == [False, True, False]
            ok = newest(state.history, 120).tail_valid
            assert not ok[1].any()
            assert ok[[0, 2, 3], -40:].all()
    assert (state.noise.warm_s >= before.noise.warm_s).all()
    assert (before.noise.warm_s > 0).any()
    assert newest(state.history, 80).tail_valid[1].all()
    assert not state.spectra["10:1"].tail_valid[1, : -100 + 14].any()
    assert state.spectra["10:1"].tail_valid[0].all()


def test_a_hole_of_more_than_an_hour_closes_events_and_learns_anew():
    """What was open closes with quality ``gap``; everything is warming again."""
    bench = Bench(tiny({"g": Gate(channels=4)}))
    engine = Engine(bench.aligner.layout, DetectSettings(), choose("cpu"))
    rng = np.random.default_rng(0)
    x = rng.normal(9e3, 20, (4, 200))
    x[:, 190:] -= 5e3
    blocks_of(bench, {"g": (x, 10)}, "g")
    for k in range(5):
        bench.send("g", 4000 + k, rng.normal(9e3, 20, (4, 10)))
    state, events = engine.start(), []
    for block in bench.blocks:
        if block.restart:
            assert state.warming == 0
            assert [e.state for e in events] in (["open"], ["open", "update"])
        state, outcome = engine.step(state, block)
        events += outcome.events
    closed = events[-1]
    assert (closed.state, closed.quality) == ("closed", "gap")
    assert closed.closed_ns == sites.T0_NS + 20 * NS_PER_S + 1
    assert state.warming == 4


def test_a_lost_meter_is_no_ramp_of_the_envelope():
    """A summed POI that loses a rack shows it as a share, not as a fall of its power."""
    bench = Bench(tiny({"g": Gate(channels=10)}))
    engine = Engine(bench.aligner.layout, DetectSettings(), choose("cpu"))
    rng = np.random.default_rng(0)
    x = rng.normal(9e3, 20, (10, 400))
    x[3, 200:300] = np.nan
    state, states = engine.start(), []
    for block in blocks_of(bench, {"g": (x, 10)}, "g"):
        state, outcome = engine.step(state, block)
        assert outcome.events == []
        states += outcome.states
    np.testing.assert_allclose([s.valid_share for s in states[21:29]], 0.9)
    largest_w = max(max(r.up_w, r.down_w) for s in states for r in s.ramp_envelope)
    assert largest_w < 1e3
