"""A report as SARIF, for code scanning.

OASIS, Static Analysis Results Interchange Format (SARIF) 2.1.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pytest_replicalag.report.wording import ending, headline, long_text, sentence

__all__ = ["log"]

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_RULES: Final = (
    {
        "id": "stale-read",
        "name": "StaleRead",
        "shortDescription": {"text": "A read that a lagging secondary answers differently"},
        "fullDescription": {
            "text": "The read returned something else than it does on the primary, because the "
            "member that served it had not replicated a write yet."
        },
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["correctness", "concurrency"]},
    },
    {
        "id": "lost-write",
        "name": "LostWrite",
        "shortDescription": {"text": "An acknowledged write that an election rolls back"},
        "fullDescription": {
            "text": "The write was acknowledged before a majority of the members had it, so "
            "another primary was elected without it."
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["correctness", "durability"]},
    },
)


def log(document: Mapping[str, Any]) -> dict[str, Any]:
    """The SARIF log of a report; what is known by the baseline is unchanged."""
    tool = document["tool"]
    driver = {"name": tool["name"], "semanticVersion": tool["version"], "rules": list(_RULES)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding) for finding in document["findings"]],
            }
        ],
    }


def _result(finding: Mapping[str, Any]) -> dict[str, Any]:
    example = finding["example"]
    is_lost = finding["kind"] == "lost_write"
    result: dict[str, Any] = {
        "ruleId": "lost-write" if is_lost else "stale-read",
        "ruleIndex": int(is_lost),
        "level": "error" if is_lost else "warning",
        "message": {"text": f"{headline(finding)}. {sentence(finding)}"},
        "partialFingerprints": {"replicaLagFinding/v1": finding["id"]},
        "properties": {
            "tests": finding["tests"],
            "guarantees": finding["guarantees"],
            "explanation": long_text(finding),
        },
    }
    if "is_known" in finding:
        result["baselineState"] = "unchanged" if finding["is_known"] else "new"
    if (own := _location(example["call_site"])) is not None:
        result["locations"] = [own]
    if related := list(_related(example)):
        result["relatedLocations"] = related
    return result


def _related(example: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The places of the writes that were missed, or of what made the primary go."""
    for number, write in enumerate(example.get("missed", ())):
        if (location := _location(write["call_site"])) is not None:
            message = {"text": f"the missed write: {write['text']}"}
            yield {"id": number, **location, "message": message}
    failover = example.get("failover")
    if failover is not None and (location := _location(failover["call_site"])) is not None:
        message = {"text": f"{failover['former']} {ending(failover)} {failover['reason']}"}
        yield {"id": 0, **location, "message": message}


def _location(site: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A place in the code; None for what has none that is known."""
    if site is None or not site["path"]:
        return None
    physical = {
        "artifactLocation": {"uri": site["path"], "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": max(site["line"], 1)},
    }
    return {"physicalLocation": physical}
