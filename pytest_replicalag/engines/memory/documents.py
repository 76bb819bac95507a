"""Stored documents: how they are copied, and when two are alike."""

from __future__ import annotations

import copy
from typing import Any, Final

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import BSONError

__all__ = ["copy_document", "is_same"]

_CODEC: Final = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)
"""Any representation of UUIDs would do; without one they cannot be compared at all."""

_OF_NAN: Final = frozenset({float, dict, list})
"""Types whose values may be, or hold, what is not equal to itself."""

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
    """Whether two documents are alike for MongoDB: they are the same BSON.

    Python also takes 1, 1.0 and True for alike, and not two that are NaN.
    """
    if before is after:
        return True
    if before != after and not _may_hold_nan(before):
        return False
    try:
        return _bson(before) == _bson(after)
    except (BSONError, TypeError, ValueError, OverflowError):
        return _is_alike(before, after)  # of values that MongoDB could not store either


def _may_hold_nan(document: Any) -> bool:
    """Whether a document may differ from its like for Python; told quickly of a flat one."""
    return type(document) is not dict or not _OF_NAN.isdisjoint(map(type, document.values()))


def _bson(document: Any) -> bytes:
    return bson.encode(document, codec_options=_CODEC)


def _is_alike(before: Any, after: Any) -> bool:
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return list(before) == list(after) and all(
            _is_alike(value, after[key]) for key, value in before.items()
        )
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(map(_is_alike, before, after))
    return bool(before is after or before == after)
