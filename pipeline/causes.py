"""Why power moved: by what the scheduler announced, else by who moved and what came before."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from pipeline.align_state import Said
from pipeline.cause_state import CONFIDENCE, CauseTrack, Motion
from pipeline.ingest import HISTORY_S
from pipeline.layout import SiteLayout
from pipeline.ramp_state import RampView
from schemas.events import SiteEvent, WorkloadHint, family
from schemas.units import NS_PER_S

__all__ = ["Causes"]

LOOK_NS = 2 * NS_PER_S
"""So long after it opened one asks who moved."""
KEPT_NS = 1200 * NS_PER_S
HINTS = 256
EARLY_NS, LATE_NS = 10 * NS_PER_S, 20 * NS_PER_S
"""How far from the announced time a motion may lie (as in `planned`)."""
SAME = 0.6
"""Share of the power of two motions that must be of the same racks to make them one's way and
back."""
COHORT = 0.8
"""Share of a cohort's racks that makes it the cohort that moved, and of the racks moved."""
MEAN_S, MOVED = 3, 0.15
"""A rack took part when the means of so many seconds before and after differ by this share: long
enough for most iterations to average out."""
PDU_SHARE, PDU_FALL = 0.9, 0.4
"""A PDU is off where so many of its racks fell, and so much of its power went."""
LINE_NS = 60 * NS_PER_S
"""An oscillation that begins so long after a rise is the job that started."""
SHORT_S, PAUSE_S = 15.0, 45.0
"""A pause up to the one is likely a checkpoint, from the other on a restart."""
DEEPER = 1.2
"""A fall this many times a pause of the same racks is none."""
RATIO = 1.4
"""Pauses of checkpoints differ by no more than this factor."""


class Causes:
    """Says the causes of one site's ramps and load losses; ``track`` is the caller's own copy."""

    def __init__(self, layout: SiteLayout) -> None:
        self._layout = layout
        first = layout.leaves.start
        rows: dict[str, list[int]] = {}
        named = layout.topology.node_by_id
        for leaf in layout.leaves:
            for cohort in named[layout.nodes[layout.channel_nodes[leaf]].id].cohorts:
                rows.setdefault(cohort, []).append(leaf - first)
        self._cohorts = {name: np.array(leaves) for name, leaves in sorted(rows.items())}
        self._member = {
            name: np.isin(np.arange(len(layout.leaves)), at) for name, at in self._cohorts.items()
        }
        pdus = (row for row, node in enumerate(layout.nodes) if node.level == "pdu")
        self._pdus = [(row, layout.leaves_under(row) - first) for row in pdus]

    def start(self) -> CauseTrack:
        """Nothing known."""
        return CauseTrack()

    def hear(self, track: CauseTrack, said: tuple[Said, ...]) -> None:
        """Take in what the scheduler announced; it counts from the frame from which it acts."""
        hints = (one for one in said if one.hint is not None)
        track.hints = [*track.hints, *hints][-HINTS:]

    def step(
        self, track: CauseTrack, view: RampView, events: list[SiteEvent], end_ns: int
    ) -> list[SiteEvent]:
        """
        One block's events with their causes; at a second's end those found out since, as updates.

        Who moved is asked of the block's ``view``.
        """
        out = self.stamped(track, events)
        if end_ns % NS_PER_S:
            return out
        news = []
        for motion in track.motions:
            open_now = motion.event_id in track.open
            unseen = motion.leaf_w is None and motion.cause == "unknown"
            if open_now and unseen and end_ns - motion.opened_ns >= LOOK_NS:
                self._look(motion, view, end_ns)
                news += self._judge(track, motion, end_ns)
            elif open_now and motion.fresh and self._swings(track, motion):
                news += _say(motion, "job_start", "cohort up and swinging")
        track.motions = [m for m in track.motions if end_ns - m.onset_ns <= KEPT_NS]
        track.lines_ns = [t for t in track.lines_ns if end_ns - t <= KEPT_NS]
        return self._told(track, out, news, end_ns)

    def stamped(self, track: CauseTrack, events: list[SiteEvent]) -> list[SiteEvent]:
        """The events with what is known of their causes."""
        out = []
        for event in events:
            if family(event.kind) == "oscillation":
                if event.state == "open":
                    track.lines_ns.append(event.onset_ns)
                out.append(event)
                continue
            motion = self._of(track, event)
            if event.kind == "load_loss":
                _say(motion, "fault", "dip")
            if event.state == "closed":
                track.open.pop(event.event_id, None)
            out.append(_with_cause(event, motion))
            if event.merged_into is not None:
                track.motions.remove(motion)
            elif event.state != "closed":
                track.open[event.event_id] = out[-1]
        return out

    def _of(self, track: CauseTrack, event: SiteEvent) -> Motion:
        for motion in track.motions:
            if motion.event_id == event.event_id:
                return motion
        up = (event.depth_w or 0.0) > 0
        motion = Motion(event.event_id, event.onset_ns, event.opened_ns, up)
        track.motions.append(motion)
        return motion

    def _told(
        self, track: CauseTrack, out: list[SiteEvent], news: list[Motion], end_ns: int
    ) -> list[SiteEvent]:
        """What is new as an update, or in the record that tells of this very instant."""
        for motion in news:
            if motion.event_id not in track.open:
                continue
            at = [(e.event_id, e.updated_ns) for e in out]
            here = (motion.event_id, end_ns)
            if here in at:
                out[at.index(here)] = event = _with_cause(out[at.index(here)], motion)
            else:
                later = {"state": "update", "updated_ns": end_ns}
                event = msgspec.structs.replace(track.open[motion.event_id], **later)
                event = _with_cause(event, motion)
                out.append(event)
            track.open[motion.event_id] = event
        return out

    # ---- who moved

    def _look(self, motion: Motion, view: RampView, end_ns: int) -> None:
        """Who moved since the onset, which cohort that is, whether it is a PDU that went off."""
        layout, per_s = self._layout, self._layout.ticks_per_s
        k = len(view.tick_end_ns) - 1
        age = round((end_ns - motion.onset_ns) / layout.tick_ns)
        reach = HISTORY_S * layout.pace * per_s
        age = min(age, reach - 2)
        pre = min(MEAN_S * layout.pace * per_s, reach - age)
        way_w = view.moved(k + 1 - age - pre, k + 1 - age, k).leaf_way_w
        was_w = np.add.reduce(way_w[:, :pre], axis=1) / pre
        last = min(MEAN_S * layout.pace * per_s, age)
        is_w = np.add.reduce(way_w[:, -last:], axis=1) / last
        went_w = is_w - was_w if motion.up else was_w - is_w
        took = went_w >= np.maximum(MOVED * np.maximum(np.abs(was_w), np.abs(is_w)), 1.0)
        motion.leaf_w = np.where(took, went_w, 0.0)
        motion.cohort = self._cohort(took)
        for row, leaves in self._pdus:
            alone = took.sum() > 0 and took[leaves].sum() >= PDU_SHARE * took.sum()
            whole = len(leaves) > 0 and took[leaves].sum() >= PDU_SHARE * len(leaves)
            most_w = max(abs(float(view.node_w[row, k])), 1e-9)
            went_w = float(np.add.reduce(motion.leaf_w[leaves]))
            top_w = most_w if motion.up else most_w + went_w
            if alone and whole and went_w >= PDU_FALL * top_w:
                motion.pdu_off = True

    def _cohort(self, took: Any) -> str:
        """The cohorts that moved as a whole, where nearly all that moved is of them."""
        whole = [n for n, at in self._cohorts.items() if took[at].sum() >= COHORT * len(at)]
        of_them = np.zeros(len(took), bool)
        for name in whole:
            of_them |= took & self._member[name]
        nearly = whole and of_them.sum() >= COHORT * took.sum()
        return "+".join(whole) if nearly else ""

    def _swings(self, track: CauseTrack, motion: Motion) -> bool:
        low, high = motion.onset_ns - LOOK_NS, motion.onset_ns + LINE_NS
        return any(low <= t <= high for t in track.lines_ns)

    # ---- why

    def _judge(self, track: CauseTrack, motion: Motion, end_ns: int) -> list[Motion]:
        """The cause on the strongest ground there is; the motions of which more is known now."""
        hint = self._hinted(track, motion, end_ns)
        if hint is not None:
            cause = {"job_stop": "job_end"}.get(hint.hint, hint.hint)
            return _say(motion, cause, "hint of its racks" if hint.cohort_id else "hint")
        return self._rise(track, motion) if motion.up else self._fall(track, motion)

    def _rise(self, track: CauseTrack, motion: Motion) -> list[Motion]:
        fall = self._fall_of(track, motion)
        if fall is None:
            motion.fresh = bool(motion.cohort)
            swings = motion.fresh and self._swings(track, motion)
            return _say(motion, "job_start", "cohort up and swinging") if swings else []
        motion.pair_s = (motion.onset_ns - fall.onset_ns) / NS_PER_S
        if fall.pdu_off and not fall.cohort:
            return _say(motion, "restart", "PDU back")
        if not motion.cohort:
            return []
        before = (m for m in _past(track, motion) if m.pair_s > 0)
        paused_s = [m.pair_s for m in before if self._alike(m, motion)]
        pause_s = motion.pair_s
        if any(max(p, pause_s) <= RATIO * min(p, pause_s) for p in paused_s):
            ground, cause = "pause like the last", "checkpoint"
        elif pause_s <= SHORT_S:
            ground, cause = "short pause", "checkpoint"
        elif pause_s <= PAUSE_S:
            ground, cause = "pause", "checkpoint"
        else:
            ground, cause = "long pause", "restart"
        told = _say(motion, cause, ground)
        doubtful = fall.cause != "fault" or (fall.confidence or 0.0) < CONFIDENCE[ground]
        if doubtful and fall.event_id in track.open:
            told += _say(fall, "checkpoint" if cause == "checkpoint" else "fault", ground)
        return told

    def _fall(self, track: CauseTrack, motion: Motion) -> list[Motion]:
        if motion.pdu_off and not motion.cohort:
            return _say(motion, "fault", "PDU off")
        rises = [m for m in _past(track, motion) if m.up and m.cause == "checkpoint"]
        pauses_w = [_total(m.leaf_w) for m in rises if self._alike(m, motion)]
        if not pauses_w:
            return []
        if _total(motion.leaf_w) > DEEPER * pauses_w[-1]:
            return _say(motion, "fault", "deeper than its pauses")
        return _say(motion, "checkpoint", "racks that paused before")

    def _fall_of(self, track: CauseTrack, motion: Motion) -> Motion | None:
        """The newest motion of the same racks, if it was a fall."""
        same = (m for m in reversed(_past(track, motion)) if self._alike(m, motion))
        last = next(same, None)
        return None if last is None or last.up else last

    def _alike(self, one: Motion, other: Motion) -> bool:
        """Whether two motions are of the same racks."""
        if one.leaf_w is None or other.leaf_w is None:
            return False
        both_w = _total(np.minimum(one.leaf_w, other.leaf_w))
        most_w = max(_total(m.leaf_w) for m in (one, other))
        return most_w > 0 and both_w >= SAME * most_w

    def _hinted(self, track: CauseTrack, motion: Motion, end_ns: int) -> WorkloadHint | None:
        """The newest announcement that fits in time, direction and racks."""
        for hint in (one.hint for one in reversed(track.hints) if one.from_ns < end_ns):
            if hint and hint.hint != "maintenance" and self._fits(hint, motion):
                return hint
        return None

    def _fits(self, hint: WorkloadHint, motion: Motion) -> bool:
        if hint.cohort_id is not None and hint.cohort_id not in motion.cohort.split("+"):
            return False
        start_ns = hint.t_ns if hint.start_ns is None else hint.start_ns
        rises = {"job_start": True, "job_stop": False, "checkpoint": False}[hint.hint]
        if hint.power_change_w:
            rises = hint.power_change_w > 0
        times_ns = [start_ns] if motion.up == rises else []
        if hint.end_ns is not None and motion.up != rises:
            times_ns.append(hint.end_ns)
        period_ns = round(hint.period_s * NS_PER_S) if hint.period_s else 0
        for at_ns in times_ns:
            late_ns = motion.onset_ns - at_ns
            if period_ns >= NS_PER_S and late_ns > 0:
                late_ns = (late_ns + EARLY_NS) % period_ns - EARLY_NS
            if -EARLY_NS <= late_ns <= LATE_NS:
                return True
        return False


def _total(leaf_w: Any) -> float:
    return float(np.add.reduce(leaf_w))


def _past(track: CauseTrack, motion: Motion) -> list[Motion]:
    """What began before, oldest first; only so long ago that it is still remembered."""
    first_ns = motion.onset_ns - KEPT_NS
    return [m for m in track.motions if first_ns <= m.onset_ns < motion.onset_ns]


def _say(motion: Motion, cause: str, ground: str) -> list[Motion]:
    """Set a motion's cause; what changed."""
    if (motion.cause, motion.confidence) == (cause, CONFIDENCE[ground]):
        return []
    motion.cause, motion.confidence = cause, CONFIDENCE[ground]
    return [motion]


def _with_cause(event: SiteEvent, motion: Motion) -> SiteEvent:
    known = motion.cause != "unknown"
    told: Any = {"cause": motion.cause, "cause_confidence": motion.confidence if known else None}
    return msgspec.structs.replace(event, **told)
