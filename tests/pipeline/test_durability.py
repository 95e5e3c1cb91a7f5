"""
SIGKILLs at random instants among writers, a sealer and readers: nothing lost, nothing twice.

``LOCKSTEP_TEST_KILLS=200`` is the whole proof; by default it is a tenth of that.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline import archive, sealed
from pipeline.verify import verify
from tests.pipeline import archive_reader, archive_rows, archive_seal
from tests.pipeline.archive_rows import RACKS

KILLS = int(os.environ.get("LOCKSTEP_TEST_KILLS", "20"))
GRACE_S = 4.0
KINDS = {
    "p0": (archive_rows, "live-p0of2", 1_000_000, "site-a"),
    "p0 again": (archive_rows, "live-p0of2", 1_000_000, "site-a"),
    "p1": (archive_rows, "live-p1of2", 1_000_000, "site-b"),
    "sealer": (archive_seal, 5, GRACE_S, 50),
    "within": (archive_reader, GRACE_S / 2),
    "beyond": (archive_reader, GRACE_S * 4),
}
"""Two processes go by one writer's name all the time: each claim fences the other."""
WRITERS = {"p0": "site-a", "p0 again": "site-a", "p1": "site-b"}


def act(log: Path, kind: str, root: Path) -> None:
    """Be one of the crowd, from here on, with its log as the output."""
    with log.open("ab") as out:
        for handle in (1, 2):
            os.dup2(out.fileno(), handle)
    module, *arguments = KINDS[kind]
    module.main(str(root), *arguments)


class Crowd:
    """The processes, each restarted when it ended, and what they said."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__])  # a start takes no import
        self.running: dict[str, Any] = {}

    def start(self, kind: str) -> None:
        """Start one, its output appended to its log."""
        log = self.folder / f"{kind}.log"
        child = self.context.Process(target=act, args=(log, kind, self.root))
        child.start()
        self.running[kind] = child

    def tend(self) -> None:
        """Start again whoever has ended."""
        for kind in KINDS:
            if kind not in self.running or not self.running[kind].is_alive():
                self.start(kind)

    def kill(self, kind: str) -> None:
        """End one at this instant."""
        self.running[kind].kill()
        self.running[kind].join()

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
        process.join()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_random_instants(crowd):
    """Every acknowledged row once, readers within the grace never see an error, verify is clean."""
    draw, pause = random.Random(KILLS), threading.Event()
    mortal = {**dict.fromkeys(WRITERS, 3), "sealer": 1}
    for _ in range(KILLS):
        pause.wait(draw.uniform(0.1, 1.1))
        crowd.tend()
        crowd.kill(*draw.choices([*mortal], [*mortal.values()]))
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
        "kills": KILLS,
        "acked": {site: len(n) for site, n in acked.items()},
        "fenced": fenced,
        "runs": runs,
        "sealer": sum(line[:1].isdigit() for line in crowd.lines("sealer")),
        "within": len(within),
        "beyond": Counter(line.split()[0] for line in beyond),
    }
    print(report)
    assert min(len(n) for n in acked.values()) > 20 * KILLS / 10
    assert fenced > 0
    assert KILLS < 100 or any("expired" in line for line in beyond)
    assert runs > 2
