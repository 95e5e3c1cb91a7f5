"""Site files that say one thing a line, read as JSON: what a written-out site costs at start."""

from __future__ import annotations

import re

__all__ = ["as_json"]

_TEXT = r'"[^"\\\x00-\x1f\x7f]*"'
_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_ONE = rf"(?:{_TEXT}|{_NUMBER}|true|false)"
_LINE = re.compile(rf"([a-z_]+) = ({_ONE}|\[\]|\[{_ONE}(?:, {_ONE})*\])")
_LISTS = {"[[node]]": "node", "[[channel]]": "channel", "[[gateway]]": "gateway"}


def as_json(text: str) -> str | None:
    """
    The file as JSON, or None where a line is none of `Topology.dumps`.

    What is given back means the same as TOML; `tomllib` takes four seconds for 100,000 racks.
    """
    site: dict[str, str] | None = None
    lists: dict[str, list[dict[str, str]]] = {name: [] for name in _LISTS.values()}
    entry: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        if line in _LISTS:
            entry = {}
            lists[_LISTS[line]].append(entry)
        elif line == "[site]" and site is None:
            entry = site = {}
        else:
            found = _LINE.fullmatch(line)
            if found is None or found[1] in entry or site is None:
                return None
            entry[found[1]] = found[2]
    if site is None:
        return None
    parts = [f'"{name}":[{",".join(map(_object, of))}]' for name, of in lists.items() if of]
    return "{" + ",".join([f'"site":{_object(site)}', *parts]) + "}"


def _object(entry: dict[str, str]) -> str:
    return "{" + ",".join([f'"{key}":{value}' for key, value in entry.items()]) + "}"
