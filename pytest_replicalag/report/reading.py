"""Reads reports and baselines, and refuses what this package did not write.

All that goes on to use a document may count on it being as its schema says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pytest_replicalag.report.conformity import problem_in
from pytest_replicalag.report.document import SCHEMA_VERSION

__all__ = ["read_document"]

_DEPTH: Final = 50
"""How deep documents may nest; a report needs ten levels."""

_OF_REPORTS: Final = frozenset({"tool", "settings", "summary", "tests"})
"""What a report has, and a baseline has not."""


def read_document(path: Path) -> dict[str, Any]:
    """A baseline, or a report in JSON.

    Raises:
        ValueError: There is none at that path, or not one that can be understood; the text says
            why.
    """
    document = _read_json(path)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int:  # true is one for isinstance
        raise ValueError(f"{str(path)!r} is not a report of pytest-replicalag")
    if version != SCHEMA_VERSION:
        until = ", until it is updated" if version > SCHEMA_VERSION else ""
        raise ValueError(
            f"{str(path)!r} has version {version} of the schema, and this pytest-replicalag knows "
            f"{SCHEMA_VERSION}{until}"
        )
    kind = "report" if document.keys() & _OF_REPORTS else "baseline"
    problem = problem_in(document, kind)
    if not problem and kind == "report":
        problem = _uneven_timeline(document)
    if problem:
        raise ValueError(f"{str(path)!r} is not a {kind} of pytest-replicalag: {problem}")
    read: dict[str, Any] = document
    return read


def _read_json(path: Path) -> Any:
    """What a file holds.

    Raises:
        ValueError: There is no such file, or no JSON in it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if _is_deep(document):
            raise RecursionError
    except FileNotFoundError:
        raise ValueError(f"there is no file {str(path)!r}") from None
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not JSON: {error}") from None
    except RecursionError:
        problem = f"{str(path)!r} is not a report of pytest-replicalag: it nests too deeply"
        raise ValueError(problem) from None
    return document


def _is_deep(document: Any) -> bool:
    """Whether a document nests deeper than Python may follow when it is written again."""
    level = [document]
    for _ in range(_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return bool(level)


def _uneven_timeline(document: Mapping[str, Any]) -> str:
    """Which timeline has not a time for each missed write; empty if there is none.

    A schema cannot say it.
    """
    in_findings = (finding["example"] for finding in document["findings"])
    in_tests = (read for test in document["tests"] for read in test["stale_reads"])
    for read in (*in_findings, *in_tests):
        timeline = read.get("timeline")
        if timeline is None:
            continue
        times = [timeline["written_at_us"], *(lane["arrivals_us"] for lane in timeline["lanes"])]
        if any(len(each) != len(read["missed"]) for each in times):
            return f"the timeline of {read['finding']} has not a time for each missed write"
    return ""
