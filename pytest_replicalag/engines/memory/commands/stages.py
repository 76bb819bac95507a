"""What the stages of a pipeline must be given; the library takes more, or says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_stage"]

_NOT_IN_FACETS: Final = frozenset(
    {
        "$changeStream", "$collStats", "$facet", "$geoNear", "$indexStats", "$merge", "$out",
        "$planCacheStats",
    }
)  # fmt: skip


def check_stage(name: str, value: Any, expressions: frozenset[str]) -> None:
    """Refuse what a stage cannot be given.

    Args:
        name: The stage.
        value: What it is given.
        expressions: The operators that a server has.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    if name == "$group":
        _check_group(value, expressions)
    check = _CHECKS.get(name)
    if check is not None:
        check(value, type_name(value))


def _check_match(_: Any, found: str) -> None:
    if found != "object":
        raise _located(15959, "the match filter must be an expression in an object")


def _check_documents(_: Any, found: str) -> None:
    if found != "array":
        raise not_supported("$documents of an expression")


def _check_limit(value: Any, found: str) -> None:
    if found in NUMBER and not value > 0:
        raise _located(15958, "the limit must be positive")


def _check_skip(value: Any, found: str) -> None:
    if found in NUMBER and value < 0:
        raise _located(
            5107200,
            "invalid argument to $skip stage: Expected a non-negative number in: $skip: "
            f"{shown(value)}",
        )


def _check_count(value: Any, found: str) -> None:
    if found != "string" or not value:
        raise _located(40157, "the count field must be a non-empty string")


def _check_unwind(value: Any, found: str) -> None:
    if found == "string" and value[:1] != "$":
        message = "path option to $unwind stage should be prefixed with a '$': "
        raise _located(28818, message + value)


def _check_project(value: Any, _: str) -> None:
    if value == {}:
        message = "projection specification must have at least one field"
        raise _located(51272, f"Invalid $project :: caused by :: {message}")


def _check_sort(keys: Any, found: str) -> None:
    if found != "object":
        raise _located(15973, "the $sort key specification must be an object")
    if not keys:
        raise _located(15976, "$sort stage must have at least one sort key")
    for key, order in keys.items():
        if isinstance(order, Mapping):
            continue
        if type_name(order) not in NUMBER:
            message = f"Illegal key in $sort specification: {key}: {shown(order)}"
            raise _located(15974, message)
        if order not in (1, -1):
            message = "$sort key ordering must be 1 (for ascending) or -1 (for descending)"
            raise _located(15975, message)


def _check_group(fields: Any, expressions: frozenset[str]) -> None:
    if not isinstance(fields, Mapping):
        raise _located(15947, "a group's fields must be specified in an object")
    for field, value in fields.items():
        if field == "_id":
            continue
        if not isinstance(value, Mapping) or next(iter(value), "")[:1] != "$":
            raise _located(40234, f"The field '{field}' must be an accumulator object")
        name = next(iter(value))
        if name not in expressions:
            raise _located(15952, f"unknown group operator '{name}'")
    if "_id" not in fields:
        raise _located(15955, "a group specification must include an _id")


def _check_facet(value: Any, found: str) -> None:
    for pipeline in value.values() if found == "object" else ():
        for stage in pipeline if isinstance(pipeline, list) else ():
            for name in _NOT_IN_FACETS.intersection(stage):
                message = f"{name} is not allowed to be used within a $facet stage"
                raise _located(40600, message)


def _check_out(value: Any, found: str) -> None:
    if found not in ("string", "object"):
        message = f"$out only supports a string or object argument, but found {found}"
        raise _located(16990, message)
    if found == "object" and value.keys() != {"db", "coll"}:
        raise _located(
            16994,
            "If an object is passed to $out it must have exactly 2 fields: 'db' and 'coll'",
        )


def _check_merge(value: Any, found: str) -> None:
    if found not in ("string", "object"):
        message = f"$merge requires a string or object argument, but found {found}"
        raise operation_failure(14, "TypeMismatch", message)
    for field in value if found == "object" else ():
        if field not in ("into", "on", "let", "whenMatched", "whenNotMatched"):
            raise _located(40415, f"BSON field '$merge.{field}' is an unknown field.")
    if found == "object" and "into" not in value:
        message = "BSON field '$merge.into' is missing but a required field"
        raise _located(40414, message)


def _located(code: int, message: str) -> OperationFailure:
    return operation_failure(code, f"Location{code}", message)


_CHECKS: Final[Mapping[str, Callable[[Any, str], None]]] = {
    "$match": _check_match,
    "$documents": _check_documents,
    "$limit": _check_limit,
    "$skip": _check_skip,
    "$count": _check_count,
    "$unwind": _check_unwind,
    "$project": _check_project,
    "$sort": _check_sort,
    "$facet": _check_facet,
    "$out": _check_out,
    "$merge": _check_merge,
}
