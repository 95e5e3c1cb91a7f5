"""
Raw samples around events: which seconds of which channels are kept as evidence.

A ring holds the newest seconds of every channel, so that what came before an event is still there
when it opens. Whatever an event wants is taken second by second, and handed out as rows every ten
seconds of grid time, on an absolute grid: the cut of the stream changes no row, and a second of a
channel is handed out once, however many events want it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pipeline.align_state import Block
from pipeline.evidence_state import EvidenceSettings, EvidenceState, Kept, Span
from pipeline.layout import LevelGrid, SiteLayout
from pipeline.waveforms import Stretch, waveform_batch
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["BLOCK_S", "Evidence"]

BLOCK_S = 10
"""Longest row, and how often rows are handed out."""
REACH_S = 40
"""How long after its onset an event may open and still have its whole beginning kept."""


class Evidence:
    """
    The raw samples that one site keeps; owned by the site's lane, like its `Aligner`.

    Levels slower than 1 Hz are left out: their windows hold every sample there is.
    """

    def __init__(
        self,
        layout: SiteLayout,
        settings: EvidenceSettings,
        state: EvidenceState | None = None,
    ) -> None:
        self._layout, self._settings = layout, settings
        self.state = state or EvidenceState()
        self._grids = {g.level: g for g in layout.grids if g.votes}
        whole_s = settings.pre_s + REACH_S + BLOCK_S
        self._kept_s = self._lengths(math.ceil(whole_s))
        self._pre_ns, self._post_ns, self._most_ns = (
            round(s * NS_PER_S) for s in (settings.pre_s, settings.post_s, settings.most_s)
        )
        self._row_of = {name: row for row, name in enumerate(layout.channel_ids)}

    def step(self, block: Block, events: Iterable[SiteEvent], end_ns: int) -> Any | None:
        """
        Take a block and the events it made; rows of table ``waveforms`` when some are due.

        Parameters
        ----------
        block : Block
            Whole ticks within one grid second.
        events : iterable of SiteEvent
            All event records of the block.
        end_ns : int, ns
            End of the block: what the rows were made by.

        Returns
        -------
        pa.RecordBatch or None
        """
        if not self._settings.channels:
            return None
        self._note(events)
        for level in self._kept_s:
            samples_w, valid = block.power_w[level], block.valid[level]
            if not valid.all():
                samples_w = np.where(valid, samples_w, np.nan)
            self.state.parts.setdefault(level, []).append(samples_w.astype(np.float32, copy=False))
        if end_ns % NS_PER_S:
            return None
        self._complete(end_ns)
        return self._hand_out(end_ns) if end_ns // NS_PER_S % BLOCK_S == 0 else None

    def finish(self, events: Iterable[SiteEvent], end_ns: int) -> Any | None:
        """End of the stream: whatever is taken and not handed out."""
        self._note(events)
        self._take()
        return self._hand_out(end_ns)

    def _lengths(self, whole_s: int) -> dict[str, int]:
        """Seconds kept by level, the top of the site first, within the memory allowed."""
        left, kept_s = self._settings.ring_max_bytes, {}
        for level, grid in reversed(self._grids.items()):
            second_bytes = 4 * grid.channels * grid.rate // grid.stride
            fits = [s for s in (whole_s, BLOCK_S + 1) if s * second_bytes <= left]
            if fits:
                kept_s[level] = fits[0]
                left -= fits[0] * second_bytes
        return kept_s

    def _note(self, events: Iterable[SiteEvent]) -> None:
        for event in events:
            begin_ns = _begin_ns(event)
            span = self.state.spans.setdefault(event.event_id, Span(begin_ns, []))
            span.onset_ns = min(span.onset_ns, begin_ns)
            span.rows = sorted({*span.rows, *self._rows(event)})
            if event.state == "closed":
                span.closed_ns = event.closed_ns or event.updated_ns

    def _rows(self, event: SiteEvent) -> list[int]:
        """Channel rows an event wants: its node, what is above, who took part, what is below."""
        layout = self._layout
        if layout.small:
            return list(range(len(layout.channel_ids)))
        row = layout.row_of[event.node_id]
        found = [*layout.nodes[row].channels]
        above = layout.nodes[row].parent
        while above >= 0:
            found += layout.nodes[above].channels
            above = layout.nodes[above].parent
        names = [c.channel_id for c in event.contributors or ()] + list(event.channels or ())
        found += [self._row_of[name] for name in names if name in self._row_of]
        for child in layout.nodes[row].children:
            found += layout.nodes[child].channels
        return list(dict.fromkeys(found))[: self._settings.channels]

    def _complete(self, end_ns: int) -> None:
        """Put the second that ends here into the ring, and take what events want."""
        parts, state = self.state.parts, self.state
        samples_w = {
            level: _joined(parts[level])[:, :: grid.stride]
            for level, grid in self._grids.items()
            if level in parts
        }
        state.parts = {}
        none = np.zeros(len(self._layout.channel_ids), bool)
        state.ring.append(Kept(end_ns - NS_PER_S, samples_w, none, none.copy()))
        oldest = max(self._kept_s.values(), default=0)
        del state.ring[: max(len(state.ring) - oldest, 0)]
        for level, length_s in self._kept_s.items():
            for kept in state.ring[:-length_s]:
                kept.samples_w.pop(level, None)
        self._take()
        over_ns = end_ns - self._post_ns
        state.spans = {k: s for k, s in state.spans.items() if not -1 < s.closed_ns <= over_ns}

    def _take(self) -> None:
        for span in self.state.spans.values():
            for kept in self.state.ring:
                if self._wants(span, kept.start_ns):
                    kept.taken[span.rows] = True

    def _wants(self, span: Span, start_ns: int) -> bool:
        """Whether the second that starts here overlaps what the event wants."""
        end_ns, most_ns = start_ns + NS_PER_S, span.onset_ns + self._most_ns
        begun = end_ns > span.onset_ns - self._pre_ns
        if span.closed_ns < 0:
            return begun and start_ns < most_ns
        last_ns = span.closed_ns + self._post_ns
        around_close = span.closed_ns - self._pre_ns < end_ns and start_ns < last_ns
        return around_close or (begun and start_ns < min(most_ns, last_ns))

    def _hand_out(self, end_ns: int) -> Any | None:
        stretches = [
            stretch
            for level in self._kept_s
            for run in _runs([kept for kept in self.state.ring if level in kept.samples_w])
            for stretch in self._stretches(self._grids[level], run)
        ]
        for kept in self.state.ring:
            kept.done[:] |= kept.taken
        return waveform_batch(self._layout, stretches, end_ns)

    def _stretches(self, grid: LevelGrid, run: list[Kept]) -> Iterator[Stretch]:
        """Seconds without a break within ten; channels that want the same of them go together."""
        rows = self._layout.level_rows[grid.level]
        due = np.stack([(kept.taken & ~kept.done)[rows] for kept in run])
        if not due.any():
            return
        for pattern in np.unique(due[:, due.any(axis=0)], axis=1).T:
            channels = np.flatnonzero((due == pattern[:, None]).all(axis=0))
            edges = np.flatnonzero(np.diff(np.concatenate([[0], pattern.view(np.int8), [0]])))
            for first, last in edges.reshape(-1, 2):
                pieces = [kept.samples_w[grid.level][channels] for kept in run[first:last]]
                yield Stretch(
                    rows.start + channels,
                    run[first].start_ns,
                    grid.rate // grid.stride,
                    np.concatenate(pieces, axis=1),
                )


def _begin_ns(event: SiteEvent) -> int:
    """Where the samples begin that its onset and its statistic need."""
    tests = [test for test in (event.step_test, event.tone_test) if test is not None]
    needs_ns = [event.opened_ns - round((t.window_s + 1) * NS_PER_S) for t in tests]
    return min([event.onset_ns, *needs_ns])


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _runs(ring: list[Kept]) -> Iterator[list[Kept]]:
    """Cut a ring where a second is missing and at every tenth second."""
    run: list[Kept] = []
    for kept in ring:
        if run and (
            kept.start_ns != run[-1].start_ns + NS_PER_S or kept.start_ns // NS_PER_S % BLOCK_S == 0
        ):
            yield run
            run = []
        run.append(kept)
    if run:
        yield run
