"""What `replay.source` refuses, and in which words."""

from pathlib import Path
from typing import Any

import pytest

from replay.errors import TraceError
from replay.source import open_trace
from tests.replay.trace_files import SITE, TRACES, csv_file, rows


@pytest.mark.parametrize(
    ("text", "words", "how"),
    [
        ("t_s,a_W\n0,1\n", "1 rows; a trace needs at least two", {}),
        ("t_s,a_W\n0,1\n2,1\n1,1\n", "time is not increasing at row 3", {}),
        ("t_s,a_W\n0,1\n0,2\n", "time is not increasing at row 2", {}),
        ("t_s,a_W\n0,1\n,2\n", "'t_s' is empty in 1 rows", {}),
        ("t_s,a\n0,1\n1,2\n", "column 'a' names no unit", {}),
        ("t_s,a_mW\n0,1\n1,2\n", "column 'a_mW' names no unit", {}),
        ("t_s,P_MW|x_W\n0,1\n1,2\n", "names several units", {}),
        ("t_s,a_W\n0,\n1,\n", "no finite power", {}),
        ("t_s,a_W\n0,inf\n1,nan\n", "no finite power", {}),
        ("t_s,a_W\n0,on\n1,off\n", "column 'a_W' holds string, not power", {}),
        ("when,a_W\n0,1\n1,2\n", "no time column among 'when, a_W'", {}),
        ("time,a_W\nnoon,1\nnight,2\n", "'time' is not ISO 8601", {}),
        ("t_s,a_W\n-1,1\n1,2\n", "before 1970", {}),
        ("t_s\n0\n1\n", "only a time column", {}),
        ("t_s,a_W,a_W\n0,1,1\n1,2,2\n", "column 'a_W' stands twice", {}),
        ("t_s,a_W\n0,1\n0.0001,2\n", "1e+04 readings a second", {}),
        ("t_s,a_W\n0,1\n9999,2\n", "a rate is 1/3600-4000 Hz", {}),
        ("t_s,a_W\n0,1\n1,2\n", "rate_hz is '7.5'", {"rate": 7.5}),
        ("t_s,a_W\n0,1\n1,2\n", "readings over 4001 slots of 4000 Hz", {"rate": 4000}),
        ("t_s,a_W,b_W\n0,1,1\n1,2,2\n", "2 channels at level substation", {"level": "substation"}),
        ("t_s,a_W\n0,1\n1,2\n", "level 'hall'", {"level": "hall"}),
        ("t_s,a_W\n0,1\n1,2\n", "unit 'GW'", {"unit": "GW"}),
        ("t_s,channel_id,power_w\n0,a,1\n0,a,2\n", "not increasing at row 2 in channel 'a'", {}),
        ("t_s,channel_id,power_w,x\n0,a,1,1\n1,a,2,1\n", "one power column", {}),
        ("t_s,a_W\n0,1\n1\n", "not readable as CSV", {}),
        ("", "not readable as CSV", {}),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, text: str, words: str, how: dict[str, Any]
) -> None:
    """File and fault are named; nothing is guessed."""
    with pytest.raises(TraceError) as refusal:
        open_trace(csv_file(tmp_path, text), **how)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    """No such path, an empty folder, bytes that are no Parquet, a topology that is none."""
    with pytest.raises(TraceError, match="no such file or folder"):
        open_trace(tmp_path / "nowhere")
    with pytest.raises(TraceError, match=r"holds one of trace\.parquet"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match="not readable as Parquet"):
        open_trace(csv_file(tmp_path, "no", name="x.parquet"))
    csv_file(tmp_path, rows(5))
    (tmp_path / "topology.toml").write_text("[site]\nid = 3\n")
    with pytest.raises(TraceError, match="Expected `str`"):
        open_trace(tmp_path)
    (tmp_path / "topology.toml").write_text(SITE)
    with pytest.raises(TraceError, match="column 'a_W' is no channel of yard"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match=r"its site is .*, not yard"):
        open_trace(TRACES / "demo", site_id="yard")
