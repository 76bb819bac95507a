"""Values on their way into the library."""

from __future__ import annotations

import re
from typing import Any

from bson import Int64, Regex
from pymongo.errors import OperationFailure

from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Long", "for_filter", "invalid_expression"]


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


def for_filter(value: Any) -> Any:
    """A filter or a pipeline as the library takes it: regular expressions are Python's own."""
    if isinstance(value, Regex):
        return _compiled(value)
    if isinstance(value, dict):
        return {key: for_filter(item) for key, item in value.items()}
    if isinstance(value, list):
        return [for_filter(item) for item in value]
    return value
