"""Documentation is a promise: what the doors offer is written down, and what is written is true."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import parser as pipeline_parser
from pipeline.metrics import METRICS
from pipeline.settings import Settings, explain
from replay import cli as replay_cli

HOUSE = Path(__file__).resolve().parent.parent
PAGES = sorted([*HOUSE.glob("*.md"), *HOUSE.glob("docs/**/*.md"), *HOUSE.glob("replay/**/*.md")])
DOORS = {"pipeline": pipeline_parser(), "replay": replay_cli._parser()}
ADRS = sorted((HOUSE / "docs" / "adr").glob("0*.md"))
DOOR = re.compile(r"python -m (pipeline|replay) ([\w-]+)(.*)")
TIMING = re.compile(r"samples/s|^device:|^broker:|^worker:|^live:|^archive:")


def _text(*names: str) -> str:
    """Pages by name; one that is not there yet has no words."""
    return "\n".join((HOUSE / n).read_text() for n in names if (HOUSE / n).exists())


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [sub] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(sub.choices)


def _told(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Verb to its help text."""
    [sub] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {choice.dest: choice.help or "" for choice in sub._choices_actions}


VERBS = [(door, verb) for door, parser in DOORS.items() for verb in _verbs(parser)]


def _commands() -> Iterator[tuple[str, str]]:
    """Every command of ours on any page, in a block or within a line: page and command."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        lines = [x[2:] for block in blocks for x in block.splitlines() if x.startswith("$ ")]
        for line in [*lines, *re.findall(r"`([^`]+)`", prose)]:
            for part in " ".join(line.partition("#")[0].split()).split(" && "):
                if part.startswith("make ") or DOOR.search(part):
                    yield page.name, part.strip()


def test_every_page_is_read() -> None:
    """The pages this file speaks of are there, and so are the commands in them."""
    assert {"README.md", "ARCHITECTURE.md", "GLOSSARY.md"} <= {page.name for page in PAGES}
    found = {command for _, command in _commands()}
    demo = ".venv/bin/python -m replay demo --archive archive"
    assert {"make demo", "make setup", demo} <= found


@pytest.mark.parametrize(("door", "verb"), VERBS)
def test_every_verb_is_documented_and_has_help(door: str, verb: str) -> None:
    """A command that is not written about, or cannot say what it does, does not exist."""
    assert _told(DOORS[door]).get(verb)
    assert re.search(rf"-m {door} {verb}\b", _text("README.md", "docs/operating.md"))


@pytest.mark.parametrize("key", [key for key, _ in explain(Settings())])
def test_every_setting_is_documented(key: str) -> None:
    """Every key of the settings stands on a page, by its full name or in its section's table."""
    section, _, name = key.partition(".")
    text = _text("docs/operating.md")
    if section == "detect":
        text += _text("docs/operators.md").replace(f"`{name}`", f"`{key}`")
    assert f"`{key}`" in text


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented(name: str) -> None:
    """Every number that leaves the process is explained where operators look."""
    assert f"`{name}`" in _text("docs/operating.md")


@pytest.mark.parametrize(("page", "command"), sorted(set(_commands())))
def test_commands_on_the_pages_exist(page: str, command: str) -> None:
    """Every `make` target and every command of the two doors is one that runs."""
    if command.startswith("make "):
        targets = re.findall(r"^([a-z-]+):", _text("Makefile"), re.MULTILINE)
        named = [word for word in command.split()[1:] if re.fullmatch(r"[a-z-]+", word)]
        assert set(named) <= set(targets)
    if match := DOOR.search(command):
        verbs = _verbs(DOORS[match[1]])
        assert match[2] in verbs
        used = set(re.findall(r"(?<![\w-])--[a-z-]+", match[3]))
        assert used <= set(verbs[match[2]]._option_string_actions)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link between pages, and every page called by name, is in the repository."""
    text = page.read_text()
    links = [t for t in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in t]
    assert [target for target in links if not (page.parent / target).exists()] == []
    names = {p.name for p in HOUSE.rglob("*.md") if ".venv" not in p.parts}
    called = set(re.findall(r"[\w-]+\.md\b", text))
    assert called - names == set()


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_decisions_are_whole_and_linked(adr: Path) -> None:
    """A decision record has its five parts and stands in ARCHITECTURE.md."""
    text = adr.read_text()
    for part in ("**Status**", "## Context", "## Decision", "## Consequences", "## Rejected"):
        assert part in text
    assert f"docs/adr/{adr.name}" in _text("ARCHITECTURE.md")


def test_decisions_are_numbered_through() -> None:
    """0000, 0001, 0002 …: none missing, none twice."""
    assert [int(path.name[:4]) for path in ADRS] == list(range(len(ADRS)))


def test_changelog_has_a_place_for_what_is_new() -> None:
    """There is an Unreleased section, and something in it."""
    text = _text("CHANGELOG.md")
    assert re.search(r"^## \[Unreleased\]\n\n### \w+\n\n- ", text, re.MULTILINE)


def test_readme_shows_the_true_output() -> None:
    """What README prints below `replay demo` is what it prints, times apart."""
    block = re.search(
        r"-m replay demo --archive archive\n(.*?)^```", _text("README.md"), re.MULTILINE | re.DOTALL
    )
    done = subprocess.run(
        [sys.executable, "-m", "replay", "demo"],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown, true = (
        [x for x in t.splitlines() if not TIMING.search(x)] for t in (block[1], done.stdout)
    )
    assert shown == true
