"""What happens once a grid second: windows, state of the POI, and the numbers behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from operators._arrays import in_order
from operators.kernels import Kernels
from pipeline.layout import SiteLayout
from pipeline.side_by_side import as_slice
from schemas.events import Band, Quality, Ramp, SiteState
from schemas.units import NS_PER_S

__all__ = [
    "BANDS_HZ",
    "Second",
    "WindowState",
    "Windows",
    "second_stats",
    "site_state",
]

RACK_WINDOW_S = 10
SPANS_S = (5, 15, 60, 600)
BANDS_HZ = ((0.01, 0.15), (0.15, 1.0), (1.0, 5.0), (5.0, 15.0), (15.0, 55.0))
BAND_NAMES = tuple(f"{low:g}_{high:g}".replace(".", "p") for low, high in BANDS_HZ)


class Second(NamedTuple):
    """One grid second of every node, on the host; arrays are (node,)."""

    end_ns: int
    mean_w: Any
    min_w: Any
    max_w: Any
    rise_w: Any
    """Largest 1-s rise of the second's ticks."""
    fall_w: Any
    share: Any
    synchrony: Any
    """Largest of the second's ticks; 0 where too few moved."""
    bands_w: Any = None
    """(band, node): strongest line of each of `BANDS_HZ`, NaN where none can be seen."""
    together: Any = None
    """How the leaves fall together, as the state tells it (`Together.step`)."""


class Open(NamedTuple):
    """What is known of windows that go on; (node,), bands (band, node), of no node unless seen."""

    total: Any
    """Measured shares of their seconds added up."""
    weighted_w: Any
    """The same, times the mean of each."""
    min_w: Any
    max_w: Any
    rise_w: Any
    fall_w: Any
    synchrony: Any
    """Greatest so far, minus infinity where there is none; bands too."""
    bands_w: Any
    end_ns: int


@dataclasses.dataclass
class WindowState:
    """The racks' open window, None: its first second is still to come; ten minutes of the POI."""

    racks: Open | None
    means_w: Any
    """One-second means."""
    known: Any


def second_stats(
    layout: SiteLayout, parts: dict[str, Any], ends_ns: Sequence[int], kernels: Kernels
) -> list[Second]:
    """Of each of some seconds, of every node: own channel at full rate, sums at tick rate."""
    sums, per_s = layout.unmetered, layout.ticks_per_s
    mean_w, min_w, max_w, share = (np.empty((len(ends_ns), len(layout.nodes))) for _ in range(4))
    some = parts["share"][sums]
    stats = kernels.second_stats(parts["node_w"][sums], some > 0, samples_per_second=per_s)
    for out, found in zip((mean_w, min_w, max_w), stats[:3], strict=True):
        out[:, sums] = found.T
    share[:, sums] = in_order(some.reshape(len(some), -1, per_s)).T / per_s
    for grid in layout.grids:
        x, v = parts[f"x:{grid.level}"], parts[f"v:{grid.level}"]
        *stats, count = kernels.second_stats(x, v, samples_per_second=grid.rate)
        rows, here = layout.own_meters[grid.level]
        for out, found in zip((mean_w, min_w, max_w), stats, strict=True):
            out[:, rows] = found[here].T
        share[:, rows] = count[here].T / grid.rate
    all_ = np.ones(parts["second_w"].shape, bool)
    (least_w, most_w), (_, most) = (
        kernels.second_stats(parts[name], all_, samples_per_second=per_s)[1:3]
        for name in ("second_w", "synchrony")
    )
    rise_w, fall_w = np.maximum(most_w.T, 0.0), np.maximum(-least_w.T, 0.0)
    columns = (mean_w, min_w, max_w, rise_w, fall_w, share, most.T)
    rows = ([end_ns, *(column[k] for column in columns)] for k, end_ns in enumerate(ends_ns))
    return [Second(*row) for row in rows]


class _Kind(NamedTuple):
    """Nodes whose windows are equally long, with their names as Arrow has them."""

    rows: Any
    node_id: pa.Array
    level: pa.Array
    whole_s: int
    seen: bool
    """Some of them are in a feed: they have bands."""


def _kind(layout: SiteLayout, rows: Any, whole_s: int) -> _Kind:
    nodes = [layout.nodes[row] for row in rows]
    node_id, level = (
        pa.array([getattr(node, name) for node in nodes], pa.string()).dictionary_encode()
        for name in ("id", "level")
    )
    seen = layout.small or whole_s != RACK_WINDOW_S
    return _Kind(as_slice(rows), node_id, level, whole_s, seen)


class Windows:
    """Window rows of one site: PDUs and substation every second, racks every ten."""

    def __init__(self, layout: SiteLayout) -> None:
        self._layout = layout
        racks = np.array([node.level == "rack" for node in layout.nodes])
        self._racks = _kind(layout, np.flatnonzero(racks), RACK_WINDOW_S)
        self._others = _kind(layout, np.flatnonzero(~racks), 1)

    def start(self) -> WindowState:
        """Nothing known."""
        return WindowState(None, np.zeros(max(SPANS_S) + 1), np.zeros(max(SPANS_S) + 1, bool))

    def step(self, state: WindowState, second: Second) -> list[dict[str, Any]]:
        """Column sets of the windows that end with this second."""
        top = self._layout.top
        state.means_w = np.append(state.means_w[1:], second.mean_w[top])
        state.known = np.append(state.known[1:], second.share[top] > 0)
        columns = [self._columns(_opened(second, self._others), self._others)]
        racks = _opened(second, self._racks)
        state.racks = racks if state.racks is None else _joined(state.racks, racks)
        if second.end_ns // NS_PER_S % RACK_WINDOW_S == 0:
            columns.append(self.flush(state))
        return [c for c in columns if c]

    def flush(self, state: WindowState) -> dict[str, Any]:
        """Close the racks' window as it stands; a partial one says so by its valid share."""
        racks, state.racks = state.racks, None
        return {} if racks is None else self._columns(racks, self._racks)

    def _columns(self, window: Open, kind: _Kind) -> dict[str, Any]:
        if not len(kind.node_id):
            return {}
        some, window_ns = window.total > 0, kind.whole_s * NS_PER_S
        mean_w = window.weighted_w / np.where(some, window.total, 1.0)
        return {
            "site_id": self._layout.site_id,
            "node_id": kind.node_id,
            "level": kind.level,
            "t0_ns": (window.end_ns - 1) // window_ns * window_ns,
            "duration_ns": window_ns,
            "mean_w": np.where(some, mean_w, np.nan),
            "min_w": np.where(some, window.min_w, np.nan),
            "max_w": np.where(some, window.max_w, np.nan),
            "ramp_up_w_per_s": window.rise_w,
            "ramp_down_w_per_s": window.fall_w,
            "valid_share": window.total / kind.whole_s,
            "produced_ns": window.end_ns,
            "synchrony": _known(window.synchrony),
            **{
                f"band_{name}_w": _known(line_w) if kind.seen else np.full(len(some), np.nan)
                for name, line_w in zip(BAND_NAMES, window.bands_w, strict=True)
            },
        }


def _opened(second: Second, kind: _Kind) -> Open:
    """A window of one second."""
    rows = kind.rows
    share, together = second.share[rows], second.synchrony[rows]
    mean_w, min_w, max_w = (of[rows] for of in (second.mean_w, second.min_w, second.max_w))
    known, bands_w = share > 0, second.bands_w[:, rows] if kind.seen else second.bands_w[:, :0]
    if not known.all():
        share, mean_w = np.where(known, share, 0.0), np.where(known, mean_w, 0.0)
        min_w, max_w = np.where(known, min_w, np.inf), np.where(known, max_w, -np.inf)
    return Open(
        total=share,
        weighted_w=mean_w * share,
        min_w=min_w,
        max_w=max_w,
        rise_w=second.rise_w[rows],
        fall_w=second.fall_w[rows],
        synchrony=np.where(np.isfinite(together) & (together != 0), together, -np.inf),
        bands_w=np.where(np.isfinite(bands_w), bands_w, -np.inf),
        end_ns=second.end_ns,
    )


def _joined(window: Open, new: Open) -> Open:
    """One second more."""
    return Open(
        window.total + new.total,
        window.weighted_w + new.weighted_w,
        np.minimum(window.min_w, new.min_w),
        np.maximum(window.max_w, new.max_w),
        np.maximum(window.rise_w, new.rise_w),
        np.maximum(window.fall_w, new.fall_w),
        np.maximum(window.synchrony, new.synchrony),
        np.maximum(window.bands_w, new.bands_w),
        new.end_ns,
    )


def _known(most: Any) -> Any:
    """NaN where there is none."""
    return np.where(most > -np.inf, most, np.nan)


def ramp_envelope(state: WindowState) -> tuple[Ramp, ...]:
    """Largest rise and fall of the POI's 1-s means between any two seconds of the trailing span."""
    ramps = []
    for span_s in SPANS_S:
        known = state.known[-span_s - 1 :]
        means_w = state.means_w[-span_s - 1 :][known]
        if len(means_w) < 2:
            continue
        rise_w = float((means_w - np.minimum.accumulate(means_w)).max())
        fall_w = float((np.maximum.accumulate(means_w) - means_w).max())
        ramps.append(Ramp(span_s, rise_w, fall_w))
    return tuple(ramps)


class Bands(NamedTuple):
    """What the POI's metering shows of each band this second, and how far up it reaches."""

    bands: tuple[Band, ...]
    highest_hz: float | None


def site_state(
    layout: SiteLayout,
    state: WindowState,
    second: Second,
    bands: Bands | None,
    extra: dict[str, Any],
) -> SiteState:
    """The ``grid.state.v1`` record of the second; ``extra`` holds what other stages know."""
    top, share = layout.top, float(second.share[layout.top])
    warming = extra.pop("warming")
    quality: Quality = "warming" if warming else ("good" if share >= 1.0 else "gap")
    if bands is None:
        bands = Bands(tuple(Band(low, high, observable=False) for low, high in BANDS_HZ), None)
    return SiteState(
        site_id=layout.site_id,
        poi_id=layout.nodes[top].id,
        t_ns=second.end_ns,
        power_w=float(second.mean_w[top]),
        valid_share=share,
        quality=quality,
        ramp_envelope=ramp_envelope(state),
        bands=bands.bands,
        observable_max_hz=bands.highest_hz,
        **extra,
    )
