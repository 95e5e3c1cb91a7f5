"""Rows whose every value follows from their second, and a writer process that commits them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline import commits
from schemas.tables import TABLES, file_stem
from schemas.units import NS_PER_S

SITE = "site-a"
RACKS = 20


def windows(second: int, site_id: str = SITE) -> list[dict[str, Any]]:
    """One window of each rack."""
    return [
        {
            "site_id": site_id,
            "node_id": f"rack-{rack:02d}",
            "level": "rack",
            "t0_ns": second * NS_PER_S,
            "duration_ns": NS_PER_S,
            "mean_w": second * 1000.0 + rack,
            "produced_ns": (second + 1) * NS_PER_S,
        }
        for rack in range(RACKS)
    ]


def event(second: int, site_id: str = SITE, **more: Any) -> dict[str, Any]:
    """One event, opened in that second."""
    return {
        "event_id": f"{site_id}:ramp:{second}:0",
        "kind": "ramp",
        "site_id": site_id,
        "node_id": "poi",
        "level": "substation",
        "state": "open",
        "onset_ns": second * NS_PER_S,
        "opened_ns": second * NS_PER_S,
        "updated_ns": (second + 1) * NS_PER_S,
        "channels": ["c1", "c2"],
        "contributors": [{"channel_id": "c1", "amplitude_w": 1.5, "phase_rad": 0.5}],
        "quality": "good",
        "produced_ns": (second + 1) * NS_PER_S,
        **more,
    }


def commit_second(
    writer: commits.Writer, second: int, site_id: str = SITE, **more: Any
) -> commits.Committed:
    """Commit windows and event of one second."""
    return writer.commit(
        {"windows": windows(second, site_id), "events": [event(second, site_id)]},
        offsets={"telemetry.rack.v1": second + 1},
        read_offsets={"telemetry.rack.v1": second + 1},
        archived_until_ns={site_id: (second + 1) * NS_PER_S},
        **more,
    )


def archived(root: Path, table: str) -> list[dict[str, Any]]:
    """Every visible row of a table, in order of time and node."""
    rows: list[dict[str, Any]] = []
    for path in root.glob(f"live/writer=*/commit=*/{file_stem(table)}.parquet"):
        rows += pq.ParquetFile(path).read().cast(TABLES[table]).to_pylist()
    return sorted(rows, key=lambda row: (row["produced_ns"], row["node_id"]))


def main(root: str, name: str, until: int, site_id: str = SITE) -> None:
    """Claim, go on where the archive ends, and say each second once it is committed."""
    writer = commits.Writer.claim(Path(root), name)
    start = writer.newest.archived_until_ns.get(site_id, 0) // NS_PER_S
    print("ready", flush=True)
    for second in range(start, until):
        snapshot = b"state at %d" % second if second % 10 == 0 else None
        commit_second(writer, second, site_id, snapshot=snapshot)
        print(second, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
