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

    def done(self, setup: Setup) -> bytes:
        """Its answer as JSON: read, or worked out and kept."""
        if self.kept is not None and self.kept.is_file():
            return self.kept.read_bytes()
        answer = self.case.work(setup, self.case.rng(self.seed, self.number))
        told = msgspec.json.encode(answer, enc_hook=_plain)
        if self.kept is not None:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.kept.with_suffix(".new")
            fresh.write_bytes(told)
            fresh.rename(self.kept)
        return told


def work_off(cases: Sequence[Case], detect: DetectSettings, order: Order) -> dict[str, list[Any]]:
    """Every piece's answer, by case and in order: what `Case.work` gave, as JSON has it."""
    setup, told = Setup(detect, order.maker), _Told(cases, order.tell)
    answers: dict[str, list[Any]] = {case.name: [None] * case.pieces() for case in cases}
    for piece, answer in _answers(_pieces(cases, detect, order), setup, order.jobs):
        answers[piece.case.name][piece.number] = msgspec.json.decode(answer)
        told.one(piece.case)
    return answers


def _answers(pieces: list[_Piece], setup: Setup, jobs: int) -> Iterator[tuple[_Piece, bytes]]:
    """Pieces and their answers as they come."""
    if jobs == 1:
        yield from ((piece, piece.done(setup)) for piece in pieces)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        waiting: dict[Future[bytes], _Piece] = {
            pool.submit(piece.done, setup): piece for piece in pieces
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()
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
    """Progress: pieces done, time gone, time left by the weight of what is open."""

    def __init__(self, cases: Sequence[Case], tell: Callable[[str], None]) -> None:
        self._all = sum(case.pieces() for case in cases)
        self._weight = sum(case.pieces() * case.weight() for case in cases)
        self._done, self._past, self._tell, self._from = 0, 0.0, tell, time.monotonic()

    def one(self, case: Case) -> None:
        self._done += 1
        self._past += case.weight()
        gone_s = time.monotonic() - self._from
        left_s = gone_s * max(self._weight / self._past - 1, 0)
        self._tell(
            f"{self._done} of {self._all} pieces, {gone_s:.0f} s gone, about {left_s:.0f} s left "
            f"({case.name})"
        )
