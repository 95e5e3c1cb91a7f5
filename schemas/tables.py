"""
The archive's tables: windows, events, states, forecasts and what came of these, waveforms;
topologies and rules beside.

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

from schemas.columns import (
    LEVEL,
    NODE,
    PRODUCED,
    REAL,
    SITE,
    TEXT,
    UTC_NS,
    WHOLE,
    column,
    instant,
    later,
)  # fmt: skip
from schemas.explanations import RULES, TOPOLOGIES, WAVEFORMS

__all__ = [
    "EVENTS",
    "FORECASTS",
    "FORMAT",
    "KEYS",
    "OUTCOMES",
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
FORMAT = 3
"""
Of the archive: its tables and their columns. 2: waveforms, topologies, rules; wider windows. 3:
load loss and causes.
"""
_BANDS = {"0p15_1": "0.15-1", "1_5": "1-5", "5_15": "5-15", "15_55": "15-55"}
_SLOW_BAND = {"0p01_0p15": "0.01-0.15"}

WINDOWS = pa.schema(
    [
        SITE,
        NODE,
        LEVEL,
        instant("t0_ns", "start of the window"),
        column("duration_ns", WHOLE, "ns", "length of the window", known=True),
        column("mean_w", REAL, "W", "mean of the valid samples"),
        column("min_w", REAL, "W", "smallest valid sample"),
        column("max_w", REAL, "W", "largest valid sample"),
        column("ramp_up_w_per_s", REAL, "W/s", "steepest climb within the window"),
        column("ramp_down_w_per_s", REAL, "W/s", "steepest fall within the window"),
        column("valid_share", REAL, "0..1", "share of the window's slots that were measured"),
        PRODUCED,
        *(
            later(2, column(f"band_{name}_w", REAL, "W", f"amplitude in {hertz} Hz, 0 to peak"))
            for name, hertz in {**_SLOW_BAND, **_BANDS}.items()
        ),
        later(2, column("synchrony", REAL, "0..1", "share of moved power that steps together")),
    ]
)

_CONTRIBUTOR = pa.struct([("channel_id", TEXT), ("amplitude_w", REAL), ("phase_rad", REAL)])
_STEP_TEST = pa.struct(
    [
        ("tick_s", REAL),
        ("window_s", REAL),
        ("coefficients", pa.list_(REAL)),
        ("sigma_w", REAL),
        ("baseline_w", REAL),
        ("baseline_s", REAL),
        ("clip", REAL),
    ]
)
_TONE_TEST = pa.struct(
    [
        ("window_s", REAL),
        ("freq_hz", REAL),
        ("rate_hz", REAL),
        ("node_id", TEXT),
        ("channel_id", TEXT),
        ("summed", pa.bool_()),
    ]
)
_DIP = pa.struct(
    [
        ("onset_ns", WHOLE),
        ("end_ns", WHOLE),
        ("residual_pu", REAL),
        ("source", TEXT),
        ("lost_w", REAL),
        ("recovery_s", REAL),
        ("rule", TEXT),
        ("verdict", TEXT),
        ("margin_s", REAL),
    ]
)
_FEEDER = pa.struct([("node_id", TEXT), ("lost_w", REAL)])
_HARMONIC = pa.struct([("order", WHOLE), ("amplitude_w", REAL)])

EVENTS = pa.schema(
    [
        column("event_id", TEXT, "", "site, family, end of the opening frame, rank", known=True),
        column("kind", TEXT, "", "ramp, synchronized_ramp, oscillation or load_loss", known=True),
        SITE,
        NODE,
        LEVEL,
        column("state", TEXT, "", "open, update or closed", known=True),
        instant("onset_ns", "when it began"),
        instant("opened_ns", "newest sample that was needed to open it"),
        instant("updated_ns", "of this row; with event_id the row's key"),
        instant("closed_ns", "when it closed; null while open", known=False),
        later(2, column("statistic", REAL, "1", "what opened it")),
        later(2, column("threshold", REAL, "1", "what the statistic had to pass")),
        later(2, instant("end_ns", "when nine tenths of the depth were reached", known=False)),
        column("depth_w", REAL, "W", "power moved, negative for a drop"),
        column("duration_s", REAL, "s", "length of the ramp"),
        later(2, column("monotone_s", REAL, "s", "until the power first went back")),
        column("ramp_w_per_s", REAL, "W/s", "steepness of the ramp"),
        later(2, column("ramp_error_w_per_s", REAL, "W/s", "its standard error")),
        column("synchrony", REAL, "0..1", "share of the moved power that steps the same way"),
        column("onset_spread_s", REAL, "s", "between the first and the last channel's onset"),
        column("freq_hz", REAL, "Hz", "frequency of the oscillation"),
        column("amplitude_w", REAL, "W", "zero to peak"),
        column("damping_ratio", REAL, "1", "of the oscillation"),
        column("peak_share", REAL, "0..1", "power moved as a share of the authority's peak"),
        column("channels", pa.list_(TEXT), "", "channels that took part"),
        column("contributors", pa.list_(_CONTRIBUTOR), "W, rad", "each channel's part"),
        later(
            2,
            column("step_test", _STEP_TEST, "s, 1, W", "what a step was judged by"),
        ),
        column("quality", TEXT, "", "good, or the reason for doubt", known=True),
        column("merged_into", TEXT, "", "event_id of the event it turned out to be"),
        PRODUCED,
        later(2, column("growth_per_s", REAL, "1/s", "rate at which the amplitude grows")),
        later(2, column("origin", TEXT, "", "forced or natural")),
        later(2, column("harmonics", pa.list_(_HARMONIC), "1, W", "multiples of the frequency")),
        later(2, column("resonance_hz", REAL, "Hz", "the site's configured mode it falls on")),
        later(2, column("ramp_coincidence_factor", REAL, "0..1", "how far moves coincide")),
        later(2, column("effective_sources", REAL, "1", "independent sources as smooth")),
        later(2, column("move_concentration", REAL, "0..1", "Herfindahl index of who moves")),
        later(2, column("unison", REAL, "0..1", "share of the leaves' swing that adds up")),
        later(2, column("averaged", pa.bool_(), "", "no sensor shows this frequency in full")),
        later(2, column("groups", pa.list_(pa.list_(TEXT)), "", "channels that swing together")),
        later(3, column("tone_test", _TONE_TEST, "s, Hz", "what a line was judged by")),
        later(3, column("lost_share", REAL, "0..1", "power lost over the power before")),
        later(3, column("dips", pa.list_(_DIP), "ns, pu, W, s", "voltage dips of a load loss")),
        later(3, column("recovery_s", REAL, "s", "until 0.9 of the power was back")),
        later(3, column("feeders", pa.list_(_FEEDER), "W", "PDUs that lost load")),
        later(3, column("cause", TEXT, "", "job_start, job_end, checkpoint, restart, fault")),
        later(3, column("cause_confidence", REAL, "0..1", "how often such a cause is right")),
    ]
)

_RAMP_SPANS = ("5s", "15s", "60s", "600s")

STATES = pa.schema(
    [
        SITE,
        instant("t_ns", "the second this row describes ends here"),
        column("power_w", REAL, "W", "power of the site"),
        column("reference_w", REAL, "W", "what shares are taken of"),
        column("synchrony", REAL, "0..1", "share of the moved power that steps the same way"),
        column("coincidence_factor", REAL, "0..1", "peak of the sum over sum of the peaks"),
        column("diversity_factor", REAL, "1", "sum of the peaks over peak of the sum"),
        *(
            column(f"ramp_{way}_{span}_w", REAL, "W", f"largest {word} within {span}")
            for span in _RAMP_SPANS
            for way, word in (("up", "climb"), ("down", "fall"))
        ),
        column("valid_share", REAL, "0..1", "share of the slots that were measured"),
        *(
            column(f"band_{name}_w", REAL, "W", f"amplitude in {hertz} Hz, zero to peak")
            for name, hertz in _BANDS.items()
        ),
        column("observable_max_hz", REAL, "Hz", "above this the site cannot be seen"),
        column("quality", TEXT, "", "good, or the reason for doubt", known=True),
        PRODUCED,
        later(2, column("band_0p01_0p15_w", REAL, "W", "amplitude in 0.01-0.15 Hz, zero to peak")),
        later(2, column("ramp_coincidence_factor", REAL, "0..1", "how far moves coincide")),
        later(2, column("effective_sources", REAL, "1", "independent sources as smooth")),
        later(2, column("move_concentration", REAL, "0..1", "Herfindahl index of who moves")),
        later(2, column("unison", REAL, "0..1", "share of the leaves' swing that adds up")),
    ]
)

FORECASTS = pa.schema(
    [
        SITE,
        NODE,
        instant("issued_ns", "when it was made"),
        instant("data_until_ns", "newest data it rests on"),
        instant("valid_until_ns", "not to be used after"),
        column("horizon_class", TEXT, "", "which horizon", known=True),
        instant("start_ns", "start of the interval it speaks of"),
        column("duration_ns", WHOLE, "ns", "length of that interval", known=True),
        column("method", TEXT, "", "how it was made", known=True),
        *(
            column(f"q{level}_w", REAL, "W", f"{level} % quantile of the mean power")
            for level in ("05", "10", "25", "50", "75", "90", "95")
        ),
        column("coverage_90", REAL, "0..1", "share of past outcomes between q05 and q95"),
        column("coverage_n", WHOLE, "1", "past outcomes counted"),
        PRODUCED,
    ]
)

OUTCOMES = pa.schema(
    [
        SITE,
        NODE,
        instant("issued_ns", "when the forecast was made"),
        column("horizon_class", TEXT, "", "which horizon", known=True),
        instant("start_ns", "start of the interval; with these columns the forecast's key"),
        column("outcome_w", REAL, "W", "mean power that came", known=True),
        column("crps_w", REAL, "W", "loss of what was forecast, 2 x mean pinball", known=True),
        column("persistence_w", REAL, "W", "the same of probabilistic persistence", known=True),
        column("climatology_w", REAL, "W", "the same of climatology", known=True),
        column("seasonal_w", REAL, "W", "the same of the last periods' phase", known=True),
        column("covered", pa.bool_(), "", "it lay between q05 and q95", known=True),
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
    "outcomes": OUTCOMES,
}

KEYS: dict[str, tuple[str, ...]] = {
    "windows": ("site_id", "node_id", "level", "t0_ns"),
    "events": ("event_id", "updated_ns"),
    "states": ("site_id", "t_ns"),
    "forecasts": ("site_id", "node_id", "issued_ns", "method", "horizon_class", "start_ns"),
    "waveforms": ("site_id", "channel_id", "quantity", "t0_ns"),
    "topologies": ("site_id", "digest", "valid_from_ns"),
    "rules": ("site_id", "digest", "valid_from_ns"),
    "outcomes": ("site_id", "node_id", "issued_ns", "horizon_class", "start_ns"),
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
