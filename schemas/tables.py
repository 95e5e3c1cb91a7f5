"""
The archive's tables: windows, events, states, forecasts, and what came of these.

Each column carries its ``unit`` and ``doc`` as metadata. Instants (unit `UTC_NS`) are BIGINT
nanoseconds since 1970, UTC, and get a ``*_utc`` twin in the views. Every table has ``site_id``
and ``produced_ns``, the end of the frame that made the row: what makes a replay harmless.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = [
    "EVENTS",
    "FORECASTS",
    "KEYS",
    "OUTCOMES",
    "STATES",
    "TABLES",
    "UTC_NS",
    "VERSION",
    "WINDOWS",
]

VERSION = 1
UTC_NS = "ns since 1970, UTC"

TEXT, WHOLE, REAL = pa.string(), pa.int64(), pa.float64()


def _column(name: str, kind: Any, unit: str, doc: str, *, known: bool = False) -> Any:
    """Column with its unit and meaning; ``known`` columns are never null."""
    return pa.field(name, kind, nullable=not known, metadata={"unit": unit, "doc": doc})


def _instant(name: str, doc: str, *, known: bool = True) -> Any:
    """Column of instants."""
    return _column(name, WHOLE, UTC_NS, doc, known=known)


SITE = _column("site_id", TEXT, "", "everything behind one grid connection", known=True)
NODE = _column("node_id", TEXT, "", "rack, PDU or substation of the site", known=True)
LEVEL = _column("level", TEXT, "", "rack, pdu or substation", known=True)
PRODUCED = _instant("produced_ns", "end of the frame that made the row")

WINDOWS = pa.schema(
    [
        SITE,
        NODE,
        LEVEL,
        _instant("t0_ns", "start of the window"),
        _column("duration_ns", WHOLE, "ns", "length of the window", known=True),
        _column("mean_w", REAL, "W", "mean of the valid samples"),
        _column("min_w", REAL, "W", "smallest valid sample"),
        _column("max_w", REAL, "W", "largest valid sample"),
        _column("ramp_up_w_per_s", REAL, "W/s", "steepest climb within the window"),
        _column("ramp_down_w_per_s", REAL, "W/s", "steepest fall within the window"),
        _column("valid_share", REAL, "0..1", "share of the window's slots that were measured"),
        PRODUCED,
    ]
)

_CONTRIBUTOR = pa.struct([("channel_id", TEXT), ("amplitude_w", REAL), ("phase_rad", REAL)])

EVENTS = pa.schema(
    [
        _column("event_id", TEXT, "", "site, family, end of the opening frame, rank", known=True),
        _column("kind", TEXT, "", "ramp, synchronized_ramp, oscillation or load_loss", known=True),
        SITE,
        NODE,
        LEVEL,
        _column("state", TEXT, "", "open, update or closed", known=True),
        _instant("onset_ns", "when it began"),
        _instant("opened_ns", "newest sample that was needed to open it"),
        _instant("updated_ns", "of this row; with event_id the row's key"),
        _instant("closed_ns", "when it closed; null while open", known=False),
        _column("depth_w", REAL, "W", "power moved, negative for a drop"),
        _column("duration_s", REAL, "s", "length of the ramp"),
        _column("ramp_w_per_s", REAL, "W/s", "steepness of the ramp"),
        _column("synchrony", REAL, "0..1", "share of the moved power that steps the same way"),
        _column("onset_spread_s", REAL, "s", "between the first and the last channel's onset"),
        _column("freq_hz", REAL, "Hz", "frequency of the oscillation"),
        _column("amplitude_w", REAL, "W", "zero to peak"),
        _column("damping_ratio", REAL, "1", "of the oscillation"),
        _column("peak_share", REAL, "0..1", "power moved as a share of the authority's peak"),
        _column("channels", pa.list_(TEXT), "", "channels that took part"),
        _column("contributors", pa.list_(_CONTRIBUTOR), "W, rad", "each channel's part"),
        _column("quality", TEXT, "", "good, or the reason for doubt", known=True),
        _column("merged_into", TEXT, "", "event_id of the event it turned out to be"),
        PRODUCED,
    ]
)

_RAMP_SPANS = ("5s", "15s", "60s", "600s")
_BANDS = {"0p15_1": "0.15-1", "1_5": "1-5", "5_15": "5-15", "15_55": "15-55"}

STATES = pa.schema(
    [
        SITE,
        _instant("t_ns", "the second this row describes ends here"),
        _column("power_w", REAL, "W", "power of the site"),
        _column("reference_w", REAL, "W", "what shares are taken of"),
        _column("synchrony", REAL, "0..1", "share of the moved power that steps the same way"),
        _column("coincidence_factor", REAL, "0..1", "peak of the sum over sum of the peaks"),
        _column("diversity_factor", REAL, "1", "sum of the peaks over peak of the sum"),
        *(
            _column(f"ramp_{way}_{span}_w", REAL, "W", f"largest {word} within {span}")
            for span in _RAMP_SPANS
            for way, word in (("up", "climb"), ("down", "fall"))
        ),
        _column("valid_share", REAL, "0..1", "share of the slots that were measured"),
        *(
            _column(f"band_{name}_w", REAL, "W", f"amplitude in {hertz} Hz, zero to peak")
            for name, hertz in _BANDS.items()
        ),
        _column("observable_max_hz", REAL, "Hz", "above this the site cannot be seen"),
        _column("quality", TEXT, "", "good, or the reason for doubt", known=True),
        PRODUCED,
    ]
)

FORECASTS = pa.schema(
    [
        SITE,
        NODE,
        _instant("issued_ns", "when it was made"),
        _instant("data_until_ns", "newest data it rests on"),
        _instant("valid_until_ns", "not to be used after"),
        _column("horizon_class", TEXT, "", "which horizon", known=True),
        _instant("start_ns", "start of the interval it speaks of"),
        _column("duration_ns", WHOLE, "ns", "length of that interval", known=True),
        _column("method", TEXT, "", "how it was made", known=True),
        *(
            _column(f"q{level}_w", REAL, "W", f"{level} % quantile of the mean power")
            for level in ("05", "10", "25", "50", "75", "90", "95")
        ),
        _column("coverage_90", REAL, "0..1", "share of past outcomes between q05 and q95"),
        _column("coverage_n", WHOLE, "1", "past outcomes counted"),
        PRODUCED,
    ]
)

OUTCOMES = pa.schema(
    [
        SITE,
        NODE,
        _instant("issued_ns", "when the forecast was made"),
        _column("horizon_class", TEXT, "", "which horizon", known=True),
        _instant("start_ns", "start of the interval; with these columns the forecast's key"),
        _column("outcome_w", REAL, "W", "mean power that came", known=True),
        _column("crps_w", REAL, "W", "loss of what was forecast, 2 x mean pinball", known=True),
        _column("persistence_w", REAL, "W", "the same of probabilistic persistence", known=True),
        _column("climatology_w", REAL, "W", "the same of climatology", known=True),
        _column("seasonal_w", REAL, "W", "the same of the last periods' phase", known=True),
        _column("covered", pa.bool_(), "", "it lay between q05 and q95", known=True),
        PRODUCED,
    ]
)

TABLES: dict[str, Any] = {
    "windows": WINDOWS,
    "events": EVENTS,
    "states": STATES,
    "forecasts": FORECASTS,
    "outcomes": OUTCOMES,
}

KEYS: dict[str, tuple[str, ...]] = {
    "windows": ("site_id", "node_id", "level", "t0_ns"),
    "events": ("event_id", "updated_ns"),
    "states": ("site_id", "t_ns"),
    "forecasts": ("site_id", "node_id", "issued_ns", "method", "horizon_class", "start_ns"),
    "outcomes": ("site_id", "node_id", "issued_ns", "horizon_class", "start_ns"),
}
"""What identifies a row; no archive holds two rows of one key."""
