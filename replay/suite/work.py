"""The pieces of a suite, worked off by a few processes, and kept where they are to be kept."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipeline.detect import DetectSettings
from replay.suite.case import Case, Setup
from replay.suite.drive import Maker, lockstep

__all__ = ["Order", "to_stderr", "work_off"]


def to_stderr(line: str) -> None:
    """Progress for people: on standard error, one line that is written over on a terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"suite: {line}", end=end, file=sys.stderr, flush=True)


class Order(NamedTuple):
    """
    How a suite is worked off.

    The same ``seed`` gives the same rows, in however many processes (``jobs``; 1: in this one).
    ``maker`` makes the detector of a site: a stand-in shows the suite itself go red. ``tell``
    takes a line whenever a piece is done. In ``keep`` finished pieces stay, and are not done again
    by a run of the same cases, settings and seed: of the same code, which nobody checks.
    """

    seed: int
    jobs: int = 2
    maker: Maker = lockstep
    tell: Callable[[str], None] = to_stderr
    keep: Path | None = None


class _Piece(NamedTuple):
    """One piece of work; ``kept`` is its file, where there is to be one."""

    case: Case
    number: int
    seed: int
    kept: Path | None

    def done(self, setup: Setup) -> tuple[bytes, float | None]:
        """Its answer as JSON: read, or worked out and kept; and how long that took, s."""
        if self.kept is not None and self.kept.is_file():
            return self.kept.read_bytes(), None
        begin_s = time.monotonic()
        answer = self.case.work(setup, self.case.rng(self.seed, self.number))
        told = msgspec.json.encode(answer, enc_hook=_plain)
        if self.kept is not None:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.kept.with_suffix(".new")
            fresh.write_bytes(told)
            fresh.rename(self.kept)
        return told, time.monotonic() - begin_s


def work_off(cases: Sequence[Case], detect: DetectSettings, order: Order) -> dict[str, list[Any]]:
    """Every piece's answer, by case and in order: what `Case.work` gave, as JSON has it."""
    setup, told = Setup(detect, order.maker), _Told(cases, order)
    answers: dict[str, list[Any]] = {case.name: [None] * case.pieces() for case in cases}
    for piece, answer, took_s in _answers(_pieces(cases, detect, order), setup, order.jobs):
        answers[piece.case.name][piece.number] = msgspec.json.decode(answer)
        told.one(piece.case, took_s)
    return answers


def _answers(
    pieces: list[_Piece], setup: Setup, jobs: int
) -> Iterator[tuple[_Piece, bytes, float | None]]:
    """Pieces, their answers and how long they took, as they come."""
    if jobs == 1:
        yield from ((piece, *piece.done(setup)) for piece in pieces)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        waiting: dict[Future[tuple[bytes, float | None]], _Piece] = {
            pool.submit(piece.done, setup): piece for piece in pieces
        }
        for future in as_completed(waiting):
            yield waiting[future], *future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(cases: Sequence[Case], detect: DetectSettings, order: Order) -> list[_Piece]:
    """Every piece of every case, the longest first: no process idles at the end."""
    found = []
    for case in sorted(cases, key=lambda case: -case.weight()):
        digest = hashlib.sha256(msgspec.json.encode((case, detect))).hexdigest()[:12]
        for number in range(case.pieces()):
            name = f"{case.name}-{digest}-{order.seed}-{number}.json"
            kept = order.keep / name if order.keep else None
            found.append(_Piece(case, number, order.seed, kept))
    return found


def _plain(value: Any) -> Any:
    """What JSON has no word for: NumPy's numbers and arrays."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    msg = f"{type(value).__name__} is not data"
    raise TypeError(msg)


class _Told:
    """Progress: pieces done, time gone, and time left as long as pieces of each case take."""

    def __init__(self, cases: Sequence[Case], order: Order) -> None:
        self._left = {case.name: case.pieces() for case in cases}
        self._weight = {case.name: case.weight() for case in cases}
        self._took_s: dict[str, list[float]] = {case.name: [] for case in cases}
        self._all, self._order, self._from_s = sum(self._left.values()), order, time.monotonic()

    def one(self, case: Case, took_s: float | None) -> None:
        """A piece is done; None: it was before."""
        self._left[case.name] -= 1
        if took_s is not None:
            self._took_s[case.name].append(took_s)
        gone_s, done = time.monotonic() - self._from_s, self._all - sum(self._left.values())
        self._order.tell(
            f"{done} of {self._all} pieces, {gone_s:.0f} s gone, about {self._left_s():.0f} s left "
            f"({case.name})"
        )

    def _left_s(self) -> float:
        """Cases of which no piece is done are reckoned by their weight."""
        known = {name: sum(took_s) / len(took_s) for name, took_s in self._took_s.items() if took_s}
        rate = sum(known.values()) / max(sum(self._weight[name] for name in known), 1e-9)
        each_s = {name: known.get(name, rate * weight) for name, weight in self._weight.items()}
        return sum(n * each_s[name] for name, n in self._left.items()) / self._order.jobs
