"""Updates as they are written: what a server refuses before it looks at a document.

The library applies an update's operators. It does not check that they fit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported, shown
from pytest_replicalag.engines.memory.commands.operators import check_filter, check_pipeline
from pytest_replicalag.engines.memory.commands.types import NUMBER, type_name, wrong_type
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["REFUSED_OPERATORS", "check_array_filters", "check_update"]

_OPERATORS: Final = frozenset(
    {
        "$addToSet", "$bit", "$currentDate", "$inc", "$max", "$min", "$mul", "$pop", "$pull",
        "$pullAll", "$push", "$rename", "$set", "$setOnInsert", "$unset",
    }
)  # fmt: skip
REFUSED_OPERATORS: Final = frozenset({"$mul"})
"""The library does not have it."""

_ON_ARRAYS: Final = frozenset({"$addToSet", "$pull", "$pullAll", "$push"})
"""Operators for which the library does not know `$[]` and `$[<identifier>]`."""


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
    if name in REFUSED_OPERATORS:
        raise not_supported(f"the operator {name}")
    for path, value in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(path, value)
        _check_positions(name, path)


def _check_positions(name: str, path: str) -> None:
    positional = [part for part in path.split(".") if part[:1] == "$"]
    if len(positional) > 1:
        raise not_supported("more than one positional operator in a path")
    if name in _ON_ARRAYS and any(part != "$" for part in positional):
        raise not_supported(f"{positional[0]} in a path of {name}")


def _check_inc(path: str, value: Any) -> None:
    if type_name(value) not in NUMBER:
        raise operation_failure(
            14,
            "TypeMismatch",
            f"Cannot increment with non-numeric argument: {{{path}: {shown(value)}}}",
        )


def _check_pull(path: str, value: Any) -> None:
    is_condition = isinstance(value, Mapping) and next(iter(value), "")[:1] == "$"
    check_filter({path: value} if is_condition else value)


def _check_push(_: str, value: Any) -> None:
    sort = value.get("$sort") if isinstance(value, Mapping) else None
    if isinstance(sort, Mapping) and len(sort) > 1:
        raise not_supported("$sort of several fields in $push")


def _check_current_date(_: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, Mapping):
        raise operation_failure(
            2,
            "BadValue",
            f"{type_name(value)} is not valid type for $currentDate. Please use a boolean "
            "('true') or a $type expression ({$type: 'timestamp/date'}).",
        )
    if value.get("$type") not in ("date", "timestamp"):
        raise operation_failure(
            2,
            "BadValue",
            "The '$type' string field is required to be 'date' or 'timestamp': "
            "{$currentDate: {field : {$type: 'date'}}}",
        )


_CHECKS: Final = {
    "$inc": _check_inc,
    "$pull": _check_pull,
    "$push": _check_push,
    "$currentDate": _check_current_date,
}


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


def check_array_filters(update: Any, array_filters: Any) -> None:
    """Refuse array filters that are for nothing, or that are two for one identifier.

    Raises:
        OperationFailure: Error 9.
    """
    if not array_filters:
        return
    has_operators = isinstance(update, Mapping) and next(iter(update), "")[:1] == "$"
    paths = " ".join(_paths(update)) if has_operators else ""
    seen = set()
    for place, one in enumerate(array_filters):
        if not isinstance(one, Mapping):
            raise wrong_type(f"update.updates.arrayFilters.{place}", one, ("object",))
        check_filter(one)
        for identifier in {name.partition(".")[0] for name in one if name[:1] != "$"}:
            if identifier in seen:
                raise _failed(
                    f"Found multiple array filters with the same top-level field name {identifier}"
                )
            seen.add(identifier)
            if f"$[{identifier}]" not in paths:
                raise _failed(
                    f"The array filter for identifier '{identifier}' was not used in the update "
                    f"{shown(update)}"
                )
