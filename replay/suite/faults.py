"""Load lost in voltage dips: six dips in 82 s are one event; a dip or a loss alone is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline.align_state import Block
from pipeline.layout import SiteLayout
from replay.campus import Campus
from replay.campus_file import topology, truth
from replay.inference import load_library
from replay.plan import Fault, Plan, Ramp, Site
from replay.suite.case import EVENTFUL, Case, Setup
from replay.suite.drive import standing, through
from replay.suite.recompute_losses import Metered, loss_rows
from replay.suite.rows import Row, counts_of, share_row
from replay.truth import Truth
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["NOMINAL_V", "Faults", "seconds"]

_SPAN_S = 82.0
_DIPS = 6
_FIRST_S, _ALONE_S, _FALL_S, _END_S = 240.0, 460.0, 500.0, 600
NOMINAL_V = 230e3
_BANDS = ((0.15, 0.15), (0.35, 0.25), (0.65, 0.5), (0.85, 2.0))
"""Voltages, pu, and how long the curve asks a load to stay there, s."""
_EDGE = 0.02
"""A loss this close to a tenth of the site may be judged either way."""


class _Drawn(NamedTuple):
    """One site, and each dip's verdict, None where it may be either."""

    site: Site
    verdicts: tuple[str | None, ...]


class Faults(Case, frozen=True, tag="faults"):
    """
    Six dips in 82 s; an eighth of the racks leaves in each and takes 3 to 8 % of the site along.

    They return half a minute after the last. Later one dip that all ride through, and one fall of
    15 % without a dip.
    """

    racks_per_pdu: int = 20
    pdus: int = 10
    poi_hz: int = 120
    trials: int = 60
    least: float | None = 0.95

    def pieces(self) -> int:
        """One a trial."""
        return self.trials

    def weight(self) -> float:
        """Samples of a piece, as those of a quiet site."""
        return EVENTFUL * _END_S * (self.pdus * self.racks_per_pdu * 10.0 + self.poi_hz)

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One site's ten minutes: what was told of them."""
        drawn = self._draw(rng)
        plan = Plan(site=(drawn.site,), duration_s=_END_S, t0="1970-01-01T00:00:00Z")
        seed = [int(rng.integers(1 << 31))]
        campus = Campus(plan, drawn.site, "campus", library=load_library(), seed=seed)
        layout, truths = SiteLayout(topology(campus)), truth(campus)
        engine = setup.maker(layout, setup.detect, truths)
        metered = Metered(self.racks_per_pdu)
        told = standing(through(engine, metered.kept(seconds(campus, layout))))
        losses = [metered.ratios(event) for event in told if event.kind == "load_loss"]
        return {
            **_marks(told, truths, drawn.verdicts),
            "again": [[x for one in losses for x in one[side]] for side in (0, 1)],
        }

    def _draw(self, rng: np.random.Generator) -> _Drawn:
        onsets_s = _FIRST_S + np.linspace(0, _SPAN_S, _DIPS) + rng.uniform(-3, 3, _DIPS)
        onsets_s[[0, -1]] = _FIRST_S, _FIRST_S + _SPAN_S
        back_s = _FIRST_S + _SPAN_S + float(rng.uniform(20, 35))
        faults, verdicts, missing = [], [], 0.0
        for k, onset_s in enumerate(onsets_s.round(3).tolist()):
            residual_pu, stay_s = _BANDS[int(rng.integers(len(_BANDS)))]
            late = bool(rng.integers(2))
            trips_s, length_s = (stay_s + 0.05, stay_s + 0.15) if late else (0.03, 0.1)
            depth = float(rng.uniform(0.03, 0.08))
            missing += depth
            faults.append(
                Fault(
                    onset_s=onset_s,
                    residual_pu=residual_pu,
                    duration_s=length_s,
                    depth=depth,
                    racks=1 / (8 - k),
                    trips_s=trips_s,
                    reconnects_s=back_s - onset_s - length_s,
                )
            )
            small = "recovered" if missing < 0.1 else "violation"
            sure = abs(missing - 0.1) > _EDGE
            verdicts.append("permitted" if late else small if sure else None)
        faults.append(Fault(onset_s=_ALONE_S, residual_pu=0.5, duration_s=0.2))
        fall = Ramp(onset_s=_FALL_S, depth=-0.15, duration_s=0.2, recovers_s=_FALL_S + 40)
        site = Site(
            pdus=self.pdus,
            racks_per_pdu=self.racks_per_pdu,
            substation_hz=self.poi_hz,
            nominal_v=NOMINAL_V,
            fault=tuple(faults),
            ramp=(fall,),
        )
        return _Drawn(site, tuple(verdicts))

    def rows(self, done: list[Any]) -> list[Row]:
        """Dips and events, power lost, recovery, verdicts, and what is no load loss."""
        days = len(done) * _END_S / 86_400
        late_s = [one["delay_s"] for one in done if one["delay_s"] is not None]
        others = sum(not one["alone"] for one in done)
        counts = counts_of([one["event"] for one in done], late_s, others, days)
        rows = [self._row(done, "event", "six dips in 82 s told as six dips of one event", counts)]
        rows += [
            self._row(done, "lost", "power lost told within 5 %"),
            self._row(done, "back", "recovery time told within 1 s"),
            self._row(done, "alone", "a dip alone tells nothing, a loss alone is a ramp"),
        ]
        right = [x for one in done for x in one["verdicts"]]
        rows.append(share_row(self.name, "verdicts right", (sum(right), len(right)), self.least))
        again = ([x for one in done for x in one["again"][side]] for side in (0, 1))
        return [*rows, *loss_rows(self.name, *again)]

    def _row(self, done: list[Any], key: str, what: str, counts: Any = None) -> Row:
        right = [one[key] for one in done]
        more = {} if counts is None else {"counts": counts}
        return share_row(self.name, what, (sum(right), len(right)), self.least, **more)


def seconds(campus: Campus, layout: SiteLayout) -> Iterator[Block]:
    """A campus's seconds as the engine takes them."""
    for second in range(campus.plan.duration_s):
        power_w: dict[str, Any] = {}
        volts = None
        for meter, read_w in campus.second(second):
            power_w[meter.level] = read_w
            read_v = campus.voltage_v(meter, second)
            volts = volts if read_v is None else read_v[0] / NOMINAL_V
        valid = {level: np.ones(x.shape, bool) for level, x in power_w.items()}
        t0_ns = campus.plan.t0_ns + second * NS_PER_S
        yield Block(
            t0_ns, layout.ticks_per_s, power_w, valid, {}, restart=False, voltage_pu=volts
        )  # fmt: skip


def _marks(
    events: list[SiteEvent], truths: list[Truth], verdicts: tuple[str | None, ...]
) -> dict[str, Any]:
    """What of one trial was told right."""
    (true,) = [one for one in truths if one.kind == "load_loss"]
    losses = [event for event in events if event.kind == "load_loss"]
    near = [e for e in events if e.kind != "load_loss" and e.onset_ns >= _ALONE_S * NS_PER_S]
    found = losses[0] if len(losses) == 1 else None
    dips = (found.dips or ()) if found else ()
    onsets_ns = zip((d.onset_ns for d in dips), true.dips_ns, strict=False)
    right = len(dips) == _DIPS and all(abs(a - b) <= NS_PER_S // 50 for a, b in onsets_ns)
    before = [e for e in events if e.kind != "load_loss" and e.onset_ns < _ALONE_S * NS_PER_S]
    depth_w, back_s = (found.depth_w or 0.0, found.recovery_s) if found else (0.0, None)
    judged = zip(dips, verdicts, strict=False)
    return {
        "event": right and not before,
        "lost": abs(depth_w / (true.depth_w or 1.0) - 1) <= 0.05,
        "back": back_s is not None and abs(back_s - (true.recovery_s or 0.0)) <= 1,
        "alone": len(near) == 2,
        "verdicts": [dip.verdict == say for dip, say in judged if say is not None],
        "delay_s": (found.opened_ns - true.onset_ns) / NS_PER_S if found else None,
        "told": [(e.kind, e.onset_ns / NS_PER_S, e.depth_w, e.recovery_s) for e in events],
    }
