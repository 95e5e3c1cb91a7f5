"""``archive export`` and ``archive plan``: what is in the file is what the archive answers."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest

from pipeline import archive, cli, export_cli, exports, planning
from schemas.tables import TABLES

FROM, UNTIL = "2026-02-28T23:40:00Z", "2026-03-01T01:10:00+01:00"
SPAN = ["--from", FROM, "--until", UNTIL]


@pytest.fixture
def run(root, tmp_path, capsys, monkeypatch):
    """Run the archive door in an empty folder; return exit code, output and error."""
    monkeypatch.chdir(tmp_path)

    def ran(*words: str) -> tuple[int, str, str]:
        code = cli.main(["archive", *words, "--archive", str(root)])
        done = capsys.readouterr()
        return code, done.out, done.err

    return ran


@pytest.mark.parametrize("table", TABLES)
def test_a_table_as_parquet_has_its_rows_and_units(run, ask, table, tmp_path) -> None:
    """All rows of the table with every column, each column with unit and meaning."""
    code, out, _ = run("export", "--table", "event_log" if table == "events" else table, "--json")
    name = "event_log" if table == "events" else table
    assert code == 0
    told = json.loads(out)
    found = pq.read_table(tmp_path / f"{name}.parquet")
    assert found.num_rows == told["rows"] == ask(f"SELECT count(*) AS n FROM {name}")[0]["n"] > 0  # noqa: S608
    for field in TABLES[table]:
        assert found.schema.field(field.name).metadata[b"unit"] == field.metadata[b"unit"]
    key = ", ".join(
        n for n in ("site_id", "produced_ns", "writer", "commit") if n in found.column_names
    )
    rows = found.select(key.split(", ")).to_pylist()
    assert sorted(map(str, rows)) == sorted(map(str, ask(f"SELECT {key} FROM {name}")))  # noqa: S608


@pytest.mark.parametrize("name", ["windows", "states", "forecasts", "events", "waveforms"])
def test_a_span_and_a_site_cut_a_table(run, ask, name, tmp_path) -> None:
    """From the first instant on, before the last, one site."""
    code, *_ = run("export", "--table", name, *SPAN, "--site", "a-1", "--out", "x.parquet")
    assert code == 0
    column = exports.TIMES[name]
    found = pq.read_table(tmp_path / "x.parquet")
    times = found[column].to_pylist()
    begin_ns, end_ns = 1_772_322_000 * 10**9, 1_772_323_800 * 10**9
    whole = ask(f"SELECT site_id, {column} AS t FROM {name}")  # noqa: S608
    inside = [r["t"] for r in whole if r["site_id"] == "a-1" and begin_ns <= r["t"] < end_ns]
    assert sorted(times) == sorted(inside)
    assert len(times) > 0
    assert set(found["site_id"].to_pylist()) == {"a-1"}


def test_a_view_as_csv(run, ask, tmp_path) -> None:
    """The view's rows of the span, numbers unrounded, lists as JSON."""
    code, out, _ = run("export", "--view", "ramp_mileage", *SPAN, "--out", "m.csv", "--json")
    assert code == 0
    assert json.loads(out)["format"] == "csv"
    with (tmp_path / "m.csv").open() as file:
        found = list(csv.DictReader(file))
    want = ask(f"FROM ramp_mileage(from_utc := '{FROM}', until_utc := '2026-03-01 00:10:00')")
    assert [float(row["mileage_w"]) for row in found] == pytest.approx(
        [r["mileage_w"] for r in want]
    )
    assert [row["site_id"] for row in found] == [row["site_id"] for row in want]
    assert run("export", "--view", "site_nodes", "--out", "n.csv")[0] == 0
    with (tmp_path / "n.csv").open() as file:
        channels = [json.loads(row["channels"]) for row in csv.DictReader(file)]
    assert ["pdu-0.a", "pdu-0.b"] in channels


def test_a_query_goes_into_a_file(run, tmp_path) -> None:
    """Any SELECT; more rows than the SQL door would print."""
    sql = "SELECT range AS i FROM range(300000)"
    assert run("export", "--query", sql, "--out", "q.parquet")[0] == 0
    assert pq.read_table(tmp_path / "q.parquet")["i"].to_pylist()[-1] == 299_999


def test_long_work_says_how_far_it_is(root, tmp_path, monkeypatch, capsys) -> None:
    """Rows so far on standard error, nothing of it on standard output."""
    monkeypatch.setattr(export_cli, "TOLD_EVERY_S", 0.0)
    command = ["archive", "export", "--table", "windows", "--archive", str(root), "--json"]
    assert cli.main([*command, "--out", str(tmp_path / "w.parquet")]) == 0
    done = capsys.readouterr()
    assert "windows: " in done.err
    assert done.err.strip().endswith(f"{json.loads(done.out)['rows']:,} rows")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("export", 2, "say what to export: --table, --view, --query or --event"),
        ("export --table nope", 2, "the archive has no table or view 'nope'; use one of windows"),
        ("export --view event_waveform", 2, "the archive has no table or view 'event_waveform'"),
        ("export --table windows --from soon", 2, "--from is 'soon'; use UTC as in 2026-03-03T14"),
        ("export --table commits --site a-1", 2, "commits cannot be cut by --site; leave that out"),
        ("export --view site_nodes --until 2026-01-01", 2, "site_nodes cannot be cut by --until"),
        ("export --table windows --out x.xlsx", 2, "x.xlsx is neither .parquet nor .csv"),
        ("export --table windows --out no/x.csv", 2, "does not exist; make it first"),
        ("export --table windows --format comtrade", 2, "say which with --event"),
        ("export --event a-1:9 --format csv", 2, "an event is written as COMTRADE, whole"),
        ("export --event a-1:9 --out no", 2, "folder no does not exist; make it first"),
        ("export --event nope", 1, "the archive has no event 'nope'; the view `events` lists them"),
        ("plan --scenario high", 2, "--scenario is 'high'; use NAME=RATE as in high=0.15"),
        ("plan --scenario high=0.1", 2, "scenario high grows a year at a time; say to which --yea"),
        ("plan --scenario measured=0.1 --years 2030", 2, "a scenario cannot be called 'measured'"),
        ("plan --scenario x=-2 --years 2030", 2, "scenario x grows by -2.0 a year; use a rate"),
        ("plan --site nowhere", 1, "there is nothing to plan from"),
        (
            "plan --interval 1h --until 2026-02-28T23:20:00Z",
            1,
            "no interval of 1h was measured for",
        ),
        ("plan --scenarios none.toml", 2, "none.toml: No such file or directory; name a TOML"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(run, words, code, said, tmp_path) -> None:
    """Exit 2 for what was asked wrongly, 1 for what is not there; no file is left."""
    got, out, err = run(*words.split())
    assert (got, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failed_query_leaves_no_file(run, tmp_path) -> None:
    """A query that fails after its first rows exits 1; neither file nor draft is there."""
    sql = (
        "SELECT CASE WHEN range < 200000 THEN 1 ELSE error('stop here') END AS x FROM range(300000)"
    )
    code, _, err = run("export", "--query", sql, "--out", "q.parquet")
    assert code == 1
    assert "stop here" in err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_written_over(run, tmp_path) -> None:
    """Unless told to."""
    (tmp_path / "windows.parquet").write_text("mine")
    code, _, err = run("export", "--table", "windows")
    assert code == 2
    assert "is there already" in err
    assert (tmp_path / "windows.parquet").read_text() == "mine"
    assert run("export", "--table", "windows", "--force")[0] == 0
    assert pq.read_metadata(tmp_path / "windows.parquet").num_rows > 0


# ---- plan


@pytest.mark.parametrize(("interval", "seconds"), [("15min", 900), ("1h", 3600)])
def test_a_plan_is_the_view_grown(run, ask, interval, seconds, tmp_path) -> None:
    """Measured rows as the view has them; scenarios compound from the base year."""
    growth = ["--scenario", "high=0.1", "--years", "2027", "2030"]
    code, out, _ = run("plan", "--interval", interval, *growth, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["base_year"], told["interval_s"], told["scenarios"]) == (2026, seconds, ["high"])
    found = pq.read_table(tmp_path / f"plan-{interval}.parquet").to_pylist()
    view = ask(f"FROM planning(interval_s := {seconds})")
    for name, year, factor in (
        ("measured", 2026, 1.0),
        ("high", 2027, 1.1),
        ("high", 2030, 1.1**4),
    ):
        mine = [row for row in found if (row["scenario"], row["year"]) == (name, year)]
        assert [(r["site_id"], r["t0_ns"]) for r in mine] == [
            (r["site_id"], r["t0_ns"]) for r in view
        ]
        for column in (*planning.SCALED, "sum_w"):
            for row, want in zip(mine, view, strict=True):
                grown = None if want[column] is None else pytest.approx(want[column] * factor)
                assert row[column] == grown
        for column in ("coincidence_factor", "valid_share"):
            assert [r[column] for r in mine] == pytest.approx([r[column] for r in view])
    assert len(found) == 3 * len(view)


def test_named_factors_grow_the_sites_they_name(run, ask, tmp_path) -> None:
    """A TOML file with factors by year; other sites stay, and the sum is of what each became."""
    (tmp_path / "s.toml").write_text('[build]\nfactors = {2028 = 2.5}\nsites = ["b-2"]\n')
    words = ["plan", "--interval", "1h", "--scenarios", "s.toml", "--out", "p.csv"]
    assert run(*words)[0] == 0
    with (tmp_path / "p.csv").open() as file:
        grown = [row for row in csv.DictReader(file) if row["scenario"] == "build"]
    view = {(r["site_id"], r["t0_ns"]): r for r in ask("FROM planning(interval_s := 3600)")}
    assert {row["year"] for row in grown} == {"2028"}
    sums: dict[str, float] = {}
    for row in grown:
        factor = 2.5 if row["site_id"] == "b-2" else 1.0
        want = view[row["site_id"], int(row["t0_ns"])]["mean_w"] * factor
        assert float(row["mean_w"]) == pytest.approx(want)
        sums[row["t0_ns"]] = sums.get(row["t0_ns"], 0) + want
    for row in grown:
        if row["sum_w"]:
            assert float(row["sum_w"]) == pytest.approx(sums[row["t0_ns"]])
    only = [*words[:-1], "q.csv", "--site", "b-2"]
    assert run(*only)[0] == 0
    with (tmp_path / "q.csv").open() as file:
        one = list(csv.DictReader(file))
    assert {row["site_id"] for row in one} == {"b-2"}
    cut = [row for row in grown if row["site_id"] == "b-2"]
    again = [float(row["sum_w"] or 0) for row in one if row["scenario"] == "build"]
    assert again == pytest.approx([float(row["sum_w"] or 0) for row in cut])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]\ngrowth = 1", "unknown field `growth`"),
        ("[x]\n", "scenario x needs growth_per_year or factors, one of them"),
        ("[x]\ngrowth_per_year = 0.1\nfactors = {2027 = 1.0}", "one of them"),
        ("[x]\nfactors = {soon = 1.0}", "has factor 1.0 in 'soon'; use years, and factors above 0"),
        ("[x]\nfactors = {2027 = 0.0}", "has factor 0.0 in '2027'"),
        ("x", "a scenario has growth_per_year or factors, and sites"),
    ],
)
def test_a_scenario_file_that_cannot_be_used(run, tmp_path, text, said) -> None:
    """One sentence, exit 2."""
    (tmp_path / "s.toml").write_text(text)
    code, _, err = run("plan", "--scenarios", "s.toml", "--years", "2030")
    assert code == 2
    assert said in err


def test_the_door_offers_what_there_is() -> None:
    """Choices are spelled out where importing them would slow every command down."""
    assert set(export_cli.CODINGS) == set(archive_codings())


def archive_codings() -> dict[str, str]:
    """Codings of the writer."""
    from pipeline.comtrade import CODINGS

    return CODINGS


def test_views_are_listed(capsys) -> None:
    """Every view and macro with what it answers; one of them with parameters, columns and units."""
    assert cli.main(["sql", "--views", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(archive.VIEWS) < set(listed)
    assert "span_s" in listed["poi_means"]["takes"]
    assert cli.main(["sql", "--views", "ramp_mileage", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["spans_s"]["default"] == "[1, 4, 60]"
    assert (rows["mileage_w"]["is"], rows["mileage_w"]["unit"]) == ("column", "W")
    assert cli.main(["sql", "--views", "mileage"]) == 2
    assert "did you mean ramp_mileage" in capsys.readouterr().err
    assert cli.main(["sql"]) == 2
    assert "say what to ask: one SELECT in quotes" in capsys.readouterr().err
