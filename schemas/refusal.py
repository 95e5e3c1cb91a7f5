"""Why a telemetry message, or a row of it, cannot be used: the reasons, listed once."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Reason", "Refused", "RowRefusal"]

Reason = Literal[
    "empty",
    "oversize",
    "unreadable",
    "version",
    "unit",
    "rate",
    "length",
    "site",
    "level",
    "gateway",
    "channel",
    "infinite",
    "rating",
    "voltage",
    "late",
    "clock",
]
"""Each is explained in docs/wire.md; `tests/schemas/test_wire_page.py` keeps the two together."""

MAX_TEXT = 300
MAX_NAME = 64


class Refused(ValueError):
    """A whole message that cannot be used: ``reason`` for machines, the text for people."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text[:MAX_TEXT])
        self.reason: Reason = reason


class RowRefusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One channel's row that cannot be used, while its message can."""

    channel_id: str
    reason: Reason
