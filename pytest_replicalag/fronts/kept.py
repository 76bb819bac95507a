"""Arguments of calls as they were, whatever the caller does with its documents later."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from pytest_replicalag.records import BulkRequest

__all__ = ["kept"]

_FLAT: Final = frozenset({str, int, float, bool, type(None), bytes, datetime, ObjectId})
"""Types whose values hold no others."""

_SHOWN: Final = 16
"""How many elements of a list may be shown; more do not fit. Of the rest, only the number is."""


def kept(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call, safe from later changes as far as a report shows them."""
    return tuple([_kept(argument) for argument in arguments])


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        copy = dict(value)
        for key, item in value.items():
            if type(item) not in _FLAT:  # few documents are deep, and one is kept on every write
                copy[key] = _kept(item)
        return copy
    if isinstance(value, (list, tuple)):
        return [*map(_kept, value[:_SHOWN]), *value[_SHOWN:]]
    if hasattr(type(value), "_add_to_bulk"):  # asked of the class, for a mock has any attribute
        given = (getattr(value, name, None) for name in ("_filter", "_doc"))
        arguments = tuple(_kept(item) for item in given if item is not None)
        return BulkRequest(type(value).__name__, arguments)
    return value
