"""The stores of one transaction: what it sees, and what it has written.

They are the library's stores, so that its own code runs on them. A collection is taken over when it
is first touched; from then on nobody can drop, rename or index it until the transaction ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

from pymongo.errors import DuplicateKeyError

from pytest_replicalag.engines.memory.change_log import PendingChanges
from pytest_replicalag.engines.memory.contents import METADATA, Record
from pytest_replicalag.engines.memory.store import CollectionHistory, DatabaseHistory, ServerHistory
from pytest_replicalag.engines.memory.versions import ABSENT, VersionedMap
from pytest_replicalag.replicaset import transaction_errors as errors

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.transactions import Transaction

__all__ = ["PrivateCollection", "private_server"]


class _Notes:
    """Stands in for a journal: notes what a transaction has replaced, for itself alone."""

    write = None

    def __init__(self) -> None:
        self._number = 0

    def replaced(self, versions: VersionedMap, key: Hashable, image: Any) -> int:
        """Note one change."""
        self._number += 1
        versions.replaced(key, image, self._number)
        return self._number


class PrivateCollection(CollectionHistory):
    """Mixed into a library's `CollectionStore`: a collection as one transaction sees it.

    Attributes:
        database: The name of its database.
        live_database: The live store of its database.
        live: The live store; None if there was no such collection.
        has_new_indexes: Whether it has an index that the snapshot did not have.
        outdated: Keys that others changed after the snapshot, under an earlier journal.
    """

    _server: PrivateServer
    database: str
    live_database: DatabaseHistory
    live: CollectionHistory | None = None
    has_new_indexes: bool = False
    outdated: set[Hashable]

    def take_over(self, live: CollectionHistory, position: int) -> None:
        """Show a live collection as it was at `position`, with the indexes that it has now."""
        self.live = live
        records = _records(live, position)
        self._documents = OrderedDict((key, record.document) for key, record in records.items())
        self.numbers = {key: record.number for key, record in records.items()}
        self._next_number = live._next_number
        self.indexes = dict(live.indexes)
        self._is_force_created = True
        if hasattr(live, "options"):
            self.options = dict(live.options)
        then = live.versions.at(METADATA, position, live.metadata)
        self.has_new_indexes = not live.indexes.keys() <= then.indexes.keys()

    @property
    def has_unique_indexes(self) -> bool:
        """Whether an index forbids equal values."""
        return any(index.get("unique") for index in self.indexes.values())

    def written(self) -> dict[Hashable, Any]:
        """The documents that the transaction has written and not deleted, by key."""
        documents = self._documents
        return {key: documents[key] for key in self.versions.chains if key in documents}

    def collides(
        self, client: Any, key: Hashable, document: Any, others: dict[Hashable, Any]
    ) -> bool:
        """Whether a unique index forbids a document beside documents that are out of sight."""
        others = {other: value for other, value in others.items() if other != key}
        if not others:
            return False
        both = self._server.classes.collection(self.name)
        both.begin_history(self._server, self.database)
        both._documents = OrderedDict({key: document, **others})
        both.indexes = self.indexes
        collection = client.get_database(self.database).collection(self.name, None)
        collection._db_store = SimpleNamespace(_collections={self.name: both})
        try:
            collection._ensure_uniques(document)
        except DuplicateKeyError:
            return True
        return False

    def create_index(self, name: str, index: dict[str, Any]) -> None:
        """Add an index; only a collection that this transaction has created takes a new one.

        Raises:
            OperationFailure: Error 263: it exists outside, or has documents.
        """
        if name in self.indexes:
            return
        namespace = f"{self.database}.{self.name}"
        if self.live is not None:
            raise errors.index_refused(namespace, "existing")
        if self._documents:
            raise errors.index_refused(namespace, "non-empty")
        super().create_index(name, index)

    def _comes(self) -> None:
        """Nothing: it comes when the transaction commits."""

    def _remove_expired_documents(self) -> None:
        """Nothing: a snapshot does not expire."""

    def _log(self, key: Hashable, replaced: Any) -> None:
        transaction = self._server.transaction()
        if transaction is not None:
            transaction.check_write(self, key)
        super()._log(key, replaced)


def _records(live: CollectionHistory, position: int) -> dict[Hashable, Record]:
    """The documents of a collection at a position, by key, in natural order."""
    documents, numbers = live._documents, live.numbers
    records = {key: Record(numbers[key], document) for key, document in documents.items()}
    changed = [key for key in live.versions.changed_since(position) if key is not METADATA]
    if not changed:
        return records
    for key in changed:
        image = live.versions.chains[key].at(position, ABSENT)
        if image is ABSENT:
            records.pop(key, None)
        else:
            records[key] = image
    return dict(sorted(records.items(), key=lambda item: item[1].number))


class PrivateDatabase(DatabaseHistory):
    """Mixed into a library's `DatabaseStore`: a database as one transaction sees it.

    Attributes:
        name: Its name.
        live: The live store.
    """

    _server: PrivateServer
    name: str
    live: DatabaseHistory

    def __getitem__(self, name: str) -> Any:
        collection = self._collections.get(name)
        if collection is None:
            collection = self._server.open(self, name)
            self._collections[name] = collection
        return collection

    def list_created_collection_names(self) -> list[str]:
        """The names of the collections; a look at them touches none."""
        names = [name for name in self.live._collections if self.live.has(name)]
        own = [name for name, store in self._collections.items() if store.is_created]
        return [*dict.fromkeys((*names, *own))]


class PrivateServer(ServerHistory):
    """Mixed into a library's `ServerStore`: what one transaction sees.

    Attributes:
        live: The live store.
        transaction: The transaction, unless it was forgotten. A weak reference, so that one that
            nobody can end any more holds nobody up.
    """

    live: ServerHistory
    transaction: ref[Transaction]

    def __getitem__(self, name: str) -> Any:
        database = self._databases.get(name)
        if database is None:
            database = self._databases[name] = self.classes.database()
            database.live = self.live[name]
            database.begin_history(self, name)
        return database

    def open(self, database: PrivateDatabase, name: str) -> Any:
        """A collection, touched for the first time.

        Raises:
            OperationFailure: Error 246: it is younger than the snapshot.
        """
        store = self.classes.collection(name)
        store.begin_history(self, database.name)
        store.database, store.live_database = database.name, database.live
        store.outdated = set()
        transaction = self.transaction()
        if transaction is not None and database.live.has(name):
            live = database.live[name]
            renamed = database.live.names.changed_at(name) > transaction.position
            transaction.check_snapshot(database.name, live, renamed)
            store.take_over(live, transaction.position)
        return store

    def is_late(self, database: DatabaseHistory, name: str) -> bool:
        """Whether a collection, which exists now, came after the snapshot."""
        transaction = self.transaction()
        if transaction is None:
            return False
        position = transaction.position
        return bool(
            database._collections[name].came_after >= position
            or database.names.changed_at(name) > position
        )

    def collections(self) -> Iterator[PrivateCollection]:
        """The collections that were touched."""
        for database in self._databases.values():
            yield from database._collections.values()

    def touched(self, database: str, name: str) -> PrivateCollection | None:
        """A collection, if it was touched."""
        found = self._databases.get(database)
        if found is None:
            return None
        collection: PrivateCollection | None = found._collections.get(name)
        return collection


@dataclass(frozen=True)
class _PrivateClasses:
    """The stores of one library for transactions."""

    server: Any
    database: Any
    collection: Any


@cache
def _private_classes(live: Any) -> Any:
    """The classes of a transaction's stores, beside those of the live ones."""
    server, database, collection = (
        type(kind.__name__, (mixin, kind), {})
        for mixin, kind in (
            (PrivateServer, live),
            (PrivateDatabase, live.classes.database),
            (PrivateCollection, live.classes.collection),
        )
    )
    server.classes = _PrivateClasses(server, database, collection)  # type: ignore[attr-defined]
    return server


def private_server(live: ServerHistory, transaction: Transaction) -> Any:
    """The store of a transaction over a live one."""
    kind: Any = type(live)
    server = _private_classes(kind)()
    server.live, server.transaction = live, ref(transaction)
    server.begin_history()
    server.journal = _Notes()
    if live.change_log is not None:
        server.change_log = PendingChanges()
    return server
