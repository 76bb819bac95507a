"""The stores as they were at an earlier position of the oplog.

They offer what mongomock's collections ask of a store, so that mongomock's own query code runs on
the past. Nothing is copied: a past collection lays the images of recent writes over the live
documents. One that nothing has changed since is the live one, at no cost.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from pytest_replicalag.engines.memory.contents import (
    INCARNATION,
    METADATA,
    Incarnation,
    Metadata,
    Record,
)
from pytest_replicalag.engines.memory.store import CollectionHistory, DatabaseHistory, ServerHistory
from pytest_replicalag.engines.memory.versions import (
    ABSENT,
    VersionedMap,
)
from pytest_replicalag.replicaset.changes import NO_CHANGES, Changes

__all__ = ["PastCollection", "PastDatabase", "PastServer"]


class PastServer:
    """A server store at a position.

    Attributes:
        position: The position.
        databases: The past databases that were asked for, by name.
    """

    def __init__(self, server: ServerHistory, position: int) -> None:
        self._server = server
        self.position = position
        self.databases: dict[str, PastDatabase] = {}

    def __getitem__(self, name: str) -> PastDatabase:
        database = self.databases.get(name)
        if database is None:
            database = PastDatabase(self._server[name], self.position)
            self.databases[name] = database
        return database

    def __contains__(self, name: str) -> bool:
        return self[name].is_created

    def list_created_database_names(self) -> list[str]:
        """The names of the databases that existed."""
        return [name for name in list(self._server._databases) if name in self]

    def changed(self) -> list[tuple[str, str]]:
        """The collections that were read and that have changed since, as database and name."""
        return [
            (database_name, name)
            for database_name, database in self.databases.items()
            for name, collection in database.collections.items()
            if collection.has_changed
        ]


class PastDatabase:
    """A database store at a position.

    Attributes:
        collections: The past collections that were asked for, by name.
    """

    def __init__(self, database: DatabaseHistory, position: int) -> None:
        self._database = database
        self._position = position
        self.collections: dict[str, PastCollection] = {}

    def __getitem__(self, name: str) -> PastCollection:
        collection = self.collections.get(name)
        if collection is None:
            collection = self.collections[name] = self._find(name)
        return collection

    def _find(self, name: str) -> PastCollection:
        database, position = self._database, self._position
        live = database._collections.get(name)
        then = database.names.at(name, position, live)
        chain = database.names.chains.get(name)
        renamed = NO_CHANGES if chain is None else chain.since(position)
        then = None if then is ABSENT else then
        return PastCollection(name, position, then, live=live, renamed=renamed)

    def __contains__(self, name: str) -> bool:
        return self[name].is_created

    @property
    def _collections(self) -> list[str]:
        """The names that mongomock's filtered listing looks at."""
        return [*dict.fromkeys((*self._database._collections, *self._database.names.chains))]  # type: ignore[list-item]

    def list_created_collection_names(self) -> list[str]:
        """The names of the collections that existed."""
        return [name for name in self._collections if name in self]

    @property
    def is_created(self) -> bool:
        """Whether it had a collection."""
        return any(name in self for name in self._collections)


class PastCollection:
    """A collection store at a position; it cannot be written.

    Args:
        name: Its name then.
        position: The position.
        store: The live store that had this name then; None if none had.
        live: The store that has this name now; None if none has.
        renamed: The changes after it by which the name came to mean another collection.

    Attributes:
        versions: The recent past of the documents it had.
        uuid: Its UUID, which it keeps until it is dropped; None if there was none.
        replaced: The changes since at which it was dropped, or its name changed hands.
        has_changed: Whether its documents have changed since, or may have.
    """

    _ttl_indexes: dict[str, Any] = {}  # noqa: RUF012 - mongomock looks at it; the past does not expire

    def __init__(
        self,
        name: str,
        position: int,
        store: CollectionHistory | None,
        *,
        live: CollectionHistory | None,
        renamed: Changes,
    ) -> None:
        self.name = name
        self._position = position
        self._now = live
        self.replaced = renamed
        source: Any = store
        if store is not None:
            store._remove_expired_documents()
            source = store.incarnations.at(INCARNATION, position, store)
            if source is not store:
                self.replaced = renamed + store.incarnations.chains[INCARNATION].since(position)
        self._numbers: dict[Hashable, int] = source.numbers if source is not None else {}
        self._live: dict[Hashable, Any] = _documents_of(source)
        self.versions: VersionedMap = source.versions if source is not None else VersionedMap()
        self._metadata: Metadata = source.metadata if source is not None else Metadata()
        self.uuid = source.uuid if source is not None else None
        self.has_changed = bool(self.replaced.count) or self.versions.newest > position
        self._list: list[Any] | None = None

    @property
    def _metadata_then(self) -> Metadata:
        then: Metadata = self.versions.at(METADATA, self._position, self._metadata)
        return then

    @property
    def indexes(self) -> dict[str, Any]:
        """Its indexes by name."""
        return self._metadata_then.indexes

    @property
    def options(self) -> dict[str, Any]:
        """Its options."""
        return self._metadata_then.options

    @property
    def is_created(self) -> bool:
        """Whether it existed."""
        metadata = self._metadata_then
        return bool(metadata.is_force_created or metadata.indexes or not self.is_empty)

    @property
    def is_empty(self) -> bool:
        """Whether it had no document."""
        return len(self) == 0

    def __len__(self) -> int:
        if self.versions.newest <= self._position:
            return len(self._live)
        return len(self._documents_then())

    def __contains__(self, key: Hashable) -> bool:
        return self.find(key) is not ABSENT

    def __getitem__(self, key: Hashable) -> Any:
        document = self.find(key)
        if document is ABSENT:
            raise KeyError(key)
        return document

    def live(self, key: Hashable) -> Any:
        """The document that the primary has now under that key, or None."""
        return None if self._now is None else self._now._documents.get(key)

    def find(self, key: Hashable) -> Any:
        """The document with that key, or `ABSENT`."""
        live = self._live.get(key, ABSENT)
        image = self.versions.at(key, self._position, live)
        return image.document if isinstance(image, Record) else image

    @property
    def documents(self) -> Iterable[Any]:
        """Its documents in the natural order of that time."""
        if self.versions.newest <= self._position:
            return self._live.values()
        return self._documents_then()

    def _documents_then(self) -> list[Any]:
        if self._list is None:
            self._list = list(self._lay_over())
        return self._list

    def _lay_over(self) -> Iterator[Any]:
        """The live documents with the images of later writes over them, in natural order."""
        position, live, numbers = self._position, self._live, self._numbers
        images = {
            key: self.versions.chains[key].at(position, ABSENT)
            for key in self.versions.changed_since(position)
            if key is not METADATA
        }
        moved = sorted(
            (
                image
                for key, image in images.items()
                if isinstance(image, Record) and numbers.get(key) != image.number
            ),
            key=lambda record: record.number,
            reverse=True,
        )
        if not moved:  # nobody has changed places, so there is nothing to put in order
            for key, document in live.items():
                image = images.get(key)
                if image is None:
                    yield document
                elif image is not ABSENT:
                    yield image.document
            return
        for key, document in live.items():
            image = images.get(key)
            if image is None:
                number = numbers[key]
            elif image is ABSENT or image.number != numbers[key]:
                continue
            else:
                number, document = image.number, image.document
            while moved and moved[-1].number < number:
                yield moved.pop().document
            yield document
        while moved:
            yield moved.pop().document


def _documents_of(source: CollectionHistory | Incarnation | None) -> dict[Hashable, Any]:
    if source is None:
        return {}
    return source.documents if isinstance(source, Incarnation) else source._documents
