"""What is known to be in a trace: one record an injected event, kept in ``truth.json``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from replay.errors import TraceError
from schemas.events import Cause, Kind

__all__ = ["Truth", "load_truth", "save_truth"]


class Truth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One event that is in the trace.

    Powers in W at ``node_id``: ``depth_w`` signed (a fall is negative), ``amplitude_w`` zero to
    peak. ``channels`` are the channels that were moved, or only how many. Of load loss:
    ``dips_ns``, the onset of each dip, those without loss between them too; ``recovery_s`` from
    the last dip's end until 0.9 of the power is back. ``cause`` is what made it.
    """

    kind: Kind
    site_id: str
    node_id: str
    onset_ns: int
    end_ns: int
    depth_w: float | None = None
    amplitude_w: float | None = None
    freq_hz: float | None = None
    channels: tuple[str, ...] | int = ()
    dips_ns: tuple[int, ...] = ()
    recovery_s: float | None = None
    cause: Cause | None = None


def load_truth(path: Path) -> list[Truth]:
    """
    Read a ``truth.json``.

    Raises
    ------
    TraceError
        One sentence, when it is not a list of truths.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Truth])
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        msg = f"{path}: not a list of truth records ({error})"
        raise TraceError(msg) from error


def save_truth(path: Path, truth: Iterable[Truth]) -> None:
    """Write a ``truth.json``, ordered by onset, one field a line: the same bytes every time."""
    ordered = sorted(truth, key=lambda t: (t.onset_ns, t.site_id, t.kind, t.node_id))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
