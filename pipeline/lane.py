"""One partition's way from messages to commits: the same live and in replay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from pipeline import archive, snapshot
from pipeline.align_state import HELD, Verdict
from pipeline.commits import Writer, check_partitions, newest_commit
from pipeline.decode import Cause, Decoder, Message, Rows, dead_letter
from pipeline.lane_state import (
    COUNTS,
    Batch,
    Counters,
    LaneConfig,
    LaneState,
    layout_name,
)
from pipeline.layout import SiteLayout
from pipeline.ledger import Ledger
from pipeline.outbox import Outbox
from pipeline.owners import elsewhere
from pipeline.publish import Outgoing
from pipeline.recovery import newest_state, open_events
from pipeline.site_work import SiteWork, counted, on_record
from schemas.events import GridSignal, SiteEvent, WorkloadHint
from schemas.telemetry import Refused, Slice
from schemas.topics import SAID, TELEMETRY
from schemas.units import NS_PER_S

__all__ = ["Batch", "Counters", "Lane", "LaneConfig", "Message", "Outgoing"]

AHEAD_NS = 30 * NS_PER_S


class Lane:
    """
    One writer's sites, from messages to commits.

    ``feed`` and ``take`` belong to one thread; ``commit`` may run beside ``feed``.

    Attributes
    ----------
    start_offsets : dict of topic to int
        Where reading must go on; a topic that is not named is read from its beginning.
    counters : Counters
        Named counts; they only grow.
    """

    def __init__(self, config: LaneConfig, writer: Writer) -> None:
        self._config, self._writer = config, writer
        ours = partial(elsewhere, config.archive, writer.name)
        self._decoder = Decoder(config.topologies, ours)
        self._layout = layout_name(config.detect, config.evidence)
        self._covered = dict(writer.newest.read_offsets)
        self._taken_ns = dict(writer.newest.archived_until_ns)
        self._sites: dict[str, SiteWork] = {}
        self._ready: dict[str, SiteWork] = {}
        self._now_s, self._quiet = 0.0, (frozenset[str](), 0.0)
        self._trigger: Message | None = None
        self.counters = Counters(dict.fromkeys(COUNTS, 0))
        self._restore()
        self.start_offsets = dict(self._ledger.read or writer.newest.offsets)

    @classmethod
    def open(cls, config: LaneConfig) -> Lane:
        """
        Claim the writer, which fences an older owner, and load its newest usable snapshot.

        Raises
        ------
        pipeline.commits.CommitError
            One sentence: another partition count, a folder that cannot be written.
        """
        archive.create(config.archive)
        if config.writer.startswith("live-p"):
            check_partitions(config.archive, int(config.writer.rpartition("of")[2]))
        before = newest_commit(config.archive, config.writer)
        same = config.resume and (before is None or before.origin == dict(config.origin))
        writer = Writer.claim(config.archive, config.writer, carry=same, origin=config.origin)
        return cls(config, writer)

    def _restore(self) -> None:
        root, newest = self._config.archive, self._writer.newest
        state = None
        if newest.offsets or newest.read_offsets:
            state = newest_state(root, self._writer.name, LaneState, layout=self._layout)
        self._cold = self._first = self._config.resume and state is None
        resumes = self._config.resume and self._taken_ns
        left = open_events(root, self._writer.name) if resumes else ()
        self._outbox = Outbox(self._taken_ns, left, self.counters.values)
        state = state or LaneState({}, {}, {}, 0)
        self._ledger = Ledger(state.receipts, state.read, state.issued)
        self._memories = state.sites
        for site_id in [s for s in self._memories if s in self._config.topologies]:
            self._site(site_id)

    def _site(self, site_id: str) -> SiteWork:
        site = self._sites.get(site_id)
        if site is None:
            ready = self._ready.pop(site_id, None)
            layout = ready.layout if ready else SiteLayout(self._config.topologies[site_id])
            memory, cold = self._memories.pop(site_id, None), self._cold
            if memory is not None and memory.digest != layout.digest:
                memory, cold = None, True
            fresh = ready if memory is None else None
            site = self._sites[site_id] = fresh or SiteWork(layout, self._config, memory)
            if not cold:  # it is computed again, from the snapshot or from its first message
                site.aligner.obey(self._writer.newest.idle, self._taken_ns.get(site_id, -1))
            if self._config.resume:
                site.recall(self._writer.newest.told)
            if memory is not None:
                site.until_ns = memory.align.closed_ns
        return site

    def prepare(self) -> None:
        """Lay out every site now; else it is done with a site's first message."""
        for site_id, topology in self._config.topologies.items():
            self._ready[site_id] = SiteWork(SiteLayout(topology), self._config, None)

    def on_event(self, told: Callable[[SiteEvent], None]) -> None:
        """Tell every event record as it is computed, archived already or not."""
        self._outbox.on_event = told

    # ---- in

    def feed(self, batch: Sequence[Message]) -> None:
        """Take messages in the order of their partitions; bad input becomes a dead letter."""
        touched: dict[str, None] = {}
        for message in batch:
            if not self._is_next(message):
                continue
            if message.topic in SAID:
                self._hear(message)
                continue
            found = self._decoder.decode(message)
            if isinstance(found, Refused):
                self._letter(message, Cause(found.reason, str(found)), None)
                self._ledger.enter(message)
                continue
            self._push(found, message)
            touched[found.piece.site_id] = None
        for name, site in self._sites.items():
            if name in touched or site.silent(*self._quiet):
                self._advance(site)

    def _hear(self, message: Message) -> None:
        """Take in a hint or a signal: it acts from its site's next unclosed frame."""
        record = self._decoder.said(message)
        self._ledger.enter(message)
        if isinstance(record, Refused):
            self._letter(message, Cause(record.reason, str(record)), None)
        else:
            self.counters.values["said"] += 1
            self._site(record.site_id).hear(record, (message.topic, message.offset), 0)

    def tell(self, record: WorkloadHint | GridSignal, number: int) -> None:
        """Replay's way for what was said: it acts from the first frame that begins at ``t_ns``."""
        self.counters.values["said"] += 1
        self._site(record.site_id).hear(record, ("replay", number), record.t_ns)

    def feed_slices(self, slices: Iterable[Slice]) -> None:
        """Replay's short cut: slices that were never bytes, checked all the same."""
        touched: dict[str, None] = {}
        for piece in slices:
            topic = TELEMETRY[piece.level]
            message = Message(topic, 0, self._ledger.read.get(topic, 0), None)
            self._ledger.read[topic] = message.offset + 1
            self._trigger = message
            try:
                self._push(self._decoder.check(piece), message)
                touched[piece.site_id] = None
            except Refused as refused:
                self._letter(message, Cause(refused.reason, str(refused)), None)
        for site_id in touched:
            self._advance(self._sites[site_id])

    def set_quiet(self, topics: Collection[str], now_s: float) -> None:
        """Topics read as they came for `LaneConfig.idle_s`: who was of no use as long may idle."""
        levels = frozenset(level for level, name in TELEMETRY.items() if name in topics)
        self._now_s, self._quiet = now_s, (levels, now_s - self._config.idle_s)

    @property
    def ahead(self) -> frozenset[str]:
        """Topics to hold back: more than 30 s ahead of a site that waits for another topic."""
        sites = self._sites.values()
        found = {TELEMETRY[level] for site in sites for level in site.levels_ahead(AHEAD_NS)}
        used = {TELEMETRY[grid.level] for site in sites for grid in site.layout.grids}
        return frozenset(found if found != used else ())

    def _is_next(self, message: Message) -> bool:
        values, missed = self.counters.values, self._ledger.missed(message)
        if missed < 0:
            values["skipped_offsets"] += 1
            return False
        values["lost_offsets"] += missed
        values["messages"] += 1
        values["bytes"] += len(message.value or b"")
        self._ledger.read[message.topic] = message.offset + 1
        self._trigger = message
        return True

    def _push(self, rows: Rows, message: Message) -> None:
        site_id = rows.piece.site_id
        site = self._site(site_id)
        number = self._ledger.enter(message, site_id, rows.refused)
        for verdict in site.aligner.push(rows, number):
            if 0 < verdict.until_ns < HELD:
                site.heard_s[rows.piece.gateway_id] = self._now_s
            self._judge(verdict, site_id)

    def _judge(self, verdict: Verdict, site_id: str) -> None:
        receipt = self._ledger.receipts[verdict.receipt]
        message, cause = receipt.message, verdict.cause
        refused = () if verdict.repeat else receipt.refused
        receipt.until_ns = verdict.until_ns
        if verdict.until_ns == HELD:
            return
        if refused:
            detail = f"{len(refused)} rows of the message cannot be used"
            late = cause.samples if cause else None
            cause = Cause(refused[0].reason, detail, refused, late)
        if cause and message:
            self._letter(message, cause, site_id)
        receipt.message, receipt.refused = None, ()

    def _letter(self, message: Message, cause: Cause, site_id: str | None) -> None:
        """Write a dead letter, unless a commit already covers the message that brought it about."""
        trigger = self._trigger or message
        if trigger.offset < self._covered.get(trigger.topic, 0):
            return
        self._outbox.letter(dead_letter(message, cause, site_id))

    # ---- through

    def _advance(self, site: SiteWork) -> None:
        name, top = site.layout.site_id, site.layout.nodes[site.layout.top].id
        for done in site.advance(site.silent(*self._quiet), singly=self._outbox.waits(name)):
            self.counters.values["frames"] += done.ticks * len(site.layout.grids)
            self._outbox.collect(name, top, done.outcome, done.end_ns, site.open_now)
            for end_ns, rows in done.beside:
                self._outbox.keep(name, rows, end_ns)

    # ---- out

    @property
    def waiting_rows(self) -> int:
        """Rows that the next take will hold."""
        return self._outbox.rows

    def take(self, *, snapshot: bool = False, final: bool = False) -> Batch | None:
        """
        Everything to publish and to commit since the last take, or None when nothing is due.

        A cut is due once a site moved on by a second or ended, and whenever a dead letter waits.
        """
        counted(self.counters, self._sites.values())
        marks = {s: site.until_ns for s, site in self._sites.items() if site.until_ns >= 0}
        moved = any(self._sites[s].is_due(self._taken_ns.get(s, -1)) for s in marks)
        if not (moved or self._outbox.letters or final):
            return None
        drained, data = self._outbox.drain(live=self._config.resume), None
        self._taken_ns.update(marks)
        offsets = self._ledger.acknowledge(marks)
        if (snapshot or self._first) and self._sites:
            data, self._first = self._snapshot(), False
        idle, told = on_record(self._writer.newest, self._sites)
        return Batch(drained, offsets, dict(self._ledger.read), marks, idle, told, data)

    def commit(self, batch: Batch) -> dict[str, int]:
        """
        One directory commit; returns the next offset to acknowledge per topic.

        Raises
        ------
        pipeline.commits.Fenced
            Another process owns the writer now; nothing of the batch counts.
        """
        self._writer.told = batch.told
        done = self._writer.commit(
            batch.tables,
            offsets=batch.offsets,
            read_offsets=batch.read_offsets,
            archived_until_ns=batch.archived_until_ns,
            idle=batch.idle,
            snapshot=batch.snapshot,
        )
        self.counters.values["commits"] += 1
        for name, count in done.rows.items():
            self.counters.values[f"archived_{name}"] += count
        return batch.offsets

    def _snapshot(self) -> bytes:
        ledger, sites = self._ledger, {s: site.memory() for s, site in self._sites.items()}
        state = LaneState({**self._memories, **sites}, ledger.receipts, ledger.read, ledger.issued)
        self.counters.unsaved_ns = 0
        return snapshot.encode(state, layout=self._layout)
