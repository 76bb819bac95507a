"""`findAndModify`: one document is updated or deleted, and told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import server_errors
from pytest_replicalag.engines.memory.commands.hints import check_hint
from pytest_replicalag.engines.memory.commands.projections import is_plain, projected, projection_of
from pytest_replicalag.engines.memory.commands.reads import filter_of, sort_of, with_id_first
from pytest_replicalag.engines.memory.commands.update_checks import (
    array_filters_of,
    check_kind,
    check_update,
)
from pytest_replicalag.engines.memory.commands.updates import apply_update, validates
from pytest_replicalag.engines.memory.commands.variables import in_pipeline, variables_of
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["find_and_modify"]

_NOT_SUPPORTED: Final = 115


def find_and_modify(collection: Any, command: Mapping[str, Any]) -> dict[str, Any]:
    """Update or delete one document, and reply with it.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    update, remove = command.get("update"), bool(command.get("remove"))
    if remove and update is not None:
        raise operation_failure(9, "FailedToParse", "Cannot specify both an update and remove=true")
    if remove and command.get("upsert"):
        raise operation_failure(
            9, "FailedToParse", "Cannot specify both upsert=true and remove=true "
        )
    if remove and command.get("arrayFilters") is not None:
        message = "Cannot specify arrayFilters and remove=true"
        raise operation_failure(9, "FailedToParse", message)
    if remove and command.get("new"):
        raise operation_failure(
            9,
            "FailedToParse",
            "Cannot specify both new=true and remove=true; "
            "'remove' always returns the deleted document",
        )
    if not remove and update is None:
        raise operation_failure(
            9, "FailedToParse", "Either an update or remove=true must be specified"
        )
    if not remove:
        check_kind(update)
        check_update(update, multi=False)
        if isinstance(update, list) or next(iter(update or ()), "")[:1] == "$":
            array_filters_of(command.get("arrayFilters"), update)
    variables = variables_of(command)
    if isinstance(update, list):
        command = {**command, "update": in_pipeline(update, variables)}
    query = filter_of(command, "query", variables)
    check_hint(collection, command.get("hint"))
    projection = projection_of(command.get("fields"))
    found = _first(collection, query, command.get("sort"))
    if remove:
        return _find_and_remove(collection, found, projection)
    return _find_and_update(collection, command, query, found, projection)


def _first(collection: Any, query: Any, sort: Any, projection: Any = None) -> Any:
    by_library = None if projection is None or is_plain(projection) else projection
    with server_errors(collection):
        cursor = collection.find(query, by_library, sort=sort_of(sort), limit=1)
        found = next(iter(with_id_first(list(cursor))), None)
    return found if found is None or by_library is projection else projected(found, projection)


def _find_and_remove(collection: Any, found: Any, projection: Any) -> dict[str, Any]:
    value = None
    if found is not None:
        value = _projected(collection, found, projection)
        with server_errors(collection):
            collection._delete({"_id": found["_id"]})
    return {"lastErrorObject": {"n": 0 if found is None else 1}, "value": value}


def _find_and_update(
    collection: Any, command: Mapping[str, Any], query: Any, found: Any, projection: Any
) -> dict[str, Any]:
    value = None if found is None else _projected(collection, found, projection)
    if found is None and not command.get("upsert"):
        return {"lastErrorObject": {"n": 0, "updatedExisting": False}, "value": None}
    if found is not None:
        query = {**query, "_id": found["_id"]}
    with _telling_who_executed():
        result = apply_update(
            collection,
            query,
            command["update"],
            upsert=bool(command.get("upsert")),
            asked=command.get("query") or {},
            array_filters=command.get("arrayFilters"),
            validates=validates(collection, command),
        )
    last: dict[str, Any] = {"n": 1, "updatedExisting": found is not None}
    key = result["upserted"]
    if found is not None:
        key = found["_id"]
    else:
        last["upserted"] = key
    if command.get("new"):
        value = _first(collection, {"_id": key}, None, projection)
    return {"lastErrorObject": last, "value": value}


@contextmanager
def _telling_who_executed() -> Iterator[None]:
    """Let an error that a document gives rise to begin as a server's does."""
    try:
        yield
    except OperationFailure as error:
        details = error.details
        if details is None or "errorLabels" in details or error.code == _NOT_SUPPORTED:
            raise
        message = f"Plan executor error during findAndModify :: caused by :: {details['errmsg']}"
        raise OperationFailure(message, error.code, {**details, "errmsg": message}) from None


def _projected(collection: Any, found: Any, projection: Any) -> Any:
    if projection is None:
        return found
    return _first(collection, {"_id": found["_id"]}, None, projection)
