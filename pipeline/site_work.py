"""One site at work: its layout, alignment, engine and evidence, and the state they share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from pipeline.align import Aligner
from pipeline.dimensions import dimension_rows
from pipeline.engine import Engine
from pipeline.engine_state import Outcome
from pipeline.evidence import Evidence
from pipeline.lane_state import LaneConfig, SiteMemory
from pipeline.layout import SiteLayout
from schemas.units import NS_PER_S

__all__ = ["Done", "SiteWork"]


class Done(NamedTuple):
    """What a step gave: the engine's outcome, rows of other tables, its end, and its ticks."""

    outcome: Outcome
    beside: dict[str, Any]
    end_ns: int
    ticks: int


class SiteWork:
    """A site at work."""

    def __init__(self, layout: SiteLayout, config: LaneConfig, memory: SiteMemory | None) -> None:
        self.layout, self._config = layout, config
        self.engine = Engine(layout, config.detect, config.device)
        self.aligner = Aligner(layout, memory.align if memory else None)
        self.evidence = Evidence(
            layout, config.detect, config.evidence, memory.evidence if memory else None
        )
        self.state = self.engine.to_device(memory.engine) if memory else self.engine.start()
        self.until_ns = -1
        self._explained = memory is not None and memory.explained

    def advance(self, quiet: Collection[str]) -> Iterator[Done]:
        """Compute whatever is complete; at the end of the stream, what is left."""
        for block in self.aligner.advance(quiet):
            self.state, outcome = self.engine.step(self.state, block)
            self.until_ns = end_ns = self.state.end_ns
            beside = {"waveforms": self.evidence.step(block, outcome.events, end_ns)}
            yield Done(outcome, beside | self._explain(end_ns), end_ns, block.ticks)
        align = self.aligner.state
        if self.aligner.ended and not align.finished and align.closed_ns >= 0:
            align.finished = True
            self.state, outcome = self.engine.finish(self.state, "end_of_stream")
            self.until_ns = end_ns = align.closed_ns + 1
            beside = {"waveforms": self.evidence.finish(outcome.events, end_ns)}
            yield Done(outcome, beside, end_ns, 0)

    def _explain(self, end_ns: int) -> dict[str, Any]:
        """Once, with the first grid second: what all that follows was computed with."""
        if self._explained or end_ns % NS_PER_S:
            return {}
        self._explained = True
        config = self._config
        return dimension_rows(self.layout, config.detect, config.evidence, end_ns)

    def memory(self) -> SiteMemory:
        """What a snapshot holds of it."""
        return SiteMemory(
            self.layout.digest,
            self.aligner.state,
            self.engine.to_host(self.state),
            self.evidence.state,
            self._explained,
        )

    def levels_ahead(self, limit_ns: int) -> set[str]:
        """Levels whose newest sample is further than this ahead of what is closed."""
        return {
            level
            for level, newest_ns in self.aligner.level_newest_ns().items()
            if newest_ns - max(self.until_ns, self.aligner.oldest_ns) > limit_ns
        }
