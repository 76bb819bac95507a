"""Updates, and how the library is brought to apply them as a server does.

The library takes the `_id` of a replaced or upserted document from the filter as it stands there,
operators and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from bson import ObjectId, Regex
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import stages_for_library
from pytest_replicalag.engines.memory.commands.errors import server_errors, shown
from pytest_replicalag.engines.memory.commands.targets import (
    check_document,
    has_position,
    looks_at_documents,
    with_position,
)
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["apply_update", "ensure_created", "telling_what_failed", "validates"]

_INVALID_DOCUMENT: Final = 121
_LOSING_IDS: Final = frozenset({"$project", "$replaceRoot", "$replaceWith", "$unset"})
"""Stages after which a document may have no `_id`; a server then gives it its own back."""


def ensure_created(collection: Any) -> None:
    """Create a collection that does not exist; a server keeps it when it becomes empty."""
    store = collection._store
    if not store.is_created:
        store.create()


def validates(collection: Any, command: Mapping[str, Any]) -> bool:
    """Whether documents have to pass the collection's validator; most have none."""
    options: Mapping[str, Any] = getattr(collection._store, "options", {})
    return not (command.get("bypassDocumentValidation") and options.get("validator"))


@contextmanager
def telling_what_failed(key: Callable[[], Any]) -> Iterator[None]:
    """Let the error of a document that fails validation name it, as a server's does.

    Args:
        key: Gives its `_id`.
    """
    try:
        yield
    except OperationFailure as error:
        if error.code != _INVALID_DOCUMENT:
            raise
        message = "Document failed validation"
        failure = operation_failure(_INVALID_DOCUMENT, "DocumentValidationFailure", message)
        info = {"failingDocumentId": key(), "details": {}}
        failure.details["errInfo"] = info  # type: ignore[index]
        raise failure from None


def apply_update(
    collection: Any,
    filter: Any,
    update: Any,
    *,
    upsert: bool,
    asked: Any,
    multi: bool = False,
    array_filters: Any = None,
    validates: bool = True,
) -> dict[str, Any]:
    """Update documents; returns what the library says of it.

    Args:
        collection: The library's collection.
        filter: The filter, as the library takes it.
        update: The update, as the command has it; checked.
        upsert: Whether to insert a document if none matches.
        asked: The filter, as the command has it.
        multi: Whether to update all that match.
        array_filters: The command's, or None.
        validates: Whether the collection's validator has a say.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    is_replacement = isinstance(update, Mapping) and next(iter(update), "")[:1] != "$"
    more: dict[str, Any] = {} if validates else {"validate": False}
    if array_filters:
        more["array_filters"] = for_filter(array_filters)
    if upsert:
        ensure_created(collection)
    with server_errors(collection):
        if upsert or is_replacement:
            found = next(iter(collection._iter_documents(filter)), None)
            if found is None:
                if not upsert:
                    return {"n": 0, "nModified": 0, "upserted": None, "updatedExisting": False}
                return _upsert(collection, asked, update, is_replacement, more)
            if is_replacement:
                _check_own_key(update, found["_id"])
                result: dict[str, Any] = collection._update({"_id": found["_id"]}, update, **more)
                return result
        if isinstance(update, list):
            return _update_by_pipeline(collection, filter, update, multi, more)
        return _update_by_operators(collection, filter, asked, update, multi, more)


def _update_by_pipeline(
    collection: Any, filter: Any, pipeline: list[Any], multi: bool, more: dict[str, Any]
) -> dict[str, Any]:
    """Update documents by a pipeline; each of them keeps its `_id`."""
    pipeline = stages_for_library(pipeline)
    if not any(_LOSING_IDS & stage.keys() for stage in pipeline):
        result: dict[str, Any] = collection._update(filter, pipeline, multi=multi, **more)
        return result
    keys = [document["_id"] for document in _targets(collection, filter, multi)]
    total = {"n": 0, "nModified": 0, "upserted": None, "updatedExisting": bool(keys)}
    for key in keys:
        keeping = {"$replaceWith": {"$mergeObjects": [{"_id": {"$literal": key}}, "$$ROOT"]}}
        result = collection._update({"_id": key}, [*pipeline, keeping], **more)
        total["n"] += result["n"]
        total["nModified"] += result["nModified"]
    return total


def _update_by_operators(
    collection: Any, filter: Any, asked: Any, update: Any, multi: bool, more: dict[str, Any]
) -> dict[str, Any]:
    if has_position(update):
        return _update_at_positions(collection, filter, asked, update, multi, more)
    if looks_at_documents(update):
        for document in _targets(collection, filter, multi):
            check_document(document, update)
    with telling_what_failed(lambda: _targets(collection, filter, False)[0]["_id"]):
        result: dict[str, Any] = collection._update(
            filter, _for_library(update), multi=multi, **more
        )
    return result


def _targets(collection: Any, filter: Any, multi: bool) -> list[Any]:
    """The documents that an update will change."""
    return list(islice(collection._iter_documents(filter), None if multi else 1))


def _update_at_positions(
    collection: Any, filter: Any, asked: Any, update: Any, multi: bool, more: dict[str, Any]
) -> dict[str, Any]:
    """Update documents one by one, each with the number of its own element in place of `$`."""
    library = library_of(collection.database.client)
    assert library is not None
    targets = _targets(collection, filter, multi)
    updates = []
    for document in targets:
        updates.append(with_position(library, asked, document, update))
        check_document(document, updates[-1])
    total = {"n": 0, "nModified": 0, "upserted": None, "updatedExisting": bool(targets)}
    for document, own in zip(targets, updates, strict=True):
        result = collection._update({"_id": document["_id"]}, _for_library(own), **more)
        total["n"] += result["n"]
        total["nModified"] += result["nModified"]
    return total


def _for_library(update: Any) -> Any:
    """An update with regular expressions where it asks, and as they are where it stores.

    New fields come in the order of their names, as on a server.
    """
    if isinstance(update, list):
        return stages_for_library(update)
    update = {name: dict(sorted(fields.items())) for name, fields in update.items()}
    if "$pull" in update:
        update["$pull"] = {path: _pulled(value) for path, value in update["$pull"].items()}
    return update


def _pulled(value: Any) -> Any:
    """What `$pull` asks for; the library takes a regular expression alone for a value."""
    found = for_filter(value)
    return {"$regex": found} if isinstance(value, Regex) else found


def _upsert(
    collection: Any, filter: Any, update: Any, is_replacement: bool, more: dict[str, Any]
) -> dict[str, Any]:
    """Insert what a server makes of a filter that matches nothing, and of the update."""
    fields = _equalities(filter)
    key = fields.pop("_id", _NONE)
    own_key = update.get("_id", _NONE) if is_replacement else _NONE
    if key is _NONE:
        key = own_key if own_key is not _NONE else ObjectId()
    elif is_replacement:
        _check_own_key(update, key)
    elif any(fields_of.get("_id", key) != key for fields_of in _operands(update)):
        raise _immutable(
            "Performing an update on the path '_id' would modify the immutable field '_id'"
        )
    stored = collection._hashdict(key) if isinstance(key, dict) else key
    more = {name: value for name, value in more.items() if name == "validate" or not is_replacement}
    if is_replacement or stored in collection._store:  # the latter is refused as a duplicate
        rest = (
            {name: value for name, value in update.items() if name != "_id"}
            if is_replacement
            else {}
        )
        collection._insert({"_id": key, **rest}, **more)
        return {"n": 1, "nModified": 0, "upserted": key, "updatedExisting": False}
    update = _for_library(update)
    if key is None and isinstance(update, Mapping):  # the library takes null for no `_id`
        update = {**update, "$setOnInsert": {**update.get("$setOnInsert", {}), "_id": None}}
    result: dict[str, Any] = collection._update({"_id": key, **fields}, update, upsert=True, **more)
    return result


_NONE: Final = object()


def _check_own_key(replacement: Mapping[str, Any], key: Any) -> None:
    if replacement.get("_id", key) != key:
        raise _immutable(
            "After applying the update, the (immutable) field '_id' was found to have been altered "
            f"to _id: {shown(replacement['_id'])}"
        )


def _immutable(message: str) -> OperationFailure:
    return operation_failure(66, "ImmutableField", message)


def _operands(update: Any) -> list[Mapping[str, Any]]:
    """The fields of `$set` and `$setOnInsert`, the operators that could give an `_id`."""
    if isinstance(update, list):
        return []
    return [update.get(name, {}) for name in ("$set", "$setOnInsert")]


def _equalities(filter: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that an upserted document takes from its filter: those that must equal a value."""
    found: dict[str, Any] = {}
    for name, value in filter.items():
        if name == "$and" or (name == "$or" and len(value) == 1):
            for one in value:
                found.update(_equalities(one))
        elif name[:1] != "$":
            equal = _equal(name, value)
            if equal is not _NONE:
                found[name] = equal
    return found


def _equal(name: str, condition: Any) -> Any:
    """The one value that a field must have by its condition, or `_NONE`."""
    if isinstance(condition, Regex):
        return _NONE
    if not isinstance(condition, Mapping) or next(iter(condition), "")[:1] != "$":
        return condition
    if "$eq" in condition:
        return condition["$eq"]
    if len(condition.get("$in", ())) == 1:
        return condition["$in"][0]
    wanted = condition.get("$all", ())
    if not wanted or isinstance(wanted[0], Mapping):
        return _NONE
    if len(wanted) > 1:
        raise operation_failure(
            54,
            "NotSingleValueField",
            f"cannot infer query fields to set, path '{name}' is matched twice",
        )
    return wanted[0]
