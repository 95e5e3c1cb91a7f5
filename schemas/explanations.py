"""Tables that explain the others: raw samples around events, site files, rules in force."""

from __future__ import annotations

import pyarrow as pa

from schemas.columns import LEVEL, NODE, PRODUCED, REAL, SITE, TEXT, WHOLE, column, instant

__all__ = ["RULES", "TOPOLOGIES", "WAVEFORMS"]

WAVEFORMS = pa.schema(
    [
        SITE,
        column("channel_id", TEXT, "", "metering point", known=True),
        NODE,
        LEVEL,
        column("quantity", TEXT, "", "power", known=True),
        instant("t0_ns", "time of the first sample; sample i lies at t0 + round(i / rate)"),
        instant("end_ns", "end of the last sample's slot"),
        column("rate_hz", TEXT, "Hz", "whole number, or 1/n", known=True),
        column("n", WHOLE, "1", "samples, missing ones included", known=True),
        column("scale_w", REAL, "W", "sample = offset_w + scale_w * code, rounded to float32"),
        column("offset_w", REAL, "W", "null where samples_w holds the samples"),
        column("codes", pa.list_(pa.int32()), "scale_w", "null in the list: not measured"),
        column("samples_w", pa.list_(pa.float32()), "W", "where no grid holds the samples"),
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
        column("digest", TEXT, "", "sha256 of site_file", known=True),
        instant("valid_from_ns", "end of the first frame computed with it"),
        column("authority", TEXT, "", "balancing authority"),
        column("authority_peak_w", REAL, "W", "what peak_share is taken of"),
        column("nodes", pa.list_(_NODE), "", "racks, PDUs and the substation", known=True),
        column(
            "channels", pa.list_(_CHANNEL), "", "metering points and their gateways", known=True
        ),
        column("site_file", TEXT, "", "the site as TOML, every entry written out", known=True),
        PRODUCED,
    ]
)

RULES = pa.schema(
    [
        SITE,
        column("digest", TEXT, "", "sha256 of version and settings", known=True),
        instant("valid_from_ns", "end of the first frame computed with them"),
        column("software_version", TEXT, "", "of lockstep; source where not installed", known=True),
        column("pre_s", REAL, "s", "samples kept from before an event's onset"),
        column("post_s", REAL, "s", "and from after its close"),
        column("settings", TEXT, "", "JSON: {detect: …, evidence: …}", known=True),
        PRODUCED,
    ]
)
