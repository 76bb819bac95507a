"""What the operands of a filter's operators must be; the library takes more, and finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import Decimal128, Regex
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.values import TYPES
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_operand"]

_ALIASES: Final = frozenset({*TYPES.values(), "number", "undefined", "dbPointer", "symbol"})
_OLD_TYPES: Final = (6, 12, 14, 15)
"""Numbers of types that nobody uses any more."""


def check_operand(name: str, operand: Any, field: str, condition: Mapping[str, Any]) -> None:
    """Refuse an operand that a server refuses.

    Args:
        name: The operator.
        operand: What it is given.
        field: The path that it is about.
        condition: All operators of the path.

    Raises:
        OperationFailure: What a server answers.
    """
    check = _CHECKS.get(name)
    if check is not None:
        check(name, operand, field)
    elif name == "$options" and "$regex" not in condition:
        raise _bad("$options needs a $regex")


def _array(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    if not isinstance(operand, list):
        raise _bad(f"{name} needs an array")
    if name != "$all":
        for one in operand:
            first = next(iter(one), "") if isinstance(one, Mapping) else ""
            if first[:1] == "$" and first not in ("$ref", "$id", "$db"):
                raise _bad("cannot nest $ under $in")


def _not(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    if isinstance(operand, Regex):
        return
    if not isinstance(operand, Mapping):
        raise _bad("$not needs a regex or a document")
    if not operand:
        raise _bad("$not cannot be empty")


def _element(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    if not isinstance(operand, Mapping):
        raise _bad("$elemMatch needs an Object")


def _size(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    told = f"$size: {shown(operand)}"
    if type_name(operand) not in NUMBER:
        raise _bad(f"Failed to parse $size. Expected a number in: {told}")
    number = operand.to_decimal() if isinstance(operand, Decimal128) else operand
    if number != number // 1:
        raise _bad(f"Failed to parse $size. Expected an integer: {told}")
    if number < 0:
        raise _bad(f"Failed to parse $size. Expected a non-negative number in: {told}")


def _type(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    kinds = operand if isinstance(operand, list) else [operand]
    if not kinds:
        raise operation_failure(9, "FailedToParse", f"{field} must match at least one type")
    for kind in kinds:
        if isinstance(kind, str):
            if kind not in _ALIASES:
                raise _bad(f"Unknown type name alias: {kind}")
        elif type_name(kind) not in NUMBER:
            message = "type must be represented as a number or a string"
            raise operation_failure(14, "TypeMismatch", message)
        elif kind not in TYPES and kind not in _OLD_TYPES:
            raise _bad(f"Invalid numerical type code: {shown(kind)}")


def _expression(name: str, operand: Any, field: str) -> None:  # noqa: ARG001 - one of a table
    if not isinstance(operand, (str, Regex)):
        raise _bad("$regex has to be a string")


def _comparable(name: str, operand: Any, field: str) -> None:
    if isinstance(operand, Regex):
        if name == "$ne":
            raise _bad("Can't have regex as arg to $ne.")
        raise _bad(f"Can't have RegEx as arg to predicate over field '{field}'.")


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)


_CHECKS: Final[Mapping[str, Callable[[str, Any, str], None]]] = {
    "$in": _array,
    "$nin": _array,
    "$all": _array,
    "$not": _not,
    "$elemMatch": _element,
    "$size": _size,
    "$type": _type,
    "$regex": _expression,
    "$gt": _comparable,
    "$gte": _comparable,
    "$lt": _comparable,
    "$lte": _comparable,
    "$ne": _comparable,
}
