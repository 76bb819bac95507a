"""What a filter said of documents, kept for the second evaluation of the same read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytest_replicalag.engines.memory.past import PastCollection
from pytest_replicalag.engines.memory.versions import ABSENT

__all__ = ["Matches"]


class Matches:
    """What a filter said of each document, for a read that is evaluated at two positions.

    Documents are never changed while a journal is attached, so one that both positions share is
    asked about once; so is one whose changes are in fields that the filter does not look at. It
    holds for the first filter of a read, which is the read's own.

    Attributes:
        filter: The filter.
    """

    __slots__ = ("_asked", "_selected", "_store", "filter")

    def __init__(self) -> None:
        self.filter: Any = None
        self._store: PastCollection | None = None
        self._asked: list[Any] = []
        self._selected: list[Any] = []

    def select(
        self, store: PastCollection, applies: Callable[[Any], bool], key_of: Callable[[Any], Any]
    ) -> list[Any]:
        """The documents of a store that match, in their order."""
        documents = list(store.documents)
        if self._store is None:
            self._store, self._asked = store, documents
            self._selected = [document for document in documents if applies(document)]
            return self._selected
        # The lists keep the documents alive, so that their ids are their own.
        asked, selected = set(map(id, self._asked)), set(map(id, self._selected))
        fields = _fields(self.filter)
        found = []
        for document in documents:
            if id(document) in asked:
                matches = id(document) in selected
            else:
                before = ABSENT if fields is None else self._store.find(key_of(document))
                if before is not ABSENT and _agree(before, document, fields or ()):
                    matches = id(before) in selected
                else:
                    matches = applies(document)
            if matches:
                found.append(document)
        return found


def _fields(filter: Mapping[str, Any]) -> list[str] | None:
    """The top-level fields that a filter looks at; None if that cannot be told."""
    if any(key.startswith("$") for key in filter):
        return None
    return [key.partition(".")[0] for key in filter]


def _agree(before: Any, after: Any, fields: Iterable[str]) -> bool:
    """Whether two documents have the very same values in these fields."""
    return all(before.get(field, ABSENT) is after.get(field, ABSENT) for field in fields)
