"""
SIGKILLs at random instants among writers, a sealer and readers: nothing lost, nothing twice.

``LOCKSTEP_TEST_KILLS=200`` is the whole proof; by default it is a tenth of that.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from pipeline import archive, sealed
from pipeline.verify import verify
from tests.pipeline.archive_rows import RACKS

REPOSITORY = Path(__file__).parents[2]
KILLS = int(os.environ.get("LOCKSTEP_TEST_KILLS", "20"))
GRACE_S = 4.0
ROWS = ["-m", "tests.pipeline.archive_rows", "{root}"]
KINDS = {
    "p0": [*ROWS, "live-p0of2", "1000000", "site-a"],
    "p0 again": [*ROWS, "live-p0of2", "1000000", "site-a"],
    "p1": [*ROWS, "live-p1of2", "1000000", "site-b"],
    "sealer": ["-m", "tests.pipeline.archive_seal", "{root}", "5", str(GRACE_S), "300"],
    "within": ["-m", "tests.pipeline.archive_reader", "{root}", str(GRACE_S / 2)],
    "beyond": ["-m", "tests.pipeline.archive_reader", "{root}", str(GRACE_S * 4)],
}
"""Two processes go by one writer's name all the time: each claim fences the other."""
WRITERS = {"p0": "site-a", "p0 again": "site-a", "p1": "site-b"}


class Crowd:
    """The processes, each restarted when it ended, and what they said."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.started: Counter[str] = Counter()

    def start(self, kind: str) -> None:
        """Start one, its output appended to its log."""
        command = [part.format(root=self.root) for part in KINDS[kind]]
        with (self.folder / f"{kind}.log").open("ab") as out:
            self.running[kind] = subprocess.Popen(
                [sys.executable, *command], cwd=REPOSITORY, stdout=out, stderr=out
            )
        self.started[kind] += 1

    def tend(self) -> None:
        """Start again whoever has ended."""
        for kind in KINDS:
            if kind not in self.running or self.running[kind].poll() is not None:
                self.start(kind)

    def kill(self, kind: str) -> None:
        """End one at this instant."""
        self.running[kind].send_signal(signal.SIGKILL)
        self.running[kind].wait()

    def lines(self, kind: str) -> list[str]:
        """What a kind has said; a line that a kill cut short was not said."""
        text = (self.folder / f"{kind}.log").read_text()
        return text[: text.rfind("\n") + 1].splitlines()


@pytest.fixture
def crowd(tmp_path):
    """An archive with everybody at work."""
    root, folder = tmp_path / "archive", tmp_path / "logs"
    folder.mkdir()
    archive.create(root)
    crowd = Crowd(root, folder)
    crowd.tend()
    yield crowd
    for process in crowd.running.values():
        process.kill()
        process.wait()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_random_instants(crowd):
    """Every acknowledged row once, readers within the grace never see an error, verify is clean."""
    draw, pause = random.Random(17), threading.Event()
    mortal = [*WRITERS, "sealer"]
    for _ in range(KILLS):
        pause.wait(draw.uniform(0.1, 1.1))
        crowd.tend()
        crowd.kill(draw.choice(mortal))
    crowd.tend()
    pause.wait(GRACE_S)
    for kind in (*mortal, "within", "beyond"):
        crowd.kill(kind)
    acked: dict[str, set[int]] = {"site-a": set(), "site-b": set()}
    for kind, site in WRITERS.items():
        said = [int(line) for line in crowd.lines(kind) if line.isdigit()]
        acked[site] |= set(said)
    sql = "SELECT site_id, t0_ns // 1000000000 AS s, count(*) FROM windows GROUP BY ALL"
    _, rows = archive.query(crowd.root, sql, limits=archive.Limits(rows=10**6))
    held = {(site, second): count for site, second, count in rows}
    assert set(held.values()) == {RACKS}
    lost = [(s, n) for s, seconds in acked.items() for n in seconds if (s, n) not in held]
    assert lost == []
    assert verify(crowd.root).findings == []
    within, beyond = crowd.lines("within"), crowd.lines("beyond")
    assert {line.split()[0] for line in within} == {"good"}
    assert {line.split()[0] for line in beyond} <= {"good", "expired"}
    early = [line for line in beyond if "expired" in line and float(line.split()[-1]) < GRACE_S]
    assert early == []
    fenced = sum("Fenced" in line for kind in WRITERS for line in crowd.lines(kind))
    runs = sum(len(found.runs) for found in sealed.read(crowd.root).writers.values())
    report = {
        "kills": KILLS, "acked": {site: len(n) for site, n in acked.items()}, "fenced": fenced,
        "runs": runs, "within": len(within), "beyond": Counter(x.split()[0] for x in beyond),
    }  # fmt: skip
    print(report)
    assert min(len(n) for n in acked.values()) > 20 * KILLS / 10
    assert fenced > 0
    assert KILLS < 100 or any("expired" in line for line in beyond)
    assert runs > 2
