"""Stored documents: how they are copied, and when two are alike."""

from __future__ import annotations

import copy
from typing import Any, Final

import bson
from bson.errors import BSONError

__all__ = ["copy_document", "is_same"]

_IMMUTABLE: Final = (str, int, float, bool, type(None), bytes, bson.ObjectId)


def copy_document(value: Any) -> Any:
    """A deep copy of a stored value; plain dicts and lists the quick way."""
    kind = type(value)
    if kind is dict:
        return {key: copy_document(item) for key, item in value.items()}
    if kind is list:
        return [copy_document(item) for item in value]
    return value if kind in _IMMUTABLE else copy.deepcopy(value)


def is_same(before: Any, after: Any) -> bool:
    """Whether two documents are alike for MongoDB; Python also takes 1, 1.0 and True for alike."""
    if before is after:
        return True
    if before != after:
        return False
    try:
        return bool(bson.encode(before) == bson.encode(after))
    except (BSONError, TypeError, ValueError, OverflowError):
        # Values that MongoDB could not store either: count the update rather than lose it.
        return False
