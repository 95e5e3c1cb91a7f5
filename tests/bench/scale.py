"""
A large archive as a day of work leaves it: sealed runs, one each quarter of an hour and writer, and
a live tail of one commit a second.

``python -m tests.bench.scale DIR [--share 1.0]`` makes it (10 M window rows and 100 M waveform
samples at 1.0, four sites of 250 racks). `tests.bench.queries` asks it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import archive, commits
from pipeline.seal import seal
from schemas.tables import TABLES
from schemas.units import NS_PER_S

__all__ = ["SITES", "T0_NS", "build"]

T0_NS = 1_772_323_200 * NS_PER_S
"""2026-03-01T00:00:00Z"""
SITES = tuple(f"site-{k}" for k in range(4))
RACKS, PDUS = 250, 12
QUARTER_S, QUARTERS, TAIL_S = 900, 73, 60
EVENT_S = 80
RATES = {"rack": 10, "pdu": 100, "substation": 1000}


def build(root: Path, share: float = 1.0) -> dict[str, int]:
    """Make it in a new folder; return rows by table, and samples."""
    archive.create(root)
    writers = {s: commits.Writer.claim(root, f"live-p{k}of4") for k, s in enumerate(SITES)}
    draw = np.random.default_rng(5)
    quarters = max(round(QUARTERS * share), 2)
    done: dict[str, int] = {}
    for q in range(quarters):
        for site, writer in writers.items():
            rows = _rows(site, q * QUARTER_S, QUARTER_S, draw)
            rows |= _evidence(site, q, draw)
            _commit(writer, site, rows, (q + 1) * QUARTER_S, done)
        seal(root, keep=1, grace_s=0, now_ns=time.monotonic_ns)
    begin_s = quarters * QUARTER_S
    for second in range(begin_s, begin_s + TAIL_S):
        for site, writer in writers.items():
            _commit(writer, site, _rows(site, second, 1, draw), second + 1, done)
    return done


def _commit(
    writer: commits.Writer, site: str, rows: dict[str, pa.Table], until_s: int, done: dict[str, int]
) -> None:
    writer.commit(rows, offsets={}, read_offsets={}, archived_until_ns={site: _ns(until_s)})
    for name, table in rows.items():
        done[name] = done.get(name, 0) + table.num_rows
        if name == "waveforms":
            done["samples"] = done.get("samples", 0) + int(np.sum(table["n"].to_numpy()))


def _ns(second: Any) -> Any:
    return T0_NS + second * NS_PER_S


def _rows(site: str, begin_s: int, length_s: int, draw: Any) -> dict[str, pa.Table]:
    at_s = np.arange(begin_s, begin_s + length_s)
    parts = [
        _windows(site, "substation", ["poi"], at_s, 1, draw),
        _windows(site, "pdu", [f"pdu-{k:02d}" for k in range(PDUS)], at_s, 1, draw),
    ]
    racks_s = at_s[at_s % 10 == 9] - 9
    if len(racks_s):
        names = [f"rack-{k:03d}" for k in range(RACKS)]
        parts.append(_windows(site, "rack", names, racks_s, 10, draw))
    return {
        "windows": pa.concat_tables(parts),
        "states": _states(site, at_s, draw),
        "forecasts": _forecasts(site, at_s[at_s % 5 == 0], draw),
        "events": _events(site, at_s[at_s % 120 == 60] if length_s > 1 else at_s[:0], draw),
    }


def _table(name: str, columns: dict[str, Any], count: int) -> pa.Table:
    """Columns as Arrow; single values fill theirs, what is missing is null."""
    arrays = []
    for field in TABLES[name]:
        value = columns.get(field.name)
        if value is None:
            arrays.append(pa.nulls(count, field.type))
        elif isinstance(value, pa.Array | np.ndarray | list):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.table(arrays, schema=TABLES[name])


def _windows(
    site: str, level: str, nodes: list[str], at_s: Any, length_s: int, draw: Any
) -> pa.Table:
    count = len(nodes) * len(at_s)
    t_s = np.tile(at_s, len(nodes))
    whole_w = 40e6 / len(nodes)
    mean_w = whole_w * (1 + 0.2 * np.sign(np.sin(t_s * 1.1)) + draw.normal(0, 0.02, count))
    valid = np.where(draw.random(count) < 0.001, 0.5, 1.0)
    columns = {
        "site_id": site, "level": level, "node_id": np.repeat(nodes, len(at_s)).tolist(),
        "t0_ns": _ns(t_s), "duration_ns": length_s * NS_PER_S, "mean_w": mean_w.round(1),
        "min_w": (mean_w * 0.98).round(1), "max_w": (mean_w * 1.02).round(1),
        "ramp_up_w_per_s": np.abs(draw.normal(0, whole_w / 50, count)).round(1),
        "ramp_down_w_per_s": np.abs(draw.normal(0, whole_w / 50, count)).round(1),
        "valid_share": valid, "produced_ns": _ns(t_s + length_s), "synchrony": draw.random(count),
    }  # fmt: skip
    return _table("windows", columns, count)


def _states(site: str, at_s: Any, draw: Any) -> pa.Table:
    n = len(at_s)
    factor = draw.uniform(0.5, 1, n)
    columns = {
        "site_id": site, "t_ns": _ns(at_s + 1), "power_w": draw.normal(40e6, 1e6, n),
        "coincidence_factor": factor, "diversity_factor": 1 / factor, "synchrony": draw.random(n),
        "band_0p15_1_w": draw.random(n) * 1e6, "band_1_5_w": draw.random(n) * 1e5,
        "observable_max_hz": 55.0, "quality": "good", "valid_share": 1.0,
        "produced_ns": _ns(at_s + 1),
    }  # fmt: skip
    return _table("states", columns, n)


def _forecasts(site: str, at_s: Any, draw: Any) -> pa.Table:
    horizons = np.array([1, 2, 5, 10, 30, 60, 120])
    issued_s, ahead_s = (a.ravel() for a in np.meshgrid(at_s, horizons, indexing="ij"))
    n = len(issued_s)
    center_w = draw.normal(40e6, 1e6, n)
    quantiles = {
        f"q{level}_w": center_w + shift * 1e6
        for level, shift in zip(
            ("05", "10", "25", "50", "75", "90", "95"), range(-3, 4), strict=True
        )
    }
    columns = {
        "site_id": site, "node_id": "poi", "issued_ns": _ns(issued_s),
        "data_until_ns": _ns(issued_s), "valid_until_ns": _ns(issued_s + 10),
        "horizon_class": np.where(ahead_s <= 10, "fast", "scada").tolist(),
        "start_ns": _ns(issued_s + ahead_s - 1), "duration_ns": NS_PER_S,
        "method": "climatology", **quantiles, "produced_ns": _ns(issued_s),
    }  # fmt: skip
    return _table("forecasts", columns, n)


def _events(site: str, onset_s: Any, draw: Any) -> pa.Table:
    """Every two minutes a ramp or an oscillation, in three states; one commit holds all three."""
    n = 3 * len(onset_s)
    onset_s = np.repeat(onset_s, 3)
    step = np.tile(np.arange(3), n // 3)
    swing = (onset_s // 120 % 3 == 0).astype(bool)
    columns = {
        "event_id": [f"{site}:{s}" for s in onset_s], "site_id": site, "node_id": "poi",
        "kind": np.where(swing, "oscillation", "ramp").tolist(), "level": "substation",
        "state": np.array(["open", "update", "closed"])[step].tolist(), "quality": "good",
        "onset_ns": _ns(onset_s), "opened_ns": _ns(onset_s + 1),
        "updated_ns": _ns(onset_s + 1 + step * 10), "produced_ns": _ns(onset_s + 1 + step * 10),
        "closed_ns": pa.array(_ns(onset_s + 21), mask=step < 2),
        "depth_w": draw.normal(0, 5e6, n), "duration_s": draw.uniform(1, 10, n),
        "freq_hz": draw.uniform(0.2, 3, n), "amplitude_w": draw.uniform(1e4, 1e6, n),
    }  # fmt: skip
    return _table("events", columns, n)


def _evidence(site: str, quarter: int, draw: Any) -> dict[str, pa.Table]:
    """Eighty seconds of raw samples of every channel of a site, around one event of the quarter."""
    begin_s = quarter * QUARTER_S + 60
    parts = [("poi.p", "poi", "substation")]
    parts += [(f"pdu-{k:02d}.p", f"pdu-{k:02d}", "pdu") for k in range(PDUS)]
    parts += [(f"rack-{k:03d}.p", f"rack-{k:03d}", "rack") for k in range(RACKS)]
    rows: list[pa.Table] = []
    for level, rate in RATES.items():
        mine = [part for part in parts if part[2] == level]
        at_s = np.tile(np.arange(begin_s, begin_s + EVENT_S, 10), len(mine))
        n, each = len(at_s), 10 * rate
        codes = np.cumsum(draw.normal(0, 8, n * each)).astype(np.int32) % (1 << 14)
        offsets = pa.array(np.arange(0, n * each + 1, each), pa.int32())
        names = [np.repeat([part[k] for part in mine], EVENT_S // 10).tolist() for k in (0, 1)]
        columns = {
            "site_id": site, "channel_id": names[0], "node_id": names[1], "level": level,
            "quantity": "power", "t0_ns": _ns(at_s), "end_ns": _ns(at_s + 10), "n": each,
            "rate_hz": str(rate), "scale_w": 1.0, "offset_w": 0.0,
            "codes": pa.ListArray.from_arrays(offsets, codes), "produced_ns": _ns(at_s + 10),
        }  # fmt: skip
        rows.append(_table("waveforms", columns, n))
    return {"waveforms": pa.concat_tables(rows)}


def main() -> int:
    """Make the archive and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the full size")
    args = parser.parse_args()
    begun_s = time.perf_counter()
    for name, count in build(args.folder, args.share).items():
        print(f"{name:10} {count:>12,}")
    print(f"made in {time.perf_counter() - begun_s:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
