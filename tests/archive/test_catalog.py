"""What holds of every view: columns as documented, spans and sites cut and do not change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline import archive, catalog, views
from pipeline.views import TABLE_VIEWS

QUESTIONS = catalog.questions()
VIEWS = [name for name, question in QUESTIONS.items() if question.is_view]
FROM, UNTIL = "2026-02-28T23:30:00Z", "2026-03-01 00:30:00"
BUCKETED = {  # rows of one stretch of time each: those of a span are those of the whole
    "band_history": "t0_utc",
    "diversity_history": "t0_utc",
    "event_evidence": "onset_utc",
    "forecast_outcomes": "make_timestamp_ns(start_ns)",
    "node_diversity(bucket_s := 600)": "t0_utc",
    "oscillation_history": "onset_utc",
    "poi_means": "t0_utc",
    "poi_seconds": "make_timestamp_ns(t0_ns)",
    "ramp_excess(bucket_s := 600, limit_w_per_min := 1e6)": "t0_utc",
    "ramp_mileage(bucket_s := 600)": "t0_utc",
    "regulation_split(bucket_s := 600)": "t0_utc",
    "swing_excess(bucket_s := 600)": "t0_utc",
    "top_ramps(n := 1000)": "onset_utc",
    "voltage_dips": "onset_utc",
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_columns_are_those_it_documents(root, name) -> None:
    """Names and order, a meaning for each, a unit that the name does not contradict."""
    question = QUESTIONS[name]
    call = f"{name}()" if question.is_view else f"{name}('x')"
    assert [c.name for c in question.columns] == archive.query(root, f"FROM {call} LIMIT 0")[0]
    ends = {
        "_w_per_s": "W/s",
        "_w_per_min": "W/min",
        "_w": "W",
        "_ns": "ns",
        "_utc": "UTC",
        "_s": "s",
        "_hz": "Hz",
        "_wh": "Wh",
    }
    for column in (*question.columns, *question.parameters):
        assert column.doc
        unit = next((unit for end, unit in ends.items() if column.name.endswith(end)), "")
        assert column.unit.startswith(unit) or "UTC" in column.unit, column


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_its_macro_with_defaults(root, name) -> None:
    """Asked without arguments it is the view; both are in the plain catalog."""
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as con:
        view, macro = (con.execute(f"FROM {call}").fetchall() for call in (name, f"{name}()"))
    assert view
    assert len(view) == len(macro)


@pytest.mark.parametrize("call", BUCKETED)
def test_a_span_cuts_and_does_not_change(ask, call) -> None:
    """Rows of a span are the rows of the whole that lie in it, its edges included."""
    name, _, arguments = call.rstrip(")").partition("(")
    time = BUCKETED[call]
    given = f"{arguments}, " if arguments else ""
    part = ask(f"FROM {name}({given}from_utc := '{FROM}', until_utc := '{UNTIL}')")
    whole = ask(
        f"FROM {name}({arguments}) WHERE {time} >= '2026-02-28 23:30:00' AND {time} < '{UNTIL}'"
    )
    assert part
    assert sorted(map(_rounded, part)) == sorted(map(_rounded, whole))


@pytest.mark.parametrize(
    "name", [n for n in VIEWS if "site_id" in {c.name for c in QUESTIONS[n].columns}]
)
def test_a_site_cuts_and_does_not_change(ask, name) -> None:
    """Rows of one site are the rows of all that are its own: shares and peaks stay those of all."""
    part, whole = ask(f"FROM {name}(site := 'a-1')"), ask(f"FROM {name} WHERE site_id = 'a-1'")
    if name in {"top_ramps", "steep_windows"}:  # the first of one site are more than of all
        part = part[: len(whole)]
    assert part
    assert sorted(map(_rounded, part)) == sorted(map(_rounded, whole))


def _rounded(row: dict) -> str:
    """Text of a row; sums of parallel parts differ in their last digits."""
    return str({k: float(f"{v:.9g}") if isinstance(v, float) else v for k, v in row.items()})


def test_every_column_and_view_is_explained_in_the_catalog(root) -> None:
    """The plain catalog carries unit and meaning of each column, the title of view and macro."""
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as con:
        bare = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL "
            "AND table_name IN (SELECT view_name FROM duckdb_views() WHERE comment IS NOT NULL)"
        ).fetchall()
        titles = dict(con.execute("SELECT view_name, comment FROM duckdb_views()").fetchall())
        macros = dict(
            con.execute(
                "SELECT function_name, comment FROM duckdb_functions() WHERE comment IS NOT NULL"
            ).fetchall()
        )
    assert bare == []
    assert {name: titles[name] for name in VIEWS} == {n: QUESTIONS[n].title for n in VIEWS}
    assert {n: macros[n] for n in QUESTIONS} == {n: q.title for n, q in QUESTIONS.items()}


def test_the_shell_answers_too(root) -> None:
    """The duckdb command line opens the catalog and calls a macro with arguments."""
    shell = Path(sys.executable).with_name("duckdb")
    sql = "SELECT count(*) FROM ramp_mileage(spans_s := [60], site := 'a-1')"
    command = [shell, "-readonly", "-csv", "-noheader", root / "archive.duckdb", "-c", sql]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("FROM ramp_mileage(spans_s := [0])", "a span is a whole number of seconds, at least 1"),
        ("FROM poi_means(span_s := 0.5)", "a span is a whole number of seconds, at least 1"),
        ("FROM ramp_mileage(from_utc := 'soon')", "Could not convert string 'soon'"),
        ("FROM ramp_mileage(since := 'x')", "Macro ramp_mileage() does not support the supplied"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(root, sql, words) -> None:
    """Not an empty answer, not a wrong one."""
    with pytest.raises(archive.QueryError) as caught:
        archive.query(root, sql)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_door_makes_only_what_a_query_leans_on(root) -> None:
    """A question brings what it leans on, all the way down, and no other."""
    assert catalog.needed("SELECT * FROM forecast_skill", TABLE_VIEWS) == {
        *("forecast_skill", "forecast_outcomes", "poi_seconds", "windows", "forecasts"),
    }
    assert catalog.needed("SELECT 'ramp_mileage'", ()) == {"ramp_mileage", "poi_seconds"}
    assert catalog.needed("SELECT 1", TABLE_VIEWS) == set()


def test_an_offset_in_the_text_counts(ask) -> None:
    """One instant in three spellings is one instant: there is no local time."""
    spelt = ("2026-03-01T01:30:00+01:00", "2026-03-01 00:30:00", "2026-02-28T19:30:00-05:00")
    found = [ask(f"FROM poi_means(from_utc := '{text}') ORDER BY ALL") for text in spelt]
    assert found[0]
    assert sorted(map(_rounded, found[0])) == sorted(map(_rounded, found[1]))
    assert sorted(map(_rounded, found[0])) == sorted(map(_rounded, found[2]))


def test_questions_are_bound_before_a_commit_is_looked_at(root) -> None:
    """Views over views would each cost a look at every commit, at every publication."""
    bound = [s for s in views.template() if s.startswith(("CREATE MACRO", "CREATE VIEW"))]
    assert len(bound) > 2 * len(VIEWS)
    assert not [s for s in views.template() if str(root) in s]
    looks = [s for s in views.definitions(root) if "writer=*" in s]
    assert len(looks) == len(TABLE_VIEWS) - 1  # events stands on event_log


def test_stubs_have_the_columns_and_types_of_the_tables(root) -> None:
    """Else a question that was bound to them would not fit what it meets."""
    with duckdb.connect() as con:
        for statement in views.template():
            con.execute(statement)
        stubs = {
            name: con.execute(f"DESCRIBE {name}").fetchall()
            for name in TABLE_VIEWS
            if name != "commits"
        }
    with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as con:
        assert stubs == {name: con.execute(f"DESCRIBE {name}").fetchall() for name in stubs}
