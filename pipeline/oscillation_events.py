"""From spectra to events: one event per oscillation and site, from its opening to its end."""

from __future__ import annotations

import numpy as np

from operators import oscillations
from operators.oscillations import LEAST_CYCLES
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice
from pipeline.layout import SiteLayout
from pipeline.line_finder import LineFinder
from pipeline.line_judge import ECHO_S, NOTHING, LineJudge
from pipeline.lines import Tone, belongs, fundamental_of, order_of
from pipeline.oscillation_parts import PLAIN, Parts
from pipeline.oscillation_record import judged_by, record
from pipeline.oscillation_state import Feed, Line, Looks, OpenTone, OscillationTrack, Past
from pipeline.ramp_state import OpenOscillation
from schemas.events import Quality, SiteEvent, event_id
from schemas.units import NS_PER_S

__all__ = ["OscillationEvents"]

GONE = 0.33
"""The line is gone when its newest two periods show less than this share of what they do else."""
ENDS, FEWER_ENDS, SLOW_S = 2.0, 1.5, 10.0
"""Newest periods that tell whether it goes on; down to 1.5 where these take longer than 10 s."""
LEVEL = 0.2
"""
Share by which its usual amplitude follows the newest periods, a period; 0.1 a second at most, and
less as these have to be more than usual: else it fades with what they still hold of a line gone.
"""
SETTLES, SETTLES_S = 10.0, 10.0
"""Periods and seconds after its opening until it is measured anew, harmonics looked for again."""
FADES = 0.5
"""Share of its amplitude at which its decay is measured, once."""
ALIVE = 0.5
"""Share of the threshold down to which the line goes on."""
RISE = 1.02
"""Growth that is worth a new measurement; `TELL` is worth telling."""
TELL = 1.5
BESIDE_S = 3
"""Seconds for which two open oscillations belong together before one closes into the other."""


class OscillationEvents:
    """Turns spectra into `SiteEvent` records for one site."""

    def __init__(
        self,
        layout: SiteLayout,
        detect: DetectSettings,
        feeds: tuple[Feed, ...],
        device: ArrayDevice,
        votes: int,
    ) -> None:
        self._layout, self._detect, self._feeds, self._device = layout, detect, feeds, device
        self._parts = Parts(layout, detect, feeds, device)
        self._judge = LineJudge(feeds, self._parts, device)
        self._finder = LineFinder(detect, feeds, votes)

    def start(self) -> OscillationTrack:
        """The memory before the first second."""
        return OscillationTrack(
            {
                bank.key: np.zeros((3, len(bank.plan.design.freq_hz)), np.int16)
                for feed in self._feeds
                for bank in feed.banks
            }
        )

    def open_now(self, track: OscillationTrack) -> list[OpenOscillation]:
        """What the ramp detector must know."""
        return [
            OpenOscillation(t.now_hz, max(t.now_w, t.amplitude_w), t.event_id) for t in track.open
        ]

    def unison(self, track: OscillationTrack) -> float | None:
        """Share of the leaves' swing that adds up, of the largest open oscillation that has one."""
        known = [(tone.amplitude_w, tone.unison) for tone in track.open if tone.unison is not None]
        return max(known)[1] if known else None

    def step(
        self, track: OscillationTrack, looks: Looks, reference_w: float, time_ns: int
    ) -> list[SiteEvent]:
        """Work off one grid second; ``track`` is the caller's own copy and moves on."""
        detect = self._detect
        floor_w = reference_w * np.array([detect.oscillation_floor_share, detect.votes_floor_share])
        lines = [line for look in looks.due for line in self._finder.lines(track, look, floor_w)]
        if not lines and not track.open:
            return []
        events: list[SiteEvent] = []
        for tone in track.open:
            events += self._follow(tone, looks, time_ns)
        events += self._ended(track, looks, time_ns)
        track.past = [p for p in track.past if p.closed_ns + ECHO_S * NS_PER_S > time_ns]
        lines = self._judge.unshadowed(lines, looks)
        lines = [line for line in lines if not self._judge.echo(track, line, looks, time_ns)]
        opened = 0
        while (found := self._fresh(track, lines, looks)) is not None:
            tone = self._begin(looks, found, time_ns, opened)
            opened += 1
            track.open.append(tone)
            events.append(self._record(tone, "open", time_ns))
        newest = {event.event_id: event for event in events}
        return list(newest.values())

    def finish(self, track: OscillationTrack, time_ns: int, quality: Quality) -> list[SiteEvent]:
        """Close what is open."""
        events = []
        for tone in track.open:
            tone.quality = quality
            events.append(self._record(tone, "closed", time_ns))
        track.open = []
        return events

    def _fresh(self, track: OscillationTrack, lines: list[Line], looks: Looks) -> Line | None:
        """The strongest line that lasted and belongs to no open event; it leaves ``lines``."""
        while lines:
            found = max(lines, key=lambda line: (line.amplitude_w, -line.freq_hz))
            lines.remove(found)
            owner = next((t for t in track.open if belongs(found.tone, _of(t))), None)
            if owner is not None:
                self._adopt(owner, found, looks)
                continue
            base = fundamental_of(lines, found)
            if base is not found:
                lines.remove(base)
                if any(belongs(base.tone, _of(t)) for t in track.open):
                    continue
            if self._judge.lasts(base, looks):
                return base
        return None

    def _adopt(self, tone: OpenTone, line: Line, looks: Looks) -> None:
        """An open event that was a harmonic of this stronger line: the line is the event now."""
        order = order_of(_of(tone), line.tone)
        if not 2 <= order <= 5:
            return
        at = (looks, tone.feed, tone.row, line.freq_hz)  # the line may stand out at a single rack
        here_w, _ = self._parts.amplitude(*at, line.window_s)
        if here_w >= tone.now_w and self._judge.lasts(line, looks):
            self._move(tone, (line.freq_hz, here_w, tone.feed, tone.row, line.window_s), looks)

    def _move(self, tone: OpenTone, to: tuple[float, float, int, int, float], looks: Looks) -> None:
        """The event goes on at another line: its fundamental, or the stronger of two."""
        tone.now_hz, tone.now_w, tone.feed, tone.row, tone.window_s = to
        tone.amplitude_w, tone.level_w, tone.missed_s = 0.0, 0.0, 0
        self._parts.measure(tone, looks)

    # ---- what goes on

    def _follow(self, tone: OpenTone, looks: Looks, time_ns: int) -> list[SiteEvent]:
        self._listen(tone, looks)
        at = (looks, tone.feed, tone.row, tone.now_hz if tone.clear >= 1 else tone.freq_hz)
        level_w = tone.level_w or tone.now_w
        end_s = self._end_s(tone)
        newest_w, error_w, span_s = self._judge.newest(at, level_w, end_s, tone.reach_s)
        tone.level_w = tone.level_w or newest_w
        gone = newest_w < max(GONE * tone.level_w, NOTHING * error_w)
        if not gone:
            share = min(LEVEL * tone.now_hz * end_s / span_s, 0.1)
            tone.level_w += share * (newest_w - tone.level_w)
        if newest_w < FADES * tone.amplitude_w and not tone.fading and not gone:
            tone.fading = True
            self._parts.growth(tone, looks)
        tone.missed_s = tone.missed_s + 1 if gone or not tone.heard else 0
        age_s = (time_ns - tone.opened_ns) / NS_PER_S
        settles_s = max(SETTLES / tone.now_hz, SETTLES_S)
        if tone.missed_s == 0 and age_s >= settles_s * (1 + tone.settled):
            tone.settled += 1
            if tone.settled == 1:
                self._parts.measure(tone, looks, anew=True)
            elif not tone.harmonics:
                self._parts.overtones(tone, looks)
        clear_w = newest_w if newest_w >= PLAIN * error_w else 0.0
        if gone or not tone.heard or max(tone.now_w, clear_w) <= RISE * tone.amplitude_w:
            return []
        self._parts.measure(tone, looks)
        if tone.amplitude_w < TELL * tone.told_w:
            return []
        tone.told_w = tone.amplitude_w
        return [self._record(tone, "update", time_ns)]

    def _end_s(self, tone: OpenTone) -> float:
        return min(ENDS / tone.now_hz, max(FEWER_ENDS / tone.now_hz, SLOW_S))

    def _listen(self, tone: OpenTone, looks: Looks) -> None:
        """Whether it is in the shortest window that ever showed it, and where its summit is now."""
        excess: dict[float, float] = {}
        plain: dict[float, float] = {}
        hop_s: dict[float, int] = {}
        summit: dict[float, tuple[float, float, int, int]] = {}
        for look in looks.due:
            bank = self._feeds[look.feed].banks[look.bank]
            for window in bank.plan.design.looks:
                window_s = window.samples / bank.rate_hz
                freq_hz = bank.plan.design.freq_hz[window.place]
                reach_hz = max(1.0 / window_s, 0.04 * tone.now_hz)
                near = np.flatnonzero(np.abs(freq_hz - tone.now_hz) <= reach_hz)
                if not len(near) or LEAST_CYCLES / window_s > tone.now_hz:
                    continue
                at = near + window.place.start
                near_w = look.amplitude_w[:, at]
                row, place = np.unravel_index(int(np.argmax(near_w)), near_w.shape)
                top = (float(near_w[row, place]), float(freq_hz[near[place]]), look.feed, int(row))
                found = self._finder.excess(look, at)
                excess[window_s] = max(excess.get(window_s, 0.0), *found)
                plain[window_s] = max(plain.get(window_s, 0.0), found[0])
                hop_s[window_s] = bank.hop_s
                summit[window_s] = max(summit.get(window_s, top), top)
        shown = [window_s for window_s, e in plain.items() if e >= 1]
        if shown and LEAST_CYCLES / tone.window_s > tone.now_hz:
            tone.window_s = min(shown)  # it moved to where its window is too short
        tone.window_s = min([tone.window_s, *shown])
        tone.clear = max([tone.clear, *plain.values()])
        heard = excess.get(tone.window_s)
        if heard is None:
            return
        longer = [window_s for window_s in shown if window_s > tone.window_s]
        weaker = plain[tone.window_s] < ALIVE and bool(longer) and not tone.missed_s
        tone.weak_s = tone.weak_s + hop_s[tone.window_s] if weaker else 0
        if tone.weak_s > tone.window_s:  # for a whole window, and its newest periods are there
            tone.window_s, tone.weak_s = min(longer), 0
        tone.heard = weaker or excess[tone.window_s] >= ALIVE
        if tone.heard and plain[tone.window_s] >= ALIVE:  # a sum goes on for a while on noise alone
            tone.now_w, tone.now_hz, tone.feed, tone.row = summit[tone.window_s]

    def _ended(self, track: OscillationTrack, looks: Looks, time_ns: int) -> list[SiteEvent]:
        """Close what is over, and what turned out to be part of another."""
        events = []
        for tone in sorted(track.open, key=lambda t: (-t.opened_ns, t.event_id)):
            older = [
                t for t in track.open if (t.opened_ns, t.event_id) < (tone.opened_ns, tone.event_id)
            ]
            into = next((t for t in older if _one(tone, t)), None)
            tone.beside_s = tone.beside_s + 1 if into else 0
            if into and tone.beside_s >= BESIDE_S:
                if tone.now_w > into.now_w:
                    found = (tone.now_hz, tone.now_w, tone.feed, tone.row, tone.window_s)
                    self._move(into, found, looks)
                tone.merged_into = into.event_id
            elif tone.missed_s < self._detect.oscillation_close_s:
                continue
            else:
                echo = Past(tone.freq_hz, 1 / tone.window_s, tone.amplitude_w, time_ns)
                track.past = [*track.past, echo]
            track.open.remove(tone)
            events.append(self._record(tone, "closed", time_ns))
        return events

    def _record(self, tone: OpenTone, state: str, time_ns: int) -> SiteEvent:
        return record(self._layout, self._feeds, tone, state, time_ns)

    def _begin(self, looks: Looks, found: Line, time_ns: int, rank: int) -> OpenTone:
        at = (looks, found.feed, found.row, found.freq_hz)
        newest_w, _ = self._parts.amplitude(*at, found.newest_s)
        share = min(found.amplitude_w / max(newest_w, 1e-300), 1.0)
        share = min(oscillations.FLAT_MASS * share + oscillations.FALL / 2, 1.0)
        tone = OpenTone(
            event_id=event_id(self._layout.site_id, "oscillation", time_ns, rank),
            node=self._layout.top,
            onset_ns=time_ns - round(share * found.window_s * NS_PER_S),
            opened_ns=time_ns,
            freq_hz=found.freq_hz,
            amplitude_w=0.0,
            now_hz=found.freq_hz,
            now_w=found.amplitude_w,
            feed=found.feed,
            row=found.row,
            window_s=found.window_s,
            told_w=0.0,
            clear=found.now,
        )
        judged = judged_by(self._layout, self._feeds[found.feed], found)
        tone.statistic, tone.threshold, tone.test = judged
        self._parts.measure(tone, looks)
        tone.told_w = tone.amplitude_w
        return tone


def _of(tone: OpenTone) -> Tone:
    return Tone(tone.now_hz, 1 / tone.window_s, tone.now_w)


def _one(tone: OpenTone, other: OpenTone) -> bool:
    """Two open oscillations are one."""
    if tone.missed_s or other.missed_s:
        return False  # what is ending says nothing about the other's size
    small, large = sorted((tone, other), key=lambda t: t.amplitude_w)
    one, base = (Tone(t.now_hz, 1 / t.window_s, t.amplitude_w) for t in (small, large))
    return belongs(one, base)
