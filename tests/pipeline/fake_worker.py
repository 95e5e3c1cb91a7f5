"""The real worker with lanes that only count: `python fake_worker.py FOLDER`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.admin import Cluster
from pipeline.commits import Fenced
from pipeline.crew import OpenLane
from pipeline.lane import Counters, Message, Outgoing
from pipeline.serve import serve
from pipeline.settings import load


class FakeBatch(NamedTuple):
    """What one take of a `FakeLane` holds."""

    outgoing: list[Outgoing]
    rows: list[tuple[str, int, str]]
    offsets: dict[str, int]
    snapshot: bool


def newest(folder: Path, writer: str) -> tuple[int, dict[str, Any]]:
    """Number and content of a writer's newest commit."""
    found = sorted(folder.glob(f"{writer}.*.json"))
    if not found:
        return 0, {"offsets": {}}
    return int(found[-1].name.split(".")[1]), json.loads(found[-1].read_text())


def put(folder: Path, writer: str, n: int, record: dict[str, Any]) -> None:
    """Commit number ``n``: one link, which fails where another has it."""
    draft = folder / f".{os.getpid()}.{writer}.{n}"
    draft.write_text(json.dumps(record))
    try:
        (folder / f"{writer}.{n:06d}.json").hardlink_to(draft)
    except FileExistsError:
        msg = f"another process writes as {writer} now; this one ends"
        raise Fenced(msg) from None
    finally:
        draft.unlink()


class FakeLane:
    """Archives (topic, offset, text) of every message, once per commit file."""

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder, self.writer = folder, writer
        n, record = newest(folder, writer)
        self.n = n + 1
        put(folder, writer, self.n, {"claim": True, "rows": [], "offsets": record["offsets"]})
        self.start_offsets: dict[str, int] = dict(record["offsets"])
        self.offsets: dict[str, int] = dict(record["offsets"])
        self.rows: list[tuple[str, int, str]] = []
        self.counters = Counters({"frames": 0}, {"s": 1})

    def feed(self, messages: list[Message]) -> None:
        """Count; the text ``bug`` breaks the device."""
        for message in messages:
            text = (message.value or b"").decode()
            if text == "bug":
                msg = "the device fell off the bus"
                raise RuntimeError(msg)
            if message.offset < self.offsets.get(message.topic, 0):
                continue
            self.rows.append((message.topic, message.offset, text))
            self.offsets[message.topic] = message.offset + 1
            self.counters.values["frames"] += 1

    def set_quiet(self, topics: set[str], _now_s: float) -> None:
        """Leave what was said in a file."""
        (self.folder / f"quiet.{self.writer}").write_text(json.dumps(sorted(topics)))

    def take(self, *, snapshot: bool = False, final: bool = False) -> FakeBatch | None:
        """Whatever came since the last take."""
        if not self.rows and not final:
            return None
        rows, self.rows = self.rows, []
        body = [json.dumps({"data": {"row": row}}).encode() for row in rows]
        outgoing = [Outgoing("site.event.v1", b"s", one, "application/json") for one in body]
        return FakeBatch(outgoing, rows, dict(self.offsets), snapshot)

    def commit(self, batch: FakeBatch) -> dict[str, int]:
        """Wait while there is a file ``hold``, then commit."""
        while (self.folder / "hold").exists():
            time.sleep(0.02)
        fields = {"rows": batch.rows, "offsets": batch.offsets, "snapshot": batch.snapshot}
        put(self.folder, self.writer, self.n + 1, fields)
        self.n += 1
        return batch.offsets


def main(folder: Path) -> int:
    """Run until told to stop."""

    def prepare(cluster: Cluster) -> OpenLane:
        print("origin", sorted(cluster.origin()), flush=True)
        return lambda k, of: FakeLane(folder, f"live-p{k}of{of}")

    return serve(load(None, os.environ), prepare)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
