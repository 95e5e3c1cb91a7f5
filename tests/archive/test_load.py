"""Load, diversity and planning views against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.archive.dense import blocks, changes, close, means
from tests.archive.fleet import BEGIN, END, MONTH, SITES, T0_S, ns


def test_poi_seconds(ask, truth) -> None:
    """The seconds that were measured, with what was measured of them."""
    expected = [
        {
            "site_id": site, "t0_ns": ns(int(t)), "mean_w": truth.mean_w[s, t],
            "min_w": truth.min_w[s, t], "max_w": truth.max_w[s, t],
            "valid_share": truth.valid[s, t],
        }
        for s, site in enumerate(SITES)
        for t in np.flatnonzero(np.isfinite(truth.mean_w[s]))
    ]  # fmt: skip
    close(ask("FROM poi_seconds ORDER BY site_id, t0_ns"), expected)


@pytest.mark.parametrize(("span_s", "least"), [(60, 0.5), (300, 0.9), (7, 1.0)])
def test_poi_means(ask, truth, span_s, least) -> None:
    """Means weighted by what was measured, spans with too little left out."""
    first_s = -T0_S % span_s  # spans count from 1970, not from the arrays' begin
    expected = []
    for s, site in enumerate(SITES):
        for begin in range(first_s - span_s, 7200, span_s):
            pick = slice(max(begin, 0), begin + span_s)
            w = truth.valid[s, pick]
            if w.sum() and w.sum() >= least * span_s - 1e-12:
                power_w = np.nan_to_num(truth.mean_w[s, pick])
                expected.append(
                    {
                        "site_id": site, "t0_ns": ns(begin), "valid_share": w.sum() / span_s,
                        "mean_w": (power_w * w).sum() / w.sum(),
                        "min_w": np.nanmin(truth.min_w[s, pick]),
                        "max_w": np.nanmax(truth.max_w[s, pick]),
                    }
                )  # fmt: skip
    sql = f"FROM poi_means(span_s := {span_s}, least_valid := {least}) ORDER BY site_id, t0_ns"
    close(ask(sql), expected)


def test_load_duration(ask, truth) -> None:
    """Quantiles of the minute means from the greatest to the least."""
    mean_w = means(truth, 60)[0]
    expected = []
    for s, site in enumerate(SITES):
        known_w = mean_w[s][np.isfinite(mean_w[s])]
        expected += [
            {
                "site_id": site, "exceeded_share": k / 20,
                "power_w": np.quantile(known_w, 1 - k / 20), "hours": k / 20 * len(known_w) / 60,
            }
            for k in range(21)
        ]  # fmt: skip
    close(ask("FROM load_duration(points := 20)"), expected)


def test_diversity_and_bands(ask, truth) -> None:
    """Means and extremes of the states of each minute; a state ends with its second."""
    diversity, bands = [], []
    for site in SITES:
        rows = [row for row in truth.states if row["site_id"] == site]
        second = np.array([(row["t_ns"] - ns(0)) // 10**9 - 1 for row in rows])
        for minute in np.unique(second // 60):
            here = [row for row, t in zip(rows, second, strict=True) if t // 60 == minute]

            def of(name: str, rows: Any = here) -> Any:
                return np.array([r[name] for r in rows if r.get(name) is not None])

            base = {"site_id": site, "t0_ns": ns(int(minute) * 60)}
            diversity.append(
                {
                    **base, "coincidence_factor": of("coincidence_factor").mean(),
                    "coincidence_max": of("coincidence_factor").max(),
                    "diversity_factor": of("diversity_factor").mean(),
                    "synchrony_max": of("synchrony").max(),
                    "power_w": of("power_w").mean() if len(of("power_w")) else None,
                    "seconds": len(of("coincidence_factor")),
                }
            )  # fmt: skip
            swing_w = of("band_1_5_w")
            bands.append(
                {
                    **base, "band_0p15_1_w": of("band_0p15_1_w").max(), "band_5_15_w": None,
                    "band_1_5_w": swing_w.max() if len(swing_w) else None,
                    "observable_max_hz": of("observable_max_hz").min(), "seconds": len(here),
                }
            )  # fmt: skip
    close(ask("FROM diversity_history"), diversity)
    close(ask("FROM band_history"), bands)


@pytest.mark.parametrize(("level", "length_s"), [("rack", 10), ("pdu", 1)])
def test_node_diversity(ask, truth, level, length_s) -> None:
    """Peak of the grid connection over the sum of the nodes' peaks, windows of one length."""
    poi_w = means(truth, length_s, least=0.0)[0]
    expected = []
    for s, site in enumerate(SITES):
        nodes = [p for (of, node), p in truth.nodes.items() if of == site and level in node]
        for b, here in blocks(length_s, 1800):
            peaks = []
            for power_w in nodes:
                parts = power_w.reshape(-1, length_s)[here]
                parts = parts[np.isfinite(parts).any(axis=1)]
                if len(parts):
                    peaks.append(np.nanmean(parts, axis=1).max())
            here_w = poi_w[s, here]
            if not peaks or not np.isfinite(here_w).any():
                continue
            peak_w = np.nanmax(here_w)
            expected.append(
                {
                    "site_id": site, "t0_ns": ns(b * 1800), "nodes": len(peaks),
                    "peaks_w": sum(peaks), "peak_w": peak_w,
                    "coincidence_factor": peak_w / sum(peaks),
                    "diversity_factor": sum(peaks) / peak_w,
                }
            )  # fmt: skip
    close(ask(f"FROM node_diversity(at_level := '{level}', bucket_s := 1800)"), expected)


def test_fleet_diversity(ask, truth) -> None:
    """Sum of the sites' peaks over the peak of their sum, where all of the hour's are measured."""
    mean_w = means(truth, 60)[0]
    expected = []
    for b, here in blocks(60, 600):
        part_w = mean_w[:, here]
        part_w = part_w[np.isfinite(part_w).any(axis=1)]
        part_w = part_w[:, np.isfinite(part_w).all(axis=0)]
        if part_w.size:
            peaks_w, peak_w = part_w.max(axis=1).sum(), part_w.sum(axis=0).max()
            expected.append(
                {
                    "t0_ns": ns(b * 600), "sites": len(part_w), "peaks_w": peaks_w,
                    "peak_w": peak_w, "coincidence_factor": peak_w / peaks_w,
                    "diversity_factor": peaks_w / peak_w, "spans": part_w.shape[1],
                }
            )  # fmt: skip
    assert {row["sites"] for row in expected} == {2, 3}
    close(ask("FROM fleet_diversity(bucket_s := 600)"), expected)


@pytest.mark.parametrize("interval_s", [900, 3600])
def test_planning(ask, truth, interval_s) -> None:
    """Mean, extremes, quantile, minute ramps and coincidence of every interval."""
    mean_w, share = means(truth, interval_s)
    step_w = changes(means(truth, 60)[0])
    expected = []
    for s, site in enumerate(SITES):
        for b, here in blocks(1, interval_s):
            if not np.isfinite(mean_w[s, b]):
                continue
            month = (
                slice(None, MONTH // interval_s)
                if b * interval_s < MONTH
                else slice(MONTH // interval_s, None)
            )
            known_w = truth.mean_w[s, here][np.isfinite(truth.mean_w[s, here])]
            step = step_w[s, np.arange(120) * 60 // interval_s == b]
            step = step[np.isfinite(step)]
            whole = np.isfinite(mean_w[:, b]).all()
            expected.append(
                {
                    "site_id": site, "t0_ns": ns(b * interval_s), "mean_w": mean_w[s, b],
                    "max_w": known_w.max(), "min_w": known_w.min(),
                    "p95_w": np.quantile(known_w, 0.95),
                    "ramp_up_w_per_min": max(step.max(), 0) if len(step) else None,
                    "ramp_down_w_per_min": max((-step).max(), 0) if len(step) else None,
                    "mileage_w": np.abs(step).sum() if len(step) else None,
                    "sum_w": mean_w[:, b].sum() if whole else None,
                    "coincidence_factor": mean_w[s, b] / np.nanmax(mean_w[s, month]),
                    "valid_share": share[s, b],
                }
            )  # fmt: skip
    assert interval_s == 3600 or len({row["sum_w"] is None for row in expected}) == 2
    close(ask(f"FROM planning(interval_s := {interval_s})"), expected)


def test_there_is_something_to_see() -> None:
    """The arrays have data before and after midnight."""
    assert BEGIN < MONTH < END
