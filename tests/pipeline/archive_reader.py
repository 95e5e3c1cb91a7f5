"""A stranger's sessions on the catalog: held within the grace, and held for longer."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import duckdb

from pipeline.clock import SystemClock
from tests.pipeline.archive_rows import RACKS

CUT = "SELECT writer, max(commit) FROM commits GROUP BY writer"
SEEN = """
    SELECT (SELECT count(*) FROM windows WHERE {w}), (SELECT count(*) FROM event_log WHERE {w}),
           (SELECT count(DISTINCT (site_id, node_id, t0_ns)) FROM windows WHERE {w})
"""
EXPIRED = "expired-open-the-archive-again"


def look(con: duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """Events seen, and what is wrong with them."""
    cut = con.execute(CUT).fetchall()
    where = " OR ".join(f"(writer = '{name}' AND commit <= {n})" for name, n in cut) or "false"
    windows, events, apart = con.execute(SEEN.format(w=where)).fetchall()[0]
    good = windows == apart == RACKS * events
    return events, "" if good else f"{windows} windows, {apart} apart, {events} events"


def session(path: Path, held_s: float, clock: SystemClock) -> str:
    """Open the catalog and ask until the time is over; what came of it."""
    asked = seen = 0
    begun_s = clock.monotonic_s()
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute("SET enable_progress_bar = false")
            while asked < 1 or clock.monotonic_s() - begun_s < held_s:
                events, wrong = look(con)
                if wrong or events < seen:
                    return f"wrong {wrong or f'{events} after {seen}'}"
                asked, seen = asked + 1, events
                threading.Event().wait(0.05)
    except duckdb.Error as error:
        if EXPIRED in str(error):
            return f"expired after {clock.monotonic_s() - begun_s:.3f}"
        return f"error {' '.join(str(error).split())}"
    return f"good {asked}"


def main(root: str, held_s: float) -> None:
    """Session after session, each told in a line."""
    clock = SystemClock()
    while True:
        print(session(Path(root) / "archive.duckdb", held_s, clock), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
