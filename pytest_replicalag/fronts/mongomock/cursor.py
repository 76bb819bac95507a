"""The cursor of a routed collection.

It is evaluated when it is first iterated, at the member and the optime of that moment, and keeps
what it got; asking another question (`sort`) evaluates it anew.
"""

from __future__ import annotations

from typing import Any

from pytest_replicalag.engines.memory.comparison import FindRead, LibraryFind
from pytest_replicalag.fronts.mongomock.session import ClientSession

__all__ = ["RoutedCursor"]


class RoutedCursor:
    """Mixed into a library's `Cursor`.

    Attributes:
        library_cursor: The library's own class.
    """

    library_cursor: Any
    collection: Any
    session: ClientSession | None
    _factory: Any
    _results: Any
    _skip: int
    _limit: int | None
    _spec: Any
    _sort: Any
    _projection: Any
    _collation: Any

    _operation = "find"
    _max_time_ms: int | None = None
    _answered: Any = None

    @classmethod
    def of(cls, cursor: Any, session: ClientSession | None, operation: str = "find") -> Any:
        """The routed form of a cursor that the library has made."""
        cursor.__class__ = cls
        cursor.session = session
        cursor._operation = operation
        return cursor

    def _compute_results(self, with_limit_and_skip: bool = False) -> Any:
        front = self.collection._front
        if self._answered is not self._factory or not (self._results or front.governor.running):
            self._results = front.read(
                FindRead(self._operation, self._told(), self._question()),
                self.collection._target,
                self.collection._options.read_preference,
                self.collection._options.read_concern,
                self.session,
                self._max_time_ms,
            )
            self._answered = self._factory
        if not (with_limit_and_skip and (self._skip or self._limit)):
            return self._results
        results = self._results[self._skip :]
        return results[: abs(self._limit)] if self._limit else results

    def _question(self) -> LibraryFind:
        """What it asks now."""
        return LibraryFind(
            filter=self._spec,
            sort=self._sort,
            projection=self._projection,
            collation=self._collation,
            skip=self._skip,
            limit=abs(self._limit or 0),
            cursor=self.library_cursor,
        )

    def _told(self) -> tuple[Any, ...]:
        """The arguments that a report shows."""
        if self._projection is not None:
            return (self._spec, self._projection)
        return (self._spec,) if self._spec else ()

    def clone(self) -> Any:
        """A new cursor with the same question, not yet evaluated."""
        cursor = type(self).of(super().clone(), self.session)  # type: ignore[misc]
        cursor._max_time_ms = self._max_time_ms
        return cursor

    def distinct(self, key: str, session: ClientSession | None = None) -> Any:
        """The distinct values of a field among the documents that match."""
        if session is None:
            session = self.session
        if self._projection is None and self.collection._front.governor.running is not None:
            # A command of its own, as in pymongo; what is compared is the set of values.
            return self.collection.distinct(key, self._spec, session=session)
        self.session = None if session is None else self.collection._session(session)
        found = super().distinct(key)  # type: ignore[misc]
        return self.collection._front.engine.library.in_order(found)

    def max_time_ms(self, max_time_ms: int | None) -> Any:
        """Limit the time that the read may wait for its member, in simulated milliseconds."""
        result = super().max_time_ms(max_time_ms)  # type: ignore[misc]
        self._max_time_ms = max_time_ms
        return result
