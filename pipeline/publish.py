"""What a site's outcome looks like on the topics and in the archive's tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.outlook_privacy import bucket, kept_horizons, withheld
from schemas.events import DeadLetter, GridEvent, SiteEvent, SiteState
from schemas.forecasts import Forecast, ForecastOutcome
from schemas.tables import TABLES, WINDOWS
from schemas.topics import cloud_event

__all__ = ["Outgoing", "grid_event", "messages", "tables", "window_batch"]

CLOUD = "application/cloudevents+json"
JSON = "application/json"


class Outgoing(NamedTuple):
    """One message to publish."""

    topic: str
    key: bytes
    value: bytes
    content_type: str


def grid_event(event: SiteEvent, poi_id: str) -> GridEvent:
    """The event as the grid may see it: the POI, a bucketed count, no rack, job or tenant."""
    fields = msgspec.structs.asdict(event)
    for private in (
        "node_id",
        "level",
        "contributors",
        "channels",
        "groups",
        "step_test",
        "tone_test",
        "feeders",
    ):
        del fields[private]
    count = bucket(len(event.channels or event.contributors or ()))
    feeders = bucket(len(event.feeders or ()))
    return GridEvent(poi_id=poi_id, channels=count or None, feeders=feeders or None, **fields)


def messages(record: Any, poi_id: str) -> Iterable[Outgoing]:
    """The messages of one record; the CloudEvents id is what consumers drop repeats by."""
    if isinstance(record, SiteEvent):
        id_ = f"{record.event_id}:{record.updated_ns}"
        yield _cloud("site.event.v1", record, id_, record.updated_ns)
        yield _cloud("grid.event.v1", grid_event(record, poi_id), id_, record.updated_ns)
    elif isinstance(record, SiteState):
        yield _cloud("grid.state.v1", record, f"{record.site_id}:state:{record.t_ns}", record.t_ns)
    elif isinstance(record, Forecast) and not withheld(record):
        id_ = f"{record.site_id}:{record.horizon_class}:{record.issued_ns}"
        yield _cloud("grid.forecast.v1", record, id_, record.issued_ns)
    elif isinstance(record, DeadLetter):
        key = f"{record.topic}-{record.partition}-{record.offset}".encode()
        yield Outgoing("telemetry.deadletter.v1", key, msgspec.json.encode(record), JSON)


def _cloud(topic: str, record: Any, id_: str, time_ns: int) -> Outgoing:
    value = cloud_event(topic, record, id_=id_, time_ns=time_ns)
    return Outgoing(topic, record.site_id.encode(), value, CLOUD)


def window_batch(columns: dict[str, Any]) -> pa.RecordBatch:
    """One set of window columns as Arrow; NaN becomes null, single values fill their column."""
    count = len(columns["node_id"])
    fields = [field for field in WINDOWS if field.name in columns]
    arrays = [_filled(columns[field.name], count, field.type) for field in fields]
    schema = [f.with_type(a.type) for f, a in zip(fields, arrays, strict=True)]
    return pa.record_batch(arrays, schema=pa.schema(schema))


def _filled(value: Any, count: int, kind: Any) -> Any:
    if isinstance(value, pa.Array):
        return value
    if isinstance(value, str):
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [value])
    if isinstance(value, np.ndarray):
        return pa.array(value, kind, from_pandas=True)
    return pa.array(np.full(count, value), kind)


def tables(records: Iterable[tuple[Any, int]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the archive's tables from records and the frame end that made each."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES if name != "windows"}
    for record, produced_ns in records:
        if isinstance(record, SiteEvent):
            rows["events"].append({**msgspec.to_builtins(record), "produced_ns": produced_ns})
        elif isinstance(record, SiteState):
            rows["states"].append({**_state_row(record), "produced_ns": produced_ns})
        elif isinstance(record, Forecast):
            rows["forecasts"] += [{**r, "produced_ns": produced_ns} for r in _forecast_rows(record)]
        elif isinstance(record, ForecastOutcome):
            row = msgspec.structs.asdict(record)
            row["produced_ns"] = row.pop("t_ns")
            rows["outcomes"].append(row)
    return {name: found for name, found in rows.items() if found}


def _state_row(state: SiteState) -> dict[str, Any]:
    row = msgspec.to_builtins(state)
    for name in ("poi_id", "ramp_envelope", "bands"):
        row.pop(name, None)
    for ramp in state.ramp_envelope:
        row[f"ramp_up_{ramp.window_s}s_w"] = ramp.up_w
        row[f"ramp_down_{ramp.window_s}s_w"] = ramp.down_w
    for band in state.bands:
        low, high = (f"{edge:g}".replace(".", "p") for edge in (band.low_hz, band.high_hz))
        row[f"band_{low}_{high}_w"] = band.amplitude_w
    return row


def _forecast_rows(forecast: Forecast) -> Iterable[dict[str, Any]]:
    """The intervals the archive keeps; horizons without a record have no coverage."""
    intervals = forecast.intervals
    ends_s = [(i.start_ns + i.duration_ns - forecast.issued_ns) / 1e9 for i in intervals]
    kept = np.flatnonzero(kept_horizons(forecast.horizon_class, np.array(ends_s)))
    for at, calibration in zip_longest(kept.tolist(), forecast.calibration):
        row = msgspec.structs.asdict(intervals[at])
        del row["agg"]
        yield {
            **row,
            "site_id": forecast.site_id,
            "node_id": forecast.poi_id,
            "issued_ns": forecast.issued_ns,
            "data_until_ns": forecast.data_until_ns,
            "valid_until_ns": forecast.valid_until_ns,
            "horizon_class": forecast.horizon_class,
            "coverage_90": calibration.coverage if calibration else None,
            "coverage_n": calibration.n if calibration else 0,
        }
