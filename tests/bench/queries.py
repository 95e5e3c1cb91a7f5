"""What each documented query costs on a large archive (`tests.bench.scale`), warm, two threads."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from pipeline import archive, catalog
from tests.bench import scale
from tests.bench.figures import Figure, repeat_s, table

__all__ = ["asked", "query_cost", "section"]

MAX_S, PERCENTILES_MAX_S = 1.0, 6.0
TIMES = 5
PERCENTILES = ("windows, percentiles of every mean", "sample_quantiles")
HOUR = "from_utc := '2026-03-01T00:30:00Z', until_utc := '2026-03-01T01:30:00Z'"
EVENT = "site-1:5460"
RAW = ("evidence", "samples")
"""All there is: nobody asks for every sample of an archive."""
MORE = {
    "evidence, blocks of each event": "SELECT event_id, count(*) FROM evidence GROUP BY ALL",
    "samples, a minute of a site": (
        "SELECT channel_id, avg(power_w) FROM samples(from_utc := '2026-03-01T01:31:00Z', "
        "until_utc := '2026-03-01T01:32:00Z', site := 'site-1') GROUP BY ALL"
    ),
    "windows, percentiles of every mean": (
        "SELECT level, quantile_cont(mean_w, [0.05, 0.5, 0.95]) FROM windows GROUP BY level"
    ),
    "windows, 5-minute percentiles of one node": (
        "SELECT t0_ns // 300000000000, quantile_cont(mean_w, [0.05, 0.5, 0.95]) FROM windows "
        "WHERE site_id = 'site-2' AND node_id = 'pdu-03' GROUP BY ALL"
    ),
    "events, newest states": "SELECT kind, count(*) FROM events GROUP BY ALL",
}
"""Full-table percentiles and the tables themselves."""


def asked() -> Iterator[tuple[str, str]]:
    """Name and SQL of each query: every view over everything, and over one hour."""
    for name, question in catalog.questions().items():
        if not question.is_view or name in RAW:
            continue
        yield name, f"FROM {name}"
        if any(parameter.name == "from_utc" for parameter in question.parameters):
            yield f"{name}, an hour", f"FROM {name}({HOUR})"
    yield "event_evidence, one event", f"FROM event_evidence(event := '{EVENT}')"
    yield "event_waveform, one channel", f"FROM event_waveform('{EVENT}', channel := 'poi.p')"
    yield "data_gaps, racks, an hour", f"FROM data_gaps(at_level := 'rack', {HOUR})"
    yield from MORE.items()


def query_cost(root: Path) -> Iterator[Figure]:
    """Least and median of five and mean CPU, in a session that stays open; and the SQL door."""
    archive.create(root)  # its catalog is this program's
    con = duckdb.connect(str(root / "archive.duckdb"), read_only=True)
    with contextlib.closing(con):
        con.execute("SET threads = 2")
        for name, sql in asked():
            begun_s = time.process_time()
            least_s, median_s = repeat_s(partial(_drain, con, sql), times=TIMES)
            cpu_s = (time.process_time() - begun_s) / (TIMES + 1)
            limit_s = PERCENTILES_MAX_S if name in PERCENTILES else MAX_S
            over = "" if least_s <= limit_s else f", over {limit_s:g} s"
            note = f"median {median_s * 1e3:.0f}, CPU {cpu_s * 1e3:.0f}{over}"
            yield Figure(f"query, {name}", least_s * 1e3, "ms", note)
    door = partial(archive.query, root, "FROM top_ramps")
    yield Figure("SQL door, top_ramps", repeat_s(door, times=5)[1] * 1e3, "ms", "opened each time")
    publish = partial(archive.publish, root)
    yield Figure("publish the catalog", repeat_s(publish, times=3)[1] * 1e3, "ms")


def _drain(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Ask, and take every row as Arrow: what the rows themselves cost in Python is left out."""
    con.execute(sql).to_arrow_table()


def section(folder: Path, share: float = 0.1) -> Iterator[Figure]:
    """Make an archive of that share of the full size and ask it."""
    made = scale.build(folder / "scale", share)
    yield Figure("archive asked, window rows", made["windows"], "rows")
    yield Figure("archive asked, samples", made["samples"], "samples")
    yield from query_cost(folder / "scale")


def main() -> int:
    """Ask an archive that `tests.bench.scale` made."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queries", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--share", type=float, default=0.1, help="size of a new one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        ask = query_cost(args.folder) if args.folder else section(Path(name), args.share)
        for figure in ask:
            print(*table([figure]), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
