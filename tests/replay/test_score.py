"""What `replay.score` promises: a hit is one event for one truth, everything else is told apart."""

from pathlib import Path
from typing import Any

import pytest

from replay.report import as_json, event_line, lines, power_text, time_text
from replay.score import Delay, score
from replay.source import open_trace
from replay.truth import Truth
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

DEMO = Path(__file__).parents[2] / "replay" / "traces" / "demo"


def _truth(kind: str = "ramp", onset_s: float = 100.0, **more: Any) -> Truth:
    fields = {"site_id": "s", "node_id": "poi", "end_ns": round((onset_s + 40) * NS_PER_S)}
    return Truth(kind=kind, onset_ns=round(onset_s * NS_PER_S), **{**fields, **more})


def _event(kind: str = "ramp", onset_s: float = 100.0, **more: Any) -> SiteEvent:
    opened_ns = round((more.pop("opened_s", onset_s + 0.5)) * NS_PER_S)
    fields = {"site_id": "s", "node_id": "poi", "level": "substation", "state": "closed"}
    times = {"onset_ns": round(onset_s * NS_PER_S), "opened_ns": opened_ns, "updated_ns": opened_ns}
    event_id = more.pop("event_id", f"s:{kind}:{opened_ns}:0")
    return SiteEvent(event_id=event_id, kind=kind, quality="good", **{**fields, **times, **more})


def _counts(events: list[SiteEvent], truth: list[Truth]) -> tuple[int, int, int]:
    result = score(events, truth, site_seconds=86_400)
    return result.hits, result.misses, result.false_alarms


@pytest.mark.parametrize(
    ("onset_s", "expected"), [(102.0, (1, 0, 0)), (98.0, (1, 0, 0)), (102.1, (0, 1, 1))]
)
def test_a_ramp_is_hit_within_two_seconds_of_its_onset(onset_s: float, expected: Any) -> None:
    """Two seconds count, a tenth more is a miss and a false alarm."""
    assert _counts([_event(onset_s=onset_s)], [_truth()]) == expected


@pytest.mark.parametrize("kind", ["synchronized_ramp", "load_loss", "ramp"])
def test_ramps_and_load_loss_are_one_family(kind: str) -> None:
    """A synchronized ramp found as load loss is found."""
    assert _counts([_event(kind)], [_truth("synchronized_ramp")]) == (1, 0, 0)


@pytest.mark.parametrize("other", [_event("oscillation", freq_hz=1.0), _event(site_id="t")])
def test_another_family_or_site_is_no_hit(other: SiteEvent) -> None:
    """The right instant of the wrong family or site is a miss and a false alarm."""
    assert _counts([other], [_truth()]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("opened_s", "freq_hz", "hit"),
    [
        (100.0, 1.4, 1),
        (140.0, 1.4, 1),
        (99.9, 1.4, 0),
        (140.1, 1.4, 0),
        (120.0, 1.47, 1),
        (120.0, 1.48, 0),
        (120.0, None, 0),
    ],
)
def test_an_oscillation_is_hit_while_it_lasts_at_its_frequency(
    opened_s: float, freq_hz: float | None, hit: int
) -> None:
    """Opened between onset and end, frequency within 5 %; its own onset may be late."""
    event = _event("oscillation", onset_s=opened_s, opened_s=opened_s, freq_hz=freq_hz)
    truth = _truth("oscillation", freq_hz=1.4)
    assert _counts([event], [truth]) == (hit, 1 - hit, 1 - hit)


def test_a_second_event_for_one_truth_is_a_false_alarm() -> None:
    """One event for one truth; the nearer onset is the hit."""
    near, far = _event(onset_s=100.1), _event(onset_s=101.5)
    result = score([far, near], [_truth()], site_seconds=86_400)
    assert (result.hits, result.false_alarms) == (1, 1)
    assert result.matches[0].event == near


def test_close_truths_are_assigned_so_that_most_are_found() -> None:
    """An event that fits two truths goes to the one that has no other."""
    truths = [_truth(onset_s=100.0), _truth(onset_s=103.0)]
    events = [_event(onset_s=101.4), _event(onset_s=98.4)]
    assert _counts(events, truths) == (2, 0, 0)


def test_a_merged_event_does_not_count() -> None:
    """What closed into another event is neither a hit nor a false alarm."""
    merged = _event(onset_s=100.2, merged_into="s:ramp:1:0")
    assert _counts([_event(), merged], [_truth()]) == (1, 0, 0)
    assert _counts([merged], [_truth()]) == (0, 1, 0)


def test_the_last_state_of_an_event_counts() -> None:
    """An update of the same id replaces what came before."""
    first = _event("oscillation", event_id="a", freq_hz=3.0)
    assert _counts(
        [first, _event("oscillation", event_id="a", freq_hz=1.4)],
        [_truth("oscillation", freq_hz=1.4)],
    ) == (1, 0, 0)


def test_delay_is_opened_minus_true_onset_of_hits_only() -> None:
    """Delays of 1, 2 and 3 s; the false alarm's is not among them."""
    truths = [_truth(onset_s=100.0 * k) for k in (1, 2, 3)]
    events = [_event(onset_s=100.0 * k, opened_s=100.0 * k + k) for k in (1, 2, 3)]
    result = score([*events, _event(onset_s=900.0)], truths, site_seconds=43_200)
    assert result.delay_s == Delay(p50=2.0, p95=pytest.approx(2.9))
    assert (result.site_days, result.false_alarms_per_site_day) == (0.5, 2.0)


def test_nothing_found_has_no_delay_and_no_time_no_rate() -> None:
    """What is not known is null, never zero."""
    fields = score([], [_truth()], site_seconds=0).as_json()
    assert fields["delay_s"] == {"p50": None, "p95": None}
    assert fields["false_alarms_per_site_day"] is None
    assert set(fields) == {
        "truth",
        "hits",
        "misses",
        "false_alarms",
        "site_days",
        "false_alarms_per_site_day",
        "delay_s",
    }


def test_lines_say_found_missed_and_false() -> None:
    """A line a truth or event by onset, and the counts last."""
    ramp = _event(
        "synchronized_ramp", 131.2, opened_s=131.8, depth_w=-3.1e6, duration_s=0.8, synchrony=0.93
    )
    swing = _event("oscillation", 192.0, freq_hz=1.4, amplitude_w=210e3, damping_ratio=0.02)
    truths = [_truth("synchronized_ramp", 131.2), _truth(onset_s=262.0, depth_w=345e3)]
    result = score([ramp, swing], truths, site_seconds=300)
    moved = "-3.1 MW in 0.8 s  synchrony 0.93"
    assert lines([ramp, swing], result, t0_ns=0) == [
        f"found   synchronized_ramp  t=02:11.2  {moved}  at poi  delay 0.6 s",
        "false   oscillation        t=03:12.0  1.4 Hz  ±210 kW  damping 0.02  at poi",
        "missed  ramp               t=04:22.0  +345 kW  at poi",
        "1 of 2 found, 1 false alarm",
    ]
    merged = _event(onset_s=193.0, merged_into="x")
    assert lines([swing, merged], None, t0_ns=0) == [event_line("event", swing, t0_ns=0)]


def test_units_in_lines_are_those_a_person_would_use() -> None:
    """Watts, kilowatts and megawatts change where the figure does; hours appear when needed."""
    figures = [power_text(w) for w in (40.0, 999.6, 210e3, 999_600.0, -3.14e6, 1.5e9)]
    assert figures == ["40 W", "1 kW", "210 kW", "1.0 MW", "-3.1 MW", "1500 MW"]
    assert [time_text(round(s * NS_PER_S)) for s in (0, 59.96, 3_725.5)] == [
        "00:00.0",
        "01:00.0",
        "1:02:05.5",
    ]


def test_json_has_the_fields_a_script_relies_on() -> None:
    """The trace's facts, the runner's own, the events, and with a truth the counts."""
    trace, event = open_trace(DEMO), _event("synchronized_ramp", 131.2)
    run = {"wall_s": 1.0, "device": "cpu", "windows": 3, "archived": 3}
    fields = as_json(trace, run, [event], score([event], [], site_seconds=300))
    assert list(fields)[:10] == [
        "trace",
        "t0_ns",
        "sites",
        "channels",
        "samples",
        "duration_s",
        *run,
    ]
    assert fields["events"][0]["event_id"] == event.event_id
    assert fields["false_alarms"] == 1
    assert "hits" not in as_json(trace, run, [event], None)
