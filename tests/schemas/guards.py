"""What every record and every message must keep: each guard returns what is wrong, as sentences."""

import json
import re
import types
import typing
from typing import Any

import jsonschema
import msgspec

from schemas import topics
from schemas.contracts import schema_file, schemas_text

SUFFIXES = [
    *("_ns", "_s", "_w", "_v", "_va", "_hz", "_rad", "_w_per_s", "_bytes"),
    *(
        "_share",
        "_pu",
        "_confidence",
        "_ratio",
        "_factor",
        "statistic",
        "threshold",
        "coefficients",
        "clip",
        "synchrony",
        "unison",
        "concentration",
        "effective_sources",
        "x_over_r",
        "value",
    ),
]
"""The unit is the last word; a share, ratio, factor or synchrony has none; `value` has `unit`."""
COUNTS = [
    *("n", "channels", "feeders", "count", "samples", "seq", "size", "order"),
    *("n", "channels", "count", "samples", "seq", "size", "min_group"),
    *("offset", "partition", "sources_at_least", "version"),
]
PROBABILITIES = ["nominal", "coverage", "coverage_1h", "certainty", "coherence", "skill"]
PRIVATE = re.compile(r"rack|job|tenant|cohort|gateway|channel_id|contributor|node")
"""No field of a grid-facing record may be named so."""
QUANTILES = [f"q{p}_w" for p in ("05", "10", "25", "50", "75", "90", "95")]
SCHEMAS = {name: json.loads(text) for name, text in schemas_text().items()}


def parts(kind: Any) -> list[Any]:
    """The types a field's type is made of: `tuple[Ramp, ...] | None` gives Ramp and None."""
    if typing.get_origin(kind) in {typing.Union, types.UnionType, tuple}:
        return [p for inner in typing.get_args(kind) if inner is not ... for p in parts(inner)]
    return [kind]


def fields_of(record: type[msgspec.Struct]) -> dict[tuple[str, str], list[Any]]:
    """Every field of a record and of the records in it: (record, field) to the types within."""
    found: dict[tuple[str, str], list[Any]] = {}
    for name, kind in typing.get_type_hints(record).items():
        found[record.__name__, name] = parts(kind)
        for part in parts(kind):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                found.update(fields_of(part))
    return found


def units(record: type[msgspec.Struct]) -> list[str]:
    """Numeric fields whose name does not end in a unit and is not a known count."""
    return [
        f"{owner}.{name} has no unit"
        for (owner, name), kinds in fields_of(record).items()
        if {int, float} & set(kinds)
        and name not in COUNTS + PROBABILITIES
        and not name.endswith(tuple(SUFFIXES))
    ]


def privacy(record: type[msgspec.Struct]) -> list[str]:
    """Fields of a grid-facing record that would name racks, jobs, channels or tenants."""
    return [
        f"{owner}.{name} is not for the grid"
        for (owner, name), kinds in fields_of(record).items()
        if PRIVATE.search(name) or ("channel" in name and str in kinds)
    ]


def message(topic: topics.Topic, text: str) -> list[str]:
    """What a JSON message breaks: schema, codec, round trip, quantiles, ids."""
    try:
        jsonschema.validate(json.loads(text), SCHEMAS[schema_file(topic)])
        read = msgspec.json.decode(text, type=topics.message_type(topic))
    except (jsonschema.ValidationError, msgspec.ValidationError) as error:
        return [f"{topic.name}: {error}"]
    wrong = []
    if json.loads(msgspec.json.encode(read)) != json.loads(text):
        wrong.append(f"{topic.name}: it does not encode to itself")
    data = json.loads(text).get("data", {})
    for interval in data.get("intervals", ()):
        values = [interval[name] for name in QUANTILES]
        if values != sorted(values):
            wrong.append(f"{topic.name}: quantiles are not monotone")
    return wrong + _ids(topic, json.loads(text), data)


def _ids(topic: topics.Topic, whole: dict[str, Any], data: dict[str, Any]) -> list[str]:
    if topic.envelope != "cloudevent":
        return []
    wrong = []
    if (whole["type"], whole["subject"]) != (topic.name, data["site_id"]):
        wrong.append(f"{topic.name}: type or subject is another's")
    if "event_id" in data:
        family = "oscillation" if data["kind"] == "oscillation" else "ramp"
        rule = rf"{re.escape(data['site_id'])}:{family}:[1-9][0-9]{{18}}:[0-9]+"
        if not re.fullmatch(rule, data["event_id"]):
            wrong.append(f"{topic.name}: event_id breaks site:family:frame_end_ns:rank")
        if whole["id"] != f"{data['event_id']}:{data['updated_ns']}":
            wrong.append(f"{topic.name}: id is not event_id and updated_ns")
        if (data["state"] == "closed") != ("closed_ns" in data):
            wrong.append(f"{topic.name}: closed without closed_ns, or the other way round")
    return wrong
