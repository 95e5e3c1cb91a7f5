"""
The archive's tables: windows, events, states, forecasts, waveforms; topologies and rules beside.

Each column carries its ``unit`` and ``doc`` as metadata. Instants (unit `UTC_NS`) are BIGINT
nanoseconds since 1970, UTC, and get a ``*_utc`` twin in the views. Every table has ``site_id``
and ``produced_ns``, the end of the frame that made the row: what makes a replay harmless.

A column that came later says with which `FORMAT` (``since``). A file's name says which columns it
has (`file_stem`), so that old files stay as they are and views fill in what they lack.
"""

from __future__ import annotations

import functools
from typing import Any

import pyarrow as pa

__all__ = [
    "EVENTS",
    "FORECASTS",
    "FORMAT",
    "KEYS",
    "RULES",
    "STATES",
    "TABLES",
    "TOPOLOGIES",
    "UTC_NS",
    "VERSION",
    "WAVEFORMS",
    "WINDOWS",
    "file_stem",
    "file_stems",
]

VERSION = 1
"""Of ``commit.json``."""
FORMAT = 2
"""Of the archive: its tables and their columns. 2: waveforms, topologies, rules; wider windows."""
UTC_NS = "ns since 1970, UTC"

TEXT, WHOLE, REAL = pa.string(), pa.int64(), pa.float64()


def _column(name: str, kind: Any, unit: str, doc: str, *, known: bool = False) -> Any:
    """Column with its unit and meaning; ``known`` columns are never null."""
    return pa.field(name, kind, nullable=not known, metadata={"unit": unit, "doc": doc})


def _later(since: int, column: Any) -> Any:
    """Column that archives before this format do not have; never a known one."""
    return column.with_metadata({**column.metadata, "since": str(since)})


def _instant(name: str, doc: str, *, known: bool = True) -> Any:
    """Column of instants."""
    return _column(name, WHOLE, UTC_NS, doc, known=known)


SITE = _column("site_id", TEXT, "", "everything behind one grid connection", known=True)
NODE = _column("node_id", TEXT, "", "rack, PDU or substation of the site", known=True)
LEVEL = _column("level", TEXT, "", "rack, pdu or substation", known=True)
PRODUCED = _instant("produced_ns", "end of the frame that made the row")
_BANDS = {"0p15_1": "0.15-1", "1_5": "1-5", "5_15": "5-15", "15_55": "15-55"}

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
        *(
            _later(2, _column(f"band_{name}_w", REAL, "W", f"amplitude in {hertz} Hz, 0 to peak"))
            for name, hertz in _BANDS.items()
        ),
        _later(2, _column("synchrony", REAL, "0..1", "share of moved power that steps together")),
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

WAVEFORMS = pa.schema(
    [
        SITE,
        _column("channel_id", TEXT, "", "metering point", known=True),
        NODE,
        LEVEL,
        _column("quantity", TEXT, "", "power", known=True),
        _instant("t0_ns", "time of the first sample; sample i lies at t0 + round(i / rate)"),
        _instant("end_ns", "end of the last sample's slot"),
        _column("rate_hz", TEXT, "Hz", "whole number, or 1/n", known=True),
        _column("n", WHOLE, "1", "samples, missing ones included", known=True),
        _column("scale_w", REAL, "W", "sample = offset_w + scale_w * code, rounded to float32"),
        _column("offset_w", REAL, "W", "null where samples_w holds the samples"),
        _column("codes", pa.list_(pa.int32()), "scale_w", "null in the list: not measured"),
        _column("samples_w", pa.list_(pa.float32()), "W", "where no grid holds the samples"),
        PRODUCED,
    ]
)
"""Raw samples around events: one channel's block of slots without a break, 10 s at most."""

_NODE = pa.struct(
    [
        ("node_id", TEXT),
        ("level", TEXT),
        ("parent", TEXT),
        ("rating_w", REAL),
        ("cohorts", pa.list_(TEXT)),
    ]
)
_CHANNEL = pa.struct(
    [
        ("channel_id", TEXT),
        ("node_id", TEXT),
        ("level", TEXT),
        ("gateway_id", TEXT),
        ("rate_hz", TEXT),
        ("resolution_w", REAL),
        ("averaging_s", REAL),
        ("poll_s", REAL),
    ]
)

TOPOLOGIES = pa.schema(
    [
        SITE,
        _column("digest", TEXT, "", "sha256 of site_file", known=True),
        _instant("valid_from_ns", "end of the first frame computed with it"),
        _column("authority", TEXT, "", "balancing authority"),
        _column("authority_peak_w", REAL, "W", "what peak_share is taken of"),
        _column("nodes", pa.list_(_NODE), "", "racks, PDUs and the substation", known=True),
        _column(
            "channels", pa.list_(_CHANNEL), "", "metering points and their gateways", known=True
        ),
        _column("site_file", TEXT, "", "the site as TOML, every entry written out", known=True),
        PRODUCED,
    ]
)

RULES = pa.schema(
    [
        SITE,
        _column("digest", TEXT, "", "sha256 of version and settings", known=True),
        _instant("valid_from_ns", "end of the first frame computed with them"),
        _column(
            "software_version", TEXT, "", "of lockstep; source where not installed", known=True
        ),
        _column("pre_s", REAL, "s", "samples kept from before an event's onset"),
        _column("post_s", REAL, "s", "and from after its close"),
        _column("settings", TEXT, "", "JSON: {detect: …, evidence: …}", known=True),
        PRODUCED,
    ]
)

TABLES: dict[str, Any] = {
    "windows": WINDOWS,
    "events": EVENTS,
    "states": STATES,
    "forecasts": FORECASTS,
    "waveforms": WAVEFORMS,
    "topologies": TOPOLOGIES,
    "rules": RULES,
}

KEYS: dict[str, tuple[str, ...]] = {
    "windows": ("site_id", "node_id", "level", "t0_ns"),
    "events": ("event_id", "updated_ns"),
    "states": ("site_id", "t_ns"),
    "forecasts": ("site_id", "node_id", "issued_ns", "method", "horizon_class", "start_ns"),
    "waveforms": ("site_id", "channel_id", "quantity", "t0_ns"),
    "topologies": ("site_id", "digest", "valid_from_ns"),
    "rules": ("site_id", "digest", "valid_from_ns"),
}
"""What identifies a row; no archive holds two rows of one key."""


@functools.cache
def file_stem(table: str, form: int = FORMAT) -> str:
    """Name, without suffix, of the files that an archive of this format writes: ``windows-2``."""
    return [stem for stem, (since, _) in file_stems(table).items() if since <= form][-1]


@functools.cache
def file_stems(table: str) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Names of a table's files, oldest first, each with its format and the columns it has."""
    schema = TABLES[table]
    since = {f.name: int(f.metadata.get(b"since", b"1")) for f in schema}
    return {
        table if form == 1 else f"{table}-{form}": (
            form,
            tuple(name for name, at in since.items() if at <= form),
        )
        for form in sorted({1, *since.values()})
    }
