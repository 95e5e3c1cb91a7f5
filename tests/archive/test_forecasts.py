"""Forecasts beside what came, their skill, reserves and data quality, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.archive.dense import changes, close, means
from tests.archive.fleet import BEGIN, END, LEVELS_Q, SITES, ns


def _outcomes(truth) -> list[dict]:
    """Every forecast whose interval was measured for at least half."""
    rows = []
    for row in truth.forecasts:
        s = SITES.index(row["site_id"])
        begin, length = (row["start_ns"] - ns(0)) // 10**9, row["duration_ns"] // 10**9
        pick = slice(begin, begin + length)
        weight = truth.valid[s, pick]
        if not weight.sum() or weight.sum() < 0.5 * length - 1e-9:
            continue
        outcome_w = (np.nan_to_num(truth.mean_w[s, pick]) * weight).sum() / weight.sum()
        last_w = truth.mean_w[s, (row["data_until_ns"] - ns(0)) // 10**9 - 1]
        quantiles = np.array([row[f"q{q * 100:02.0f}_w"] for q in LEVELS_Q])
        off_w = outcome_w - quantiles
        pinball = np.where(off_w >= 0, np.array(LEVELS_Q) * off_w, (np.array(LEVELS_Q) - 1) * off_w)
        rows.append(
            {
                "site_id": row["site_id"], "horizon_class": row["horizon_class"],
                "horizon_s": (row["start_ns"] + row["duration_ns"] - row["issued_ns"]) / 1e9,
                "method": row["method"], "issued_ns": row["issued_ns"], "outcome_w": outcome_w,
                "error_w": outcome_w - quantiles[3],
                "covered_90": bool(quantiles[0] <= outcome_w <= quantiles[6]),
                "covered_50": bool(quantiles[2] <= outcome_w <= quantiles[4]),
                "crps_w": 2 * pinball.mean(), "width_w": quantiles[6] - quantiles[0],
                "last_w": None if np.isnan(last_w) else last_w,
            }
        )  # fmt: skip
    return rows


def test_forecast_outcomes(ask, truth) -> None:
    """Outcome, error, coverage and loss of each forecast; intervals of 1 s and of 60 s."""
    rows = _outcomes(truth)
    assert len(rows) < len(truth.forecasts)
    assert any(row["last_w"] is None for row in rows)
    rows.sort(key=lambda r: (r["site_id"], r["issued_ns"], r["horizon_s"], r["method"]))
    sql = "FROM forecast_outcomes ORDER BY site_id, issued_ns, horizon_s, method"
    close(ask(sql), _without(rows))


def _without(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "width_w"} for row in rows]


def _by(row: dict) -> tuple:
    return row["site_id"], row["horizon_s"], row["horizon_class"], row["method"]


def test_forecast_skill(ask, truth) -> None:
    """Coverage, width, loss and skill of each horizon and method."""
    expected = []
    for key, group in itertools.groupby(sorted(_outcomes(truth), key=_by), key=_by):
        rows = list(group)

        def of(name: str, rows: list = rows) -> np.ndarray:
            return np.array([row[name] for row in rows], float)

        known = np.isfinite(of("last_w"))
        persisted_w = np.abs(of("outcome_w") - of("last_w"))[known].mean()
        expected.append(
            {
                "site_id": key[0], "horizon_s": key[1], "horizon_class": key[2], "method": key[3],
                "n": len(rows), "coverage_90": of("covered_90").mean(),
                "coverage_50": of("covered_50").mean(), "width_90_w": of("width_w").mean(),
                "mae_w": np.abs(of("error_w")).mean(), "bias_w": of("error_w").mean(),
                "crps_w": of("crps_w").mean(), "persistence_mae_w": persisted_w,
                "skill": 1 - of("crps_w")[known].mean() / persisted_w,
            }
        )  # fmt: skip
    close(ask("FROM forecast_skill"), expected)


def test_reserve_quantiles(ask, truth) -> None:
    """Quantiles of 5-minute changes, and of forecast errors per horizon."""
    step_w = changes(means(truth, 300)[0])
    expected = []
    for s, site in enumerate(SITES):
        groups = [("movement", 300.0, step_w[s][np.isfinite(step_w[s])])]
        errors = [row for row in _outcomes(truth) if row["site_id"] == site]
        for horizon_s in sorted({row["horizon_s"] for row in errors}):
            some = [row["error_w"] for row in errors if row["horizon_s"] == horizon_s]
            groups.append(("forecast error", horizon_s, np.array(some)))
        expected += [
            {
                "site_id": site, "basis": basis, "horizon_s": horizon_s, "n": len(values_w),
                "down_w": np.quantile(values_w, 0.1), "up_w": np.quantile(values_w, 0.9),
            }
            for basis, horizon_s, values_w in groups
        ]  # fmt: skip
    close(ask("FROM reserve_quantiles(low := 0.1, high := 0.9)"), expected)


def test_data_gaps(ask, truth) -> None:
    """Runs of seconds without a valid sample, between the first and the last one."""
    expected = []
    for s, site in enumerate(SITES):
        known = np.flatnonzero(np.isfinite(truth.mean_w[s]))
        for before, after in itertools.pairwise(known):
            if after - before > 3:
                expected.append(
                    {
                        "site_id": site, "node_id": "poi", "from_ns": ns(int(before) + 1),
                        "until_ns": ns(int(after)), "missing_s": float(after - before - 1),
                    }
                )  # fmt: skip
    assert len(expected) == 4
    close(ask("FROM data_gaps(least_s := 3)"), expected)
    racks = ask("FROM data_gaps(at_level := 'rack', least_s := 10)")
    assert {row["node_id"] for row in racks} == {f"rack-{k}" for k in range(4)}


@pytest.mark.parametrize("bucket_s", [1800, 100])
def test_data_quality(ask, truth, bucket_s) -> None:
    """Measured node time of each hour and level, windows there and missing."""
    expected = []
    for s, site in enumerate(SITES):
        for level, length_s in (("pdu", 1), ("rack", 10), ("substation", 1)):
            nodes = {n: p for (of, n), p in truth.nodes.items() if of == site and level in n}
            if level == "substation":
                nodes = {"poi": None}
            rows = np.flatnonzero(truth.there[s][::length_s]) * length_s
            kept = np.repeat(truth.there[s][::length_s], length_s)
            for begin in range(0, 7200, bucket_s):
                start, end = max(begin, BEGIN), min(begin + bucket_s, END)
                if start >= end:
                    continue
                inside = (rows >= start) & (rows < end)
                valid_s = {
                    name: truth.valid[s, start:end].sum() if power_w is None
                    else (np.isfinite(power_w) & kept)[start:end].sum()
                    for name, power_w in nodes.items()
                }  # fmt: skip
                there = int(inside.sum()) * len(nodes)
                expected.append(
                    {
                        "site_id": site, "level": level, "t0_ns": ns(begin), "nodes": len(nodes),
                        "silent_nodes": sum(v == 0 for v in valid_s.values()), "windows": there,
                        "missing_windows": (end - start) // length_s * len(nodes) - there,
                        "valid_share": sum(valid_s.values()) / (end - start) / len(nodes),
                    }
                )  # fmt: skip
                if there:
                    worst = min(sorted(valid_s), key=lambda name: valid_s[name])
                    expected[-1]["worst_node"] = worst
    assert any(row["missing_windows"] for row in expected)
    close(ask(f"FROM data_quality(bucket_s := {bucket_s})"), expected)
