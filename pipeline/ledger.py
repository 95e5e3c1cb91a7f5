"""Which messages were read, and which of them need nothing more."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.decode import Message
from pipeline.lane_state import Receipt
from schemas.telemetry import RowRefusal

__all__ = ["Ledger"]


class Ledger:
    """
    Receipts of one lane's messages, by number, in the order in which they were read.

    One whose samples are archived is forgotten, also behind one that still waits: a site that
    stopped for good must not make its partition remember whatever others send.

    Attributes
    ----------
    read : dict of topic to int
        Next offset to be read.
    receipts : dict of int to Receipt
        Messages not yet acknowledged.
    """

    def __init__(self, receipts: dict[int, Receipt], read: dict[str, int], issued: int) -> None:
        self.receipts, self.read, self.issued = receipts, read, issued

    def enter(
        self, message: Message, site_id: str = "", refused: tuple[RowRefusal, ...] = ()
    ) -> int:
        """Number a message that was read; without a site it needs nothing but the next commit."""
        self.issued += 1
        kept = message if site_id else None
        receipt = Receipt(message.topic, message.offset, site_id, 0, kept, refused)
        self.receipts[self.issued] = receipt
        return self.issued

    def missed(self, message: Message) -> int:
        """Offsets between the one that is due and this one; negative: it was read before."""
        return message.offset - self.read.get(message.topic, message.offset)

    def acknowledge(self, marks_ns: Mapping[str, int]) -> dict[str, int]:
        """
        Next offset of each topic below which everything is archived up to its site's mark.

        ``marks_ns`` is by site.
        """
        oldest: dict[str, int] = {}
        for number, receipt in list(self.receipts.items()):
            if receipt.until_ns > marks_ns.get(receipt.site_id, 0):
                oldest.setdefault(receipt.topic, receipt.offset)
            else:
                del self.receipts[number]
        return self.read | oldest
