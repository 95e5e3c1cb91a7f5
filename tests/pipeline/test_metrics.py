"""The heartbeat says what happened since the last one."""

from typing import get_args

from pipeline.lane_state import COUNTS, Counters
from pipeline.metrics import METRICS, Name, Tally, event_line, human_seconds


def counters(watermark_s: float, **values: int) -> Counters:
    """Counts of a lane whose site stands at ``watermark_s``."""
    return Counters(values, {"s": round(watermark_s * 1e9)}, warming="2/8")


def test_every_name_has_one_meaning_and_lanes_use_no_other() -> None:
    """The list in `metrics` is complete: type, meanings and what a lane counts."""
    assert set(get_args(Name)) == set(METRICS)
    assert set(COUNTS) <= set(METRICS)


def test_the_line_an_operator_reads() -> None:
    """Counts since the last beat, lag of the slowest lane, duty per grid time, lanes added up."""
    tally = Tally()
    tally.collect(0, counters(100, frames=10))
    tally.collect(1, counters(100, frames=0))
    tally.beat([], now_ns=0, compute_s=0, silent_s=0)
    lanes = [counters(160, frames=70, events=2, late_samples=3, resets=1), counters(159, frames=5)]
    for key, lane in enumerate(lanes):
        tally.collect(key, lane)
    beat = tally.beat(lanes, now_ns=160_000_000_000, compute_s=4.2, silent_s=0.5)
    assert (
        beat.line() == "lag 1.0 s  duty 0.07  frames 65  events 2  late 3  resets 1  warming 4/16"
    )


def test_silence_and_dead_letters_are_said_only_when_there_are_some() -> None:
    """From 10 s without a message the line says so; without lanes lag and duty are dashes."""
    tally = Tally()
    tally.add({"deadletters": 4})
    line = tally.beat([], now_ns=1, compute_s=0.0, silent_s=12.4).line()
    assert line == (
        "lag -  duty -  frames 0  events 0  late 0  resets 0  warming 0/0  "
        "deadletters 4  silent: no data for 12 s"
    )


def test_one_site_that_stands_still_is_named_and_hides_no_duty() -> None:
    """The lag is its own; from 10 s on the line says whose, and by how much it is behind."""
    tally, lane = Tally(), Counters({}, {"s1": 100 * 10**9, "s2": 100 * 10**9})
    tally.collect(0, lane)
    tally.beat([lane], now_ns=100 * 10**9, compute_s=0, silent_s=0)
    for s2, told in ((109, ""), (160, "  behind: s1 by 60 s")):
        lane.marks_ns = {"s1": 100 * 10**9, "s2": s2 * 10**9}
        tally.collect(0, lane)
        beat = tally.beat([lane], now_ns=160 * 10**9, compute_s=0.9, silent_s=0)
        assert beat.line().endswith(f"warming 0/0{told}")
        assert beat.lag_s == 60
        assert beat.duty is not None


def test_a_lane_that_comes_back_starts_from_its_own_zero() -> None:
    """After `forget`, a reopened lane's counts are not taken as a fall."""
    tally = Tally()
    tally.collect(0, counters(10, frames=50))
    tally.forget(0)
    tally.collect(0, counters(11, frames=3))
    assert tally.beat([], now_ns=0, compute_s=0, silent_s=0).counts["frames"] == 53


def test_an_old_recording_has_its_lag_in_days() -> None:
    """Five digits of seconds are no use to anybody."""
    assert human_seconds(90.04) == "90.0 s"
    assert human_seconds(86_400 * 1105.0) == "1105.0 d"


def test_an_event_is_one_line_when_it_opens_and_closes() -> None:
    """Updates say nothing; what is not known is left out."""
    event = {
        "event_id": "e1", "kind": "ramp", "site_id": "s", "node_id": "pdu", "state": "open",
        "depth_w": -3.1e6, "duration_s": 0.8,
    }  # fmt: skip
    assert event_line(event) == "event open  ramp  s/pdu  -3.1 MW in 0.8 s  e1"
    closed = {**event, "state": "closed", "freq_hz": 1.1299, "amplitude_w": 2.1e5}
    assert event_line(closed) == (
        "event closed  ramp  s/pdu  -3.1 MW in 0.8 s  1.13 Hz  ±210 kW  e1"
    )
    assert event_line({**event, "state": "update"}) is None
