"""A site's arrays, planned once from its topology: levels, ticks, rows, nodes and sums."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from operators import segments
from pipeline.side_by_side import as_slice
from schemas.topology import LEVELS, Topology
from schemas.units import NS_PER_S, Rate

__all__ = ["LevelGrid", "NodeRow", "SiteLayout", "above"]

FRAME_MIN_S = 0.1
SMALL_SITE_CHANNELS = 64


class LevelGrid(NamedTuple):
    """
    One level's grid: ``rate`` slots a second, of which every ``stride``-th is a sample.

    A level with fewer samples than ticks holds each sample until the next is due. ``votes``:
    levels slower than 1 Hz give windows and state, and take no part in events.
    """

    level: str
    rate: int
    stride: int
    per_tick: int
    channels: int
    gap_slots: int
    votes: bool

    def slot_at(self, time_ns: int) -> int:
        """The slot that begins at a tick's boundary."""
        return (2 * time_ns * self.rate + NS_PER_S) // (2 * NS_PER_S)


class NodeRow(NamedTuple):
    """One node as a row of the node arrays. ``parent`` and ``children`` are node rows."""

    id: str
    level: str
    parent: int
    children: tuple[int, ...]
    channels: tuple[int, ...]
    rating_w: float | None


def _frame_samples(rate: int) -> int:
    """The smallest whole number of samples that spans 100 ms and divides a second."""
    return next(n for n in range(1, rate + 1) if rate % n == 0 and n / rate >= FRAME_MIN_S)


def _ticks_per_s(rates: list[int]) -> int:
    """Ticks of a site: as many as the fastest level has frames, if every level fits that grid."""
    frames = [rate // _frame_samples(rate) for rate in rates]
    most = max(frames, default=1)
    if all(rate % most == 0 or most % rate == 0 for rate in rates):
        return most
    return math.gcd(*frames)


class SiteLayout:
    """
    Rows and grids of one site.

    Channels of all levels form one stack of rows (rack, then pdu, then substation); the node
    arrays follow ``nodes`` (rack nodes, then PDUs, then the substation). A site tick is a frame of
    the fastest level, where the others fit its grid (else the shortest time in which every level
    has whole frames); it divides a second.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.site_id = topology.site.id
        rates = {level: topology.level_rate[level] for level in topology.levels}
        self.ticks_per_s = _ticks_per_s([r.samples for r in rates.values() if r.seconds == 1])
        self.tick_ns = NS_PER_S // self.ticks_per_s
        self.grids = tuple(self._grid(level, rates[level]) for level in topology.levels)
        self.grid_of = {grid.level: grid for grid in self.grids}
        self.channel_ids = tuple(
            c.id for level in topology.levels for c in topology.level_channels[level]
        )
        self.nodes = _nodes(topology)
        self._leaves_under: dict[int, Any] = {}
        self.row_of = {node.id: row for row, node in enumerate(self.nodes)}

    def _grid(self, level: str, rate: Rate) -> LevelGrid:
        ticks = self.ticks_per_s
        inner = rate.samples if rate.seconds == 1 and rate.samples % ticks == 0 else ticks
        stride = inner * rate.seconds // rate.samples
        channels = len(self.topology.level_channels[level])
        gap_slots = max(math.ceil(inner / 2), 5 * stride)
        votes = rate.seconds == 1
        return LevelGrid(level, inner, stride, inner // ticks, channels, gap_slots, votes)

    def tick_ends_ns(self, t0_ns: int, ticks: int) -> Any:
        """Ends of the ticks from ``t0_ns`` on, (time,) int64; the last of a second ends with it."""
        ends = t0_ns + self.tick_ns * np.arange(1, ticks + 1, dtype=np.int64)
        short = (-ends) % NS_PER_S
        return np.where(short < self.ticks_per_s, ends + short, ends)

    @cached_property
    def pace(self) -> int:
        """How much slower than ten ticks a second the site is; spans of ticks grow by it."""
        return max(1, round(10 / self.ticks_per_s))

    @cached_property
    def leaf_grid(self) -> LevelGrid:
        """Grid of the lowest level that votes (of the lowest, where none does)."""
        return next((grid for grid in self.grids if grid.votes), self.grids[0])

    @cached_property
    def leaves(self) -> range:
        """Channel rows of the lowest level that votes."""
        rows = self.level_rows[self.leaf_grid.level]
        return range(rows.start, rows.stop)

    @cached_property
    def channel_nodes(self) -> Any:
        """Node row behind each channel row, (channel,) int."""
        owner = {c: row for row, node in enumerate(self.nodes) for c in node.channels}
        return np.array([owner[c] for c in range(len(self.channel_ids))], dtype=np.int64)

    @cached_property
    def sensors(self) -> dict[str, tuple[float, float]]:
        """Averaging window and poll interval in s of the channels whose entries name either."""
        return {
            c.id: (c.averaging_s or 0.0, c.poll_s or 0.0)
            for c in self.topology.channels
            if c.averaging_s or c.poll_s
        }

    @cached_property
    def own_meters(self) -> dict[str, tuple[Any, Any]]:
        """By level: node rows with exactly one channel of it, and that channel within the level."""
        found = {}
        for level, rows in self.level_rows.items():
            pairs = [
                (row, node.channels[0] - rows.start)
                for row, node in enumerate(self.nodes)
                if len(node.channels) == 1 and rows.start <= node.channels[0] < rows.stop
            ]
            table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
            found[level] = (as_slice(table[:, 0]), as_slice(table[:, 1]))
        return found

    @cached_property
    def unmetered(self) -> Any:
        """Node rows without a meter of their own: a sum, or several meters'; never none at all."""
        metered = np.zeros(len(self.nodes), bool)
        for rows, _ in self.own_meters.values():
            metered[rows] = True
        return np.flatnonzero(~metered) if not metered.all() else np.array([self.top])

    @cached_property
    def small(self) -> bool:
        """Sites of at most 64 channels get the full detector set on every channel."""
        return len(self.channel_ids) <= SMALL_SITE_CHANNELS

    @cached_property
    def top(self) -> int:
        """Node row of the substation."""
        return len(self.nodes) - 1

    @cached_property
    def watched(self) -> tuple[int, ...]:
        """Node rows on which ramps are detected."""
        return tuple(
            row for row, node in enumerate(self.nodes) if self.small or node.level != "rack"
        )

    @cached_property
    def level_rows(self) -> dict[str, slice]:
        """Channel rows of each level within the stack."""
        rows, start = {}, 0
        for grid in self.grids:
            rows[grid.level] = slice(start, start + grid.channels)
            start += grid.channels
        return rows

    @cached_property
    def sum_plans(self) -> tuple[segments.Segments, ...]:
        """Node power, level by level: a node's own channels where it has any, else its children."""
        return self._plans(lambda node: node.channels or self._child_rows(node))

    @cached_property
    def leaf_plans(self) -> tuple[segments.Segments, ...]:
        """What the leaves add up to at every node, whether or not the node is metered itself."""
        leaf_level = LEVELS.index(self.leaf_grid.level)
        return self._plans(
            lambda node: (
                node.channels
                if LEVELS.index(node.level) <= leaf_level
                else self._child_rows(node) or node.channels
            )
        )

    def _child_rows(self, node: NodeRow) -> tuple[int, ...]:
        return tuple(len(self.channel_ids) + child for child in node.children)

    def _plans(
        self, members: Callable[[NodeRow], tuple[int, ...]]
    ) -> tuple[segments.Segments, ...]:
        plans, rows_before = [], len(self.channel_ids)
        for level in LEVELS:
            groups = [members(node) for node in self.nodes if node.level == level]
            if groups:
                plans.append(segments.plan(groups, rows_before))
            rows_before += len(groups)
        return tuple(plans)

    @cached_property
    def summed(self) -> tuple[int, ...]:
        """Node rows above the racks without a channel of their own."""
        return tuple(
            row for row, node in enumerate(self.nodes) if not node.channels and node.children
        )

    @cached_property
    def counts(self) -> Any:
        """Channel rows behind each node, shape (node,)."""
        total = np.zeros(len(self.nodes))
        for row, node in enumerate(self.nodes):
            total[row] = len(node.channels) or sum(total[c] for c in node.children)
        return np.maximum(total, 1.0)

    @cached_property
    def resolution_w(self) -> dict[str, float]:
        """Channel to what its meter resolves, W, where the site file states it."""
        named = ((c.id, c.resolution_w) for c in self.topology.channels)
        return {name: step_w for name, step_w in named if step_w is not None}

    @cached_property
    def digest(self) -> str:
        """Hash of the site file as written out: part of the state's layout."""
        return hashlib.sha256(self.topology.dumps().encode()).hexdigest()

    def leaves_under(self, row: int) -> Any:
        """Channel rows of the leaves behind a node, (n,) int."""
        found = self._leaves_under.get(row)
        if found is None:
            node = self.nodes[row]
            below = [self.leaves_under(child) for child in node.children]
            own = [c for c in node.channels if c in self.leaves]
            found = np.concatenate([np.array(own, dtype=np.int64), *below])
            self._leaves_under[row] = found
        return found

    def ancestor(self, rows: list[int]) -> int:
        """The lowest node above (or at) all the given node rows."""
        paths = [[row, *above(self.nodes, row)][::-1] for row in rows]
        common = [steps[0] for steps in zip(*paths, strict=False) if len(set(steps)) == 1]
        return common[-1]


def above(nodes: Sequence[NodeRow], row: int) -> Iterator[int]:
    """Nodes above one, the nearest first."""
    while (row := nodes[row].parent) >= 0:
        yield row


def _nodes(topology: Topology) -> tuple[NodeRow, ...]:
    """Nodes by level, in the file's order; nodes that no channel feeds stay out."""
    channel_row: dict[str, list[int]] = {}
    names = [c for level in topology.levels for c in topology.level_channels[level]]
    for row, channel in enumerate(names):
        channel_row.setdefault(channel.node_id, []).append(row)
    fed = set(channel_row)
    for level in LEVELS:
        for node in topology.nodes:
            if node.level == level and node.id in fed and node.parent is not None:
                fed.add(node.parent)
    order = [n for level in LEVELS for n in topology.nodes if n.level == level and n.id in fed]
    row_of = {node.id: row for row, node in enumerate(order)}
    children: dict[str, list[int]] = {}
    for node in order:
        if node.parent is not None:
            children.setdefault(node.parent, []).append(row_of[node.id])
    return tuple(
        NodeRow(
            node.id,
            node.level,
            -1 if node.parent is None else row_of[node.parent],
            tuple(children.get(node.id, ())),
            tuple(channel_row.get(node.id, ())),
            node.rating_w,
        )
        for node in order
    )
