"""Which method of a driver a forwarded command stands for, for reports.

A command may be wrong in ways that the node is to tell; then it is called by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.errors import BSONError

from pytest_replicalag.engines.describe import describe
from pytest_replicalag.engines.mongod.replies import decoded
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.wire.request import Request

__all__ = ["describe_read", "describe_write"]

_WRONG: Final = (KeyError, IndexError, TypeError, AttributeError, ValueError, BSONError)


def describe_read(request: Request) -> tuple[str, tuple[Any, ...]]:
    """The driver's method that a read stands for, and its arguments."""
    return _described(request.name, request.command)


def describe_write(forwarded: Forwarded) -> tuple[str, tuple[Any, ...]]:
    """The driver's method that a write stands for, and its arguments."""
    command = forwarded.request.command
    try:
        sent = {
            name: [decoded(document) for document in documents]
            for name, documents in forwarded.message.sequences
        }
    except _WRONG:
        return forwarded.request.name, ()
    return _described(forwarded.request.name, {**command, **sent})


def _described(name: str, command: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    try:
        return describe(name, command)
    except _WRONG:
        return name, ()
