"""Hints: they name an index that there is, and a find that sorts by nothing keeps its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_hint", "order_of_hint"]

_ID: dict[str, Any] = {"key": [("_id", 1)]}


def check_hint(collection: Any, hint: Any) -> None:
    """Refuse a hint of an index that there is not.

    Args:
        collection: The library's collection.
        hint: The field of the command; None or empty without one.

    Raises:
        OperationFailure: Error 2; 9 if it is neither a name nor keys.
    """
    _index_of(collection, hint)


def order_of_hint(collection: Any, hint: Any) -> list[tuple[str, int]] | None:
    """The order in which a find by that index yields documents, as a sort; None for its own.

    Raises:
        OperationFailure: There is no such index; or it does not hold all documents (115).
    """
    index = _index_of(collection, hint)
    if index is None:
        return None
    if index.get("sparse") or index.get("partialFilterExpression"):
        raise not_supported("a hint of a sparse or a partial index")
    keys = [(field, order) for field, order in index["key"]]
    return keys if all(order in (1, -1) for _, order in keys) else None


def _index_of(collection: Any, hint: Any) -> Mapping[str, Any] | None:
    """The index that a hint names; None without a hint."""
    if not hint:
        return None
    if not isinstance(hint, (str, Mapping)):
        raise operation_failure(9, "FailedToParse", "Hint must be a string or an object")
    if isinstance(hint, Mapping) and "$natural" in hint:
        if hint["$natural"] != 1:
            raise not_supported("a hint of reverse $natural order")
        return None
    store = collection._store
    if not store.is_created:
        return None
    indexes: dict[str, dict[str, Any]] = {"_id_": _ID, **store.indexes}
    for name, index in indexes.items():
        if hint == name or (isinstance(hint, Mapping) and list(hint.items()) == index["key"]):
            return index
    raise operation_failure(
        2,
        "BadValue",
        f"error processing query: ns={collection.full_name} planner returned error :: caused by :: "
        "hint provided does not correspond to an existing index",
    )
