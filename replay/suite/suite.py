"""A suite: cases from a TOML, worked off by a few processes, rows in the file's order."""

from __future__ import annotations

import fnmatch
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from pipeline.detect import DetectSettings
from replay.errors import PlanError
from replay.suite.case import Case, Setup
from replay.suite.delays import Delays
from replay.suite.drive import Maker, lockstep
from replay.suite.estimates import Frequency
from replay.suite.field import Field
from replay.suite.jobs import Jobs
from replay.suite.quiet import Quiet
from replay.suite.rows import Row
from replay.suite.sinusoids import Detection, Sequential
from replay.suite.steps import PartialSteps, Steps

Family = Quiet | Steps | PartialSteps | Delays | Detection | Sequential | Frequency | Jobs | Field

__all__ = ["FOLDER", "Suite", "find_suite", "load_suite", "run_suite"]

FOLDER = Path(__file__).parent / "suites"
Progress = Callable[[str], None]


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``widened``: rows are judged by their own interval; ``detect``: settings other than usual."""

    about: str = ""
    widened: bool = False
    detect: DetectSettings = DetectSettings()
    case: tuple[Family, ...]

    def only(self, pattern: str | None) -> Suite:
        """The cases whose name matches a pattern, or holds it."""
        if pattern is None:
            return self
        kept = tuple(c for c in self.case if pattern in c.name or fnmatch.fnmatch(c.name, pattern))
        if not kept:
            names = ", ".join(c.name for c in self.case)
            msg = f"no case of the suite matches {pattern!r}; there are {names}"
            raise PlanError(msg)
        return msgspec.structs.replace(self, case=kept)


def find_suite(name: str | Path) -> Path | None:
    """The file of a suite, by its name or its path; None where there is neither."""
    path = Path(name)
    if path.suffix == ".toml":
        return path
    shipped = FOLDER / f"{name}.toml"
    return shipped if path.name == str(name) and shipped.is_file() else None


def load_suite(path: Path) -> Suite:
    """
    Read a suite.

    Raises
    ------
    PlanError
        One sentence, when it cannot be used.
    """
    try:
        suite = msgspec.toml.decode(path.read_bytes(), type=Suite)
    except OSError as error:
        msg = f"{path}: {error.strerror}; shipped suites are {', '.join(shipped_names())}"
        raise PlanError(msg) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise PlanError(msg) from error
    names = [case.name for case in suite.case]
    if len(set(names)) < len(names):
        msg = f"{path}: a case's name stands twice; rows go by it"
        raise PlanError(msg)
    return suite


def shipped_names() -> list[str]:
    """The suites that come with the code."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def run_suite(
    suite: Suite, seed: int, jobs: int, maker: Maker = lockstep, tell: Progress = print
) -> list[Row]:
    """
    Work a suite off.

    Parameters
    ----------
    suite : Suite
        From `load_suite`.
    seed : int
        The same seed gives the same rows, however many processes there are.
    jobs : int
        Processes; 1 does everything in this one.
    maker : callable
        Makes the detector of a site; a stand-in to see the suite itself go red.
    tell : callable
        Takes a line whenever a piece is done.
    """
    setup = Setup(suite.detect, maker)
    if jobs == 1:
        done = _here(suite, setup, seed, tell)
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            done = _there(pool, suite, setup, seed, tell)
    rows = [row for case in suite.case for row in case.rows(done[case.name])]
    return [row.widened() for row in rows] if suite.widened else rows


def _plan(suite: Suite) -> list[tuple[Case, int]]:
    """Every piece of every case, the longest first: no process idles at the end."""
    pieces = [(case, k) for case in suite.case for k in range(case.pieces())]
    return sorted(pieces, key=lambda piece: -piece[0].weight())


def _piece(case: Case, setup: Setup, seed: int, piece: int) -> Any:
    return case.work(setup, case.rng(seed, piece))


def _here(suite: Suite, setup: Setup, seed: int, tell: Progress) -> dict[str, list[Any]]:
    done: dict[str, list[Any]] = {c.name: [None] * c.pieces() for c in suite.case}
    told = _Told(suite, tell)
    for case, k in _plan(suite):
        done[case.name][k] = _piece(case, setup, seed, k)
        told.one(case)
    return done


def _there(
    pool: Executor, suite: Suite, setup: Setup, seed: int, tell: Progress
) -> dict[str, list[Any]]:
    done: dict[str, list[Any]] = {c.name: [None] * c.pieces() for c in suite.case}
    told = _Told(suite, tell)
    waiting: dict[Future[Any], tuple[Case, int]] = {
        pool.submit(_piece, case, setup, seed, k): (case, k) for case, k in _plan(suite)
    }
    for future in as_completed(waiting):
        case, k = waiting[future]
        done[case.name][k] = future.result()
        told.one(case)
    return done


class _Told:
    """Progress: pieces done, time gone, time left by the weight of what is open."""

    def __init__(self, suite: Suite, tell: Progress) -> None:
        self._all = sum(case.pieces() for case in suite.case)
        self._weight = sum(case.pieces() * case.weight() for case in suite.case)
        self._done, self._past, self._tell, self._from = 0, 0.0, tell, time.monotonic()

    def one(self, case: Case) -> None:
        self._done += 1
        self._past += case.weight()
        gone_s = time.monotonic() - self._from
        left_s = gone_s * (self._weight / self._past - 1)
        self._tell(
            f"{self._done} of {self._all} pieces, {gone_s:.0f} s gone, about {left_s:.0f} s left "
            f"({case.name})"
        )


def to_stderr(line: str) -> None:
    """Progress for people: on standard error, one line that is written over on a terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"suite: {line}", end=end, file=sys.stderr, flush=True)
