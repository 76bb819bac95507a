"""A report as one HTML page that needs nothing else: no network, and no script to be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pytest_replicalag.engine_choice import REPLICASET
from pytest_replicalag.report.drawing import Drawing, drawing, drawing_of_lost
from pytest_replicalag.report.wording import (
    GUARANTEES,
    TITLES,
    age_text,
    ending,
    file_of,
    headline,
    known_text,
    part_text,
    place,
    sentence,
    times,
)

__all__ = ["page"]

_LONG = 500
"""From so many findings on, a browser makes the inside of each when it is looked at."""

_ROWS = 10
"""How many rows a table of the overview has."""

_SEVERAL = 2
"""From so many stale reads with one read preference on, that is worth saying."""

_TABLES = {"asked": "By what it asked for"}


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
    environment.filters["times"] = times
    environment.filters["part"] = part_text
    environment.filters["known_from"] = known_text
    environment.filters["ending"] = ending
    tests = {test["id"]: test for test in document["tests"]}
    # What is gone comes before what is late.
    ordered = sorted(document["findings"], key=lambda found: found["kind"] != "lost_write")
    findings = [_finding(finding, tests) for finding in ordered]
    return environment.get_template("report.html.j2").render(
        document=document,
        options=list(_options(document["settings"])),
        is_simulated=_is_simulated(document["settings"]),
        summary=document["summary"],
        shared=_shared(document["findings"]),
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
        "fixes": [{**fix, "sites": _sites(example, fix["change"])} for fix in example["fixes"]],
        "example": example,
        "tests": named,
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
                _token("asked", _asked_for(example)),
            ]
        ).lower(),
    }


def _sites(example: Mapping[str, Any], change: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The lines that a fix changes, each with what it is."""
    is_lost = "missed" not in example
    writes = [example["call_site"]] if is_lost else [at["call_site"] for at in example["missed"]]
    reads = [] if is_lost else [example["call_site"]]
    sites = [
        *(("the read", site) for site in reads if change in ("read", "read and write")),
        *(("the write", site) for site in writes if change in ("write", "read and write")),
        *(
            ("the session, where it is opened, of the read", site)
            for site in reads
            if change == "session"
        ),
    ]
    told = {(what, place(site)): (what, site) for what, site in sites if site is not None}
    return list(told.values())


def _asked_for(example: Mapping[str, Any]) -> str:
    """What a read, or a write, asked for that let it go wrong."""
    if "missed" not in example:
        return f"write concern {example['write_concern']}"
    concern = example["read_concern"]
    preference = f"read preference {example['read_preference']}"
    return f"{preference}, read concern {concern}" if concern else preference


def _shared(findings: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The read preference that most stale reads have in common, if several have one."""
    examples = [found["example"] for found in findings if found["kind"] == "stale_read"]
    preferences = Counter(
        example["read_preference"] for example in examples if not example["is_primary"]
    )
    [(preference, count)] = preferences.most_common(1) or [("", 0)]
    if count < _SEVERAL:
        return None
    return {"preference": preference, "count": count, "of": len(examples)}


def _is_simulated(settings: Mapping[str, Any]) -> bool:
    """Whether times are those of a clock that moves as the run tells it to."""
    return settings.get("clock") != "wall" and settings.get("engine") != REPLICASET


def _options(settings: Mapping[str, Any]) -> Iterator[str]:
    """What the run was told, as it is told on a command line."""
    for name, value in settings.items():
        option = "--replica-lag" if name == "lag" else f"--replica-lag-{name.replace('_', '-')}"
        if value is not False:
            yield option if value is True else f"{option}={value}"


def _drawing(example: Mapping[str, Any]) -> Drawing | None:
    """The timeline of a finding, if it has one."""
    if "missed" not in example:
        return drawing_of_lost(example)
    timeline = example["timeline"]
    return None if timeline is None else drawing(example, timeline)


def _overview(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tables of how many findings there are, by what they have in common."""
    sites = [finding["example"]["call_site"] for finding in findings]
    return [
        _table("guarantee", (name for found in findings for name in _broken(found))),
        _table("file", map(file_of, sites)),
        _table("collection", (found["example"]["namespace"] for found in findings)),
        _table("asked", (_asked_for(found["example"]) for found in findings)),
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
        "title": _TABLES.get(kind, f"By {kind}"),
        "field": "guarantee" if is_field else "search",
        "rows": rows,
        "left": len(counted) - len(rows),
    }


def _token(kind: str, name: str) -> str:
    """A word that only findings with this name have; it ends so that it begins no other one."""
    return f"{kind}:{''.join(name.split())};"
