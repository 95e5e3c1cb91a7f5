"""What is acknowledged would survive a power cut: the system calls, in their order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)\) += (-?\d+)")
FD = re.compile(r"^(?:\d+|AT_FDCWD)<([^>]*)>")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
CALLS = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat"


class Disk:
    """Which files and which folders' entries a power cut would lose, call by call."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self.faults: list[str] = []
        self.seen: dict[str, int] = {}

    def entered(self, path: str) -> None:
        """Somebody made an entry."""
        if path.startswith(self.root):
            self.folders.add(str(Path(path).parent))

    def call(self, name: str, text: str) -> None:
        """Follow one system call that succeeded."""
        at = FD.match(text)
        paths = TEXT.findall(text)
        if name == "openat" and "O_CREAT" in text:
            self.entered(paths[0])
        elif name in ("write", "pwrite64"):
            if at and at[1].startswith(self.root):
                self.files.add(at[1])
            elif text.startswith("1<") and "acked" in text:
                self.acked(paths[0])
        elif name in ("fsync", "fdatasync") and at:
            self.files.discard(at[1])
            self.folders.discard(at[1])
        elif name.startswith("rename"):
            self.renamed(*paths[:2])
        elif name.startswith("link"):
            self.linked(*paths[:2])
        elif name.startswith("mkdir"):
            self.entered(paths[0])

    def renamed(self, old: str, new: str) -> None:
        """What becomes visible must be on disk already."""
        if not new.startswith(self.root):
            return
        self.count("rename", new)
        lost = {p for p in self.files | self.folders if p == old or p.startswith(f"{old}/")}
        if lost:
            self.faults.append(f"rename to {new} before fsync of {sorted(lost)}")
        self.entered(new)

    def linked(self, old: str, new: str) -> None:
        """So must what a link shows."""
        if new.startswith(self.root):
            self.count("link", new)
            if old in self.files:
                self.faults.append(f"link to {new} before fsync of {old}")
            self.entered(new)

    def acked(self, what: str) -> None:
        """Nothing that counts may still be on its way."""
        self.count("acked", what)
        draft = str(Path(self.root) / "tmp")
        above = str(Path(self.root).parent)  # the operator's
        lost = [p for p in self.files | self.folders if not p.startswith(draft) and p != above]
        if lost:
            self.faults.append(f"{what} before fsync of {sorted(lost)}")

    def count(self, what: str, path: str) -> None:
        """How often something was seen, so that nothing passes for want of calls."""
        kind = "commit" if "/commit=" in path else "other"
        self.seen[f"{what} {kind}"] = self.seen.get(f"{what} {kind}", 0) + 1


def followed(root: Path, trace: str) -> Disk:
    """A disk that has seen a trace."""
    disk = Disk(root)
    for line in trace.splitlines():
        match = CALL.match(line)
        if match and int(match[3]) >= 0:
            disk.call(match[1], match[2])
    return disk


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """The system calls of everything that makes an archive."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; test_commits records the calls of a commit")
    folder = tmp_path_factory.mktemp("traced")
    root, log = folder / "archive", folder / "calls"
    command = [strace, "-f", "-y", "-s", "300", "-o", str(log), "-e", f"trace={CALLS}"]
    command += [sys.executable, "-m", "tests.pipeline.archive_acts", str(root)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    return root, log.read_text()


def test_nothing_is_shown_or_acknowledged_before_it_is_on_disk(traced):
    """Files and their folder before the rename, the folder above before the acknowledgement."""
    disk = followed(*traced)
    assert disk.faults == []
    assert disk.seen["acked other"] >= 20
    assert disk.seen["rename commit"] >= 14
    assert disk.seen["rename other"] >= 10
    assert disk.seen["link other"] >= 1


@pytest.mark.parametrize("left_out", ["fsync of a file", "fsync of a folder", "the last one"])
def test_a_missing_fsync_is_seen(traced, left_out):
    """The same trace without one of its fsyncs is found wanting."""
    root, trace = traced
    lines = trace.splitlines()
    kinds = {
        "fsync of a file": r"fsync\(.*\.parquet>",
        "fsync of a folder": r"fsync\(.*tmp/writer=live[^.]*>",
        "the last one": r"fsync\([^)]*writer=live-p0of1>",
    }
    number = max(k for k, line in enumerate(lines) if re.search(kinds[left_out], line))
    assert followed(root, "\n".join(lines[:number] + lines[number + 1 :])).faults
