"""Several reports as one: those of the shards of a CI job, or of several test environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_replicalag.report.document import findings_of

__all__ = ["merged"]


def merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of all runs together.

    What only some of them were told is left out of the settings.
    """
    first = documents[0]
    tests = sorted(
        (test for document in documents for test in document["tests"]),
        key=lambda test: str(test["id"]),
    )
    findings = findings_of(tests)
    known = {
        finding["id"]: finding["is_known"]
        for document in documents
        for finding in document["findings"]
        if "is_known" in finding
    }
    if known:
        findings = [{**each, "is_known": known.get(each["id"], False)} for each in findings]
    settings = {
        name: value
        for name, value in first["settings"].items()
        if all(document["settings"].get(name) == value for document in documents)
    }
    return {
        **first,
        "settings": settings,
        "summary": _summary(documents, tests),
        "findings": findings,
        "tests": tests,
    }


def _summary(documents: Sequence[dict[str, Any]], tests: list[dict[str, Any]]) -> dict[str, int]:
    def having(what: str) -> int:
        return len({test["id"] for test in tests if test[what]})

    added = ("tests_without_lag", "reads", "secondary_reads", "checked_reads")
    return {
        "tests": len({test["id"] for test in tests}),
        "tests_with_stale_reads": having("stale_reads"),
        "tests_with_lost_writes": having("lost_writes"),
        **{name: sum(document["summary"][name] for document in documents) for name in added},
    }
