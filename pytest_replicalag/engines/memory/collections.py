"""mongomock's collections and databases on top of the live stores, or of the past.

What runs is the library's own code. Three things are added: equality on `_id` goes straight to the
document, an update works on copies, and each document written makes one oplog entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

from bson import Binary, Int64, ObjectId

from pytest_replicalag.engines.memory.bulk import WithoutSort
from pytest_replicalag.engines.memory.change_log import IMAGES
from pytest_replicalag.engines.memory.documents import copy_document
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.engines.memory.matches import Matches
from pytest_replicalag.engines.memory.partial_filters import PartialFilters, WithIndexes
from pytest_replicalag.engines.memory.past import PastCollection
from pytest_replicalag.engines.memory.store import CollectionHistory
from pytest_replicalag.engines.memory.versions import ABSENT

__all__ = ["NO_KEY", "EngineClasses", "direct_key", "engine_classes"]

_DIRECT: Final = frozenset({ObjectId, str, int, float, bool, bytes, UUID})
"""Types of `_id` for which equality in a filter is equality of keys in the store."""

_DIRECT_KINDS: Final = (Int64, Binary)
"""The same, and what is derived from them, as decoders do."""

NO_KEY: Final = object()


def direct_key(filter: Any) -> Any:
    """The store's key if the filter asks for one `_id`, else `NO_KEY`."""
    if not isinstance(filter, Mapping):
        return NO_KEY
    value = filter.get("_id", NO_KEY)
    if type(value) is dict and len(value) == 1:
        value = value.get("$eq", NO_KEY)
    if type(value) in _DIRECT or isinstance(value, _DIRECT_KINDS):
        return value
    return NO_KEY


def _as_stored(document: Any, *_: Any, **__: Any) -> Any:
    return document


class _Only:
    """Stands in for a store while at most one of its documents can match."""

    def __init__(self, store: Any, document: Any) -> None:
        self._store = store
        self.documents = () if document is ABSENT else (document,)
        self.is_empty = not self.documents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _is_new_document(update: Any) -> bool:
    """Whether an update is a document to put in place of another one, without an `_id`."""
    return (
        isinstance(update, Mapping)
        and "_id" not in update
        and not any(name.startswith("$") for name in update)
    )


class EngineCollection:
    """Mixed into a library's `Collection`."""

    _name: str
    _db_store: Any
    _only: _Only | WithIndexes | None = None

    @property
    def _store(self) -> Any:
        return self._only or self._db_store[self._name]

    def _documents_for(self, filter: Any) -> Iterable[Any]:
        """The documents that match, the library's way, but found by key where that is enough."""
        key = direct_key(filter)
        if key is not NO_KEY:
            store = self._store
            document = store.find(key)
            # Without a document, a further condition is left to the library, which may refuse it.
            if document is not ABSENT or len(filter) == 1:
                self._only = _Only(store, document)
                try:
                    return list(super()._iter_documents(filter))  # type: ignore[misc]
                finally:
                    self._only = None
        matching: Iterable[Any] = super()._iter_documents(filter)  # type: ignore[misc]
        return matching

    def _iter_documents(self, filter: Any) -> Iterator[Any]:
        return iter(self._documents_for(filter))

    def find_by_key(self, filter: Any) -> list[Any] | None:
        """The stored documents that match, found without the library.

        None where only the library can tell: the filter asks for more than one `_id`, or the
        document's `_id` is of another type, such as `True` for 1.
        """
        key = direct_key(filter)
        if key is NO_KEY or len(filter) != 1:
            return None
        document = self._store.find(key)
        if document is ABSENT:
            return []
        found = document["_id"]
        return [document] if type(found) is type(key) and found == key else None

    def hand_out_stored(self) -> None:
        """From now on, let finds through this one object give stored documents, not copies."""
        raise NotImplementedError

    def key_of(self, document: Any) -> Any:
        """The store's key of a document."""
        key = document["_id"]
        return self._hashdict(key) if isinstance(key, dict) else key

    _hashdict: Any


class LiveCollection(PartialFilters, EngineCollection):
    """The primary's collection: it can be written."""

    _copy_only_fields: Any

    _updating: bool = False
    _only_first: bool = False

    @property
    def _store(self) -> Any:
        if self._only is not None:
            return self._only
        try:  # mongomock asks for its store at every step, so this takes the short way
            return self._db_store._collections[self._name]
        except KeyError:
            return self._db_store[self._name]

    def _iter_documents(self, filter: Any) -> Iterator[Any]:
        documents = iter(self._documents_for(filter))
        if not self._updating:
            return documents
        self._updating = False  # what follows in this update are checks of unique indexes
        return self._writable(documents)

    def hand_out_stored(self) -> None:
        """From now on, let finds through this one object give stored documents, not copies."""
        self._copy_only_fields = _as_stored

    def _writable(self, documents: Iterator[Any]) -> Iterator[Any]:
        """Copies to update in place of the stored documents, each made when its turn comes."""
        store = self._store
        for document in documents:
            yield store.writable(document, self.key_of(document))
            if self._only_first:
                return

    def _write(self, write: Callable[[], Any]) -> Any:
        """Run a write of documents, and log what it has changed even if it fails halfway."""
        store: CollectionHistory = self._store
        if not store.begin_write():
            return write()
        try:
            return write()
        finally:
            store.end_write()

    def _insert(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        insert = super()._insert  # type: ignore[misc]
        # Without an index nothing undoes an insert, so it may be logged as it is made. Each
        # document of a list comes here again by itself.
        store = self._store
        if not store.indexes or not isinstance(data, Mapping) or not store.begin_write():
            return insert(data, *args, **kwargs)
        try:
            return insert(data, *args, **kwargs)
        finally:
            store.end_write()

    def _update(self, spec: Any, document: Any, *args: Any, **kwargs: Any) -> Any:
        """The library's update; a replacement by what is there already is stored all the same.

        The library writes nothing then. A server compares what it is given, which without an `_id`
        is never the same, so its oplog has an entry, for which write concerns and causal sessions
        wait.
        """
        result = self._update_logged(spec, document, *args, **kwargs)
        if result["updatedExisting"] and not result["nModified"] and _is_new_document(document):
            found = self.find_one(spec, sort=kwargs.get("sort"))
            key = self.key_of(found)
            self._store[key] = self._store[key]
        return result

    def _update_logged(self, spec: Any, document: Any, *args: Any, **kwargs: Any) -> Any:
        update = super()._update  # type: ignore[misc]
        if self._store.journal is None:
            return update(spec, document, *args, **kwargs)
        # mongomock-ng sorts, and updates, copies of its own, and stores them when it is done.
        self._updating = not kwargs.get("sort")
        self._only_first = not kwargs.get("multi")
        log = self._store.change_log
        if log is not None:
            log.update = copy_document(document)  # safe from what the caller does with it later
        try:
            return self._write(lambda: update(spec, document, *args, **kwargs))
        finally:
            self._updating = False
            if log is not None:
                log.update = None

    def _delete(self, *args: Any, **kwargs: Any) -> Any:
        delete = super()._delete  # type: ignore[misc]
        return self._write(lambda: delete(*args, **kwargs))

    def drop_indexes(self, *args: Any, **kwargs: Any) -> Any:
        """Drop all indexes; the library does so behind its store's back."""
        with self._store.changing_metadata():
            return super().drop_indexes(*args, **kwargs)  # type: ignore[misc]

    def bulk_write(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
        """The library's, also where it does not know the `sort` that pymongo hands over."""
        if not self._bulk_takes_sort:
            requests = [WithoutSort(request) for request in requests]
        return super().bulk_write(requests, *args, **kwargs)  # type: ignore[misc]

    _bulk_takes_sort: bool
    find_one: Any


class PastEngineCollection(EngineCollection):
    """A collection at an earlier position, or at the newest one for comparison.

    Attributes:
        matches: Shared by the two evaluations of one read; None where there is no second one.
        copies: Whether results are copied, as they must be to be handed out.
        raw: The stored documents behind the results, in order.
        finds_in_natural_order: Whether a find without sort keeps the order of the documents.
    """

    finds_in_natural_order: bool
    matches: Matches | None = None
    copies: bool = True
    raw: list[Any]
    _asked: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.raw = []

    def _iter_documents(self, filter: Any) -> Iterator[Any]:
        matches = self.matches
        if matches is None or self._asked:
            return iter(self._documents_for(filter))
        self._asked = True
        if matches.filter is None:
            matches.filter = filter
        if filter != matches.filter or direct_key(filter) is not NO_KEY:
            return iter(self._documents_for(filter))
        store: PastCollection = self._db_store[self._name]
        if store.is_empty:
            return iter(self._documents_for(filter))
        applies = partial(self._applies, filter)
        return iter(matches.select(store, applies, self.key_of))

    def _copy_only_fields(self, document: Any, *args: Any, **kwargs: Any) -> Any:
        self.raw.append(document)
        if self.copies:
            return super()._copy_only_fields(document, *args, **kwargs)  # type: ignore[misc]
        return document

    def find_by_key(self, filter: Any) -> list[Any] | None:
        """The stored documents that match, found without the library; noted in `raw`."""
        found = super().find_by_key(filter)
        self.raw += found or ()
        return found

    def hand_out_stored(self) -> None:
        """From now on, let finds through this one object give stored documents, not copies."""
        self.copies = False

    def project(self, document: Any, *args: Any) -> Any:
        """A stored document as this read returns it."""
        return super()._copy_only_fields(document, *args)  # type: ignore[misc]

    _applies: Any


class EngineDatabase:
    """Mixed into a library's `Database`: its collections are the engine's."""

    _store: Any
    _codec_options: Any
    _collections: dict[str, Any]
    _collection_class: Any

    def get_collection(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The engine's collection of that name; options are the front's business."""
        return self.collection(name, self._codec_options)

    def collection(self, name: str, codec_options: Any) -> Any:
        """The same with codec options."""
        return self._collection_class(
            self, name=name, _db_store=self._store, codec_options=codec_options
        )

    def create_collection(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Create a collection; also with the option for images, which no library knows."""
        images = kwargs.pop(IMAGES, None)
        collection = super().create_collection(name, *args, **kwargs)  # type: ignore[misc]
        if images is not None:
            self._store[name].keep_images(images)
        return collection

    def rename_collection(self, name: str, new_name: str, *args: Any, **kwargs: Any) -> Any:
        """Give a collection another name; one that it replaces is not dropped for itself."""
        log = self._store.change_log
        with nullcontext() if log is None else log.replacing_target():
            return super().rename_collection(name, new_name, *args, **kwargs)  # type: ignore[misc]


class EngineClient:
    """Mixed into a library's `MongoClient`: its databases are the engine's."""

    _store: Any
    _codec_options: Any
    _database_accesses: dict[str, Any]
    _database_class: Any

    def get_database(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The engine's database of that name; made once, for a store never loses a database."""
        database = self._database_accesses.get(name)
        if database is None:
            database = self._database_accesses[name] = self._database_class(
                self, name, _store=self._store[name], codec_options=self._codec_options
            )
        return database

    def drop_database(self, name_or_db: Any, *args: Any, **kwargs: Any) -> None:
        """Drop a database, which is a change of its own after those of its collections."""
        name = name_or_db if isinstance(name_or_db, str) else name_or_db.name
        log = self._store.change_log
        existed = log is not None and name in self._store
        super().drop_database(name, *args, **kwargs)  # type: ignore[misc]
        if log is not None and existed:
            log.dropped_database(name)


@dataclass(frozen=True)
class EngineClasses:
    """The engine's classes for one library."""

    live_client: Any
    past_client: Any


@cache
def engine_classes(library: Library) -> EngineClasses:
    """The engine's classes for `library`."""
    applies = library.filter_applies
    live = _classes(
        library,
        LiveCollection,
        {
            "_applies": staticmethod(applies),
            "_bulk_takes_sort": library.bulk_takes_sort,
            "_hashdict": library.hashdict,
            "_precedes": staticmethod(library.precedes),
        },
    )
    past = _classes(
        library,
        PastEngineCollection,
        {
            "_applies": staticmethod(applies),
            "_hashdict": library.hashdict,
            # mongomock-ng sorts by distance for $near.
            "finds_in_natural_order": library.name == "mongomock",
        },
    )
    return EngineClasses(live, past)


def _classes(library: Library, mixin: type, members: dict[str, Any]) -> Any:
    collection = type("Collection", (mixin, library.collection), members)
    database = type(
        "Database", (EngineDatabase, library.database), {"_collection_class": collection}
    )
    return type("MongoClient", (EngineClient, library.client), {"_database_class": database})
