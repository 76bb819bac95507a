"""Values on their way into the library."""

from __future__ import annotations

import re
from typing import Any, Final

from bson import Int64, Regex
from pymongo.errors import OperationFailure

from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["TYPES", "Long", "for_filter", "for_pipeline", "invalid_expression"]


class Long(Int64):
    """A 64-bit number whose sums and products stay 64-bit ones, as on a server.

    Arithmetic on a `bson.Int64` gives Python's plain number, which would be stored in 32 bits.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return _like(int(self) + other)

    def __mul__(self, other: Any) -> Any:
        return _like(int(self) * other)

    __radd__ = __add__
    __rmul__ = __mul__

    def bit_length(self) -> int:
        """More than 32, by which the library tells `$type` long from int."""
        return max(super().bit_length(), 33)

    def __deepcopy__(self, memo: Any) -> Long:
        return self


def _like(value: Any) -> Any:
    return Long(value) if type(value) is int else value


def _compiled(expression: Regex[Any]) -> Any:
    """A regular expression as Python's own.

    Raises:
        OperationFailure: Error 51091: it is none.
    """
    try:
        return expression.try_compile()
    except re.error as error:
        raise invalid_expression(error) from None


def invalid_expression(error: re.error) -> OperationFailure:
    """Error 51091: a regular expression that is none."""
    message = f"Regular expression is invalid: {error}"
    return operation_failure(51091, "Location51091", message)


TYPES: Final = {
    1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 7: "objectId", 8: "bool",
    9: "date", 10: "null", 11: "regex", 13: "javascript", 16: "int", 17: "timestamp", 18: "long",
    19: "decimal", -1: "minKey", 127: "maxKey",
}  # fmt: skip
"""The numbers of BSON types, which `$type` takes for their names."""


def for_filter(value: Any) -> Any:
    """A filter or a pipeline as the library takes it.

    Regular expressions are Python's own, types have names, and that of null, which the library
    does not have, is what it comes to.
    """
    if isinstance(value, Regex):
        return _compiled(value)
    if isinstance(value, dict):
        if isinstance(value.get("$size"), (int, float)):  # the library counts what is no array, too
            value = {"$type": "array", **value}
        if "$type" in value:
            return _with_type(value)
        return {key: for_filter(item) for key, item in value.items()}
    if isinstance(value, list):
        return [for_filter(item) for item in value]
    return value


def _with_type(condition: dict[str, Any]) -> dict[str, Any]:
    kind = condition["$type"]
    if isinstance(kind, (int, float)):
        kind = TYPES.get(int(kind), kind)
    rest = {key: for_filter(item) for key, item in condition.items() if key != "$type"}
    if kind == "null" and not {"$eq", "$exists"} & rest.keys():
        return {**rest, "$eq": None, "$exists": True}
    return {**rest, "$type": for_filter(kind)}


def for_pipeline(stages: Any) -> Any:
    """A pipeline, or an expression, as the library takes it: like a filter, and in other words.

    To mongomock-ng the negation of an array with one expression is always false. It answers null
    to a `$getField` whose input is an expression, which Django's backend sends for each `count()`;
    a variable's path means the same where the field's name is plain.
    """
    return _in_other_words(for_filter(stages))


def _in_other_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_other_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    negated = value.get("$not")
    if len(value) == 1 and isinstance(negated, list) and len(negated) == 1:
        return {"$not": _in_other_words(negated[0])}
    wanted = value.get("$getField")
    if len(value) == 1 and isinstance(wanted, dict) and wanted.keys() == {"field", "input"}:
        field, source = wanted["field"], _in_other_words(wanted["input"])
        if isinstance(field, str) and field and not field.startswith("$") and "." not in field:
            return {"$let": {"vars": {"input": source}, "in": f"$$input.{field}"}}
    return {
        key: item if key == "$literal" else _in_other_words(item) for key, item in value.items()
    }
