"""Updates: what a server refuses before it applies one, and how the library is brought to apply it.

The library applies an update's operators. It does not check that they fit together, and it takes
the `_id` of a replaced or upserted document from the filter as it stands there, operators and all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bson import ObjectId, Regex
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors, shown
from pytest_replicalag.engines.memory.commands.operators import check_filter, check_pipeline
from pytest_replicalag.engines.memory.commands.types import type_name
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["apply_update", "check_update", "ensure_created"]

_OPERATORS: Final = frozenset(
    {
        "$addToSet", "$bit", "$currentDate", "$inc", "$max", "$min", "$mul", "$pop", "$pull",
        "$pullAll", "$push", "$rename", "$set", "$setOnInsert", "$unset",
    }
)  # fmt: skip
_REFUSED: Final = frozenset({"$mul"})
_LOSING_IDS: Final = frozenset({"$project", "$replaceRoot", "$replaceWith", "$unset"})
"""Stages after which a document may have no `_id`; a server then gives it its own back."""

_ON_ARRAYS: Final = frozenset({"$addToSet", "$pull", "$pullAll", "$push"})
"""Operators for which the library does not know `$[]` and `$[<identifier>]`."""


def ensure_created(collection: Any) -> None:
    """Create a collection that does not exist; a server keeps it when it becomes empty."""
    store = collection._store
    if not store.is_created:
        store.create()


# -- what a server refuses -------------------------------------------------------------------------


def check_update(update: Any, *, multi: bool) -> None:
    """Refuse an update that is none, or that the library would apply otherwise than a server.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    if isinstance(update, list):
        check_pipeline(update)
        return
    if not isinstance(update, Mapping):
        raise _failed("Update argument must be either an object or an array")
    names = list(update)
    if not any(name[:1] == "$" for name in names):
        if multi:
            raise _failed("multi update is not supported for replacement-style update")
        return
    if names[0][:1] != "$":
        name = next(name for name in names if name[:1] == "$")
        raise operation_failure(
            52,
            "DollarPrefixedFieldName",
            f"The dollar ($) prefixed field '{name}' in '{name}' is not allowed in the context of "
            "an update's replacement document. Consider using an aggregation pipeline with "
            "$replaceWith.",
        )
    for name, fields in update.items():
        _check_operator(name, fields)
    _check_paths(update)


def _check_operator(name: str, fields: Any) -> None:
    if name not in _OPERATORS:
        raise _failed(
            f"Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update "
            "specified as an array"
        )
    if not isinstance(fields, Mapping):
        raise _failed(
            f"Modifiers operate on fields but we found type {type_name(fields)} instead. For "
            f"example: {{$mod: {{<field>: ...}}}} not {{{name}: {shown(fields)}}}"
        )
    if name in _REFUSED:
        raise not_supported(f"the operator {name}")
    for path, value in fields.items():
        if name == "$inc" and (isinstance(value, (bool, str, list, dict)) or value is None):
            raise operation_failure(
                14,
                "TypeMismatch",
                f"Cannot increment with non-numeric argument: {{{path}: {shown(value)}}}",
            )
        if name == "$pull":
            is_condition = isinstance(value, Mapping) and next(iter(value), "")[:1] == "$"
            check_filter({path: value} if is_condition else value)
        positional = [part for part in path.split(".") if part[:1] == "$"]
        if len(positional) > 1:
            raise not_supported("more than one positional operator in a path")
        if name in _ON_ARRAYS and any(part != "$" for part in positional):
            raise not_supported(f"{positional[0]} in a path of {name}")


def _check_paths(update: Mapping[str, Any]) -> None:
    """Refuse paths that are none, and paths of which one is in the other."""
    whole: set[str] = set()
    beginnings: set[str] = set()
    for path in _paths(update):
        parts = path.split(".")
        if not all(parts):
            raise operation_failure(
                56,
                "EmptyFieldName",
                f"The update path '{path}' contains an empty field name, which is not allowed."
                if path
                else "An empty update path is not valid.",
            )
        upwards = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        conflict = next((one for one in upwards if one in whole), None)
        if conflict is None and path in beginnings:
            conflict = path
        if conflict is not None:
            raise operation_failure(
                40,
                "ConflictingUpdateOperators",
                f"Updating the path '{path}' would create a conflict at '{conflict}'",
            )
        whole.add(path)
        beginnings.update(upwards)


def _paths(update: Mapping[str, Any]) -> Iterator[str]:
    for name, fields in update.items():
        for path, value in fields.items():
            yield path
            if name == "$rename" and isinstance(value, str):
                yield value


def _failed(message: str) -> OperationFailure:
    return operation_failure(9, "FailedToParse", message)


# -- applying it -----------------------------------------------------------------------------------


def apply_update(
    collection: Any,
    filter: Any,
    update: Any,
    *,
    upsert: bool,
    asked: Any = None,
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
        asked: The filter, as the command has it, for an upsert.
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
                filter = {"_id": found["_id"]}
        update = _for_library(update)
        if isinstance(update, list) and any(_LOSING_IDS & stage.keys() for stage in update):
            return _update_each(collection, filter, update, multi, more)
        result: dict[str, Any] = collection._update(filter, update, multi=multi, **more)
    return result


def _update_each(
    collection: Any, filter: Any, pipeline: list[Any], multi: bool, more: dict[str, Any]
) -> dict[str, Any]:
    """Update documents by a pipeline, one by one, each of which keeps its `_id`."""
    keys = [document["_id"] for document in collection._iter_documents(filter)]
    total = {"n": 0, "nModified": 0, "upserted": None, "updatedExisting": bool(keys)}
    for key in keys if multi else keys[:1]:
        own = {"_id": {"$literal": key}}
        keeping = {"$replaceWith": {"$mergeObjects": [own, "$$ROOT"]}}
        result = collection._update({"_id": key}, [*pipeline, keeping], **more)
        total["n"] += result["n"]
        total["nModified"] += result["nModified"]
    return total


def _for_library(update: Any) -> Any:
    """An update with regular expressions where it asks, and as they are where it stores."""
    if isinstance(update, list):
        return for_filter(update)
    if "$pull" in update:
        return {
            **update,
            "$pull": {path: _pulled(value) for path, value in update["$pull"].items()},
        }
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
