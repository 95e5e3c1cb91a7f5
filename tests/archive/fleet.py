"""
Three sites for an hour and a half across the end of a month, with every kind of hole in them.

The truth is dense NumPy, (site, time) at 1 s from 23:00 to 01:00, NaN where nothing was measured;
the rows that go into the archive are made of it. One site swings as training does, one gives power
back to the grid for a while, one is silent for twenty minutes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from schemas.units import NS_PER_S

T0_S = 1_772_319_600
"""2026-02-28T23:00:00Z"""
SECONDS = 7200
BEGIN, END = 900, 6300
MONTH = 3600
"""Second of the array at which March begins."""
SITES = ("a-1", "b-2", "c-3")
RACKS, PDUS = 4, 2
LEVELS_Q = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
HORIZONS = (("fast", 1, 1), ("fast", 5, 1), ("scada", 30, 1), ("dispatch", 120, 60))
"""Class, horizon in s, length of the interval in s."""


class Fleet(NamedTuple):
    """What was measured; arrays are (site, time) for the grid connections, 1 s."""

    mean_w: Any
    min_w: Any
    max_w: Any
    valid: Any
    """Share of each second that was measured; 0 where mean_w is NaN."""
    there: Any
    """Whether the archive has a row at all."""
    nodes: dict[tuple[str, str], Any]
    """(site, node) to the node's 1-s means, NaN where not measured."""
    states: list[dict[str, Any]]
    forecasts: list[dict[str, Any]]
    events: list[dict[str, Any]]
    blocks: list[dict[str, Any]]
    """Rows of `waveforms`."""
    raw_w: dict[tuple[str, str], tuple[Any, Any]]
    """(site, channel) to the times, ns, and the values of all its raw samples, NaN: missing."""


PRE_S, POST_S = 5.0, 10.0
OWN = "poi.p"


@cache
def fleet() -> Fleet:
    """The same every time."""
    draw = np.random.default_rng(7)
    t_s = np.arange(SECONDS)
    swing_w = 12e6 * np.sign(np.sin(np.pi * t_s / 1.7)) + 3e6 * np.sin(t_s / 400)
    mean_w = np.stack(
        [
            60e6 + swing_w + draw.normal(0, 2e5, SECONDS) + 25e6 * (t_s > 4000),
            8e6 - 14e6 * ((t_s > 2500) & (t_s < 3100)) + draw.normal(0, 1e5, SECONDS),
            30e6 - 5e3 * t_s + draw.normal(0, 4e5, SECONDS),
        ]
    )
    spread_w = draw.uniform(1e4, 9e5, mean_w.shape)
    valid = np.ones_like(mean_w)
    some = draw.random(mean_w.shape) < 0.03
    valid[some] = draw.integers(1, 10, some.sum()) / 10
    there = np.ones(mean_w.shape, bool)
    there[:, :BEGIN], there[:, END:] = False, False
    there[0, 1500:1561] = False
    there[2, 3000:4200] = False
    there[1, 2000:2003] = False
    valid[0, 1800:1806] = 0.0
    valid[1, 5000:5200:2] = 0.3
    valid[~there] = 0.0
    known = valid > 0
    whole = [np.where(known, x, np.nan) for x in (mean_w, mean_w - spread_w, mean_w + spread_w)]
    nodes = _nodes(draw, mean_w, there)
    return Fleet(
        *whole, valid, there, nodes, _states(draw, whole[0], there), _forecasts(draw, whole[0]),
        _events(draw), *_waveforms(draw),
    )  # fmt: skip


def _waveforms(draw: Any) -> tuple[Any, Any]:
    """Blocks of 10 s and less: on a grid of codes at 10 Hz, as floats at 30 Hz, slow at 1/4 Hz."""
    rows, raw_w = [], {}
    for site in SITES:
        for channel, samples, seconds in (("r.p", 10, 1), ("s.p", 30, 1), ("slow", 1, 4)):
            times_ns, values_w = [], []
            for about in range(BEGIN + 13, END, 20):  # some reach into the next minute
                begin = about // seconds * seconds
                if draw.random() < 0.5:
                    continue
                n = int(draw.integers(1, 10 * samples // seconds + 1))
                missing = draw.random(n) < 0.1
                row = {
                    "site_id": site, "channel_id": channel, "node_id": "rack-0", "level": "rack",
                    "quantity": "power", "t0_ns": ns(begin), "n": n,
                    "end_ns": ns(begin) + round(n * NS_PER_S * seconds / samples),
                    "rate_hz": str(samples) if seconds == 1 else f"1/{seconds}",
                    "produced_ns": ns(begin + 10),
                }  # fmt: skip
                if samples == 10:
                    codes = draw.integers(-500, 500, n)
                    power_w = (4e4 + 0.25 * codes).astype(np.float32)
                    whole = [
                        None if gone else int(c) for c, gone in zip(codes, missing, strict=True)
                    ]
                    row |= {"scale_w": 0.25, "offset_w": 4e4, "codes": whole}
                else:
                    power_w = draw.normal(-1e6, 1e5, n).astype(np.float32)
                    floats = zip(power_w, missing, strict=True)
                    row |= {"samples_w": [None if gone else float(w) for w, gone in floats]}
                rows.append(row)
                at_ns = [
                    ns(begin) + (2 * i * NS_PER_S * seconds + samples) // (2 * samples)
                    for i in range(n)
                ]
                times_ns += at_ns
                values_w += list(np.where(missing, np.nan, power_w))
            raw_w[site, channel] = np.array(times_ns), np.array(values_w, np.float32)
    return rows, raw_w


def _nodes(draw: Any, mean_w: Any, there: Any) -> dict[tuple[str, str], Any]:
    """Racks and PDUs: shares of the site that wander, each with holes of its own."""
    found = {}
    for s, site in enumerate(SITES):
        for kind, count in (("pdu", PDUS), ("rack", RACKS)):
            for k in range(count):
                power_w = mean_w[s] * draw.uniform(0.8, 1.2) / count
                power_w = power_w + draw.normal(0, 2e5, SECONDS)
                power_w[~there[s]] = np.nan
                hole = int(draw.integers(BEGIN + 100, END - 500))
                power_w[hole : hole + int(draw.integers(20, 400))] = np.nan
                found[site, f"{kind}-{k}"] = power_w
    return found


def _states(draw: Any, mean_w: Any, there: Any) -> list[dict[str, Any]]:
    rows = []
    for s, site in enumerate(SITES):
        for t in np.flatnonzero(there[s]):
            row: dict[str, Any] = {"site_id": site, "t_ns": ns(t + 1), "produced_ns": ns(t + 1)}
            row |= {"quality": "good", "power_w": null(mean_w[s, t])}
            if draw.random() < 0.9:
                factor = draw.uniform(0.5, 1.0)
                row |= {"coincidence_factor": factor, "diversity_factor": 1 / factor}
                row |= {"synchrony": draw.random(), "observable_max_hz": draw.choice([13.5, 5.0])}
                row |= {"band_0p15_1_w": draw.random() * 1e6}
                row |= {"band_1_5_w": draw.random() * 1e5 if s else None}
            rows.append(row)
    return rows


def _forecasts(draw: Any, mean_w: Any) -> list[dict[str, Any]]:
    rows = []
    for s, site in enumerate(SITES[:2]):
        for t in range(BEGIN + 30, END, 5):
            for name, horizon_s, length_s in HORIZONS:
                if name == "dispatch" and t % 60:
                    continue
                before_w = mean_w[s, t - 30 : t]
                center_w = np.nanmean(before_w) if np.isfinite(before_w).any() else 0.0
                edges_w = np.sort(center_w + draw.normal(0, 1e7, 7))
                quantiles = {
                    f"q{q * 100:02.0f}_w": w for q, w in zip(LEVELS_Q, edges_w, strict=True)
                }
                rows.append(
                    {
                        "site_id": site, "node_id": "poi", "issued_ns": ns(t),
                        "data_until_ns": ns(t), "valid_until_ns": ns(t + 10),
                        "horizon_class": name, "start_ns": ns(t + horizon_s - length_s),
                        "duration_ns": length_s * NS_PER_S,
                        "method": "persistence" if draw.random() < 0.5 else "climatology",
                        **quantiles, "produced_ns": ns(t),
                    }
                )  # fmt: skip
    return rows


def _events(draw: Any) -> list[dict[str, Any]]:
    rows = []
    for k in range(60):
        site, kind = SITES[k % 3], ("ramp", "synchronized_ramp", "load_loss", "oscillation")[k % 4]
        onset_s = int(draw.integers(BEGIN, END - 200))
        onset_s = onset_s // 60 * 60 + 6 if k % 4 == 0 else onset_s  # its begin: early in a minute
        row: dict[str, Any] = {
            "event_id": f"{site}:{k}", "kind": kind, "site_id": site, "node_id": "poi",
            "level": "substation", "onset_ns": ns(onset_s), "opened_ns": ns(onset_s + 1),
            "quality": "good",
        }  # fmt: skip
        if kind == "oscillation":
            parts = [
                {"channel_id": f"rack-{c}.p", "amplitude_w": draw.random() * 1e5, "phase_rad": 0.1}
                for c in range(int(draw.integers(0, 4)))
            ]
            if k % 8 == 3:  # the grid connection's own meter, which sees all of it
                parts.append({"channel_id": OWN, "amplitude_w": 1e6, "phase_rad": 0.0})
            row |= {"freq_hz": draw.uniform(0.2, 3), "amplitude_w": draw.uniform(1e4, 1e6)}
            row |= {"damping_ratio": draw.normal(0, 0.1), "contributors": parts or None}
        else:
            row |= {"depth_w": draw.normal(0, 5e6), "duration_s": draw.uniform(0.3, 20)}
            row |= {"ramp_w_per_s": draw.uniform(1e5, 1e6), "synchrony": draw.random()}
        if kind == "load_loss":
            row["dips"] = [_dip(ns(onset_s), k, n) for n in range(k % 4)]
        last = 1 + k % 3
        for n in range(last):
            closed = n == 2
            rows.append(
                {
                    **row, "state": ("open", "update", "closed")[n],
                    "updated_ns": ns(onset_s + 1 + 20 * n), "produced_ns": ns(onset_s + 1 + 20 * n),
                    "closed_ns": ns(onset_s + 1 + 20 * n) if closed else None,
                    "merged_into": "a-1:0" if closed and k % 10 == 2 else None,
                    "amplitude_w": row["amplitude_w"] * (n + 1) if "amplitude_w" in row else None,
                }
            )  # fmt: skip
    return rows


def _dip(onset_ns: int, k: int, n: int) -> dict[str, Any]:
    """The n-th dip of the k-th event; the third has not ended."""
    return {
        "onset_ns": onset_ns + n * 7_000_000_000, "residual_pu": 0.1 * n + 0.01 * k,
        "end_ns": None if n == 2 else onset_ns + n * 7_000_000_000 + 80_000_000,
        "source": "measured", "lost_w": 1e5 * k, "recovery_s": 0.5 * n,
        "rule": "ERCOT-VRT", "verdict": ("violation", "permitted", "recovered")[n],
        "margin_s": n - 0.5,
    }  # fmt: skip


def ns(second: float) -> int:
    """Instant of a second of the arrays."""
    return int(T0_S + second) * NS_PER_S


def null(value: float) -> float | None:
    """None for NaN."""
    return float(value) if np.isfinite(value) else None
