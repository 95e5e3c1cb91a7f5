"""Which ramps were swings of an oscillation, and what beside one is a ramp all the same."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pipeline import ramp_swings
from pipeline.ramp_state import OpenOscillation, OpenRamp
from schemas.events import SiteEvent
from schemas.units import NS_PER_S
from tests.pipeline.scenes import last, metered, play

PER_S, PERIOD_S, HIGH_W = 10, 8, 1000.0
NOW_NS = 100 * NS_PER_S


def square(seconds: int) -> np.ndarray:
    """Iterations that began low: half a period each, (time,) W."""
    t = np.arange(seconds * PER_S) / PER_S
    return np.where(t % PERIOD_S < PERIOD_S / 2, HIGH_W, 0.0)


def ramp(after_w: np.ndarray) -> OpenRamp:
    """A ramp that has gone this way since its onset; (time,) W, the newest sample at `NOW_NS`."""
    onset_ns = NOW_NS - len(after_w) * NS_PER_S // PER_S
    way_w = [*np.zeros(PER_S), *after_w]
    return OpenRamp(
        "r", 1, 0, 0, onset_ns, onset_ns, PER_S, way_w, 9.0, 6.0, None, "good", max(way_w)
    )


def line(amplitude_w: float, freq_hz: float = 1 / PERIOD_S) -> SiteEvent:
    """An oscillation that opens at `NOW_NS`."""
    told = {
        "event_id": "o", "kind": "oscillation", "site_id": "s", "node_id": "poi",
        "level": "substation", "state": "open", "onset_ns": 0, "opened_ns": NOW_NS,
        "updated_ns": NOW_NS, "quality": "good", "freq_hz": freq_hz, "amplitude_w": amplitude_w,
    }  # fmt: skip
    return msgspec.convert(told, SiteEvent)


@pytest.mark.parametrize(
    ("after_w", "amplitude_w", "swung"),
    [
        (
            square(80),
            250.0,
            True,
        ),  # its window holds a pause: the way itself says how far it swings
        (square(10), 250.0, True),
        (square(80) + HIGH_W, 500.0, False),  # a job that starts
        (np.concatenate([np.full(200, HIGH_W), square(40)]), 600.0, False),  # a pause before it
        (np.full(400, HIGH_W), 100.0, False),  # a step beside a small line
        (np.concatenate([np.full(20, HIGH_W), np.zeros(380)]), 100.0, False),  # a pulse
        (np.linspace(0, HIGH_W, 85), 250.0, False),  # a rise that goes on
        (square(40), 600.0, True),
        (np.linspace(0, HIGH_W, 130), 400.0, False),
        (square(6), 250.0, False),  # too young to tell: by the amplitude alone
        (square(6), 400.0, True),
    ],
)
def test_first_swings(after_w: np.ndarray, amplitude_w: float, swung: bool) -> None:
    """What swings on about a level near by, as far as it went, was a swing from its onset."""
    found = ramp_swings.were_first([ramp(after_w)], line(amplitude_w), NOW_NS, PER_S)
    assert bool(found) == swung


def test_swings_are_looked_for_so_many_periods_back() -> None:
    """16 periods or 30 s."""

    def first(seconds: int, freq_hz: float) -> bool:
        way_w = np.resize(square(PERIOD_S), seconds * PER_S)
        return bool(ramp_swings.were_first([ramp(way_w)], line(600.0, freq_hz), NOW_NS, PER_S))

    assert (first(96, 1 / PERIOD_S), first(130, 1 / PERIOD_S)) == (True, False)
    assert (first(30, 1.0), first(32, 1.0)) == (False, False)  # its mean is away for 4 s


def test_of_two_oscillations_the_slowest_says_over_what_to_average() -> None:
    """A checkpoint beside a large slow and a small fast one is a ramp; a swing is none."""
    both = [OpenOscillation(1 / PERIOD_S, 500.0, "slow"), OpenOscillation(1.0, 50.0, "fast")]
    way_w = np.concatenate([square(40), square(40)[: PERIOD_S * PER_S] * 0 + 3 * HIGH_W])
    assert ramp_swings.shift(square(44), both, PER_S, (0.0, 0.0)) is None
    assert ramp_swings.shift(way_w, both, PER_S, (0.0, 0.0)) is None  # it has not stayed yet
    longer_w = np.concatenate([way_w, np.full(PERIOD_S * PER_S, 3 * HIGH_W)])
    found = ramp_swings.shift(longer_w, both, PER_S, (0.0, 0.0))
    assert found is not None
    assert found.depth_w == pytest.approx(2.5 * HIGH_W)
    assert found.amplitudes == pytest.approx(2.5 * HIGH_W / 500.0)
    assert ramp_swings.shift(longer_w, both, PER_S, (2.6 * HIGH_W, 0.0)) is None
    noise_w = (2.6 * HIGH_W, 2.4 * HIGH_W)
    shown = [
        ramp_swings.shift(longer_w, both, PER_S, (0.0, w * (PERIOD_S * PER_S) ** 0.5)) is not None
        for w in noise_w
    ]
    assert shown == [False, True]
    assert found.period == PERIOD_S * PER_S
    assert len(found.path_w) == 3 * found.period


def test_a_job_of_slow_iterations_is_one_ramp_and_one_oscillation(tmp_path) -> None:
    """Its first swings open before the oscillation does and close into it."""

    def share(t):
        job = np.where(t < 30, 0.0, 0.7 + 0.3 * np.sign(np.sin(2 * np.pi * (t - 30) / 7.5)))
        return (1 + job)[None, :]

    events = last(play(tmp_path, metered(share, 150)))
    kinds = sorted("ramp" if "ramp" in e.kind else e.kind for e in events)
    assert kinds == ["oscillation", "ramp"]
