"""Commands that read documents, as reads that can be evaluated at two positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.engines.memory.commands.describe import describe
from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.engines.memory.comparison import (
    Comparable,
    Evaluation,
    FindRead,
    LibraryFind,
    OtherRead,
)
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["find_of", "read", "sort_of"]

_RANDOM = ("$sample", "$rand")


class _ServerFind(LibraryFind):
    """A find whose errors are a server's."""

    __slots__ = ()

    def results(self, collection: Any) -> list[Any]:
        with server_errors(collection):
            return super().results(collection)


class _Count(OtherRead):
    """The pipeline that drivers send for `count_documents`; told as the number it stands for."""

    def results(self, then: Evaluation, now: Evaluation) -> tuple[Any, Any]:
        found, fresh = super().results(then, now)
        return _number(found), _number(fresh)


def _number(result: list[Any]) -> int:
    return int(result[0]["n"]) if result else 0


def read(name: str, command: Mapping[str, Any], library: Library) -> Comparable:
    """The read that a command asks for.

    Args:
        name: `find`, `aggregate`, `count` or `distinct`.
        command: The command.
        library: Evaluates it.

    Raises:
        OperationFailure: It is not valid, or not supported.
    """
    operation, arguments = describe(name, command)
    _check_hint(command.get("hint"))
    if name == "find":
        return FindRead(operation, arguments, find_of(command, library))
    if name == "aggregate":
        return _aggregate(command, operation, arguments)
    filter = for_filter(command.get("query") or {})
    if name == "count":
        return OtherRead(
            operation, arguments, lambda coll: _count(coll, filter, command), filter=filter
        )
    return OtherRead(
        operation,
        arguments,
        lambda coll: _distinct(coll, command["key"], filter),
        filter=filter,
        ignores_order=True,
    )


def find_of(command: Mapping[str, Any], library: Library, filter: str = "filter") -> LibraryFind:
    """What a `find`, or the query of another command, asks of the library.

    Args:
        command: The command.
        library: Evaluates it.
        filter: The name of the field with the filter.
    """
    limit = command.get("limit") or 0
    return _ServerFind(
        filter=for_filter(command.get(filter) or {}),
        sort=sort_of(command.get("sort")),
        projection=command.get("projection") or None,
        collation=None,
        skip=command.get("skip") or 0,
        limit=abs(int(limit)),
        cursor=library.cursor,
    )


def sort_of(sort: Mapping[str, Any] | None) -> list[tuple[str, int]] | None:
    """The library's form of a sort.

    Raises:
        OperationFailure: It has something else than 1 and -1.
    """
    if not sort:
        return None
    pairs = []
    for key, order in sort.items():
        if isinstance(order, Mapping):
            raise not_supported(f"sorting by {{{key}: {order}}}")
        if order not in (1, -1):
            raise operation_failure(
                15975,
                "Location15975",
                "$sort key ordering must be 1 (for ascending) or -1 (for descending)",
            )
        if key == "$natural":
            if order == 1 and len(sort) == 1:
                return None
            raise not_supported("sorting by $natural in reverse")
        pairs.append((key, int(order)))
    return pairs


def _check_hint(hint: Any) -> None:
    """A hint changes nothing but the order of what is not sorted, which only `$natural` says."""
    if isinstance(hint, Mapping) and hint.get("$natural", 1) != 1:
        raise not_supported("a hint of reverse $natural order")


def _aggregate(
    command: Mapping[str, Any], operation: str, arguments: tuple[Any, ...]
) -> Comparable:
    pipeline = command["pipeline"]
    stages = for_filter(pipeline)
    first = stages[0].get("$match") if stages and isinstance(stages[0], Mapping) else None
    kind = _Count if operation == "count_documents" else OtherRead
    return kind(
        operation,
        arguments,
        lambda coll: run_pipeline(coll, stages),
        filter=first,
        reads_others=True,
        is_deterministic=not any(name in str(pipeline) for name in _RANDOM),
    )


def run_pipeline(collection: Any, stages: list[Any]) -> list[Any]:
    """The documents that a pipeline gives."""
    with server_errors(collection):
        return list(collection.aggregate(stages))


def _count(collection: Any, filter: Any, command: Mapping[str, Any]) -> int:
    with server_errors(collection):
        found = int(collection.count_documents(filter))
    found = max(found - (command.get("skip") or 0), 0)
    limit = abs(command.get("limit") or 0)
    return min(found, limit) if limit else found


def _distinct(collection: Any, key: str, filter: Any) -> list[Any]:
    with server_errors(collection):
        return list(collection.find(filter).distinct(key))
