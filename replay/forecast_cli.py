"""``python -m replay forecast-score``: how good forecasts are, on days of simulated power."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pipeline.clock import stopwatch
from pipeline.detect import DetectSettings
from replay import forecast_plot, forecast_score
from replay.errors import PlanError
from replay.forecast_run import run
from replay.forecast_traces import FAMILIES, Family, make
from replay.inference import load_library

__all__ = ["score"]

EDGES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 3600.0)


def _families(names: list[str] | None) -> list[Family]:
    known = {family.name: family for family in FAMILIES}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        msg = f"there is no family {unknown[0]!r}; use {', '.join(known)}"
        raise PlanError(msg)
    return [known[name] for name in names or known]


def score(args: argparse.Namespace) -> int:
    """Run it and print its rows; the exit status."""
    families = _families(args.family)
    if not 1 <= args.every_s <= 60:
        msg = f"--every-s is {args.every_s}; use 1 to 60"
        raise PlanError(msg)
    if not 2 <= args.hours <= 24 * 28:
        msg = (
            f"--hours is {args.hours:g}; use 2 to 672: an hour passes before all classes are issued"
        )
        raise PlanError(msg)
    detect = DetectSettings(forecast_consent=True, forecast_every_s=args.every_s)
    library, elapsed_s = load_library(), stopwatch()
    told: dict[str, Any] = {"hours": args.hours, "seed": args.seed, "every_s": args.every_s}
    rows: list[dict[str, Any]] = []
    bounds: list[forecast_score.Bound] = []
    ramps = {}
    for number, family in enumerate(families):
        series = make(family, args.hours, args.seed, library)
        result = run(series, detect)
        mine = forecast_score.scored_rows(series, result)
        rows += mine
        bounds += forecast_score.checked(series, result, mine)
        if series.announced:
            ramps[family.name] = forecast_score.ramps(series, result)
        if args.plot and not number:
            forecast_plot.fan(args.plot, series, result)
        done = f"{number + 1} of {len(families)} families, {elapsed_s():.0f} s: {family.name}"
        print(done, file=sys.stderr, flush=True)
        if not args.json:
            _show(family, mine, [b for b in bounds if b.family == family.name])
    checks = [{**b._asdict(), "held": b.held} for b in bounds]
    told |= {"rows": rows, "checks": checks, "ramps": ramps}
    if args.json:
        print(json.dumps(told))
    return 0 if all(bound.held for bound in bounds) else 1


def _show(family: Family, rows: list[dict[str, Any]], bounds: list[forecast_score.Bound]) -> None:
    """One family for people: a line a chosen horizon, then what was promised."""
    head = f"{'class':>9} {'s ahead':>8} {'skill':>7}  {'best reference':<14} {'90 %':>6} {'n':>7}"
    print(f"\n{family.name}\n{head}")
    for row in rows:
        if row["family"] == family.name and row["horizon_s"] in EDGES_S:
            print(
                f"{row['horizon_class']:>9} {row['horizon_s']:>8g} {row['crps_skill']:>7.3f}  "
                f"{row['best_reference']:<14} {row['coverage_90']:>6.3f} {row['n']:>7}"
            )
    for bound in bounds:
        word = "ok    " if bound.held else "MISSED"
        print(f"  {word} {bound.what}: {bound.value:.3f} ({bound.least:.3f} to {bound.most:.3f})")
