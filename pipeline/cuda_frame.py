"""The frame kernels of one site or many: tables, launches."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from operators.kernels import Frame, FramePlan, Tree
from pipeline.cuda_launch import Launcher, whole

__all__ = [
    "PLANES",
    "FrameTables",
    "Ring",
    "buffers",
    "bytes_of",
    "compute",
    "cut",
    "push",
    "shapes",
    "tables",
]

PLANES = 8
MOST_MEMBERS = 32**3


class Ring(NamedTuple):
    """The past of every channel; `ramps.RampState` is one whose next tick goes to place 0."""

    tail_w: Any
    """(channel, depth)"""
    tail_valid: Any
    at: Any
    """Where the next tick goes; (1,) int64, on the device."""


class FrameTables(NamedTuple):
    """`FramePlan` of some sites whose frames are worked off by the same launches."""

    first: Any
    index: Any
    leaf_first: Any
    leaf_index: Any
    leaf_of: Any
    """Number of the leaf a channel is, or -1; (channel,) int32."""
    leaf_row: Any
    """Channel of each leaf; (leaf,) int64."""
    counts: Any
    least: Any
    """(node,) float64"""
    watched: Any
    levels: tuple[tuple[int, int], ...]
    """First node of each level and how many; host numbers."""
    per_s: int
    nodes: tuple[Any, ...]
    """Rows of each site's nodes in what comes back, in the order of its plan; host arrays."""


def tables(plans: list[FramePlan], channels: list[int], cupy: Any) -> FrameTables:
    """
    Lay the plans of some sites side by side: channels site by site, nodes level by level.

    Parameters
    ----------
    plans, channels : lists
        One of each a site; all with the same ticks a second.
    cupy : module
        Where the tables go.
    """
    home = cupy.asnumpy
    if len({plan.per_s for plan in plans}) > 1:
        msg = f"sites of {sorted({p.per_s for p in plans})} ticks a second cannot share a launch"
        raise ValueError(msg)
    bounds = [_levels(plan, home) for plan in plans]
    levels, nodes = _numbers(bounds)
    base = np.concatenate([[0], np.cumsum(channels)])
    own, below = (
        _joined([(getattr(p, name), c) for p, c in zip(plans, channels, strict=True)], nodes, home)
        for name in ("tree", "leaf_tree")
    )
    leaf_row = np.concatenate([b + np.arange(*p.leaves) for b, p in zip(base, plans, strict=False)])
    leaf_of = np.full(base[-1], -1, np.int32)
    leaf_of[leaf_row] = np.arange(len(leaf_row))
    total = sum(len(rows) for rows in nodes)
    counts, least = np.ones(total), np.ones(total)
    for plan, rows in zip(plans, nodes, strict=True):
        counts[rows], least[rows] = home(plan.counts), plan.least
    watched = np.concatenate(
        [rows[home(plan.watched)] for plan, rows in zip(plans, nodes, strict=True)]
    )
    up = cupy.asarray
    return FrameTables(
        up(own[0]), up(own[1]), up(below[0]), up(below[1]),
        up(leaf_of), up(leaf_row.astype(np.int64)), up(counts), up(least),
        up(watched.astype(np.int64)), levels, plans[0].per_s, tuple(nodes),
    )  # fmt: skip


def _levels(plan: FramePlan, home: Any) -> Any:
    """Bounds within which the nodes of neither tree need each other."""
    return np.union1d(home(plan.tree.level), home(plan.leaf_tree.level))


def _numbers(bounds: list[Any]) -> tuple[tuple[tuple[int, int], ...], list[Any]]:
    """Levels over all sites, and where each site's nodes stand in them."""
    nodes = [np.zeros(int(bound[-1]), np.int64) for bound in bounds]
    levels, stop = [], 0
    for level in range(max(len(bound) for bound in bounds) - 1):
        start = stop
        for bound, rows in zip(bounds, nodes, strict=True):
            if level + 1 < len(bound):
                low, high = int(bound[level]), int(bound[level + 1])
                rows[low:high] = stop + np.arange(high - low)
                stop += high - low
        levels.append((start, stop - start))
    return tuple(levels), nodes


def _joined(parts: list[tuple[Tree, int]], nodes: list[Any], home: Any) -> tuple[Any, Any]:
    """First member and members of every node over all sites, in their common numbers."""
    channels = sum(count for _, count in parts)
    members: list[Any] = [None] * sum(len(rows) for rows in nodes)
    base = 0
    for (tree, count), rows in zip(parts, nodes, strict=True):
        first, index = home(tree.first), home(tree.index)
        is_node = index >= count
        number = index + base
        number[is_node] = channels + rows[index[is_node] - count]
        for node, row in enumerate(rows):
            members[row] = number[first[node] : first[node + 1]]
        base += count
    sizes = np.array([len(m) for m in members], np.int64)
    if len(sizes) and sizes.max() > MOST_MEMBERS:
        msg = f"a node adds up {sizes.max()} rows, kernels take {MOST_MEMBERS}; put a level between"
        raise ValueError(msg)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    whole_index = np.concatenate([*members, np.zeros(0, np.int64)]).astype(np.int64)
    return first, whole_index if len(whole_index) else np.zeros(1, np.int64)


def shapes(site: FrameTables, ticks: int) -> Frame:
    """Shapes of what comes back; `moved_ok` is of bytes, all else of float64."""
    nodes, watched = site.counts.shape[0], site.watched.shape[0]
    leaves, seconds = site.leaf_row.shape[0], max(ticks // site.per_s, 1)
    node, kept = (nodes, ticks), (watched, ticks)
    return Frame(node, node, kept, kept, node, node, (leaves, seconds))


def cut(flat: Any, wanted: Frame) -> Frame:
    """Arrays of these shapes in one buffer of bytes, so that one copy brings all of them home."""
    parts, start = {}, 0
    for name in sorted(Frame._fields, key="moved_ok".__eq__):  # bytes last: all else stays aligned
        shape = getattr(wanted, name)
        size = math.prod(shape) * (1 if name == "moved_ok" else 8)
        part = flat[start : start + size].view(bool if name == "moved_ok" else np.float64)
        parts[name] = part.reshape(shape)
        start += size
    return Frame(**parts)


def bytes_of(wanted: Frame) -> int:
    """Size of the buffer that `cut` wants."""
    return sum(
        math.prod(shape) * (1 if name == "moved_ok" else 8)
        for name, shape in zip(Frame._fields, wanted, strict=True)
    )


def buffers(cupy: Any, site: FrameTables, channels: int, ticks: int) -> tuple[Any, Any, Frame]:
    """Planes to work in, and what comes back: as bytes, and as the arrays they are."""
    planes = cupy.zeros((PLANES, channels + site.counts.shape[0], ticks))
    wanted = shapes(site, ticks)
    flat = cupy.empty((bytes_of(wanted),), dtype=np.uint8)
    return planes, flat, cut(flat, wanted)


def compute(
    launch: Launcher,
    frame: tuple[Any, Any],
    past: Ring,
    threshold_w: Any,
    site: FrameTables,
    into: tuple[Any, Any, Frame],
) -> None:
    """
    Launch everything of one frame of ``(mean_w, ok)``, (channel, time), into ``into``.

    The order of the launches is the order of the work; nothing is read on the host.
    """
    planes, _, out = into
    (channels, ticks), nodes = frame[0].shape, site.counts.shape[0]
    rows, depth = channels + nodes, past.tail_w.shape[1]
    n, t, r, d, s = (whole(x) for x in (channels, ticks, rows, depth, site.per_s))
    ring = (*frame, past.tail_w, past.tail_valid, past.at)
    launch.threads(
        "frame_planes", channels * ticks, *ring, threshold_w, site.leaf_of, planes, n, r, t, d, s
    )
    trees = (site.first, site.index, site.leaf_first, site.leaf_index)
    for first, count in site.levels:
        launch.warps(
            "tree_sums", count * ticks, planes, *trees, whole(first), whole(count), n, r, t,
            planes=PLANES,
        )  # fmt: skip
    watched = site.watched.shape[0]
    launch.threads(
        "frame_view", max(nodes, watched) * ticks, planes, site.counts, site.least, site.watched,
        out.node_w, out.share, out.second_w, out.synchrony, out.moved_w, out.moved_ok,
        n, whole(nodes), whole(watched), t,
    )  # fmt: skip
    leaves, seconds = out.peak_w.shape
    launch.threads(
        "leaf_peaks", leaves * seconds, *ring, site.leaf_row, out.peak_w, whole(leaves),
        whole(seconds), t, d, s,
    )  # fmt: skip


def push(launch: Launcher, frame: tuple[Any, Any], past: Ring) -> None:
    """Take the frame into the ring; ``past`` is written to."""
    (channels, ticks), depth = frame[0].shape, past.tail_w.shape[1]
    t, d = whole(ticks), whole(depth)
    launch.threads("ring_push", channels * min(ticks, depth), *frame, *past, whole(channels), t, d)
    launch.threads("ring_advance", 1, past.at, t, d)
