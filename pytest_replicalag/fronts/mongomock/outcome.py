"""What a write returns or raises once its write concern is known, as pymongo does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import BulkWriteError

from pytest_replicalag.fronts.mongomock.bulk_write import COUNTS, command_name

__all__ = ["BULKS", "NOT_WAITING", "batches", "outcome", "unacknowledged"]

BULKS: Final = ("insert_many", "bulk_write")
"""Operations that report their write concern errors in a `BulkWriteError`."""

NOT_WAITING: Final = (
    "find_one_and_delete",
    "find_one_and_replace",
    "find_one_and_update",
    "create_index",
    "create_indexes",
)
"""Operations that, if they fail, do not wait for their write concern."""


def batches(operation: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """How many commands the driver sends for an operation; each waits for its write concern.

    An unordered bulk write sends all requests of a kind together.

    Args:
        operation: The method's name.
        args: What it was called with.
        kwargs: The same.
    """
    if operation != "bulk_write":
        return 1
    requests = args[0] if args else kwargs["requests"]
    return len({command_name(request) for request in requests})


def outcome(result: Any, failure: Exception | None, errors: list[dict[str, Any]]) -> Any:
    """The result of a bulk write, or of a write that failed.

    Args:
        result: What it returned; None if it failed.
        failure: What it failed with, or None.
        errors: The write concern errors, one for each command that had one.

    Raises:
        BulkWriteError: A bulk write failed in part, or had a write concern error.
        OperationFailure: Another write failed; its write concern error is dropped, as by pymongo.
    """
    if failure is not None:
        if isinstance(failure, BulkWriteError):
            details: Any = failure.details
            details.setdefault("writeConcernErrors", []).extend(errors)
        raise failure
    if errors:
        raise BulkWriteError({**_counts(result), "writeErrors": [], "writeConcernErrors": errors})
    return result


def _counts(result: Any) -> dict[str, Any]:
    counts = dict.fromkeys(COUNTS, 0)
    if hasattr(result, "bulk_api_result"):
        return {**counts, "upserted": [], **result.bulk_api_result}
    return {**counts, "nInserted": len(result.inserted_ids), "upserted": []}


def unacknowledged(result: Any) -> Any:
    """The result as pymongo gives it for `w: 0`; what it cannot know is None."""
    kind = type(result).__name__
    if kind == "InsertOneResult":
        return type(result)(result.inserted_id, acknowledged=False)
    if kind == "InsertManyResult":
        return type(result)(result.inserted_ids, acknowledged=False)
    if kind == "BulkWriteResult":
        return type(result)({}, False)
    if kind in ("UpdateResult", "DeleteResult"):
        return type(result)({"ok": 1}, acknowledged=False)
    return result if isinstance(result, (str, list)) else None
