"""One simulated site: its racks' power second by second, its meters, and what is true about it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from replay.errors import PlanError
from replay.inference import Library, Servers
from replay.injections import Move, Swing, draw_fault, draw_moves, draw_swing
from replay.plan import Fault, Injected, Oscillation, Plan, Site
from replay.workload import Training
from schemas.telemetry import Slice
from schemas.topology import Level
from schemas.units import NS_PER_S, Rate

__all__ = ["Campus", "Meter", "numbered"]

_GATEWAY_RACKS = 10_000
_VOLTS_NOISE = 0.002
"""Of the voltage, standard deviation in pu."""


class Meter(NamedTuple):
    """One gateway: what it meters and how often."""

    level: Level
    gateway_id: str
    rate: Rate
    channel_ids: tuple[str, ...]
    rows: slice


class Campus:
    """
    A site drawn from its plan and a seed.

    Parameters
    ----------
    plan, site : Plan, Site
        The whole plan and this site of it.
    site_id : str
        Its id.
    library : Library
        Real inference power.
    seed : sequence of int
        What all its random draws come from.
    """

    def __init__(
        self, plan: Plan, site: Site, site_id: str, *, library: Library, seed: list[int]
    ) -> None:
        self.plan, self.site, self.site_id = plan, site, site_id
        rng = np.random.default_rng(seed)
        busy = sum(job.racks for job in site.job)
        if busy > site.racks:
            msg = f"site {site.id}: jobs take {busy} racks of {site.racks}; take fewer"
            raise PlanError(msg)
        serving = site.racks - busy
        self.jobs = [Training(job, plan.duration_s, rng) for job in site.job]
        self._servers = Servers(library, serving, site.servers, rng)
        self._serving_w = site.inference_w * (1 + 0.05 * rng.standard_normal((serving, 1)))
        self._busy = busy
        self.site_w = serving * site.inference_w + sum(j.mean_w * j.job.racks for j in self.jobs)
        self.moves: list[Move] = []
        self.swings: list[Swing] = []
        for ramp in site.ramp:
            self.moves += draw_moves(ramp, self._draw_racks(ramp, rng), self.site_w, rng)
        for swing in site.oscillation:
            racks = self._draw_racks(swing, rng)
            self.swings.append(draw_swing(swing, racks, self.site_w, rng))
        self.trips = self._draw_trips(rng)
        self._noise = np.random.default_rng([*seed, 1])
        self._volts_noise = np.random.default_rng([*seed, 2])
        self._pdu_starts = np.arange(site.pdus) * site.racks_per_pdu
        self.rack_ids = tuple(numbered("rack", site.racks))
        self.meters = self._draw_meters()

    def _draw_trips(self, rng: np.random.Generator) -> list[tuple[Fault, list[Move]]]:
        """Each fault in which load is lost, with its moves; racks that are out cannot leave."""
        trips: list[tuple[Fault, list[Move]]] = []
        for fault in sorted(self.site.fault, key=lambda f: f.onset_s):
            if fault.depth <= 0:
                continue
            gone = [
                moves[0].racks
                for _, moves in trips
                if len(moves) < 2 or moves[1].onset_s + moves[1].duration_s > fault.onset_s
            ]
            out = np.concatenate(gone) if gone else np.zeros(0, np.int64)
            racks = self._draw_racks(fault, rng, out)
            trips.append((fault, draw_fault(fault, racks, self.site_w, rng)))
        return trips

    def _draw_racks(self, event: Injected, rng: np.random.Generator, out: Any = ()) -> Any:
        """Racks an event falls on: of the inference racks where there are any, at random."""
        site = self.site
        first = self._busy if self._busy < site.racks else 0
        from_racks = np.arange(first, site.racks)
        if event.pdu is not None:
            from_racks = from_racks[from_racks // site.racks_per_pdu == event.pdu - 1]
        from_racks = from_racks[~np.isin(from_racks, out)]
        count = max(1, round(event.racks * len(from_racks)))
        share = event.amplitude if isinstance(event, Oscillation) else event.depth
        each_w = abs(share) * self.site_w / count
        if not len(from_racks) or each_w > 0.8 * site.inference_w:
            msg = (
                f"site {site.id}: the event at {event.onset_s} s moves {each_w / 1e3:.0f} kW on "
                f"each of {count} racks of {site.inference_w / 1e3:.0f} kW; take more racks or "
                f"less depth"
            )
            raise PlanError(msg)
        return np.sort(rng.choice(from_racks, size=count, replace=False))

    def _draw_meters(self) -> list[Meter]:
        site = self.site
        share = -(-site.racks // (site.rack_gateways or -(-site.racks // _GATEWAY_RACKS)))
        rows = [slice(a, min(a + share, site.racks)) for a in range(0, site.racks, share)]
        meters = [
            Meter("rack", f"rack-gw-{k}", Rate(site.rack_hz), self.rack_ids[part], part)
            for k, part in enumerate(rows, 1)
        ]
        if site.pdu_hz:
            pdus = tuple(numbered("pdu", site.pdus))
            meters.append(Meter("pdu", "pdu-gw", Rate(site.pdu_hz), pdus, slice(None)))
        if site.substation_hz:
            meters.append(
                Meter("substation", "poi-gw", Rate(site.substation_hz), ("poi",), slice(None))
            )
        return meters

    def _events(self) -> list[Move | Swing]:
        return [*self.moves, *self.swings, *(m for _, moves in self.trips for m in moves)]

    def pdu_of(self, racks: Any) -> Any:
        """Which PDU racks stand under, from 0."""
        return racks // self.site.racks_per_pdu

    def job_racks(self) -> list[Any]:
        """The racks of each job."""
        stops = np.cumsum([0] + [job.job.racks for job in self.jobs])
        return [np.arange(a, b) for a, b in itertools.pairwise(stops)]

    def second(self, s: int) -> Iterator[tuple[Meter, Any]]:
        """All meters' readings of second ``s`` since the start, (channel, time) W, rack first."""
        hz = self.site.rack_hz
        t_s = s + np.arange(hz + 1) / hz
        base_w = self._base_w(s, t_s)
        racks_w = base_w[:, :-1].copy()
        for event in self._events():
            racks_w[event.racks] += event.added_w(t_s[:-1])
        racks_w += self.site.rack_noise_w * self._noise.standard_normal(racks_w.shape)
        pdus_w = np.add.reduceat(base_w, self._pdu_starts, axis=0)
        for meter in self.meters:
            if meter.level == "rack":
                yield meter, racks_w[meter.rows]
            else:
                yield meter, self._summed_w(meter, s, pdus_w, t_s)

    def _base_w(self, s: int, t_s: Any) -> Any:
        """Power of every rack without injections, at the racks' rate and at the second's end."""
        serving = self._servers.relative(s * 10, 11)
        if self.site.rack_hz != 10:
            serving = _interpolated(serving, s + np.arange(11) / 10, t_s)
        parts = [job.power_w(t_s) for job in self.jobs]
        return np.concatenate([*parts, self._serving_w * serving])

    def _summed_w(self, meter: Meter, s: int, pdus_w: Any, t_s: Any) -> Any:
        """The racks' sum at the meter's own rate, interpolated, and noise; (channel, time), W."""
        at_s = s + np.arange(meter.rate.samples) / meter.rate.samples
        per_pdu_w = _interpolated(pdus_w, t_s, at_s)
        for event in self._events():
            pdus, first, racks = np.unique(
                self.pdu_of(event.racks), return_index=True, return_counts=True
            )
            added_w = event.added_w(at_s)
            one_by_one = np.ndim(added_w) == 2
            per_pdu_w[pdus] += (
                np.add.reduceat(added_w, first, axis=0) if one_by_one else racks[:, None] * added_w
            )
        if meter.level == "pdu":
            noise_w, sums_w = self.site.pdu_noise_w, per_pdu_w
        else:
            noise_w, sums_w = self.site.substation_noise_w, per_pdu_w.sum(axis=0, keepdims=True)
        return sums_w + noise_w * self._noise.standard_normal(sums_w.shape)

    def voltage_v(self, meter: Meter, s: int) -> Any:
        """What a substation's meter reads of the voltage in second ``s``, (1, time) V; or None."""
        if self.site.nominal_v is None or meter.level != "substation":
            return None
        at_s = s + np.arange(meter.rate.samples) / meter.rate.samples
        volts = 1 + _VOLTS_NOISE * self._volts_noise.standard_normal(len(at_s))
        for fault in self.site.fault:
            within = (at_s >= fault.onset_s) & (at_s < fault.onset_s + fault.duration_s)
            volts[within] += fault.residual_pu - 1
        return (self.site.nominal_v * volts)[None, :].astype(np.float32)

    def slices(self, s: int, pieces: int) -> Iterator[Slice]:
        """Second ``s`` as telemetry slices, each second in ``pieces`` cuts."""
        for meter, power_w in self.second(s):
            count, volts = meter.rate.samples, self.voltage_v(meter, s)
            cuts = sorted({k * count // pieces for k in range(pieces + 1)})
            for k, (a, b) in enumerate(itertools.pairwise(cuts)):
                offset_ns = (2 * a * NS_PER_S + count) // (2 * count)
                yield Slice(
                    site_id=self.site_id,
                    level=meter.level,
                    gateway_id=meter.gateway_id,
                    seq=s * (len(cuts) - 1) + k,
                    t0_ns=self.plan.t0_ns + s * NS_PER_S + offset_ns,
                    rate=meter.rate,
                    channel_ids=meter.channel_ids,
                    power_w=np.ascontiguousarray(power_w[:, a:b], dtype=np.float32),
                    voltage_v=None if volts is None else volts[:, a:b],
                )


def numbered(kind: str, count: int) -> list[str]:
    """Ids of a kind, from 1, all of one width."""
    width = len(str(count))
    return [f"{kind}-{n:0{width}d}" for n in range(1, count + 1)]


def _interpolated(power_w: Any, t_s: Any, at_s: Any) -> Any:
    """``power_w`` (row, time), known at ``t_s`` (even steps), at ``at_s`` within; (row, time)."""
    place = (at_s - t_s[0]) / (t_s[1] - t_s[0])
    left = np.floor(place + 1e-9).astype(np.int64).clip(0, len(t_s) - 2)
    weight = (place - left).clip(0, 1)
    return power_w[:, left] * (1 - weight) + power_w[:, left + 1] * weight
