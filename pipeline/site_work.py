"""One site at work: its layout, alignment and engine, and the state they share."""

from __future__ import annotations

from pipeline.align import Aligner
from pipeline.engine import Engine
from pipeline.lane_state import LaneConfig, SiteMemory
from pipeline.layout import SiteLayout

__all__ = ["SiteWork"]


class SiteWork:
    """A site at work."""

    def __init__(self, layout: SiteLayout, config: LaneConfig, memory: SiteMemory | None) -> None:
        self.layout = layout
        self.engine = Engine(layout, config.detect, config.device)
        self.aligner = Aligner(layout, memory.align if memory else None)
        self.state = self.engine.to_device(memory.engine) if memory else self.engine.start()
        self.until_ns = -1

    def memory(self) -> SiteMemory:
        """What a snapshot holds of it."""
        return SiteMemory(self.layout.digest, self.aligner.state, self.engine.to_host(self.state))

    def levels_ahead(self, limit_ns: int) -> set[str]:
        """Levels whose newest sample is further than this ahead of what is closed."""
        return {
            level
            for level, newest_ns in self.aligner.level_newest_ns().items()
            if newest_ns - max(self.until_ns, self.aligner.oldest_ns) > limit_ns
        }
