"""mongomock's stores, with history: they note what each write replaces while a journal is attached.

While one is, no stored document is ever changed in place: an update gets a copy to work on, which
takes the place of the original. So the original is the before-image, readers that hold it are
undisturbed, and an update that changes nothing, or is undone by mongomock, leaves no trace.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakSet

from bson import Binary
from bson.binary import UUID_SUBTYPE

from pytest_replicalag.engines.memory.change_log import IMAGES, ChangeLog
from pytest_replicalag.engines.memory.contents import (
    INCARNATION,
    METADATA,
    Incarnation,
    Metadata,
    Record,
)
from pytest_replicalag.engines.memory.database_history import DatabaseHistory
from pytest_replicalag.engines.memory.documents import copy_document, is_same
from pytest_replicalag.engines.memory.journal import Journal, resting_journal
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.engines.memory.versions import ABSENT, VersionedMap
from pytest_replicalag.records import Creation, Write

__all__ = [
    "CollectionHistory",
    "DatabaseHistory",
    "ServerHistory",
    "StoreClasses",
    "store_classes",
]


class CollectionHistory:
    """Mixed into a library's `CollectionStore`.

    Attributes:
        numbers: The record number of each live document.
        versions: The recent past of its documents, and of its metadata under `METADATA`.
        incarnations: The contents that drops replaced, under `INCARNATION`.
        came_after: The newest position before it was created; -1 if every member has it.
        database_name: The name of its database.
        is_noted: Whether the change log knows that it exists.
    """

    _documents: OrderedDict[Hashable, Any]
    indexes: dict[str, Any]
    name: str
    options: dict[str, Any]
    is_noted: bool = False
    _is_out_of_order: bool = False
    _ttl_indexes: dict[str, Any]
    _is_force_created: bool
    _uuid: Any = None

    def begin_history(self, server: ServerHistory, database_name: str) -> None:
        """Start with the documents there are; they are old data that every member has."""
        self._server = server
        self.database_name = database_name
        self._batch: dict[Hashable, Any] | None = None
        self.numbers: dict[Hashable, int] = {
            key: number for number, key in enumerate(self._documents)
        }
        self._next_number = len(self._documents)
        server.expires = server.expires or bool(self._ttl_indexes)
        self.forget_history()

    def forget_history(self) -> None:
        """The past is over: every member has everything."""
        self.versions = VersionedMap(self._restore)
        self.incarnations = VersionedMap(self._restore_incarnation)
        self.came_after = -1

    @property
    def exists(self) -> bool:
        """Whether a server has it; the library forgets a collection that deletes have emptied."""
        return bool(self._next_number or self.is_created)  # type: ignore[attr-defined]

    def _comes(self) -> None:
        """Note when the collection is created, explicitly or by its first document."""
        journal = self._server.journal
        if journal is not None and not self.exists:
            self.came_after = journal.position_before_entry

    @property
    def journal(self) -> Journal | None:
        """Who logs writes now, if a simulation runs."""
        return self._server.journal

    @property
    def change_log(self) -> ChangeLog | None:
        """Where changes are kept, if a change stream needs them."""
        return self._server.change_log

    @property
    def metadata(self) -> Metadata:
        """Indexes and options as they are now; the copy does not change with them."""
        options = getattr(self, "options", {})
        return Metadata(dict(self.indexes), self._is_force_created, dict(options))

    @property
    def uuid(self) -> Any:
        """Its UUID, which it keeps until it is dropped; the same in each run."""
        if self._uuid is None:
            self._uuid = self._server.next_uuid()
        return self._uuid

    @property
    def keeps_images(self) -> bool:
        """Whether a server would keep the documents before and after an update."""
        return bool(getattr(self, "options", {}).get(IMAGES, {}).get("enabled"))

    # -- what mongomock calls --------------------------------------------------------------

    def __contains__(self, key: Hashable) -> bool:
        if self._ttl_indexes:
            self._remove_expired_documents()
        return key in self._documents

    def __getitem__(self, key: Hashable) -> Any:
        if self._ttl_indexes:
            self._remove_expired_documents()
        return self._documents[key]

    def __setitem__(self, key: Hashable, document: Any) -> None:
        number = self.numbers.get(key)
        replaced = ABSENT if number is None else Record(number, self._documents[key])
        if number is None:
            if not self._next_number:
                self._comes()
            self.numbers[key] = self._next_number
            self._next_number += 1
        self._documents[key] = document
        if self._batch is not None:
            self._batch.setdefault(key, replaced)
        elif self._server.journal is not None:
            self._log(key, replaced)

    def __delitem__(self, key: Hashable) -> None:
        replaced = Record(self.numbers[key], self._documents[key])
        del self._documents[key]
        del self.numbers[key]
        if self._batch is not None:
            self._batch.setdefault(key, replaced)
        elif self._server.journal is not None:
            self._log(key, replaced)

    def find(self, key: Hashable) -> Any:
        """The document with that key, or `ABSENT`."""
        if self._ttl_indexes:
            self._remove_expired_documents()
        return self._documents.get(key, ABSENT)

    def drop(self) -> None:
        """Empty the collection. What it held is set aside whole, so this does not cost its size."""
        journal, log = self._server.journal, self._server.change_log
        is_created = bool(self.is_created)  # type: ignore[attr-defined]
        if journal is not None and is_created:
            held = Incarnation(
                documents=self._documents,
                numbers=self.numbers,
                versions=self.versions,
                metadata=self.metadata,
                uuid=self._uuid,
                next_number=self._next_number,
                came_after=self.came_after,
            )
            journal.replaced(self.incarnations, INCARNATION, held)
        if journal is not None and log is not None:
            log.dropped(self, is_logged=is_created)
        super().drop()  # type: ignore[misc]
        self._uuid = None
        if hasattr(self, "options"):  # the library keeps a dropped collection's validator
            self.options = {}
        if is_created:  # one that deletes have emptied keeps its past
            self.numbers = {}
            self.versions = VersionedMap(self._restore)
        self._next_number = 0

    def create(self, **options: Any) -> None:
        """Create the collection explicitly."""
        images = options.pop(IMAGES, None)
        with self.changing_metadata():
            super().create(**options)  # type: ignore[misc]
            if images is not None:
                self.keep_images(images)

    def create_for_write(self) -> None:
        """Create the collection for the write that is under way: an entry of its own."""
        journal = self._server.journal
        if journal is None or not isinstance(journal.write, Write):
            self.create()
            return
        write = journal.write
        journal.write = Creation(write)
        try:
            self.create()
        finally:
            journal.write = write

    def keep_images(self, images: Any) -> None:
        """Set the option that lets change streams show documents before and after an update.

        Args:
            images: Its value, `{"enabled": …}`. No library has it, so it is kept here.
        """
        with self.changing_metadata():
            self.options = {**getattr(self, "options", {}), IMAGES: images}

    def create_index(self, name: str, index: dict[str, Any]) -> None:
        """Add an index."""
        with self.changing_metadata():
            super().create_index(name, index)  # type: ignore[misc]
        self._server.expires = self._server.expires or bool(self._ttl_indexes)

    def drop_index(self, name: str) -> None:
        """Remove an index."""
        with self.changing_metadata():
            super().drop_index(name)  # type: ignore[misc]

    def _expire_documents(self, index: dict[str, Any]) -> None:
        """Expiry is the TTL monitor's write, not a part of the operation that came across it."""
        batch, self._batch = self._batch, None
        journal = self._server.journal
        write = journal.write if journal is not None else None
        try:
            if journal is not None:
                journal.write = None
            super()._expire_documents(index)  # type: ignore[misc]
        finally:
            self._batch = batch
            if journal is not None:
                journal.write = write

    def _remove_expired_documents(self) -> None:
        if self._ttl_indexes:
            super()._remove_expired_documents()  # type: ignore[misc]

    # -- what the engine calls -------------------------------------------------------------

    @contextmanager
    def changing_metadata(self) -> Iterator[None]:
        """Log a change of indexes or options that is made inside."""
        self._comes()
        before = self.metadata
        try:
            yield
        finally:
            journal, log = self._server.journal, self._server.change_log
            if journal is not None and self.metadata != before:
                journal.replaced(self.versions, METADATA, before)
                if log is not None:
                    log.changed_metadata(self, before)

    def begin_write(self) -> bool:
        """Note what is replaced from now on; nothing is logged before `end_write`.

        Returns:
            False if nothing is to be noted: no simulation runs, or it is a part of another write.
        """
        if self._batch is not None or self._server.journal is None:
            return False
        self._batch = {}
        return True

    def end_write(self) -> None:
        """Log each document that is not what it was, in the order in which they were touched."""
        batch, self._batch = self._batch, None
        for key, replaced in (batch or {}).items():
            document = self._documents.get(key, ABSENT)
            if replaced is ABSENT:
                if document is not ABSENT:
                    self._log(key, ABSENT)
            elif document is ABSENT or self.numbers[key] != replaced.number:
                self._log(key, replaced)
            elif is_same(replaced.document, document):
                self._documents[key] = replaced.document
            else:
                self._log(key, replaced)

    def writable(self, document: Any, key: Hashable) -> Any:
        """A copy of a stored document that may be changed, in its place."""
        if self._documents.get(key, ABSENT) is not document:
            # mongomock keys by the `_id` as given and stores dates cut to milliseconds.
            key = next(key for key, stored in self._documents.items() if stored is document)
        own = copy_document(document)
        self[key] = own
        return own

    # -- rollback --------------------------------------------------------------------------

    def _restore(self, key: Hashable, image: Any) -> None:
        """Put back a document, or indexes and options, that a write had replaced."""
        if key is METADATA:
            self._restore_metadata(image)
        elif image is ABSENT:
            self._documents.pop(key, None)
            self.numbers.pop(key, None)
        else:
            self._is_out_of_order = self._is_out_of_order or key not in self._documents
            self._documents[key] = image.document
            self.numbers[key] = image.number

    def _restore_metadata(self, image: Metadata) -> None:
        self.indexes = dict(image.indexes)
        self._ttl_indexes = {
            name: index
            for name, index in image.indexes.items()
            if index.get("expireAfterSeconds") is not None
        }
        self._is_force_created = image.is_force_created
        self.options = dict(image.options)

    def _restore_incarnation(self, _key: Hashable, image: Incarnation) -> None:
        """Put back what a drop had set aside."""
        self._documents = OrderedDict(image.documents)
        self.numbers = dict(image.numbers)
        self.versions = image.versions
        self._restore_metadata(image.metadata)
        self._uuid = image.uuid
        self._next_number = image.next_number
        self.came_after = image.came_after

    def rolled_back(self, position: int) -> None:
        """Everything after `position` has been undone: natural order is that of the numbers."""
        if self._is_out_of_order:
            self._is_out_of_order = False
            for key in sorted(self.numbers, key=self.numbers.__getitem__):
                self._documents.move_to_end(key)
        if self.came_after >= position:
            self.came_after = -1
            self._next_number = 0
            self._uuid = None
        self.is_noted = self.is_noted and self.exists

    def _log(self, key: Hashable, replaced: Any) -> None:
        server = self._server
        if server.journal is not None:
            server.journal.replaced(self.versions, key, replaced)
            if server.change_log is not None:
                before = replaced if replaced is ABSENT else replaced.document
                server.change_log.wrote(self, key, before)


class ServerHistory:
    """Mixed into a library's `ServerStore`.

    Attributes:
        classes: The store classes of its library.
        journal: Who logs writes now; None while no simulation runs.
        expires: Whether a collection has, or had, a TTL index.
        transactions: The open ones.
        had_transactions: Whether there may be one.
        change_log: Where changes are kept for change streams; None until there is one.
    """

    _databases: dict[str, Any]
    classes: StoreClasses
    expires: bool = False
    had_transactions: bool = False
    _uuids: int = 0

    def begin_history(self) -> None:
        """Start with the databases there are."""
        self.journal: Journal | None = None
        self.transactions: WeakSet[Any] = WeakSet()
        self._resting: Journal | None = None
        self.change_log: ChangeLog | None = None
        for name, database in self._databases.items():
            database.__class__ = self.classes.database
            database.begin_history(self, name)

    def attach(self, journal: Journal | None) -> None:
        """Let `journal` log writes from now on; what another one logged is over.

        Open transactions live on. They, and change streams, need a journal also while no
        simulation runs.
        """
        if self.had_transactions:
            self.had_transactions = bool(self.transactions)
        if journal is None and (self.had_transactions or self.change_log is not None):
            journal = self._resting = self._resting or resting_journal()
            if journal is self.journal:
                return
        if journal is not self._resting:
            self._resting = None
        for transaction in list(self.transactions):
            transaction.rebase(journal)
        for database in self._databases.values():
            database.forget_history()
        self.journal = journal
        if journal is not None:
            journal.stores.add(self)
        if self.change_log is not None:
            self.change_log.begin_epoch()

    def rolled_back(self, position: int) -> None:
        """Everything after `position` has been undone; transactions that are open end, too."""
        for transaction in list(self.transactions):
            transaction.forget()
        for database in self._databases.values():
            database.rolled_back(position)
        if self.change_log is not None:
            self.change_log.rolled_back(position)

    def keep_changes(self) -> ChangeLog:
        """Keep changes from now on."""
        if self.change_log is None:
            self.change_log = ChangeLog(self)
            if self.journal is None:
                self.attach(None)
            self.change_log.begin()
        return self.change_log

    def next_uuid(self) -> Binary:
        """A UUID for a collection; the same ones in each run."""
        self._uuids += 1
        return Binary(uuid.UUID(int=self._uuids, version=4).bytes, UUID_SUBTYPE)

    def expire(self) -> None:
        """Remove what has expired, as the TTL monitor of a primary does, in all collections."""
        for database in self._databases.values():
            for collection in database._collections.values():
                collection._remove_expired_documents()

    def __getitem__(self, name: str) -> Any:
        try:
            return self._databases[name]
        except KeyError:
            database = self._databases[name] = self.classes.database()
            database.begin_history(self, name)
            return database


@dataclass(frozen=True)
class StoreClasses:
    """The stores of one library, with history."""

    server: Any
    database: Any
    collection: Any

    def adopt(self, server: Any) -> Any:
        """Give history to a server store that is in use already.

        It is changed where it stands, not copied: the client that is wrapped, and whatever it has
        handed out, keep seeing the same data.
        """
        if not isinstance(server, ServerHistory):
            server.__class__ = self.server
            server.begin_history()
        return server


@cache
def store_classes(library: Library) -> StoreClasses:
    """The stores of `library`, with history."""
    base = library.store
    server = type("ServerStore", (ServerHistory, base.ServerStore), {})
    database = type("DatabaseStore", (DatabaseHistory, base.DatabaseStore), {})
    collection = type("CollectionStore", (CollectionHistory, base.CollectionStore), {})
    server.classes = classes = StoreClasses(server, database, collection)  # type: ignore[attr-defined]
    return classes
