"""Slices and Arrow streams for the tests of the telemetry message, a hostile sender's too."""

import dataclasses
import typing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.telemetry import Reason, Refused, Slice, parse
from schemas.units import Rate

EXAMPLES = Path(__file__).parents[2] / "schemas/examples"
GOLDEN = sorted(EXAMPLES.glob("telemetry.*/v1/*.arrow"))
META = {
    "version": "1",
    "site_id": "cedar",
    "level": "rack",
    "gateway_id": "gw-row-a",
    "seq": "7",
    "unit": "W",
    "t0_ns": "1795183451200000000",
    "rate_hz": "10",
}
LISTS = pa.list_(pa.float32())


def piece(names=("a", "b"), power=((1.0, np.nan, 3.0), (4.0, 5.0, 6.0)), **changes) -> Slice:
    """A slice of two channels and three samples."""
    head = {
        "site_id": "cedar",
        "level": "rack",
        "gateway_id": "g",
        "seq": 7,
        "t0_ns": 1795183451 * 10**9,
    }
    power_w = np.array(power, np.float32)
    return Slice(**{**head, "rate": Rate(10), "channel_ids": names, "power_w": power_w, **changes})


def arrow(meta=META, *, options=None, batches=1, **columns) -> bytes:
    """An Arrow stream of whatever columns, a hostile sender's too."""
    columns = columns or {"channel_id": pa.array(["a"]), "power_w": pa.array([[1.0]], LISTS)}
    schema = pa.schema([(k, v.type) for k, v in columns.items()], metadata=meta)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for _ in range(batches):
            writer.write_batch(pa.record_batch(list(columns.values()), schema=schema))
    return sink.getvalue().to_pybytes()


def same(one: Slice, other: Slice) -> bool:
    """Equal in every field, NaN beside NaN."""
    fields = [f.name for f in dataclasses.fields(Slice) if f.name not in ("power_w", "voltage_v")]
    equal = all(getattr(one, f) == getattr(other, f) for f in fields)
    volts = (np.array(piece.voltage_v, float) for piece in (one, other))
    power = np.array_equal(one.power_w, other.power_w, equal_nan=True)
    return equal and power and np.array_equal(*volts, equal_nan=True)


def refusal(value: bytes | None, content_type: str = "") -> str:
    """The reason a message is refused for; its text is one sentence of bounded length."""
    with pytest.raises(Refused) as caught:
        parse(value, content_type)
    assert 0 < len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)
    assert caught.value.reason in typing.get_args(Reason)
    return caught.value.reason
