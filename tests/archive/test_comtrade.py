"""COMTRADE records: read back by another program, they are the archive's samples."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline import cli, comtrade, export_cli
from pipeline.comtrade import Analog, Record
from schemas.units import Rate
from tests.archive.comtrade_reader import read


def _record(rate: Rate, channels: tuple[Analog, ...], n: int, start_ns: int = 10**18) -> Record:
    return Record("site", "poi", rate, start_ns, start_ns + 10**9, channels, np.arange(n) % 3 == 0)


def _written(tmp_path, record, coding):
    done = comtrade.encode(record, coding)
    (tmp_path / "x.cfg").write_bytes(done.cfg)
    (tmp_path / "x.dat").write_bytes(done.dat)
    return done, read(tmp_path / "x.cfg")


CODES = np.array([-32767, 5, 0, 32767, 12, -3], np.int64)
REALS = np.array([-1.5e6, 99999.0, 0.1, 3.3e7, -0.0, 7.25], np.float32)
VALID = np.array([True, True, False, True, True, True])


@pytest.mark.parametrize("coding", export_cli.CODINGS)
@pytest.mark.parametrize("scale_w", [0.25, None])
def test_scaling_and_missing_samples_survive(tmp_path, coding, scale_w) -> None:
    """Codes and floats of either sign, holes among them, in every coding; the step bounds errors."""  # noqa: E501
    if scale_w is None:
        channel = Analog("c,1", "rack\n7", REALS, VALID)
    else:
        channel = Analog("c,1", "rack\n7", CODES, VALID, scale_w, -1e4)
    done, found = _written(tmp_path, _record(Rate(10), (channel, channel), 6), coding)
    assert found.ft == comtrade.CODINGS[coding] == coding.upper()
    assert (found.station, found.device, found.units) == ("site", "poi", {"W"})
    [values] = found.values.values()  # both are called so, with what would break the line replaced
    assert list(found.values) == ["c_1"]
    assert [v is None for v in values] == (~VALID).tolist()
    exact = channel.real_w().astype(float)
    lossless = scale_w is not None or coding in {"ascii", "float32"}
    step_w = 0.0 if lossless else found.steps["c_1"]
    assert done.resolution_w == pytest.approx(step_w)
    for value, want in zip(values, exact, strict=True):
        if value is not None:
            assert abs(value - want) <= step_w / 2 + abs(want) * 1e-7
    assert found.status == [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (CODES, "binary"),
        (np.array([40_000, 0, 0, 0, 0, 0]), "binary32"),
        (np.array([2**31, 0, 0, 0, 0, 0]), "float32"),
        (REALS, "float32"),
    ],
)
def test_auto_takes_the_smallest_without_loss(tmp_path, values, expected) -> None:
    """16 bits where the codes fit, then 32, then floats."""
    scale_w = 1.0 if values.dtype.kind == "i" else None
    channel = Analog("c", "n", values, np.ones(6, bool), scale_w, 0.0 if scale_w else None)
    done, found = _written(tmp_path, _record(Rate(1), (channel,), 6), "auto")
    assert done.coding == expected
    assert done.resolution_w == 0
    assert found.values["c"] == values.astype(float).tolist()


@pytest.mark.parametrize(
    ("rate", "n", "last_ns"),
    [
        (Rate(30), 31, 1_000_000_000),
        (Rate(4000), 9, 2_000_000),
        (Rate(1, 4), 3, 8_000_000_000),
        (Rate(1, 3600), 4, 3 * 3600 * 10**9),  # beyond 32 bits of µs: the stamps are multiplied
    ],
)
def test_times_are_the_samples_to_the_microsecond(tmp_path, rate, n, last_ns) -> None:
    """First sample, trigger, rate and every stamp; a start that is no whole µs is rounded."""
    channel = Analog("c", "n", np.zeros(n, np.float32), np.ones(n, bool))
    _, found = _written(tmp_path, _record(rate, (channel,), n, 10**18 + 333_333_333), "binary")
    assert found.start_ns == 10**18 + 333_333_000
    assert found.trigger_ns == 10**18 + 1_333_333_000
    assert found.rate_hz == pytest.approx(rate.hz)
    assert found.times_ns[-1] - found.start_ns == pytest.approx(last_ns, abs=10_000)
    assert found.clock == ["0", "0", "F", "3"]  # UTC; nobody knows how good the clocks are


def test_an_event_is_exported_as_it_is_archived(root, ask, tmp_path, capsys) -> None:
    """Every sample of each rate at its time, holes where the archive has holes, open while open."""
    row = next(
        row
        for row in ask("SELECT event_id, count(*) AS n FROM event_evidence GROUP BY ALL ORDER BY 1")
        if row["n"] == 3
    )
    event = row["event_id"]
    command = ["archive", "export", "--event", event, "--archive", str(root), "--out"]
    assert cli.main([*command, str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [r["rate_hz"] for r in told["records"]] == ["1/4", "10", "30"]
    samples = ask(f"FROM event_waveform('{event}')")
    [facts] = ask(
        f"SELECT onset_ns, coalesce(closed_ns, 4611686018427387904) e FROM events WHERE event_id = '{event}'"  # noqa: E501, S608
    )
    checked = 0
    for record in told["records"]:
        found = read(tmp_path / record["cfg"])
        assert (found.station, found.trigger_ns) == (event.split(":")[0], facts["onset_ns"])
        for channel, values in found.values.items():
            at = dict(zip(found.times_ns, values, strict=True))
            mine = {s["t_ns"]: s["power_w"] for s in samples if s["channel_id"] == channel}
            near = {t // 1000: v for t, v in at.items() if v is not None}  # µs
            known = {(t + 500) // 1000: v for t, v in mine.items() if v is not None}
            assert near.keys() == known.keys()
            assert [near[t] for t in sorted(near)] == pytest.approx(
                [known[t] for t in sorted(known)]
            )
            assert len(values) - len(near) == record["missing"]
            checked += len(near)
        inside = [facts["onset_ns"] <= t < facts["e"] for t in found.times_ns]
        assert found.status == [int(x) for x in inside]
    assert checked == sum(s["power_w"] is not None for s in samples) > 100
    assert cli.main([*command, str(tmp_path)]) == 2
    assert "is there already; name another file, or write over it" in capsys.readouterr().err
    assert cli.main([*command, str(tmp_path), "--force"]) == 0
