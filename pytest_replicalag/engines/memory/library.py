"""What differs between mongomock and mongomock-ng, and what the engine takes from either.

Both are imported only here and in the mongomock front, and only when a client of theirs is at hand.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, cmp_to_key
from types import ModuleType
from typing import Any, Final

__all__ = ["NAMES", "Library", "library_of"]

NAMES: Final = ("mongomock", "mongomock_ng")
"""The modules whose clients can be wrapped."""


@dataclass(frozen=True)
class Library:
    """mongomock, or a fork with the same structure.

    Attributes:
        name: The name of its module.
    """

    name: str

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.name}.{name}")

    @cached_property
    def client(self) -> Any:
        """Its `MongoClient`."""
        return self._module("mongo_client").MongoClient

    @cached_property
    def database(self) -> Any:
        """Its `Database`."""
        return self._module("database").Database

    @cached_property
    def collection(self) -> Any:
        """Its `Collection`."""
        return self._module("collection").Collection

    @cached_property
    def cursor(self) -> Any:
        """Its `Cursor`."""
        return self._module("collection").Cursor

    @cached_property
    def store(self) -> ModuleType:
        """Its module with `ServerStore`, `DatabaseStore` and `CollectionStore`."""
        return self._module("store")

    @cached_property
    def aggregate(self) -> ModuleType:
        """Its module of aggregation stages."""
        return self._module("aggregate")

    @cached_property
    def filter_applies(self) -> Callable[[Any, Any], bool]:
        """Whether a filter, its first argument, matches a document."""
        applies: Callable[[Any, Any], bool] = self._module("filtering").filter_applies
        return applies

    @cached_property
    def hashdict(self) -> Any:
        """What it keys documents by whose `_id` is a document."""
        return self._module("helpers").hashdict

    def run_stages(self, documents: list[Any], database: Any, pipeline: list[Any]) -> list[Any]:
        """Run aggregation stages on documents that are in no collection.

        Args:
            documents: The documents; they may be changed.
            database: A database of the library.
            pipeline: The stages.

        Raises:
            NotImplementedError: The library does not have a stage.
        """
        if self.name == "mongomock":
            pipeline = [_in_older_words(stage) for stage in pipeline]
        return list(self.aggregate.process_pipeline(documents, database, pipeline, None))

    def values_at(self, path: str, document: Any) -> list[Any]:
        """The values at a dotted path of a document, those that are missing left out."""
        filtering = self._module("filtering")
        found = filtering.iter_key_candidates(path, document)
        return [value for value in found if value is not filtering.NOTHING]

    def presented(self, document: Any, codec_options: Any) -> Any:
        """A document that is in no collection, as a client gets it.

        Args:
            document: The document; it may be changed.
            codec_options: The library's codec options.
        """
        if codec_options.tz_aware:
            document = self._module("helpers").make_datetime_timezone_aware_in_document(document)
        kind = codec_options.document_class
        if kind is dict:
            return document
        return self._module("collection")._copy_field(document, kind)

    def precedes(self, one: Any, other: Any) -> bool:
        """Whether a value comes before another in BSON's order.

        Raises:
            NotImplementedError: The library does not know a type.
        """
        comparable = self._module("filtering").BsonComparable
        return bool(comparable(one) < comparable(other))

    def in_order(self, values: Iterable[Any]) -> list[Any]:
        """Values in BSON's order, or in the same one each time where the library does not know it.

        `distinct` of a server is in that order; the libraries' is a set's, and another one in the
        next process.
        """

        def compare(one: Any, other: Any) -> int:
            return self.precedes(other, one) - self.precedes(one, other)

        try:
            return sorted(values, key=cmp_to_key(compare))
        except NotImplementedError:
            return sorted(values, key=repr)

    def refuse_session(self, session: object) -> None:
        """Raise what the library raises for a session, unless it was told to ignore sessions.

        Raises:
            NotImplementedError: mongomock knows no sessions.
            TypeError: mongomock-ng knows only its own.
        """
        if self.name == "mongomock":
            reason = "Mongomock does not handle sessions yet"
            self._module("not_implemented").raise_for_feature("session", reason)
        else:
            raise TypeError("session must be an instance of ClientSession")

    @cached_property
    def bulk_takes_sort(self) -> bool:
        """Whether its bulk operations take the `sort` that pymongo 4.11 and newer hand over."""
        builder = self._module("collection").BulkOperationBuilder
        return "sort" in inspect.signature(builder.add_update).parameters


def _in_older_words(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage that mongomock lacks, as the older stage that it is short for."""
    if "$replaceWith" in stage:
        return {"$replaceRoot": {"newRoot": stage["$replaceWith"]}}
    if "$unset" in stage:
        fields = stage["$unset"]
        names = [fields] if isinstance(fields, str) else fields
        return {"$project": dict.fromkeys(names, 0)}
    return stage


@cache
def _library(name: str) -> Library:
    return Library(name)


def library_of(client: object) -> Library | None:
    """The library that a client is of, or None; loads nothing that is not loaded."""
    for kind in type(client).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in NAMES and kind.__name__ == "MongoClient":
            return _library(root)
    return None
