"""What a lane is opened with, hands out, counts and saves."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.align_state import AlignState
from pipeline.clock import Spent
from pipeline.commit_files import Idle, Told
from pipeline.decode import Message
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice, EngineState
from pipeline.evidence_state import EvidenceSettings, EvidenceState
from pipeline.outbox import Drained
from pipeline.publish import Outgoing
from schemas.telemetry import RowRefusal
from schemas.topology import Topology

__all__ = [
    "COUNTS",
    "Batch",
    "Counters",
    "LaneConfig",
    "LaneState",
    "Receipt",
    "SiteMemory",
    "layout_name",
]

STATE_VERSION = 6


class LaneConfig(NamedTuple):
    """What a lane is opened with."""

    archive: Path
    writer: str
    topologies: Mapping[str, Topology]
    detect: DetectSettings
    device: ArrayDevice
    evidence: EvidenceSettings = EvidenceSettings()
    origin: Mapping[str, str] = {}
    resume: bool = True
    """False: a replay; it starts from nothing, and what is archived already is dropped."""
    spent: Spent | None = None
    """Where the time of its stages is counted."""
    idle_s: float = 5.0
    """Wall time after which a gateway that is not heard may be idle."""


class Batch(NamedTuple):
    """Everything to publish and to commit since the last take."""

    drained: Drained
    offsets: dict[str, int]
    read_offsets: dict[str, int]
    archived_until_ns: dict[str, int]
    idle: tuple[Idle, ...]
    told: tuple[Told, ...]
    snapshot: bytes | None

    @property
    def outgoing(self) -> list[Outgoing]:
        """Messages to publish."""
        return self.drained.outgoing

    @property
    def tables(self) -> dict[str, Any]:
        """Rows to archive by table."""
        return self.drained.tables


@dataclasses.dataclass
class Counters:
    """What the heartbeat and the metrics read."""

    values: dict[str, int]
    marks_ns: dict[str, int] = dataclasses.field(default_factory=dict)
    """How far each site that has begun is computed."""
    unsaved_ns: int = 0
    """How far a site has come since the newest snapshot, the one that came furthest."""
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
    evidence: EvidenceState
    explained: bool
    """Its topology and rules are on their way into the archive."""


@dataclasses.dataclass
class LaneState:
    """What a snapshot holds: cut between two messages."""

    sites: dict[str, SiteMemory]
    receipts: dict[int, Receipt]
    read: dict[str, int]
    issued: int


COUNTS = (
    "messages", "said", "bytes", "frames", "events", "deadletters", "late_samples", "gap_cells",
    "resets", "repeats", "windows", "commits", "skipped_offsets", "lost_offsets",
    "archived_windows", "archived_events", "archived_states", "archived_forecasts",
    "archived_waveforms", "archived_topologies", "archived_rules", "archived_outcomes",
)  # fmt: skip


def layout_name(detect: DetectSettings, evidence: EvidenceSettings) -> str:
    """Hash of what a state depends on beside its site's topology."""
    text = f"{STATE_VERSION}:{msgspec.json.encode((detect, evidence)).decode()}"
    return hashlib.sha256(text.encode()).hexdigest()
