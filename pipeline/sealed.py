"""
What is sealed: which commits of a writer lie in sorted files, and who still reads the old ones.

    sealed/bound.json                              the manifest: one rename moves rows over
    sealed/writer=<name>/<first>-<last>-<token>/   <table>.parquet …, commits.parquet: a run
    sealed/gen-<g>-expired-open-the-archive-again/ zero rows; every view of generation g names it
    sealed/lock                                    held by the one sealer

A commit at or below its writer's bound counts in its run and nowhere else. Its directory stays for
sessions that were opened before. Before it is deleted, the zero-row files of their generations are:
an old session then fails by name instead of answering with rows missing.
"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from pipeline.durable import fsync_folder, write_durably
from pipeline.errors import LockstepError

__all__ = [
    "Manifest",
    "Retired",
    "Run",
    "SealedError",
    "Sealing",
    "bound",
    "generations",
    "open_generation",
    "read",
    "run_path",
    "sentinel",
    "write",
]

T = TypeVar("T")
GENERATION = re.compile(r"gen-(\d+)-expired-open-the-archive-again")


class SealedError(LockstepError):
    """The list of sealed files cannot be read; one sentence."""


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commits ``first`` to ``last`` of a writer, in one file per table."""

    first: int
    last: int
    folder: str
    generation: int
    """Views of this generation and later read the run; older ones read what it was made of."""
    rows: dict[str, int]
    """Table to rows; ``commits`` too. A table without rows has no file."""
    shown_ns: int | None = None
    """Format 1 alone: when a catalog of this generation was in place; now ``Manifest.shown``."""
    format: int = 1
    """Of the archive when it was written: which columns its files have."""
    moved: int | None = None
    """From this generation on no view reads its commits as commits; None: from ``generation``."""
    bytes: int = 0
    newest_ns: dict[str, int] = {}
    """Kind of row (`pipeline.kinds`) to the newest ``produced_ns``; format 1 has none."""

    @property
    def count(self) -> int:
        """All rows."""
        return sum(self.rows.values())


class Sealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One writer's sealed part."""

    bound: int = -1
    """Commits up to this one count in the runs; their numbers are void."""
    runs: tuple[Run, ...] = ()


class Retired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that views of this generation and later do not read: another one holds its rows."""

    writer: str
    folder: str
    generation: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sealed/bound.json``."""

    generation: int = 0
    writers: dict[str, Sealing] = {}
    format: int = 1
    """Programs that know only older formats refuse what they would seal wrongly."""
    shown: dict[int, int] = {}
    """Generation to when a catalog of it or a later one was in place, ns; until then no grace."""
    told: dict[int, int] = {}
    """Generation to when the sessions of all older ones were told, ns."""
    retired: tuple[Retired, ...] = ()

    def folders(self, root: Path) -> set[Path]:
        """All runs' directories, those of retired ones too."""
        named = [(name, run.folder) for name, of in self.writers.items() for run in of.runs]
        named += [(one.writer, one.folder) for one in self.retired]
        return {run_path(root, name, folder) for name, folder in named}


class _Bound(msgspec.Struct):
    bound: int


class _Bounds(msgspec.Struct):
    """The manifest as a commit reads it, three times a second: the runs are skipped."""

    writers: dict[str, _Bound]


_MANIFEST, _BOUNDS = msgspec.json.Decoder(Manifest), msgspec.json.Decoder(_Bounds)


def read(root: Path) -> Manifest:
    """
    Return what is sealed at this instant.

    Raises
    ------
    SealedError
        One sentence.
    """
    found = _decode(root, _MANIFEST) or Manifest()
    if found.format > 1:
        return found
    runs = [run for of in found.writers.values() for run in of.runs]
    shown = {run.generation: run.shown_ns for run in runs if run.shown_ns is not None}
    return msgspec.structs.replace(found, shown=shown)


def bound(root: Path, name: str) -> int:
    """Return the newest sealed number of a writer; -1 where nothing is sealed."""
    found = _decode(root, _BOUNDS)
    return found.writers[name].bound if found and name in found.writers else -1


def _decode(root: Path, decoder: msgspec.json.Decoder[T]) -> T | None:
    path = root / "sealed" / "bound.json"
    try:
        return decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        msg = f"{path} is damaged or of another version ({error}); restore it from a backup"
        raise SealedError(msg) from error


def write(root: Path, manifest: Manifest) -> None:
    """Put another manifest in place: the one rename that moves rows from commits to runs."""
    draft = root / "tmp" / f"bound-{secrets.token_hex(8)}"
    write_durably(draft, msgspec.json.encode(manifest))
    draft.rename(root / "sealed" / "bound.json")
    fsync_folder(root / "sealed")


def run_path(root: Path, name: str, folder: str) -> Path:
    """Directory of one run."""
    return root / "sealed" / f"writer={name}" / folder


def sentinel(root: Path, generation: int) -> Path:
    """Directory of the zero-row files that the views of a generation name first."""
    top = root / "sealed" / f"gen-{generation:08d}-expired-open-the-archive-again"
    return top / "writer=!" / "commit=00000000"  # as in live/: the view takes both from the path


def generations(root: Path) -> dict[int, Path]:
    """Generations that are not expired, ascending, each with its folder."""
    found = ((GENERATION.fullmatch(p.name), p) for p in (root / "sealed").iterdir())
    return dict(sorted((int(match[1]), p) for match, p in found if match))


def open_generation(root: Path, generation: int, empty: Path) -> None:
    """Make a generation's zero-row files, links to those of ``empty``; safe to do twice."""
    target = sentinel(root, generation).parents[1]
    if target.exists():
        return
    draft = root / "tmp" / f"gen-{secrets.token_hex(8)}"
    inner = draft / sentinel(root, generation).relative_to(target)
    inner.mkdir(parents=True)
    for path in empty.iterdir():
        (inner / path.name).hardlink_to(path)
    for folder in (inner, inner.parent, draft):
        fsync_folder(folder)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.exists():  # another process was faster
            raise
    fsync_folder(root / "sealed")
