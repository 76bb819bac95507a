"""Forms in which results and errors are alike if they mean the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pymongo.errors import BulkWriteError


def to_dict(value: Any) -> Any:
    """A stored document as the library hands it out; it stores ordered dictionaries, too."""
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    return [to_dict(item) for item in value] if isinstance(value, list) else value


def plain(result: Any) -> Any:
    """A result in a form in which equal ones are alike."""
    if getattr(result, "acknowledged", True) is False:
        return "unacknowledged"
    for name in ("bulk_api_result", "inserted_ids", "inserted_id", "deleted_count"):
        if hasattr(result, name):
            return repr(getattr(result, name))
    if hasattr(result, "matched_count"):
        return repr((result.matched_count, result.modified_count, result.upserted_id))
    return repr(result)


def attempt(run: Any, shown: Any = plain) -> tuple[str, Exception | None]:
    """What a call returns in a plain form, or its exception."""
    try:
        return shown(run()), None
    except Exception as error:
        return "", error


def told(error: Exception | None) -> str:
    if error is None:
        return ""
    if isinstance(error, BulkWriteError):
        failed = [(found["index"], found["code"]) for found in error.details["writeErrors"]]
        return f"BulkWriteError {failed} {error.details.get('nInserted')}"
    return f"{type(error).__name__}: {error}"


COUNTS: Counter[str] = Counter()
"""How many steps, reads at an earlier optime and stale reads there were, by library."""
