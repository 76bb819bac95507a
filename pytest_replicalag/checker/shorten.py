"""Values of a database as short text that is the same in every run.

What differs between two runs of the same test is not shown: object ids that this process made and
random UUIDs are numbered in the order in which they appear, and dates of the run itself are `now`.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from bson import ObjectId

from pytest_replicalag.records import BulkRequest

__all__ = ["Shortener"]

_WIDTH: Final = 40
_OURS: Final = ObjectId().binary[4:9]
"""The five bytes that mark the object ids of this process."""

_RANDOM_UUID: Final = 4
"""The UUID version that is random."""


class Shortener:
    """Shortens the values of one test.

    Args:
        started: When the test began, in UTC; dates since then are shown as `now`.
    """

    def __init__(self, started: datetime | None = None) -> None:
        self._started = (started or datetime.now(timezone.utc)) - timedelta(seconds=1)
        self._numbers: dict[str, dict[Any, int]] = {}
        self._first: frozenset[Any] = frozenset()

    def value(self, value: Any, width: int = _WIDTH) -> str:
        """A value in about `width` characters; `_id` first, and as much more as fits."""
        if isinstance(value, Mapping):
            return self._document(value, width)
        if isinstance(value, (list, tuple)):
            return self._list(value, width)
        if isinstance(value, BulkRequest):
            left = width - len(value.name) - 2
            return f"{value.name}({', '.join(self.value(each, left) for each in value.arguments)})"
        return _cut(self._scalar(value), width)

    def results(self, result: Any, fresh: Any) -> tuple[str, str]:
        """Two results of one read; the fields in which their documents differ come first."""
        self._first = frozenset(_differing(result, fresh))
        try:
            return self.value(result), self.value(fresh)
        finally:
            self._first = frozenset()

    def arguments(self, arguments: Iterable[Any]) -> str:
        """The arguments of a call, separated by commas."""
        return ", ".join(map(self.value, arguments))

    def _document(self, document: Mapping[Any, Any], width: int) -> str:
        keys = sorted(document, key=lambda key: (key != "_id", key not in self._first))
        parts: list[str] = []
        left = width - 2
        for key in keys:
            name = _quoted(str(key))
            part = f"{name}: {self.value(document[key], max(left - len(name) - 2, 12))}"
            if parts and len(part) > left:
                parts.append("…")
                break
            parts.append(part)
            left -= len(part) + 2
        return "{" + ", ".join(parts) + "}"

    def _list(self, values: Any, width: int) -> str:
        parts: list[str] = []
        left = width - 2
        for value in values:
            part = self.value(value, max(left, 12))
            if parts and len(part) > left:
                rest = len(values) - len(parts)
                parts.append(f"… {rest} more")
                break
            parts.append(part)
            left -= len(part) + 2
        return "[" + ", ".join(parts) + "]"

    def _scalar(self, value: Any) -> str:
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, ObjectId):
            if value.binary[4:9] == _OURS:
                return f"ObjectId(#{self._number('ObjectId', value)})"
            return f"ObjectId({str(value)!r})"
        if isinstance(value, uuid.UUID):
            if value.version == _RANDOM_UUID:
                return f"UUID(#{self._number('UUID', value)})"
            return f"UUID({str(value)!r})"
        if isinstance(value, datetime):
            return self._date(value)
        if isinstance(value, re.Pattern):
            return f"/{_printable(str(value.pattern))}/"
        if isinstance(value, (bool, int, float, bytes)) or value is None:
            return repr(value)
        # Objects whose repr tells their address would differ in every run.
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))

    def _date(self, value: datetime) -> str:
        # One without a zone may be meant in UTC or in local time.
        readings = [value] if value.tzinfo else [value.replace(tzinfo=timezone.utc)]
        with contextlib.suppress(OSError, OverflowError, ValueError):
            readings.append(value.astimezone(timezone.utc))
        until = datetime.now(timezone.utc) + timedelta(seconds=1)
        if any(self._started <= reading <= until for reading in readings):
            return "now"
        return value.isoformat(sep=" ")

    def _number(self, kind: str, value: Any) -> int:
        numbers = self._numbers.setdefault(kind, {})
        return numbers.setdefault(value, len(numbers) + 1)


def _differing(result: Any, fresh: Any) -> set[Any]:
    """The top-level fields in which two documents, or two lists of documents, differ."""
    if isinstance(result, list) and isinstance(fresh, list):
        pairs = zip(result, fresh)  # noqa: B905 - what one has more is seen by its number
        return {field for pair in pairs for field in _differing(*pair)}
    if isinstance(result, Mapping) and isinstance(fresh, Mapping):
        missing = object()
        fields = [*result, *(field for field in fresh if field not in result)]
        return {f for f in fields if result.get(f, missing) != fresh.get(f, missing)}
    return set()


def _quoted(text: str) -> str:
    """A string in double quotes, as a document is written."""
    return '"' + _printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _printable(text: str) -> str:
    """A text that moves no cursor and rings no bell, whatever is in the data."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _cut(text: str, width: int) -> str:
    if len(text) <= max(width, 8):
        return text
    return text[: max(width, 8) - 2] + ("…" + text[-1] if text[-1] in "\"')" else "…")
