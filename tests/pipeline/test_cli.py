"""The operator's door: exit codes, tables, JSON, one sentence where it fails."""

import json
from pathlib import Path

import pytest

from pipeline import archive
from pipeline.cli import main
from replay.broker import Broker

SITE = """
[site]
id = "a"
[[node]]
id = "poi"
level = "substation"
[[channel]]
id = "c"
node_id = "poi"
[[gateway]]
id = "g"
level = "substation"
rate_hz = 10
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one site and nothing else, and a broker that is not there."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "a.toml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("LOCKSTEP__KAFKA__START_TIMEOUT_S", "0.3")
    return tmp_path


def test_wrong_usage_is_exit_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown commands by argparse, wrong settings by us: one sentence."""
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2
    capsys.readouterr()
    (home / "bad.toml").write_text("[kafka]\nx = 1")
    assert main(["topics", "list", "--settings", "bad.toml"]) == 2
    said = capsys.readouterr().err
    assert said == "error: bad.toml: kafka: Object contains unknown field `x`\n"
    assert main(["topics", "create", "--partitions", "0"]) == 2


def test_sql_needs_an_archive(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is exit 1 and one sentence."""
    assert main(["sql", "select 1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_sql_as_table_json_and_csv(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People get columns; scripts get nothing but JSON or CSV."""
    archive.create(home / "archive")
    query = "select 1 as a, 'x' as b union all select 2, null order by 1"
    assert main(["sql", query]) == 0
    assert capsys.readouterr().out == "a  b\n1  x\n2  -\n\n"
    assert main(["sql", query, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert main(["sql", query, "--csv", "--archive", str(home / "archive")]) == 0
    assert capsys.readouterr().out.splitlines() == ["a,b", "1,x", "2,"]
    assert main(["sql", "delete from windows"]) == 1


def test_archive_info(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`create` makes it, `info` describes it."""
    assert main(["archive", "create"]) == 0
    assert main(["archive", "info", "--json"]) == 0
    out = capsys.readouterr().out
    found = json.loads(out[out.index("{") :])
    assert found["rows"]["windows"] == 0
    assert found["writers"] == {}


def test_check_without_a_broker_is_exit_3(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part with ok or one sentence; with --json nothing else on standard output."""
    assert main(["check", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["settings", "sites", "device", "broker", "topics", "archive"]
    assert {name for name, part in found.items() if not part["ok"]} == {"broker", "topics"}
    assert found["broker"]["message"].startswith("no Kafka broker answers at 127.0.0.1:1 within")
    assert main(["check"]) == 3
    assert "broker    PROBLEM  no Kafka broker" in capsys.readouterr().out


def test_check_with_wrong_settings_says_only_that(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3; what depends on the settings is not guessed at."""
    monkeypatch.setenv("LOCKSTEP__RUN__STOP_S", "60")
    assert main(["check", "--json"]) == 3
    assert list(json.loads(capsys.readouterr().out)) == ["settings"]


def test_topics_are_made_once_and_check_is_content(
    home: Path,
    own_broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`create` says what it made, refuses another count, and `check` then finds nothing."""
    if own_broker.kind == "mock":
        pytest.skip("the mock cluster has no topic administration")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", own_broker.bootstrap)
    monkeypatch.setenv("LOCKSTEP__KAFKA__START_TIMEOUT_S", "10")
    assert main(["check", "--json"]) == 3
    assert "topics create" in json.loads(capsys.readouterr().out)["topics"]["message"]
    assert main(["topics", "create", "--partitions", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["created"]) == 10
    assert main(["topics", "create", "--partitions", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["created"] == []
    assert main(["topics", "create", "--partitions", "4"]) == 1
    assert "exists with 3 partitions, not 4" in capsys.readouterr().err
    assert main(["topics", "list", "--json"]) == 0
    assert {row["partitions"] for row in json.loads(capsys.readouterr().out)} == {3}
    assert main(["check"]) == 0
    assert "topics    ok  3 partitions each" in capsys.readouterr().out
