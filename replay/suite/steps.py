"""Steps on real backgrounds, found or not: one percent of the site; a tenth of the racks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from replay.injections import Move
from replay.score import score
from replay.suite import yardsticks
from replay.suite.backgrounds import Serving
from replay.suite.case import Case, Setup
from replay.suite.drive import Run, drive
from replay.suite.recompute import ratios, recomputed_rows
from replay.suite.rows import Row, counts_of, share_row
from replay.suite.scene import T0_NS, Scene, nodes_named
from replay.suite.sites import RACK_W, RACKS_PER_PDU, Grouping, grouping
from replay.truth import Truth
from schemas.units import NS_PER_S

__all__ = ["PartialSteps", "Steps"]

_INSTANT_S = 0.01
"""How long one rack's step takes: it lies between two samples."""
_WHAT = "steps found"
_WAIT_S = 10.0
"""How long a yardstick may take over a step."""


class Step(NamedTuple):
    """One step: racks move by ``each_w``, the first at ``onset_s``."""

    racks: Any
    each_w: float
    onset_s: float
    late_s: Any
    node: str

    def move(self) -> Move:
        """What the scene adds."""
        spread_s = float(self.late_s.max()) + _INSTANT_S
        at_s = self.onset_s + self.late_s
        return Move(self.racks, self.onset_s, spread_s, self.each_w, _INSTANT_S, at_s, True)

    def truth(self, site_id: str, names: tuple[str, ...]) -> Truth:
        """What a perfect detector would report."""
        onset_ns = T0_NS + round(self.onset_s * NS_PER_S)
        return Truth(
            kind="synchronized_ramp" if len(self.racks) >= 3 else "ramp",
            site_id=site_id,
            node_id=self.node,
            onset_ns=onset_ns,
            end_ns=onset_ns + round(float(self.late_s.max()) * NS_PER_S),
            depth_w=self.each_w * len(self.racks),
            channels=tuple(names[row] for row in self.racks),
        )


class _Stepping(Case, frozen=True):
    """Steps at random instants, each taken back by the next: the level never drifts."""

    racks: int = 200
    poi_hz: int = 30
    trials: int = 1000
    per_piece: int = 100
    apart_s: float = 180.0
    warm_s: float = 900.0
    least: float | None = 0.99

    def pieces(self) -> int:
        """``per_piece`` trials each."""
        return -(-self.trials // self.per_piece)

    def _seconds(self) -> int:
        return int(np.ceil((self.warm_s + (self.per_piece + 1) * self.apart_s) / 60)) * 60

    def weight(self) -> float:
        """Samples of a piece."""
        return self._seconds() * (self.racks * 10.0 + self.poi_hz)

    def draw(self, group: Grouping, rng: np.random.Generator) -> Step:
        """One step upwards; its instant is set elsewhere."""
        raise NotImplementedError

    def _steps(self, group: Grouping, rng: np.random.Generator) -> list[Step]:
        """Up and down in turn, at random instants at least two thirds of ``apart_s`` apart."""
        steps: list[Step] = []
        for k in range(self.per_piece):
            place = k + float(rng.uniform(1 / 3, 2 / 3))
            onset_s = round(self.warm_s + place * self.apart_s, 3)
            if k % 2 == 0:
                steps.append(self.draw(group, rng)._replace(onset_s=onset_s))
            else:
                late_s = rng.permutation(steps[-1].late_s)
                back = steps[-1]._replace(each_w=-steps[-1].each_w, late_s=late_s)
                steps.append(back._replace(onset_s=onset_s))
        return steps

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """One stretch of steps: what was found, how late, which racks, and by the yardsticks."""
        group = grouping(self.racks)
        scene = Scene(Serving(self.racks, rng), self.racks, self.poi_hz, rng)
        steps = self._steps(group, rng)
        scene.injections += [step.move() for step in steps]
        truths = [step.truth(scene.site_id, group.names) for step in steps]
        run = drive(scene, self._seconds(), setup.maker(scene.layout, setup.detect, truths))
        return self._marks(run, truths, group)

    def _marks(self, run: Run, truths: list[Truth], group: Grouping) -> dict[str, Any]:
        result = score(run.events, truths, site_seconds=run.seconds)
        pairs = [(m.truth, m.event) for m in result.matches if m.truth is not None]
        racks = [_racks_right(truth, set(event.channels or ())) for truth, event in pairs if event]
        alarms_s = yardsticks.dpdt(run.node_w[0], group.site_w)
        late = [
            yardsticks.first_after(alarms_s, (t.onset_ns - T0_NS) / NS_PER_S, _WAIT_S)
            for t in truths
        ]
        return {
            "found": [event is not None for _truth, event in pairs],
            "nodes": [truth.node_id.partition("-")[0] for truth, _event in pairs],
            "delays_s": [m.delay_s for m in result.matches if m.delay_s is not None],
            "false_alarms": result.false_alarms,
            "site_days": result.site_days,
            "racks": racks,
            "recomputed": ratios(run, nodes_named(self.racks)),
            "dP/dt": late,
            "dP/dt alarms": len(alarms_s),
        }

    def rows(self, done: list[Any]) -> list[Row]:
        """Share found by us, and by the dP/dt alarm on the same minutes."""
        found = [x for one in done for x in one["found"]]
        nodes = [x for one in done for x in one["nodes"]]
        delays_s = [x for one in done for x in one["delays_s"]]
        days = sum(one["site_days"] for one in done)
        wrong = sum(one["false_alarms"] for one in done)
        at = {n: [f for f, m in zip(found, nodes, strict=True) if m == n] for n in set(nodes)}
        note = ", ".join(f"{node} {sum(f)}/{len(f)}" for node, f in sorted(at.items()))
        counts = counts_of(found, delays_s, wrong, days)
        right = (counts.hits, len(found))
        ours = share_row(self.name, _WHAT, right, self.least, note=note, counts=counts)
        again = [x for one in done for x in one["recomputed"]]
        yardstick = self._yardstick(done, ours, _mean(delays_s))
        return [ours, *recomputed_rows(self.name, again), yardstick]

    def _yardstick(self, done: list[Any], ours: Row, ours_s: float) -> Row:
        """The dP/dt alarm on the same minutes, and in what it is beaten."""
        late = [x for one in done for x in one["dP/dt"]]
        seen = [x for x in late if x is not None]
        extra = max(sum(one["dP/dt alarms"] for one in done) - len(seen), 0)
        theirs = counts_of([x is not None for x in late], seen, extra, ours.counts.site_days)
        beaten = {
            "share": ours.counts.hits > theirs.hits,
            "delay": ours_s < _mean(seen),
            "false alarms": ours.counts.false_alarms < extra,
        }
        note = ", ".join(f"{x} {'beaten' if y else 'not beaten'}" for x, y in beaten.items())
        right = (len(seen), len(late))
        return share_row(self.name, _WHAT, right, None, detector="dP/dt", note=note, counts=theirs)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else np.inf


def _racks_right(truth: Truth, told: set[str]) -> tuple[int, int, int]:
    """Racks both true and told, told, true."""
    true = set(truth.channels) if isinstance(truth.channels, tuple) else set()
    return len(told & true), len(told), len(true)


class Steps(_Stepping, frozen=True, tag="steps"):
    """A step of a share of the site: on all racks, a whole PDU, a quarter of one, one rack."""

    share: float = 0.01

    def draw(self, group: Grouping, rng: np.random.Generator) -> Step:
        """Racks of a node drawn at random: half the steps lie under one PDU."""
        size_w = self.share * group.site_w
        pdu = int(rng.integers(group.pdus))
        kind = int(rng.integers(4))
        under = group.under(pdu)
        counts = (1, RACKS_PER_PDU // 4, len(under))
        if kind == 3:
            racks, node = np.arange(group.racks), "poi"
        else:
            racks = np.sort(rng.choice(under, counts[kind], replace=False))
            node = f"pdu-{pdu + 1}" if len(racks) > 1 else group.names[int(racks[0])]
        each_w = size_w / len(racks)
        return Step(racks, each_w, 0.0, np.zeros(len(racks)), node)


class PartialSteps(_Stepping, frozen=True, tag="partial"):
    """A share of the racks, anywhere, steps by a share of its own power, within ``jitter_s``."""

    share: float = 0.1
    depth: float = 0.25
    jitter_s: float = 1.0
    least: float | None = 0.95
    least_racks: float | None = 0.9

    def draw(self, group: Grouping, rng: np.random.Generator) -> Step:
        """Racks at random; the first at the onset, the others up to ``jitter_s`` later."""
        count = max(1, round(self.share * group.racks))
        racks = np.sort(rng.choice(group.racks, count, replace=False))
        late_s = rng.uniform(0, self.jitter_s, count)
        return Step(racks, self.depth * RACK_W, 0.0, late_s - late_s.min(), "poi")

    def rows(self, done: list[Any]) -> list[Row]:
        """Share found, then precision and recall of the racks named in the found ones."""
        racks = [x for one in done for x in one["racks"]]
        right, told, true = (sum(x[k] for x in racks) for k in range(3))
        return [
            *super().rows(done),
            share_row(
                self.name, "racks named that stepped (precision)", (right, told), self.least_racks
            ),
            share_row(
                self.name,
                "racks that stepped and were named (recall)",
                (right, true),
                self.least_racks,
            ),
        ]
