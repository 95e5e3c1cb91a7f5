"""One partition's way from messages to commits: the same live and in replay."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline import archive, snapshot
from pipeline.align import Aligner
from pipeline.align_state import HELD, AlignState, Verdict
from pipeline.commits import Idle, Writer, check_partitions, newest_commit, own_sites
from pipeline.decode import Cause, Decoder, Message, Rows, dead_letter
from pipeline.detect import DetectSettings
from pipeline.engine import Engine
from pipeline.engine_state import ArrayDevice, EngineState, Outcome
from pipeline.layout import SiteLayout
from pipeline.publish import Outgoing, messages, tables, window_batch
from pipeline.recovery import newest_state, open_events
from schemas.events import SiteEvent
from schemas.telemetry import Refused, RowRefusal, Slice
from schemas.topics import TELEMETRY
from schemas.topology import Topology
from schemas.units import NS_PER_S

__all__ = ["Batch", "Counters", "Lane", "LaneConfig", "Message", "Outgoing"]

STATE_VERSION = 1
CUT_NS = NS_PER_S


class LaneConfig(NamedTuple):
    """What a lane is opened with."""

    archive: Path
    writer: str
    topologies: Mapping[str, Topology]
    detect: DetectSettings
    device: ArrayDevice
    origin: Mapping[str, str] = {}
    resume: bool = True
    """False: a replay; it starts from nothing, and what is archived already is dropped."""


class Batch(NamedTuple):
    """Everything to publish and to commit since the last take."""

    outgoing: list[Outgoing]
    tables: dict[str, Any]
    offsets: dict[str, int]
    read_offsets: dict[str, int]
    archived_until_ns: dict[str, int]
    idle: tuple[Idle, ...]
    snapshot: bytes | None
    events: list[SiteEvent]


@dataclasses.dataclass
class Counters:
    """What the heartbeat and the metrics read."""

    values: dict[str, int]
    watermark_ns: int = -1
    newest_ns: int = -1
    warming: str = "0/0"


@dataclasses.dataclass
class Receipt:
    """A message that is not yet acknowledged: until when its samples matter."""

    topic: str
    offset: int
    site_id: str
    until_ns: int
    message: Message | None = None
    refused: tuple[RowRefusal, ...] = ()


@dataclasses.dataclass
class SiteMemory:
    """One site's state, with the digest of the topology it was made for."""

    digest: str
    align: AlignState
    engine: EngineState


@dataclasses.dataclass
class LaneState:
    """What a snapshot holds: cut between two messages."""

    sites: dict[str, SiteMemory]
    receipts: dict[int, Receipt]
    read: dict[str, int]
    issued: int


class _Site:
    """A site at work."""

    def __init__(self, layout: SiteLayout, config: LaneConfig, memory: SiteMemory | None) -> None:
        self.layout = layout
        self.engine = Engine(layout, config.detect, config.device)
        self.aligner = Aligner(layout, memory.align if memory else None)
        self.state = self.engine.to_device(memory.engine) if memory else self.engine.start()
        self.until_ns = -1

    def memory(self) -> SiteMemory:
        return SiteMemory(self.layout.digest, self.aligner.state, self.engine.to_host(self.state))


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
    on_event : callable, optional
        Told every event record as it is computed, archived already or not.
    """

    def __init__(self, config: LaneConfig, writer: Writer) -> None:
        self._config, self._writer = config, writer
        self._decoder = Decoder(config.topologies)
        self._layout = _layout_name(config.detect)
        self._archived = dict(writer.newest.archived_until_ns)
        self._covered = dict(writer.newest.read_offsets)
        self._sites: dict[str, _Site] = {}
        self._memories: dict[str, SiteMemory] = {}
        self._receipts: dict[int, Receipt] = {}
        self._read: dict[str, int] = {}
        self._issued = 0
        self._quiet: frozenset[str] = frozenset()
        self._records: list[tuple[Any, int, str]] = []
        self._windows: list[Any] = []
        self._taken_ns: dict[str, int] = dict(self._archived)
        self._acked: dict[str, int] = {}
        self._lost: list[SiteEvent] = []
        self._first = config.resume
        self._trigger: Message | None = None
        self.on_event: Callable[[SiteEvent], None] | None = None
        self.counters = Counters(dict.fromkeys(_COUNTS, 0))
        self._restore()
        self.start_offsets = dict(self._read or writer.newest.offsets)

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
        if state is None:
            if self._config.resume and self._archived:
                self._lost = open_events(root, self._writer.name)
            return
        self._memories, self._receipts = state.sites, state.receipts
        self._read, self._issued, self._first = state.read, state.issued, False
        for site_id in list(self._memories):
            self._site(site_id)

    def _site(self, site_id: str) -> _Site:
        site = self._sites.get(site_id)
        if site is None:
            own_sites(self._config.archive, self._writer.name, [site_id])
            layout = SiteLayout(self._config.topologies[site_id])
            memory = self._memories.pop(site_id, None)
            if memory is not None and memory.digest != layout.digest:
                memory = None
                lost = open_events(self._config.archive, self._writer.name)
                self._lost += [event for event in lost if event.site_id == site_id]
            site = self._sites[site_id] = _Site(layout, self._config, memory)
            if memory is not None or not self._config.resume:  # a cold start has nothing to obey
                site.aligner.obey(self._writer.newest.idle, self._archived.get(site_id, -1))
            if memory is not None:
                site.until_ns = memory.align.closed_ns
        return site

    # ---- in

    def feed(self, batch: Sequence[Message]) -> None:
        """Take messages in the order of their partitions; bad input becomes a dead letter."""
        touched: dict[str, None] = {}
        for message in batch:
            if not self._is_next(message):
                continue
            self._trigger = message
            found = self._decoder.decode(message)
            if isinstance(found, Refused):
                self._letter(message, Cause(found.reason, str(found)), None)
                self._settle(message, None)
                continue
            self._push(found, message)
            touched[found.piece.site_id] = None
        for site_id in touched or (self._sites if self._quiet else ()):
            self._advance(self._sites[site_id])

    def feed_slices(self, slices: Iterable[Slice]) -> None:
        """Replay's short cut: slices that were never bytes, checked all the same."""
        touched: dict[str, None] = {}
        for piece in slices:
            topic = TELEMETRY[piece.level]
            message = Message(topic, 0, self._read.get(topic, 0), None)
            self._read[topic] = message.offset + 1
            self._trigger = message
            try:
                self._push(self._decoder.check(piece), message)
                touched[piece.site_id] = None
            except Refused as refused:
                self._letter(message, Cause(refused.reason, str(refused)), None)
        for site_id in touched:
            self._advance(self._sites[site_id])

    def set_quiet(self, topics: Collection[str]) -> None:
        """Name the topics whose partition is read to its end: their gateways may go idle."""
        self._quiet = frozenset(level for level, name in TELEMETRY.items() if name in topics)

    def _is_next(self, message: Message) -> bool:
        due = self._read.get(message.topic, message.offset)
        if message.offset < due:
            self.counters.values["skipped_offsets"] += 1
            return False
        self.counters.values["lost_offsets"] += message.offset - due
        self.counters.values["messages"] += 1
        self.counters.values["bytes"] += len(message.value or b"")
        self._read[message.topic] = message.offset + 1
        return True

    def _push(self, rows: Rows, message: Message) -> None:
        site_id = rows.piece.site_id
        site = self._site(site_id)
        self._issued += 1
        number = self._issued
        receipt = Receipt(message.topic, message.offset, site_id, 0, message, rows.refused)
        self._receipts[number] = receipt
        for verdict in site.aligner.push(rows, number):
            self._judge(verdict, site_id)

    def _judge(self, verdict: Verdict, site_id: str) -> None:
        receipt = self._receipts[verdict.receipt]
        message, refused, cause = receipt.message, receipt.refused, verdict.cause
        if verdict.repeat:
            refused = ()
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

    def _settle(self, message: Message, site_id: str | None) -> None:
        self._issued += 1
        self._receipts[self._issued] = Receipt(message.topic, message.offset, site_id or "", 0)

    def _letter(self, message: Message, cause: Cause, site_id: str | None) -> None:
        """Write a dead letter, unless a commit already covers the message that brought it about."""
        trigger = self._trigger or message
        if trigger.offset < self._covered.get(trigger.topic, 0):
            return
        self.counters.values["deadletters"] += 1
        self._records.append((dead_letter(message, cause, site_id), -1, ""))

    # ---- through

    def _advance(self, site: _Site) -> None:
        for block in site.aligner.advance(self._quiet):
            site.state, outcome = site.engine.step(site.state, block)
            self.counters.values["frames"] += block.ticks * len(site.layout.grids)
            self._collect(site, outcome, None)
            site.until_ns = site.state.end_ns
        align = site.aligner.state
        if site.aligner.ended and not align.finished and align.closed_ns >= 0:
            align.finished = True
            site.state, outcome = site.engine.finish(site.state, "end_of_stream")
            site.until_ns = align.closed_ns + 1
            self._collect(site, outcome, site.until_ns)

    def _collect(self, site: _Site, outcome: Outcome, produced_ns: int | None) -> None:
        """Keep what the archive does not hold yet."""
        archived_ns = self._archived.get(site.layout.site_id, -1)
        top = site.layout.nodes[site.layout.top].id
        end_ns = produced_ns or site.state.end_ns
        lost = [e for e in self._lost if e.site_id == site.layout.site_id and end_ns > archived_ns]
        if lost:
            self._lost = [e for e in self._lost if e not in lost]
            closed = {"state": "closed", "quality": "state_lost", "updated_ns": end_ns}
            replaced = (msgspec.structs.replace(e, closed_ns=end_ns, **closed) for e in lost)
            self._records += [(e, end_ns, top) for e in replaced]
        for event in outcome.events if self.on_event else ():
            self.on_event(event)
        for record in (*outcome.events, *outcome.states, *outcome.forecasts):
            made_ns = produced_ns or _made_ns(record)
            if made_ns > archived_ns:
                self._records.append((record, made_ns, top))
                opened = isinstance(record, SiteEvent) and record.state == "open"
                self.counters.values["events"] += int(opened)
        for columns in outcome.windows:
            self.counters.values["windows"] += len(columns["node_id"])
            made_ns = produced_ns or columns["produced_ns"]
            if made_ns > archived_ns:
                self._windows.append(window_batch({**columns, "produced_ns": made_ns}))

    # ---- out

    @property
    def waiting_rows(self) -> int:
        """Rows that the next take will hold."""
        return len(self._records) + sum(batch.num_rows for batch in self._windows)

    def take(self, *, snapshot: bool = False, final: bool = False) -> Batch | None:
        """
        Everything to publish and to commit since the last take, or None when nothing is due.

        A cut is due once a site moved on by a grid second, and whenever a dead letter waits.
        """
        self._count()
        marks = {s: site.until_ns for s, site in self._sites.items() if site.until_ns >= 0}
        moved = any(t - self._taken_ns.get(s, 0) >= CUT_NS for s, t in marks.items())
        moved |= any(
            site.aligner.state.finished and marks.get(s, -1) > self._taken_ns.get(s, -1)
            for s, site in self._sites.items()
        )
        letters = any(not site_id for _, _, site_id in self._records)
        if not (moved or letters or final):
            return None
        keep = (snapshot or self._first) and bool(self._sites)
        records, self._records = self._records, []
        windows, self._windows = self._windows, []
        rows: dict[str, Any] = dict(tables((r, made_ns) for r, made_ns, _ in records))
        if windows:
            rows["windows"] = windows
        self._taken_ns.update(marks)
        data = self._snapshot() if keep else None
        self._first = self._first and data is None
        return Batch(
            [out for record, _, poi in records for out in messages(record, poi)],
            rows,
            self._acknowledge(marks),
            dict(self._read),
            marks,
            tuple(i for site in self._sites.values() for i in site.aligner.state.idle),
            data,
            [r for r, _, _ in records if isinstance(r, SiteEvent)],
        )

    def commit(self, batch: Batch) -> dict[str, int]:
        """
        One directory commit; returns the next offset to acknowledge per topic.

        Raises
        ------
        pipeline.commits.Fenced
            Another process owns the writer now; nothing of the batch counts.
        """
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

    def _acknowledge(self, marks: Mapping[str, int]) -> dict[str, int]:
        """The unbroken run of messages of each topic that need nothing more."""
        blocked: set[str] = set()
        for number in list(self._receipts):
            receipt = self._receipts[number]
            if receipt.topic in blocked or receipt.until_ns > marks.get(receipt.site_id, 0):
                blocked.add(receipt.topic)
                continue
            self._acked[receipt.topic] = receipt.offset + 1
            del self._receipts[number]
        return dict(self._acked)

    def _snapshot(self) -> bytes:
        sites = {site_id: site.memory() for site_id, site in self._sites.items()}
        state = LaneState({**self._memories, **sites}, self._receipts, self._read, self._issued)
        return snapshot.encode(state, layout=self._layout)

    def _count(self) -> None:
        values, sites = self.counters.values, self._sites.values()
        for name in ("late_samples", "gap_cells", "resets", "repeats"):
            values[name] = sum(getattr(site.aligner.state, name) for site in sites)
        self.counters.watermark_ns = min((s.until_ns for s in sites), default=-1)
        self.counters.newest_ns = max((s.aligner.newest_ns for s in sites), default=-1)
        warming = sum(site.state.warming for site in sites)
        channels = sum(len(site.layout.channel_ids) for site in sites)
        self.counters.warming = f"{warming}/{channels}"


_COUNTS = (
    "messages", "bytes", "frames", "events", "deadletters", "late_samples", "gap_cells", "resets",
    "repeats", "windows", "commits", "skipped_offsets", "lost_offsets", "archived_windows",
    "archived_events", "archived_states", "archived_forecasts",
)  # fmt: skip


def _made_ns(record: Any) -> int:
    for name in ("updated_ns", "t_ns", "issued_ns"):
        if hasattr(record, name):
            return int(getattr(record, name))
    msg = f"a {type(record).__name__} does not say which frame made it"
    raise TypeError(msg)


def _layout_name(detect: DetectSettings) -> str:
    """Hash of what a state depends on beside its site's topology."""
    text = f"{STATE_VERSION}:{msgspec.json.encode(detect).decode()}"
    return hashlib.sha256(text.encode()).hexdigest()
