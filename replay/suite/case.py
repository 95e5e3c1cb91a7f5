"""What a case is: data from the suite's TOML, pieces of work, and the rows they come to."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipeline.detect import DetectSettings
from replay.suite.drive import Maker
from replay.suite.rows import Row

__all__ = ["EVENTFUL", "Case", "Setup"]


class Setup(NamedTuple):
    """What every piece of work is given: the detectors' settings and who detects."""

    detect: DetectSettings
    maker: Maker


EVENTFUL = 15.0
"""What a sample costs while events are open, beside one of a quiet site."""


class Case(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="family"
):
    """
    One measurement of the suite.

    Pieces are independent of each other: any process may do any of them, in any order, and the
    same seed gives the same rows.
    """

    name: str

    def pieces(self) -> int:
        """Into how many pieces the work is cut."""
        return 1

    def weight(self) -> float:
        """About how long a piece takes beside others, simulated samples; for order and progress."""
        return 1.0

    def work(self, setup: Setup, rng: np.random.Generator) -> Any:
        """Do one piece; the answer is plain data: it goes from process to process as JSON."""
        raise NotImplementedError

    def rows(self, done: list[Any]) -> list[Row]:
        """What all pieces together say."""
        raise NotImplementedError

    def rng(self, seed: int, piece: int) -> np.random.Generator:
        """Random numbers of one piece: of the seed, the case and the piece, of nothing else."""
        return np.random.default_rng([seed, zlib.crc32(self.name.encode()), piece])
