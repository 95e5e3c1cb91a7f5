"""Nothing happens: whatever is reported is a false alarm."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pipeline.device import CPU
from pipeline.spectra import Spectra
from replay.suite import yardsticks
from replay.suite.backgrounds import Serving
from replay.suite.case import Case, Setup
from replay.suite.drive import drive
from replay.suite.recompute import ratios, recomputed_rows
from replay.suite.recompute_tones import sum_ratios, tone_ratios, tone_rows
from replay.suite.rows import Counts, Row, rate_row
from replay.suite.scene import T0_NS, Scene, nodes_named
from replay.suite.sites import grouping
from schemas.units import NS_PER_S

__all__ = ["Quiet"]

_DAY_S = 86_400


class Quiet(Case, frozen=True, tag="quiet"):
    """
    False alarms of all detectors together on real backgrounds.

    The first ``warm_s`` of every piece are no part of the site-days, but events in them count.
    """

    racks: int = 200
    poi_hz: int = 30
    site_days: float = 30.0
    piece_h: float = 6.0
    warm_s: int = 900
    limit: float | None = None

    def pieces(self) -> int:
        """One a stretch of ``piece_h`` hours."""
        return max(1, int(np.ceil(self.site_days * _DAY_S / (self._seconds() - self.warm_s))))

    def _seconds(self) -> int:
        return round(self.piece_h * 60) * 60

    def weight(self) -> float:
        """Samples of a piece."""
        return self._seconds() * (self.racks * 10.0 + self.poi_hz)

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One stretch: events by kind, the yardsticks' alarms."""
        scene = Scene(Serving(self.racks, rng), self.racks, self.poi_hz, rng)
        run = drive(scene, self._seconds(), setup.maker(scene.layout, setup.detect, ()))
        poi_w = run.node_w[0]
        return {
            "events": [(e.kind, e.node_id, (e.opened_ns - T0_NS) / NS_PER_S) for e in run.events],
            "recomputed": ratios(run, nodes_named(self.racks)),
            "tones": tone_ratios(run, nodes_named(self.racks)),
            "sums": sum_ratios(
                run, nodes_named(self.racks), Spectra(scene.layout, setup.detect, CPU)
            ),
            "dP/dt": len(yardsticks.dpdt(poi_w, grouping(self.racks).site_w)),
            "RMS": len(yardsticks.rms(poi_w)),
        }

    def rows(self, done: list[Any]) -> list[Row]:
        """Ours, then the yardsticks on the same minutes."""
        days = len(done) * (self._seconds() - self.warm_s) / _DAY_S
        what = f"false alarms, {self.racks} racks"
        events = [event for one in done for event in one["events"]]
        kinds = Counter(kind for kind, _node, _at in events)
        told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "none"
        rows = [self._row(what, len(events), days, goal=self.limit, note=f"{told}")]
        again = [x for one in done for x in one["recomputed"]]
        rows += recomputed_rows(self.name, again)
        rows += tone_rows(
            self.name, *([x for one in done for x in one[k]] for k in ("tones", "sums"))
        )
        for name in ("dP/dt", "RMS"):
            count = sum(one[name] for one in done)
            beaten = "beaten" if len(events) < count else "not beaten: it raised no more than we"
            rows.append(self._row(what, count, days, detector=name, note=beaten))
        return rows

    def _row(
        self, what: str, count: int, days: float, goal: float | None = None, **more: Any
    ) -> Row:
        per_day = count / days if days else None
        counts = Counts(false_alarms=count, site_days=days, false_alarms_per_site_day=per_day)
        return rate_row(self.name, what, (count, days), goal, counts=counts, **more)
