"""The plan of a simulated campus: what stands there, what runs on it, what is injected."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from replay.errors import PlanError
from schemas.events import Cause
from schemas.units import NS_PER_S

__all__ = [
    "Fault",
    "Injected",
    "Job",
    "Oscillation",
    "Plan",
    "Ramp",
    "Site",
    "default_plan",
    "load_plan",
]

_BLOCK_S = 600.0


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A training job on ``racks`` racks, side by side.

    Every ``period_s`` (each one ``jitter`` longer or shorter) a rack computes, then communicates
    for ``communicate_share`` of it; racks lag behind by ``spread_s`` (stragglers). ``start_s`` 0:
    runs when the trace begins. A checkpoint takes the job to ``checkpoint_w`` for
    ``checkpoint_s``, a fault to ``idle_w`` for ``fault_s`` or for good.
    """

    racks: int
    start_s: float = 0.0
    stop_s: float | None = None
    period_s: float = 1.7
    jitter: float = 0.01
    spread_s: float = 0.02
    edge_s: float = 0.15
    compute_w: float = 100e3
    communicate_w: float = 70e3
    communicate_share: float = 0.25
    idle_w: float = 30e3
    checkpoint_w: float = 45e3
    checkpoint_every_s: float | None = None
    checkpoint_s: float = 8.0
    fault_at_s: float | None = None
    fault_s: float | None = None


class Ramp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    ``depth`` of the site's power (signed) moved within ``duration_s`` on a share of the racks.

    Synchronized: all together, onsets at most ``onset_jitter_s`` apart; else one rack after
    another. ``recovers_s``: the same racks come back the same way then, a truth of its own.
    ``pdu`` keeps it to one PDU, counted from 1. ``cause`` stands in the truth; of a recovery it
    is *restart* where that of the fall is *fault*.
    """

    onset_s: float
    depth: float
    duration_s: float = 0.8
    racks: float = 0.5
    synchronized: bool = True
    onset_jitter_s: float = 0.1
    recovers_s: float | None = None
    pdu: int | None = None
    cause: Cause | None = None


class Oscillation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A sinusoid of ``amplitude`` (share of the site's power, zero to peak) on a share of the racks.

    It grows and fades for ``growth_s`` each; racks swing in unison but for ``phase_spread_rad``.
    """

    onset_s: float
    duration_s: float
    freq_hz: float
    amplitude: float
    growth_s: float = 5.0
    racks: float = 0.5
    phase_spread_rad: float = 0.1
    pdu: int | None = None


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    A voltage dip at the POI to ``residual_pu`` for ``duration_s``, and the load that leaves in it.

    A share of the racks that are still on leaves ``trips_s`` after the onset and takes ``depth`` of
    the site's power along (0: everything rides through). ``reconnects_s`` after the voltage is
    back they return, one after the other within ``reconnect_s``; never, where it is absent.
    """

    onset_s: float
    residual_pu: float = 0.5
    duration_s: float = 0.1
    depth: float = 0.0
    racks: float = 0.5
    trips_s: float = 0.03
    reconnects_s: float | None = None
    reconnect_s: float = 4.0
    pdu: int | None = None


Injected = Ramp | Oscillation | Fault


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One site, or ``count`` alike but for their random draws (``-1``, ``-2``, … end their ids).

    Racks no job takes serve inference: ``servers`` real server traces each, rolled at random and
    scaled to ``inference_w``. A level with rate 0 is not metered. ``rack_gateways`` share the
    racks; 0: one for each 10,000. With ``nominal_v`` the substation meters its voltage too.
    """

    id: str = "campus"
    count: int = 1
    pdus: int = 4
    racks_per_pdu: int = 12
    rack_rating_w: float = 130e3
    inference_w: float = 80e3
    servers: int = 8
    rack_hz: int = 10
    pdu_hz: int = 0
    substation_hz: int = 30
    rack_noise_w: float = 50.0
    pdu_noise_w: float = 200.0
    substation_noise_w: float = 1000.0
    rack_gateways: int = 0
    authority: str | None = None
    authority_peak_w: float | None = None
    short_circuit_va: float | None = None
    x_over_r: float | None = None
    modes_hz: tuple[float, ...] = ()
    job: tuple[Job, ...] = ()
    ramp: tuple[Ramp, ...] = ()
    oscillation: tuple[Oscillation, ...] = ()
    nominal_v: float | None = None
    fault: tuple[Fault, ...] = ()

    @property
    def racks(self) -> int:
        """Racks of the site."""
        return self.pdus * self.racks_per_pdu


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    What `replay.simulate.simulate` writes.

    ``t0`` is a whole UTC second; ``slice_s`` 1 s by a whole number. A change of a job below
    ``truth_share`` of its site's power is not written as truth.
    """

    site: tuple[Site, ...]
    t0: str = "2026-03-03T14:00:00Z"
    duration_s: int = 300
    slice_s: float = 1.0
    truth_share: float = 0.03

    @property
    def t0_ns(self) -> int:
        """The first sample, ns since 1970."""
        try:
            stamp = dt.datetime.fromisoformat(self.t0)
        except ValueError as error:
            msg = f"t0 is {self.t0!r}; write a UTC second such as 2026-03-03T14:00:00Z"
            raise PlanError(msg) from error
        if stamp.tzinfo is None or stamp.microsecond:
            msg = f"t0 is {self.t0!r}; write a whole UTC second such as 2026-03-03T14:00:00Z"
            raise PlanError(msg)
        return int(stamp.timestamp()) * NS_PER_S


def load_plan(path: Path) -> Plan:
    """
    Read a plan from TOML; unknown keys are errors.

    Raises
    ------
    PlanError
        One sentence naming what is wrong.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Plan)
    except (msgspec.MsgspecError, ValueError, OSError) as error:
        msg = f"{path}: {error}"
        raise PlanError(msg) from error


def default_plan(
    *,
    sites: int = 1,
    racks: int = 200,
    duration_s: int = 600,
    pdu_hz: int = 0,
    substation_hz: int = 30,
    t0: str = "2026-03-03T14:00:00Z",
) -> Plan:
    """
    A campus of inference and training, with the same events in every ten minutes.

    In each: a synchronized fall at 130 s that recovers at 160 s, a 1.4 Hz oscillation at 190 s, a
    slow ramp up at 262 s that goes back at 300 s; in the first four a job on an eighth of the racks
    that starts at 350 s, swings at 0.6 Hz, and stops at 540 s. What does not fit into
    ``duration_s`` is left out.

    Parameters
    ----------
    sites, racks : int
        Sites, and racks of each; PDUs hold 20 at most.
    duration_s : int
        Length, s.
    pdu_hz, substation_hz : int
        Metering rates, Hz; 0: not metered.
    t0 : str
        The first second, UTC.
    """
    pdus = -(-racks // 20)
    starts = [_BLOCK_S * k for k in range(int(duration_s // _BLOCK_S) + 1)]
    ramps = [
        ramp
        for s in starts
        for ramp in (
            Ramp(onset_s=s + 131.2, depth=-0.08, recovers_s=s + 160.0),
            Ramp(onset_s=s + 262, depth=0.09, duration_s=8, synchronized=False, recovers_s=s + 300),
        )
        if (ramp.recovers_s or 0) + ramp.duration_s < duration_s
    ]
    swings = [
        Oscillation(onset_s=s + 190, duration_s=45, freq_hz=1.4, amplitude=0.015)
        for s in starts
        if s + 235 < duration_s
    ]
    jobs = [
        Job(racks=racks // 8, start_s=s + 350, stop_s=s + 540)
        for s in starts[:4]
        if s + 540 < duration_s and racks >= 8
    ]
    site = Site(
        count=sites,
        pdus=pdus,
        racks_per_pdu=-(-racks // pdus),
        pdu_hz=pdu_hz,
        substation_hz=substation_hz,
        job=tuple(jobs),
        ramp=tuple(ramps),
        oscillation=tuple(swings),
    )
    return Plan(site=(site,), duration_s=duration_s, t0=t0)
