"""BSON's types by the names that a server calls them, and what it says of a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from pymongo.errors import OperationFailure

from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = [
    "NUMBER",
    "SAFE_BOOL",
    "check_typed",
    "is_deeper",
    "type_name",
    "unknown_field",
    "whole",
    "wrong_type",
]

NUMBER: Final = ("long", "int", "decimal", "double")
"""The types of a field that takes any number."""

SAFE_BOOL: Final = ("bool", *NUMBER)
"""The types of a field that takes a number for true or false, too."""

_NAMES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "int",
    float: "double",
    type(None): "null",
    bytes: "binData",
    Binary: "binData",
    ObjectId: "objectId",
    Timestamp: "timestamp",
    datetime: "date",
    DatetimeMS: "date",
    Regex: "regex",
    Decimal128: "decimal",
    Code: "javascript",
    MinKey: "minKey",
    MaxKey: "maxKey",
    # A document for a server; no field of a command is one that may be a reference.
    DBRef: "DBRef",
}

_SMALLEST_LEVEL: Final = 7
"""Bytes that a document in another one takes at least: type, empty name, length and end."""

_MAX_LONG: Final = 2**63 - 1


def type_name(value: object) -> str:
    """The type of a decoded value, such as `object` or `long`."""
    name = _NAMES.get(type(value))
    if name is None:
        return "long" if isinstance(value, Int64) else "object"
    return name


def wrong_type(field: str, value: object, expected: tuple[str, ...]) -> OperationFailure:
    """Error 14: a field has a type that it must not have.

    Args:
        field: Its path, such as `find.limit`.
        value: What it is.
        expected: The types that it may have.
    """
    # The server's own quotes, which do not match.
    wanted = f"type '{expected[0]}'" if len(expected) == 1 else f"types '[{', '.join(expected)}']"
    return operation_failure(
        14,
        "TypeMismatch",
        f"BSON field '{field}' is the wrong type '{type_name(value)}', expected {wanted}",
    )


def check_typed(field: str, value: object, expected: str) -> None:
    """Refuse a value in the words of the parsers that are not generated ones.

    Raises:
        OperationFailure: Error 14: it has another type.
    """
    found = type_name(value)
    if found != expected:
        raise operation_failure(
            14, "TypeMismatch", f'"{field}" had the wrong type. Expected {expected}, found {found}'
        )


def unknown_field(path: str) -> OperationFailure:
    """Error 40415: a field that there is not."""
    return operation_failure(40415, "Location40415", f"BSON field '{path}' is an unknown field.")


def whole(value: Any) -> int:
    """A number as the server makes it a whole one: cut off, NaN is 0, and infinity the largest."""
    if isinstance(value, Decimal128):
        value = float(value.to_decimal())
    if isinstance(value, int):
        return value
    if value != value:  # noqa: PLR0124 - NaN
        return 0
    return int(max(min(value, _MAX_LONG), -_MAX_LONG))


def is_deeper(document: Any, levels: int, size: int) -> bool:
    """Whether documents and arrays are nested more than `levels` deep, the outermost counted.

    Args:
        document: A document.
        levels: How many there may be.
        size: Of the document in bytes: a short one need not be looked at.
    """
    if size < levels * _SMALLEST_LEVEL:
        return False
    current = [document]
    for _ in range(levels):
        current = [
            item
            for outer in current
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, (dict, list))
        ]
        if not current:
            return False
    return True
