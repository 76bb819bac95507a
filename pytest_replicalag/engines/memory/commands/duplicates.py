"""Which unique index a document collides in; mongomock does not say, and neither tells the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import is_alike
from pytest_replicalag.engines.memory.commands.errors import duplicate_key
from pytest_replicalag.engines.memory.library import library_of

__all__ = ["collision", "collision_in"]

_Key = tuple[Any, ...]


def collision(collection: Any, document: Mapping[str, Any]) -> OperationFailure | None:
    """The error of a document that cannot be stored beside those that there are.

    Args:
        collection: The library's collection.
        document: The document.

    Returns:
        Error 11000, or None if no index tells what it collides in.
    """
    indexes = {"_id_": {"key": [("_id", 1)], "unique": True}, **collection._store.indexes}
    for name, index in indexes.items():
        if index.get("unique"):
            found = collision_in(collection, name, index, document)
            if found is not None:
                return found
    return None


def collision_in(
    collection: Any, name: str, index: Mapping[str, Any], document: Mapping[str, Any]
) -> OperationFailure | None:
    """The same for one index, which need not be there yet.

    Args:
        collection: The library's collection.
        name: The index's name.
        index: Its `key`, a list of fields and orders, and its options.
        document: The document.
    """
    library = library_of(collection.database.client)
    assert library is not None
    if not _holds(collection, index, document):
        return None
    fields = [field for field, _ in index["key"]]
    own = list(_keys(library, document, fields))
    for stored in collection._store.documents:
        if stored is document or not _holds(collection, index, stored):
            continue
        for key, one in product(_keys(library, stored, fields), own):
            if all(map(is_alike, key, one)):
                value = dict(zip(fields, one, strict=True))
                return duplicate_key(collection, name, dict(index["key"]), value)
    return None


def _holds(collection: Any, index: Mapping[str, Any], document: Any) -> bool:
    """Whether an index has a document."""
    filter = index.get("partialFilterExpression")
    return filter is None or bool(collection._applies(filter, document))


def _keys(library: Any, document: Mapping[str, Any], fields: list[str]) -> Iterator[_Key]:
    """The keys of a document in an index; one for each element of an array."""
    values = []
    for field in fields:
        found = library.values_at(field, document) or [None]
        values.append([item for one in found for item in (one if isinstance(one, list) else [one])])
    return product(*values)
