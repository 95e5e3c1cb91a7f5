"""A suite: cases from a TOML, worked off by a few processes, rows in the file's order."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import msgspec

from pipeline.detect import DetectSettings
from replay.errors import PlanError
from replay.suite.delays import Delays
from replay.suite.estimates import Damping, Frequency
from replay.suite.faults import Faults
from replay.suite.field import Field
from replay.suite.jobs import Jobs
from replay.suite.quiet import Quiet
from replay.suite.reasons import Reasons
from replay.suite.rows import Row
from replay.suite.sinusoids import Detection, Sequential
from replay.suite.steps import PartialSteps, Steps
from replay.suite.work import Order, work_off

Family = (
    Quiet
    | Steps
    | PartialSteps
    | Delays
    | Detection
    | Sequential
    | Frequency
    | Damping
    | Jobs
    | Faults
    | Reasons
    | Field
)

__all__ = ["FOLDER", "Suite", "find_suite", "load_suite", "run_suite"]

FOLDER = Path(__file__).parent / "suites"


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


def run_suite(suite: Suite, order: Order) -> list[Row]:
    """Work a suite off as ordered; rows in the order of its cases."""
    done = work_off(suite.case, suite.detect, order)
    rows = [row for case in suite.case for row in case.rows(done[case.name])]
    return [row.widened() for row in rows] if suite.widened else rows
