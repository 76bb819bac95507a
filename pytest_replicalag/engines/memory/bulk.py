"""Bulk writes as newer versions of pymongo describe them, for a library that lacks their `sort`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["WithoutSort"]


@dataclass(frozen=True, slots=True)
class WithoutSort:
    """A bulk operation for mongomock 4, which breaks on the `sort` of pymongo 4.11 and newer."""

    request: Any

    def _add_to_bulk(self, bulk: Any) -> None:
        self.request._add_to_bulk(_SortRefused(bulk))


class _SortRefused:
    """The library's bulk builder; takes `sort` where it is None and refuses it otherwise."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        add = getattr(self._builder, name)

        def without_sort(*args: Any, sort: Any = None, **kwargs: Any) -> Any:
            if sort is not None:
                raise NotImplementedError(
                    "The sort argument of UpdateOne and ReplaceOne is valid but has not been "
                    "implemented in mongomock yet"
                )
            return add(*args, **kwargs)

        return without_sort
