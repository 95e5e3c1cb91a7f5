"""docs/sql.md is true: every view has its source there, every example prints what it shows."""

from __future__ import annotations

import re

import pytest

from pipeline import catalog
from pipeline.views import TABLE_VIEWS
from tests.sql_page import PAGE, demo, printed, queries

SECTIONS = dict(
    re.findall(r"^## `(\w+)`\n(.*?)(?=^#|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Archive of the shipped trace."""
    return demo(tmp_path_factory.mktemp("page") / "archive")


@pytest.mark.parametrize(("words", "shown"), [*queries()])
def test_an_example_prints_what_the_page_shows(archive, words, shown) -> None:
    """To the digit, with rows in it; `python -m tests.sql_page` writes them anew."""
    assert shown == printed(words, archive)
    assert len(shown.splitlines()) > 1
    assert "error:" not in shown


@pytest.mark.parametrize("name", catalog.questions())
def test_every_question_has_its_section(name) -> None:
    """With a source and an example that asks it, and a place in the table at the top."""
    assert "Source:" in SECTIONS[name]
    assert re.search(rf"^\$ .*\b{name}\b", SECTIONS[name], re.MULTILINE)
    assert f"[`{name}`](#{name})" in PAGE.read_text()


def test_no_section_is_left_over() -> None:
    """A view that went has no section, and the tables are named."""
    assert set(SECTIONS) == set(catalog.questions())
    for name in TABLE_VIEWS:
        assert f"`{name}`" in PAGE.read_text()
