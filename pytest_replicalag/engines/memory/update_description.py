"""What an update changed, as a change event tells it: `updateDescription`.

A server writes an update into its oplog as a delta: fields removed, updated and inserted, and
deltas of sub-documents and arrays. For an update by operators the delta follows the operators:
`$set` of a sub-document tells the whole sub-document, `$push` the elements appended. For an update
by a pipeline it is the difference of the two documents, as far as that is smaller than what it
describes. Both were recorded from MongoDB 6.0.5.
MongoDB manual, Change Events, `update`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import bson
from bson.errors import BSONError

from pytest_replicalag.engines.memory.documents import copy_document, is_same
from pytest_replicalag.engines.memory.versions import ABSENT

__all__ = ["describe_update", "is_replacement"]

_LARGER_IN_THE_OPLOG: Final = 15
"""Bytes by which a delta's oplog entry is larger than the delta, as the server reckons them."""

_SELECTORS: Final = "$"
"""How the components of a path begin that stand for several elements: `$`, `$[]`, `$[name]`."""


def is_replacement(update: Any) -> bool:
    """Whether an update replaces the whole document."""
    return isinstance(update, Mapping) and not any(key.startswith("$") for key in update)


def describe_update(before: Any, after: Any, update: Any) -> dict[str, Any] | None:
    """The `updateDescription` of an update, or None if it is told as a replacement.

    Args:
        before: The document before.
        after: The document after.
        update: The update by operators; anything else if it is not known, or is a pipeline.
    """
    if isinstance(update, Mapping) and not is_replacement(update):
        delta = _follow(_touched(update), before, after)
    else:
        delta = _difference(before, after)
        size = _size(after)
        if size is not None and (_size(delta.document) or 0) + _LARGER_IN_THE_OPLOG >= size:
            return None
    updated: dict[str, Any] = {}
    removed: list[str] = []
    truncated: list[dict[str, Any]] = []
    delta.tell("", updated, removed, truncated)
    return {"updatedFields": updated, "removedFields": removed, "truncatedArrays": truncated}


@dataclass(slots=True)
class _Delta:
    """What changed in a document, in the order in which a server tells it."""

    removed: list[str] = field(default_factory=list)
    updated: dict[str, Any] = field(default_factory=dict)
    inserted: dict[str, Any] = field(default_factory=dict)
    inside: dict[str, _Delta | _ArrayDelta] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.removed or self.updated or self.inserted or self.inside)

    @property
    def document(self) -> dict[str, Any]:
        """The delta as the oplog holds it; only its size is of interest."""
        parts: dict[str, Any] = {
            "d": dict.fromkeys(self.removed, False),
            "u": self.updated,
            "i": self.inserted,
        }
        told = {key: part for key, part in parts.items() if part}
        return {**told, **{f"s{name}": delta.document for name, delta in self.inside.items()}}

    def tell(
        self, path: str, updated: dict[str, Any], removed: list[str], truncated: list[Any]
    ) -> None:
        """Add to the lists of an `updateDescription`, for a document at `path`."""
        removed.extend(path + name for name in self.removed)
        for fields in (self.updated, self.inserted):
            updated.update({path + name: copy_document(value) for name, value in fields.items()})
        for name, delta in self.inside.items():
            delta.tell(f"{path}{name}.", updated, removed, truncated)


@dataclass(slots=True)
class _ArrayDelta:
    """What changed in an array: its new length if it became shorter, and its elements by index."""

    length: int | None = None
    elements: dict[int, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.length is None and not self.elements

    @property
    def document(self) -> dict[str, Any]:
        """The delta as the oplog holds it; only its size is of interest."""
        told: dict[str, Any] = {"a": True}
        if self.length is not None:
            told["l"] = self.length
        for index, value in self.elements.items():
            is_inside = isinstance(value, _Delta | _ArrayDelta)
            told[f"{'s' if is_inside else 'u'}{index}"] = value.document if is_inside else value
        return told

    def tell(
        self, path: str, updated: dict[str, Any], removed: list[str], truncated: list[Any]
    ) -> None:
        """Add to the lists of an `updateDescription`, for an array at `path`."""
        if self.length is not None:
            truncated.append({"field": path[:-1], "newSize": self.length})
        for index, value in self.elements.items():
            if isinstance(value, _Delta | _ArrayDelta):
                value.tell(f"{path}{index}.", updated, removed, truncated)
            else:
                updated[f"{path}{index}"] = copy_document(value)


# -- the difference of two documents ---------------------------------------------------------


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> _Delta:
    """The server's way: fields are compared in their order, one that has moved is new."""
    delta = _Delta()
    left, right = list(before), list(after)
    at = 0
    missed = []
    for n, name in enumerate(left):
        if at == len(right):
            delta.removed.extend(left[n:])
            break
        if name != right[at]:
            missed.append(name)
            continue
        at += 1
        old, new = before[name], after[name]
        if not is_same(old, new):
            inside = _inside(old, new)
            if inside is None:
                delta.updated[name] = new
            else:
                delta.inside[name] = inside
    delta.inserted = {name: after[name] for name in right[at:]}
    delta.removed.extend(name for name in missed if name not in delta.inserted)
    return delta


def _inside(before: Any, after: Any) -> _Delta | _ArrayDelta | None:
    """The delta inside two documents or two arrays; None where the whole is shorter to tell."""
    delta: _Delta | _ArrayDelta
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        delta = _difference(before, after)
    elif isinstance(before, list) and isinstance(after, list):
        delta = _array_difference(before, after)
    else:
        return None
    whole, told = _size(after), _size(delta.document)
    return delta if whole is None or told is None or told < whole else None


def _array_difference(before: list[Any], after: list[Any]) -> _ArrayDelta:
    delta = _ArrayDelta(len(after) if len(after) < len(before) else None)
    for index, new in enumerate(after):
        if index >= len(before):
            delta.elements[index] = new
        elif not is_same(before[index], new):
            inside = _inside(before[index], new)
            delta.elements[index] = new if inside is None else inside
    return delta


def _size(value: Any) -> int | None:
    """How many bytes a document or array takes; None if MongoDB could not store it."""
    is_array = isinstance(value, list)
    document = {str(index): item for index, item in enumerate(value)} if is_array else value
    try:
        return len(bson.encode(document))
    except (BSONError, TypeError, ValueError, OverflowError):
        return None


# -- the fields that operators name ----------------------------------------------------------


@dataclass(slots=True)
class _Touched:
    """A part of a document that operators name, or that has such parts.

    Attributes:
        parts: By field name, index, or selector.
        is_named: Whether an operator names it itself.
        appends: Whether the operator is a `$push` that can append without moving elements.
    """

    parts: dict[str, _Touched] = field(default_factory=dict)
    is_named: bool = False
    appends: bool = False

    @property
    def selects(self) -> _Touched | None:
        """What is named of the elements that a selector stands for."""
        chosen = [part for name, part in self.parts.items() if name.startswith(_SELECTORS)]
        return chosen[0] if chosen else None


def _touched(update: Mapping[str, Any]) -> _Touched:
    root = _Touched()
    for operator, fields in update.items():
        if not isinstance(fields, Mapping):
            continue
        for path, value in fields.items():
            _name(root, path, operator, value)
            if operator == "$rename":
                _name(root, value, operator, value)
    return root


def _name(root: _Touched, path: str, operator: str, value: Any) -> None:
    part = root
    for name in path.split("."):
        part = part.parts.setdefault(name, _Touched())
    part.is_named = True
    sorts = isinstance(value, Mapping) and "$sort" in value
    part.appends = operator == "$push" and not sorts


def _follow(touched: _Touched, before: Mapping[str, Any], after: Mapping[str, Any]) -> _Delta:
    """What changed in a document. What no operator names but the library changed is told too."""
    delta = _Delta()
    for name in _in_order(touched, before, after):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if new is ABSENT:
            delta.removed.append(name)
        elif old is ABSENT:
            delta.inserted[name] = new
        elif not is_same(old, new):
            inside = _follow_inside(touched.parts.get(name), old, new)
            if inside is None:
                delta.updated[name] = new
            else:
                delta.inside[name] = inside
    return delta


def _in_order(
    touched: _Touched, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    """The fields of both; those that operators name first, sorted as a server applies them."""
    fields = dict.fromkeys((*before, *after))
    yield from sorted(name for name in touched.parts if name in fields)
    yield from (name for name in fields if name not in touched.parts)


def _follow_inside(touched: _Touched | None, before: Any, after: Any) -> Any:
    """The delta inside two values; None where the whole is told."""
    if touched is None:
        return _inside(before, after)
    both_arrays = isinstance(before, list) and isinstance(after, list)
    if touched.is_named:
        return _appended(before, after) if touched.appends and both_arrays else None
    if both_arrays:
        return _follow_elements(touched, before, after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _follow(touched, before, after)
    return None


def _appended(before: list[Any], after: list[Any]) -> _ArrayDelta | None:
    count = len(before)
    if len(after) <= count or not all(map(is_same, before, after)):
        return None
    return _ArrayDelta(elements=dict(enumerate(after[count:], count)))


def _follow_elements(touched: _Touched, before: list[Any], after: list[Any]) -> _ArrayDelta | None:
    if len(after) < len(before):
        return None
    changed = [
        index
        for index, new in enumerate(after)
        if index >= len(before) or not is_same(before[index], new)
    ]
    selected = touched.selects
    if selected is not None and len(changed) > 1:
        return None  # a server tells the whole array when a selector changed several elements
    delta = _ArrayDelta()
    for index in changed:
        part = touched.parts.get(str(index), selected)
        if index >= len(before):
            if part is not None:  # elements that only fill the gap before it are not told
                delta.elements[index] = after[index]
            continue
        inside = None if part is None else _follow_inside(part, before[index], after[index])
        delta.elements[index] = after[index] if inside is None else inside
    return delta
