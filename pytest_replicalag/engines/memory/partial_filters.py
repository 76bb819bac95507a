"""Unique indexes with a partial filter: documents that the filter does not match are not in them.

The libraries ask the filter about the documents that are stored, and not about the one to be.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PartialFilters", "WithIndexes"]


class WithIndexes:
    """Stands in for a store while some of its indexes do not matter."""

    def __init__(self, store: Any, indexes: dict[str, Any]) -> None:
        self._store = store
        self.indexes = indexes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class PartialFilters:
    """Mixed into an engine's collection.

    Attributes:
        heeds_partial_filters: Whether it does so; in process, a collection does what the library's
            own does.
    """

    heeds_partial_filters: bool = False
    _applies: Any
    _only: Any
    _store: Any

    def _ensure_uniques(self, new_data: Any) -> None:
        indexes = self._store.indexes
        if not indexes:
            return  # most inserts go this way
        if self.heeds_partial_filters and any(
            index.get("partialFilterExpression") for index in indexes.values()
        ):
            holding = {
                name: index
                for name, index in indexes.items()
                if self._applies(index.get("partialFilterExpression") or {}, new_data)
            }
            self._only = WithIndexes(self._store, holding)
        try:
            super()._ensure_uniques(new_data)  # type: ignore[misc]
        finally:
            self._only = None
