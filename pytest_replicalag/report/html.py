"""A report as one HTML page that needs nothing else: no network, and no script to be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pytest_replicalag.report.drawing import Drawing, drawing
from pytest_replicalag.report.wording import (
    GUARANTEES,
    TITLES,
    age_text,
    file_of,
    fixes,
    headline,
    place,
    sentence,
)

__all__ = ["page"]

_LONG = 500
"""From so many findings on, a browser makes the inside of each when it is looked at."""

_ROWS = 10
"""How many rows a table of the overview has."""


def page(document: Mapping[str, Any]) -> str:
    """The page of a report."""
    environment = Environment(
        loader=PackageLoader("pytest_replicalag.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["place"] = place
    environment.filters["age"] = age_text
    tests = {test["id"]: test for test in document["tests"]}
    findings = [_finding(finding, tests) for finding in document["findings"]]
    return environment.get_template("report.html.j2").render(
        document=document,
        summary=document["summary"],
        findings=findings,
        is_long=len(findings) >= _LONG,
        overview=_overview(document["findings"]),
        guarantees=sorted({name for found in document["findings"] for name in _broken(found)}),
        explored=[test for test in document["tests"] if test["exploration"] is not None],
        knows=any("is_known" in finding for finding in document["findings"]),
    )


def _finding(finding: Mapping[str, Any], tests: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a finding."""
    example = finding["example"]
    named = [tests[name] for name in finding["tests"] if name in tests]
    return {
        "id": finding["id"],
        "kind": finding["kind"],
        "title": TITLES[finding["kind"]],
        "is_known": finding.get("is_known", False),
        "where": place(example["call_site"]),
        "headline": headline(finding),
        "sentence": sentence(finding),
        "count": finding["count"],
        "guarantees": finding["guarantees"],
        "broken_names": _broken(finding),
        "broken": [(name, GUARANTEES[name]) for name in finding["guarantees"]],
        "fixes": fixes(finding),
        "lines": _lines(example),
        "example": example,
        "tests": [{"id": test["id"], "replay": _replay(test)} for test in named],
        "drawing": _drawing(example),
        "searched": " ".join(
            [
                finding["id"],
                place(example["call_site"]),
                example["text"],
                headline(finding),
                *finding["tests"][:_ROWS],
                _token("file", file_of(example["call_site"])),
                _token("collection", example["namespace"]),
            ]
        ).lower(),
    }


def _lines(example: Mapping[str, Any]) -> list[str]:
    """The lines of code of a finding that can be changed: of the read, and of what it missed."""
    sites = [example["call_site"], *(write["call_site"] for write in example.get("missed", ()))]
    return list(dict.fromkeys(place(site) for site in sites if site is not None)) or ["the code"]


def _replay(test: Mapping[str, Any]) -> str:
    """The command that runs a test again as it was found."""
    exploration = test["exploration"]
    if not test["replay"] or exploration is None or not exploration["failing_schedule"]:
        return str(test["replay"])
    return f"{test['replay']} --replica-lag-schedule={exploration['failing_schedule']}"


def _drawing(example: Mapping[str, Any]) -> Drawing | None:
    """The timeline of a stale read, if it has one."""
    timeline = example.get("timeline")
    return None if timeline is None else drawing(example, timeline)


def _overview(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tables of how many findings there are, by what they have in common."""
    sites = [finding["example"]["call_site"] for finding in findings]
    return [
        _table("guarantee", (name for found in findings for name in _broken(found))),
        _table("file", map(file_of, sites)),
        _table("collection", (found["example"]["namespace"] for found in findings)),
    ]


def _broken(finding: Mapping[str, Any]) -> list[str]:
    if finding["kind"] == "lost_write":
        return ["durability"]
    return finding["guarantees"] or ["no guarantee"]


def _table(kind: str, names: Iterable[str]) -> dict[str, Any]:
    """A table of the most frequent names; each of its rows is a filter.

    Guarantees have a field of their own, the others are words to search for.
    """
    counted = sorted(Counter(names).items(), key=lambda row: (-row[1], row[0]))
    is_field = kind == "guarantee"
    rows = [
        {"name": name, "count": count, "value": name if is_field else _token(kind, name)}
        for name, count in counted[:_ROWS]
    ]
    return {
        "title": f"By {kind}",
        "field": "guarantee" if is_field else "search",
        "rows": rows,
        "left": len(counted) - len(rows),
    }


def _token(kind: str, name: str) -> str:
    """A word that only findings with this name have; it ends so that it begins no other one."""
    return f"{kind}:{name};"
