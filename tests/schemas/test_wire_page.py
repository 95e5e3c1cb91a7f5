"""What the documents promise to whoever writes a gateway."""

import re
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

from schemas.__main__ import main
from schemas.refusal import Reason
from schemas.telemetry import parse

ROOT = Path(__file__).parents[2]
WIRE = (ROOT / "docs/wire.md").read_text()
PRODUCERS = re.findall(r"```python\n(.*?)```", WIRE, re.DOTALL)


def test_producers_run():
    """The Python of docs/wire.md runs as it stands and makes messages with the numbers shown."""
    values = []
    for text in PRODUCERS:
        scope: dict[str, bytes] = {}
        exec(text, scope)  # noqa: S102 - the document is ours, and running it is the promise
        values.append(parse(scope["value"]))
    first, second = values
    assert first.channel_ids == ("a001.p", "a002.p")
    np.testing.assert_array_equal(first.power_w, [[104250, 61330.5], [np.nan, 60875]])
    expected = np.array([[5_920_400, 5_920_700], [5_898_700, np.nan]], np.float32)
    np.testing.assert_array_equal(second.power_w, expected)


def test_first_producer_is_ten_lines():
    """A gateway needs ten lines beside the import and its metadata."""
    lines = [line for line in PRODUCERS[0].splitlines() if line.strip()]
    assert len(lines) <= 10


def test_json_lines_of_the_document_are_the_arrow_message():
    """The JSON shown is the twin of the first producer."""
    block = re.search(r"```json\n(.*?)```", WIRE, re.DOTALL)
    assert block
    scope: dict[str, bytes] = {}
    exec(PRODUCERS[0], scope)  # noqa: S102 - as above
    one, twin = parse(scope["value"]), parse(block.group(1).encode())
    np.testing.assert_array_equal(one.power_w, twin.power_w)
    assert (one.channel_ids, one.seq, one.t0_ns) == (twin.channel_ids, twin.seq, twin.t0_ns)


def test_every_reason_is_explained():
    """The table of refusals has a row for each reason there is, and none that there is not."""
    told = set(re.findall(r"^\| `(\w+)` \| (?:message|row|samples) \|", WIRE, re.MULTILINE))
    assert told == set(typing.get_args(Reason))


def test_command_prints_the_table(capsys):
    """`python -m schemas` prints one row a topic and ends with 0; wrong usage ends with 2."""
    assert main([]) == 0
    assert "telemetry.rack.v1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--wrong"])
    assert ended.value.code == 2


def test_command_writes_nothing_new(tmp_path, monkeypatch):
    """`--write` writes exactly the committed schemas, and never the digests."""
    monkeypatch.setattr("schemas.__main__.JSON", tmp_path / "json")
    assert main(["--write"]) == 0
    committed = ROOT / "schemas/json"
    written = {p.name: p.read_text() for p in (tmp_path / "json").iterdir()}
    assert written == {p.name: p.read_text() for p in committed.glob("*.schema.json")}


def test_command_runs_as_a_module():
    """The door itself opens: `python -m schemas`."""
    run = [sys.executable, "-m", "schemas"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.startswith(b"| topic |")
