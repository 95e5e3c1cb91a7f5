"""The forecaster: its record is true, it does not see ahead, and it hears what is announced."""

from __future__ import annotations

import dataclasses
import operator

import msgspec
import numpy as np
import pytest

from pipeline import snapshot
from pipeline.align_state import Said
from pipeline.detect import DetectSettings
from pipeline.outlook import Outlook, Poi
from replay.forecast_run import layout
from schemas.events import GridSignal, WorkloadHint
from schemas.forecasts import Forecast
from schemas.units import NS_PER_S
from tests.pipeline.lanes import eventful
from tests.pipeline.scenes import archived, metered, table
from tests.pipeline.site import T0_NS

QUANTILES = [f"q{q}_w" for q in ("05", "10", "25", "50", "75", "90", "95")]
HZ = {"ga": 10, "gb": 10, "gp": 30, "gs": 50}
OPEN = DetectSettings(forecast_consent=True)
RATING_W = 6e6
WHOLE = np.ones(10)


def iterating(seconds, seed=0):
    """Tick means (second, tick), W: a square wave of 1.9 s with jitter on a slow drift."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(1.9 * (1 + 0.02 * rng.standard_normal(seconds)))
    t = (np.arange(seconds * 10) + 0.5) / 10
    k = np.searchsorted(ends, t)
    low = t > ends[k] - 0.5
    return (4e6 - 1e6 * low + 5e3 * rng.standard_normal(len(t))).reshape(-1, 10)


def forecasts(ticks_w, said=(), detect=OPEN, share=WHOLE):
    """All that is told while the seconds pass; ``said`` is (second, hint or signal)."""
    outlook = Outlook(layout(RATING_W), detect)
    state, told = outlook.start(), []
    for s, second_w in enumerate(ticks_w):
        for at, one in said:
            if at == s:
                kind = "hint" if isinstance(one, WorkloadHint) else "signal"
                state.said = [*state.said, Said(one.t_ns, **{kind: one})]
        here = share[s] if np.ndim(share) > 1 else share
        poi = Poi(second_w, here, RATING_W, T0_NS + (s + 1) * NS_PER_S)
        state, new = outlook.step(state, poi)
        told += new
    return told, state


def of(told, name):
    """The messages of one class."""
    return [m for m in told if isinstance(m, Forecast) and m.horizon_class == name]


def test_quantiles_are_monotone_and_the_record_is_true(tmp_path):
    """Quantiles ascend; outcomes are the power that came; coverage is that of past outcomes."""
    parts = metered(lambda t: 1 + 0.02 * np.sin(t / 7)[None, :] + 0 * t, 100)
    root = archived(tmp_path, parts)
    mean_w = {row["t_ns"]: row["power_w"] for row in table(root, "states")}
    key = operator.itemgetter("issued_ns", "horizon_class", "start_ns")
    rows = {key(row): row for row in table(root, "forecasts")}
    outcomes = {key(row): row for row in table(root, "outcomes")}
    assert len({issued_ns for issued_ns, _, _ in rows}) >= 17
    assert len(outcomes) >= 60
    for at, row in rows.items():
        values = [row[q] for q in QUANTILES]
        assert values == sorted(values)
        assert row["data_until_ns"] == row["issued_ns"] < row["valid_until_ns"]
        ahead_ns = row["start_ns"] - row["issued_ns"]
        before = [
            one
            for (issued_ns, name, start_ns), one in outcomes.items()
            if (name, start_ns - issued_ns) == (at[1], ahead_ns)
            and one["produced_ns"] <= row["issued_ns"]
        ]
        assert row["coverage_n"] == len(before)
        share = sum(one["covered"] for one in before) / max(len(before), 1)
        assert row["coverage_90"] == (pytest.approx(share, abs=1e-4) if before else None)
    for at, one in outcomes.items():
        row = rows[at]
        assert one["covered"] == (row["q05_w"] <= one["outcome_w"] <= row["q95_w"])
        if row["duration_ns"] == NS_PER_S:
            assert one["outcome_w"] == pytest.approx(mean_w[row["start_ns"] + NS_PER_S], rel=1e-9)


def test_the_future_does_not_leak(tmp_path):
    """With other samples after 30 s, all that was said until then is the same, bit for bit."""
    parts = eventful()
    until_ns = T0_NS + 30 * NS_PER_S
    other = {name: x.copy() for name, x in parts.items()}
    for name, x in other.items():
        x[:, 30 * HZ[name] :] *= 0.7
    one, two = archived(tmp_path / "1", parts), archived(tmp_path / "2", other)
    for name in ("forecasts", "outcomes", "states", "windows", "events"):
        early = [
            [r for r in table(root, name) if r["produced_ns"] <= until_ns] for root in (one, two)
        ]
        assert repr(early[0]) == repr(early[1]) != "[]"
    assert repr(table(one, "states")) != repr(table(two, "states"))


def test_a_forecast_knows_nothing_of_what_comes(tmp_path):
    """With another future from second 700 on, every byte told until then is the same."""
    one, two = iterating(760), iterating(760)
    two[700:] *= np.random.default_rng(9).uniform(0.2, 2.0, (60, 10))
    early = [[], []]
    for k, ticks_w in enumerate((one, two)):
        told, _ = forecasts(ticks_w)
        until_ns = T0_NS + 700 * NS_PER_S
        early[k] = [m for m in told if getattr(m, "t_ns", None) or m.issued_ns <= until_ns]
        early[k] = [
            msgspec.json.encode(m) for m in early[k] if getattr(m, "t_ns", m.issued_ns) <= until_ns
        ]
    assert early[0] == early[1]
    assert len(early[0]) > 500
    late = [forecasts(x)[0][-1] for x in (one, two)]
    assert msgspec.json.encode(late[0]) != msgspec.json.encode(late[1])


def test_a_state_comes_back_from_a_snapshot_and_goes_on_alike():
    """Saved and restored between two seconds, the forecaster tells the same, bit for bit."""
    ticks_w = iterating(460)
    hint = _hint("job_stop", 400, 430, None, -2e6)
    outlook = Outlook(layout(RATING_W), OPEN)
    state, other, told = outlook.start(), None, [[], []]
    state.said = [Said(hint.t_ns, hint=hint)]
    for s, second_w in enumerate(ticks_w):
        poi = Poi(second_w, WHOLE, RATING_W, T0_NS + (s + 1) * NS_PER_S)
        before = snapshot.encode(state, layout="x")
        new, here = outlook.step(state, poi)
        assert snapshot.encode(state, layout="x") == before if s % 97 == 0 else True
        state = new
        if s == 402:
            other = snapshot.decode(snapshot.encode(state, layout="x"), type(state), layout="x")
            assert snapshot.difference(state, other) is None
        elif other is not None:
            other, there = outlook.step(other, poi)
            told[0] += here
            told[1] += there
    assert [msgspec.json.encode(m) for m in told[0]] == [msgspec.json.encode(m) for m in told[1]]
    assert len(told[0]) > 20


def test_the_phase_of_an_iteration_is_known():
    """After ten minutes of iterations the median of `fast` follows the wave that comes."""
    ticks_w = iterating(900)
    told, _ = forecasts(ticks_w)
    flat = ticks_w.ravel()
    errors_w, plain_w = [], []
    for m in of(told, "fast")[-20:]:
        at = (m.issued_ns - T0_NS) // (NS_PER_S // 10)
        for interval in m.intervals[:18]:
            k = at + (interval.start_ns - m.issued_ns) // (NS_PER_S // 10)
            if k < len(flat):
                errors_w.append(abs(interval.q50_w - flat[k]))
                plain_w.append(abs(flat[at - 1] - flat[k]))
    assert np.mean(errors_w) < 0.25 * np.mean(plain_w)
    assert of(told, "fast")[-1].regime == "periodic"
    assert of(told, "fast")[-1].oscillation.freq_hz == pytest.approx(1 / 1.9, abs=0.03)


def _hint(kind, at_s, start_s, end_s, power_w, period_s=None):
    return WorkloadHint(
        site_id="scored",
        t_ns=T0_NS + at_s * NS_PER_S,
        hint=kind,
        start_ns=T0_NS + start_s * NS_PER_S,
        end_ns=None if end_s is None else T0_NS + end_s * NS_PER_S,
        period_s=period_s,
        power_change_w=power_w,
    )


def test_an_announced_stop_moves_what_lies_behind_it():
    """A job stop said 40 s ahead: medians behind it fall by it, those before do not; it is told."""
    ticks_w = iterating(420)
    hint = _hint("job_stop", 380, 430, None, -2e6)
    plain, told = (of(forecasts(ticks_w, said)[0], "scada")[-1] for said in ((), [(380, hint)]))
    until_s = (hint.start_ns - told.issued_ns) / NS_PER_S
    for a, b in zip(plain.intervals, told.intervals, strict=True):
        start_s = (b.start_ns - told.issued_ns) / NS_PER_S
        if start_s > until_s + 5:
            assert b.q50_w < a.q50_w - 1.2e6
        elif start_s < until_s - 5:
            assert b.q50_w > a.q50_w - 0.3e6
    assert [(e.kind, e.certainty > 0.8) for e in told.planned_events] == [("job_stop", True)]
    assert plain.planned_events == ()


def test_what_was_announced_teaches_how_far_to_trust():
    """Checkpoints that come as told raise the certainty of the next; false ones lower it."""
    ticks_w = iterating(1500)
    said = []
    for n in range(6):
        start_s = 200 + 200 * n
        ticks_w[start_s : start_s + 15] = 2.2e6
        said.append(
            (start_s - 60, _hint("checkpoint", start_s - 60, start_s, start_s + 15, -1.4e6))
        )
    _, state = forecasts(ticks_w, said)
    kind = state.kinds["checkpoint"]
    assert (kind.said, kind.came) == (6, 6)
    assert max(map(abs, kind.late_s)) <= 3
    empty = [
        (60 + 200 * n, _hint("checkpoint", 0, 120 + 200 * n, 135 + 200 * n, -1.4e6))
        for n in range(6)
    ]
    _, state = forecasts(iterating(1500), empty)
    assert (state.kinds["checkpoint"].said, state.kinds["checkpoint"].came) == (6, 0)


def test_a_checkpoint_timer_goes_on():
    """A checkpoint with a period is expected again after it came."""
    ticks_w = iterating(900)
    for start_s in (200, 500, 800):
        ticks_w[start_s : start_s + 15] = 2.2e6
    hint = _hint("checkpoint", 100, 200, 215, -1.4e6, period_s=300.0)
    told, state = forecasts(ticks_w, [(100, hint)])
    assert state.kinds["checkpoint"].came == 3
    assert [p.start_ns for p in state.planned if p.came_ns < 0] == [hint.start_ns + 900 * NS_PER_S]
    assert any(m.planned_events for m in of(told, "scada"))


def test_a_set_point_caps_what_is_expected():
    """A set-point of the grid is in the message, and no quantile while it holds lies above it."""
    signal = GridSignal(
        site_id="scored",
        t_ns=T0_NS,
        signal="set_point",
        value=3e6,
        unit="W",
        until_ns=T0_NS + 400 * NS_PER_S,
    )
    told, _ = forecasts(iterating(330), [(300, signal)])
    newest = of(told, "scada")[-1]
    assert newest.set_point_w == 3e6
    assert newest.signals == ("set_point",)
    inside = [i for i in newest.intervals if i.start_ns + i.duration_ns <= signal.until_ns]
    assert all(i.q95_w <= 3e6 for i in inside)
    assert any(i.q95_w > 3e6 for i in newest.intervals if i not in inside)


def test_missing_input_shows_and_silence_ends_the_forecast():
    """A dark meter: data_until stands still, the message says so, after a minute none comes."""
    share = np.ones((400, 10))
    share[300:] = 0.0
    told, _ = forecasts(iterating(400), share=share)
    last = of(told, "fast")[-1]
    assert last.data_until_ns == T0_NS + 300 * NS_PER_S
    assert last.issued_ns <= T0_NS + 361 * NS_PER_S
    assert set(last.degraded) >= {"input_missing", "input_late"}
    assert last.quality == "gap"
    assert last.fallback.power_w > 0


def test_every_class_has_its_steps(tmp_path):
    """12 five-minute and 168 hourly intervals on the hour; fast and scada from the first minute."""
    told, state = forecasts(iterating(3700))
    dispatch, cop = of(told, "dispatch")[-1], of(told, "cop")[-1]
    assert [i.duration_ns for i in dispatch.intervals] == [300 * NS_PER_S] * 12
    assert [i.duration_ns for i in cop.intervals] == [3600 * NS_PER_S] * 168
    assert len(of(told, "fast")[-1].intervals) == 45
    assert [c.horizon_s for c in of(told, "fast")[-1].calibration] == [0.5, 1, 2, 5, 10]
    assert of(told, "fast")[0].issued_ns < T0_NS + 60 * NS_PER_S
    n = of(told, "dispatch")[-1].calibration[0].n
    assert n == state.books["dispatch"].hour_n[:, 0].sum() > 5
    assert dataclasses.is_dataclass(state)
