"""Values on their way into the library."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp

__all__ = ["Long", "for_filter", "type_name"]


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

    def __deepcopy__(self, memo: Any) -> Long:
        return self


def _like(value: Any) -> Any:
    return Long(value) if type(value) is int else value


def for_filter(value: Any) -> Any:
    """A filter or a pipeline as the library takes it: regular expressions are Python's own."""
    if isinstance(value, Regex):
        return value.try_compile()
    if isinstance(value, dict):
        return {key: for_filter(item) for key, item in value.items()}
    if isinstance(value, list):
        return [for_filter(item) for item in value]
    return value


_NAMES: Final[tuple[tuple[type, str], ...]] = (
    (type(None), "null"),
    (bool, "bool"),
    (Int64, "long"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (list, "array"),
    (ObjectId, "objectId"),
    (datetime, "date"),
    (Decimal128, "decimal"),
    (Binary, "binData"),
    (bytes, "binData"),
    (Timestamp, "timestamp"),
    (Regex, "regex"),
)


def type_name(value: Any) -> str:
    """What a server calls the type of a value."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "object")
