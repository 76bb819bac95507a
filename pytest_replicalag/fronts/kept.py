"""Arguments of calls as they were, whatever the caller does with its documents later."""

from __future__ import annotations

from typing import Any, Final

from pytest_replicalag.records import BulkRequest

__all__ = ["kept"]

_SHOWN: Final = 16
"""How many elements of a list may be shown; more do not fit. Of the rest, only the number is."""


def kept(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call, safe from later changes as far as a report shows them."""
    return tuple(map(_kept, arguments))


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [*map(_kept, value[:_SHOWN]), *value[_SHOWN:]]
    if hasattr(value, "_add_to_bulk"):
        given = (getattr(value, name, None) for name in ("_filter", "_doc"))
        arguments = tuple(_kept(item) for item in given if item is not None)
        return BulkRequest(type(value).__name__, arguments)
    return value
