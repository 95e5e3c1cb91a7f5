"""One site at work: its layout, alignment, engine and evidence, and the state they share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.align import Aligner
from pipeline.align_state import Block, Said
from pipeline.clock import Spent
from pipeline.commit_files import ON_RECORD_S, CommitRecord, Idle, Told
from pipeline.dimensions import dimension_rows
from pipeline.engine import Engine
from pipeline.engine_state import Outcome
from pipeline.evidence import Evidence
from pipeline.lane_state import Counters, LaneConfig, SiteMemory
from pipeline.layout import SiteLayout
from schemas.events import GridSignal, SiteEvent, WorkloadHint
from schemas.units import NS_PER_S

__all__ = ["Done", "SiteWork", "counted", "on_record"]

TOLD_KEPT = 1000
"""Most of what was said that stays on record; what is ahead or in force, as long as it is."""


class Done(NamedTuple):
    """
    What a step gave: the engine's outcome, its end, and its ticks.

    ``beside``: rows of other tables, with the end of the frame that made them.
    """

    outcome: Outcome
    beside: list[tuple[int, dict[str, Any]]]
    end_ns: int
    ticks: int


class SiteWork:
    """A site at work."""

    def __init__(self, layout: SiteLayout, config: LaneConfig, memory: SiteMemory | None) -> None:
        self.layout, self._config = layout, config
        self.engine = Engine(layout, config.detect, config.device)
        self.aligner = Aligner(layout, memory.align if memory else None)
        self.evidence = Evidence(layout, config.evidence, memory.evidence if memory else None)
        self.state = self.engine.to_device(memory.engine) if memory else self.engine.start()
        self.until_ns = -1
        self.heard_s: dict[str, float] = {}
        """When each gateway's newest message of use came, wall time; before that: not known."""
        self._saved_ns = -1
        self._spent = config.spent or Spent()
        self._explained = memory is not None and memory.explained

    def silent(self, levels: Collection[str], since_s: float) -> set[str]:
        """Gateways of these levels of which nothing was of use since then, but for idle ones."""
        return {
            gateway.id
            for gateway in (self.layout.topology.gateway_by_id.values() if levels else ())
            if gateway.level in levels
            and self.heard_s.get(gateway.id, since_s) <= since_s
            and not self.aligner.state.gateways[gateway.id].over
        }

    def advance(self, silent: Collection[str], *, singly: bool = False) -> Iterator[Done]:
        """
        Compute whatever is complete; at the end of the stream, what is left.

        ``singly``: no two grid seconds in one step.
        """
        for block in self._blocks(silent, singly=singly):
            with self._spent.on("engine"):
                self.state, outcome = self.engine.step(self.state, block)
            self.until_ns = end_ns = self.state.end_ns
            self._saved_ns = self._saved_ns if self._saved_ns >= 0 else end_ns
            with self._spent.on("evidence"):
                beside = list(self._beside(block, outcome.events, end_ns))
            yield Done(outcome, beside, end_ns, block.ticks)
        align = self.aligner.state
        if self.aligner.ended and not align.finished and align.closed_ns >= 0:
            align.finished = True
            self.state, outcome = self.engine.finish(self.state, "end_of_stream")
            self.until_ns = end_ns = align.closed_ns + 1
            rest = {"waveforms": self.evidence.finish(outcome.events, end_ns)}
            yield Done(outcome, [(end_ns, rest)], end_ns, 0)

    def _beside(
        self, block: Block, events: list[SiteEvent], end_ns: int
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Evidence of a block and what explains the site, a grid second after the other."""
        left, pieces = events, list(block.cut(self.layout, 1))
        for k, piece in enumerate(pieces, 1 - len(pieces)):
            until_ns = end_ns + k * NS_PER_S
            now = [event for event in left if event.updated_ns <= until_ns or not k]
            left = [event for event in left if event.updated_ns > until_ns]
            rows = self.evidence.step(piece, now, until_ns)
            yield until_ns, {"waveforms": rows} | self._explain(until_ns)

    def hear(
        self, record: WorkloadHint | GridSignal, source: tuple[str, int], from_ns: int
    ) -> None:
        """
        Take in what the scheduler or the grid said; a message heard before is passed over.

        ``source`` is topic and offset. It acts from the frame that begins at ``from_ns``, or from
        the next unclosed one where that is closed.
        """
        state = self.aligner.state
        if any((one.topic, one.offset) == source for one in state.told):
            return
        from_ns = max(from_ns, state.closed_ns, 0)
        hint = record if isinstance(record, WorkloadHint) else None
        signal = record if isinstance(record, GridSignal) else None
        self._act([Told(self.layout.site_id, *source, from_ns, hint, signal)])

    def recall(self, told: Iterable[Told]) -> None:
        """Let what a commit recorded act again from the frame it acted from."""
        known = {(one.topic, one.offset) for one in self.aligner.state.told}
        mine = (one for one in told if one.site_id == self.layout.site_id)
        self._act([one for one in mine if (one.topic, one.offset) not in known])

    def _act(self, told: list[Told]) -> None:
        state = self.aligner.state
        said = (Said(one.from_ns, one.hint, one.signal) for one in told)
        state.said = sorted([*state.said, *said], key=lambda one: one.from_ns)
        state.told = list(_kept([*state.told, *told], state.closed_ns))[-TOLD_KEPT:]

    def _blocks(self, silent: Collection[str], *, singly: bool) -> Iterator[Block]:
        """Blocks that can be closed, each with what was said until it ends."""
        for block in self.aligner.advance(silent, singly=singly):
            state = self.aligner.state
            if not state.said or state.said[0].from_ns >= state.closed_ns:
                yield block
                continue
            now = [one for one in state.said if one.from_ns < state.closed_ns]
            state.said = [one for one in state.said if one.from_ns >= state.closed_ns]
            yield block._replace(said=tuple(now))

    def is_due(self, taken_ns: int) -> bool:
        """Whether it moved on by a grid second since ``taken_ns``, or ended."""
        moved_ns = self.until_ns - taken_ns
        return moved_ns >= NS_PER_S or (self.aligner.state.finished and moved_ns > 0)

    def _explain(self, end_ns: int) -> dict[str, Any]:
        """Once, with the first grid second: what all that follows was computed with."""
        if self._explained or end_ns % NS_PER_S:
            return {}
        self._explained = True
        config = self._config
        return dimension_rows(self.layout, config.detect, config.evidence, end_ns)

    @property
    def unsaved_ns(self) -> int:
        """How far it has come since a snapshot held it, or since it began."""
        return self.until_ns - self._saved_ns if self._saved_ns >= 0 else 0

    def open_now(self) -> set[str]:
        """Events that are open, by their ids."""
        return {event.event_id for event in self.engine.finish(self.state, "gap")[1].events}

    def memory(self) -> SiteMemory:
        """What a snapshot holds of it."""
        self._saved_ns = self.until_ns
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


def on_record(
    newest: CommitRecord, sites: Mapping[str, SiteWork]
) -> tuple[tuple[Idle, ...], tuple[Told, ...]]:
    """Idle spans and what was said, for the next commit; of sites not seen yet as they stand."""
    states = [site.aligner.state for site in sites.values()]
    idle = [one for one in newest.idle if one.site_id not in sites]
    told = [one for one in newest.told if one.site_id not in sites]
    for state in states:
        idle += state.idle
        told += state.told
    return tuple(idle), tuple(told)


def _kept(told: list[Told], now_ns: int) -> Iterator[Told]:
    """What a later owner must know of; of signals in force the newest of each kind."""
    newest = {one.signal.signal: one for one in told if one.signal is not None}
    for one in told:
        until_ns = one.from_ns + ON_RECORD_S * NS_PER_S
        if one.hint is not None:
            times_ns = (one.hint.t_ns, one.hint.start_ns, one.hint.end_ns)
            ends_ns = max(t for t in times_ns if t is not None)
            until_ns = max(until_ns, now_ns if one.hint.period_s else ends_ns)
        elif one.signal is not None and newest[one.signal.signal] is one:
            until_ns = max(until_ns, one.signal.until_ns or now_ns)
        if until_ns >= now_ns:
            yield one


def counted(counters: Counters, sites: Collection[SiteWork]) -> None:
    """Bring a lane's counts up to where its sites stand."""
    for name in ("late_samples", "gap_cells", "resets", "repeats"):
        counters.values[name] = sum(getattr(site.aligner.state, name) for site in sites)
    counters.marks_ns = {s.layout.site_id: s.until_ns for s in sites if s.until_ns >= 0}
    counters.unsaved_ns = max((site.unsaved_ns for site in sites), default=0)
    counters.newest_ns = max((site.aligner.newest_ns for site in sites), default=-1)
    warming = sum(site.state.warming for site in sites)
    channels = sum(len(site.layout.channel_ids) for site in sites)
    counters.warming = f"{warming}/{channels}"
