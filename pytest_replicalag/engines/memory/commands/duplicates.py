"""Which unique index a document collides in; mongomock does not say, and neither tells the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import is_alike
from pytest_replicalag.engines.memory.commands.errors import duplicate_key
from pytest_replicalag.engines.memory.library import library_of

__all__ = ["collision"]

_Key = tuple[Any, ...]


def collision(collection: Any, document: Mapping[str, Any]) -> OperationFailure | None:
    """The error of a document that cannot be stored beside those that there are.

    Args:
        collection: The library's collection.
        document: The document.

    Returns:
        Error 11000, or None if no index tells what it collides in.
    """
    library = library_of(collection.database.client)
    assert library is not None
    indexes = {"_id_": {"key": [("_id", 1)], "unique": True}, **collection._store.indexes}
    for name, index in indexes.items():
        if not index.get("unique"):
            continue
        fields = [field for field, _ in index["key"]]
        own = list(_keys(library, document, fields))
        for stored in collection._store.documents:
            for key in _keys(library, stored, fields):
                if any(all(map(is_alike, key, one)) for one in own):
                    one = next(one for one in own if all(map(is_alike, key, one)))
                    pattern = dict(index["key"])
                    value = dict(zip(fields, one, strict=True))
                    return duplicate_key(collection, name, pattern, value)
    return None


def _keys(library: Any, document: Mapping[str, Any], fields: list[str]) -> Iterator[_Key]:
    """The keys of a document in an index; one for each element of an array."""
    values = []
    for field in fields:
        found = library.values_at(field, document) or [None]
        values.append([item for one in found for item in (one if isinstance(one, list) else [one])])
    return product(*values)
