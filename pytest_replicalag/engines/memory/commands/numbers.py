"""The operators of single values, worked out: the library knows no types of numbers.

A 32-bit number and a 64-bit one give a 64-bit one, a sum that does not fit becomes one, and one
that fits in none is an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from typing import Any, Final

from bson import Decimal128, decimal128

from pytest_replicalag.engines.memory.commands.identities import identity_of
from pytest_replicalag.engines.memory.commands.values import Long
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["ABSENT", "changed"]

ABSENT: Final = object()
"""No value at all."""

_INT32: Final = range(-(2**31), 2**31)
_INT64: Final = range(-(2**63), 2**63)
_ARITHMETIC: Final = {"$inc": operator.add, "$mul": operator.mul}
_BITWISE: Final = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
_WORDS: Final = {
    "int": "NumberInt",
    "long": "NumberLong",
    "double": "NumberDouble",
    "decimal": "NumberDecimal",
}


def changed(
    name: str,
    value: Any,
    argument: Any,
    field: str,
    document: Mapping[str, Any],
    compare: Callable[[Any, Any], bool],
) -> tuple[str | None, Any]:
    """The operator and argument that have an operator's effect on a value; None for no effect.

    Args:
        name: The operator.
        value: What is there, or `ABSENT`.
        argument: The operator's argument; checked.
        field: The last part of its path, for errors.
        document: The document, for errors.
        compare: Whether a value comes before another in BSON's order.

    Raises:
        OperationFailure: What a server answers.
    """
    if name in _ARITHMETIC:
        return "$set", _computed(name, value, argument, field, document)
    if name == "$bit":
        return "$set", _bits(value, argument, field, document)
    if name in ("$min", "$max"):
        if value is ABSENT:
            return "$set", argument
        wins = compare(argument, value) if name == "$min" else compare(value, argument)
        return ("$set", argument) if wins else (None, None)
    if name == "$unset" and value is ABSENT:
        return None, None
    return name, argument


def _computed(name: str, value: Any, argument: Any, field: str, document: Mapping[str, Any]) -> Any:
    if value is ABSENT:
        return argument if name == "$inc" else _combined(operator.mul, argument, 0)
    if type_name(value) not in NUMBER:
        raise operation_failure(
            14,
            "TypeMismatch",
            f"Cannot apply {name} to a value of non-numeric type. "
            f"{identity_of(document)} has the field '{field}' of non-numeric type "
            f"{type_name(value)}",
        )
    try:
        return _combined(_ARITHMETIC[name], value, argument)
    except OverflowError:
        raise operation_failure(
            2,
            "BadValue",
            f"Failed to apply {name} operations to current value "
            f"(({_WORDS[type_name(value)]}){shown(value)}) for document "
            f"{identity_of(document)}",
        ) from None


def _combined(operation: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    """The sum, say, of two numbers, in the type that the server gives it.

    Raises:
        OverflowError: It does not fit in 64 bits.
    """
    if isinstance(one, Decimal128) or isinstance(other, Decimal128):
        with localcontext(decimal128.create_decimal128_context()):
            return Decimal128(operation(_decimal(one), _decimal(other)))
    if isinstance(one, float) or isinstance(other, float):
        return float(operation(float(one), float(other)))
    result = operation(int(one), int(other))
    if result not in _INT64:
        raise OverflowError
    is_long = "long" in (type_name(one), type_name(other)) or result not in _INT32
    return Long(result) if is_long else result


def _decimal(number: Any) -> Decimal:
    return number.to_decimal() if isinstance(number, Decimal128) else Decimal(number)


def _bits(value: Any, argument: Any, field: str, document: Mapping[str, Any]) -> Any:
    if value is ABSENT:
        value = 0
    if type_name(value) not in ("int", "long"):
        raise operation_failure(
            2,
            "BadValue",
            f"Cannot apply $bit to a value of non-integral type._id: {shown(document.get('_id'))} "
            f"has the field {field} of non-integer type {type_name(value)}",
        )
    for name, number in argument.items():
        is_long = "long" in (type_name(value), type_name(number))
        value = _BITWISE[name](int(value), int(number))
        value = Long(value) if is_long else value
    return value
