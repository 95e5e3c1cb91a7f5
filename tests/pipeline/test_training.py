"""Training jobs: one oscillation event for each stretch of iterations between checkpoints."""

from __future__ import annotations

import pytest

from replay.plan import Job, Site
from schemas.units import NS_PER_S
from tests.pipeline.campuses import simulated

START_S, CHECKPOINT_S = 60.0, 25.0


def phases(period_s: float, duration_s: int, every_s: float, seed: int = 0):
    """Oscillation events of a job of 24 of 48 racks whose iterations vary by 5 %."""
    job = Job(
        racks=24, period_s=period_s, jitter=0.05, start_s=START_S,
        checkpoint_every_s=every_s, checkpoint_s=CHECKPOINT_S,
    )  # fmt: skip
    events = simulated(Site(job=(job,)), duration_s, seed=seed)
    return [e for e in events if e.kind == "oscillation"]


def check(events, period_s, duration_s, every_s):
    """Each event within one phase, at the iterations' frequency, in unison; one a phase."""
    begins = [START_S + k * every_s for k in range(int((duration_s - START_S) // every_s) + 1)]
    taken = []
    for event in events:
        opened_s = event.opened_ns / NS_PER_S
        phase = max(k for k, begin_s in enumerate(begins) if begin_s <= opened_s)
        closes_s = begins[phase] + every_s + CHECKPOINT_S
        assert event.freq_hz == pytest.approx(1 / period_s, rel=0.1)
        assert (event.closed_ns or 0) / NS_PER_S <= max(closes_s, duration_s) + 1
        assert event.unison is None or event.unison > 0.9
        taken.append(phase)
    assert taken == sorted(set(taken)), "one event a phase"
    return taken


def test_each_phase_of_a_job_is_one_event():
    """Iterations of 2 s, a checkpoint of 25 s every 200 s: three phases, three events."""
    events = phases(2.0, 660, 200.0)
    assert check(events, 2.0, 660, 200.0) == [0, 1, 2]
    assert all(e.harmonics for e in events)
    assert {e.origin for e in events} == {"forced"}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("period_s", [2.0, 3.3, 5.0, 7.0, 10.0])
def test_an_hour_of_training_is_one_event_a_phase(period_s):
    """An hour, a checkpoint every five minutes: 12 phases, one event in each but one."""
    events = phases(period_s, 3600, 300.0)
    found = check(events, period_s, 3600, 300.0)
    assert len(found) >= 11
