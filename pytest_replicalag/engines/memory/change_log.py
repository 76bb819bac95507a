"""The log of what changed in one mongomock server, from which change streams are served.

It notes each change as it is logged in the oplog, with the documents before and after it, which
are never changed in place while a journal is attached; what a change event says is worked out when
a stream reads it. The log outlives simulations: each one begins a new epoch, in which positions
start anew, and what came before is old data that every member has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bson import Timestamp

from pytest_replicalag.engines.memory.resume_tokens import Place
from pytest_replicalag.engines.memory.versions import ABSENT
from pytest_replicalag.replicaset.optime import timestamp_at

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.contents import Metadata
    from pytest_replicalag.engines.memory.journal import Journal
    from pytest_replicalag.engines.memory.store import CollectionHistory, ServerHistory

__all__ = ["IMAGES", "ROLLED_BACK", "Change", "ChangeLog", "PendingChanges", "TransactionIdentity"]

WINDOW: Final = 20_000
"""How many changes are kept at least; a server keeps what its oplog has room for."""

ROLLED_BACK: Final = "rolled back"
"""The kind of a change that was undone before a majority had it; no stream shows it."""

IMAGES: Final = "changeStreamPreAndPostImages"
"""The collection option by which a server keeps the documents before and after an update."""


class TransactionIdentity(NamedTuple):
    """Tells the transaction that a change was a part of.

    Attributes:
        session_id: The session's id (`lsid`), or None if it is not known.
        number: The transaction's number in its session.
    """

    session_id: Any
    number: int


class Change(NamedTuple):
    """One change. What does not apply to its kind is None.

    Attributes:
        place: Where it stands in the log.
        kind: The `operationType` of its event; `write` for any change of a document.
        time_us: When it was made, in simulated microseconds of its epoch.
        epoch_seconds: The seconds of the first timestamp of that epoch.
        database: The database's name.
        collection: The collection's name; empty for a change of the database.
        store: The live store of the collection.
        uuid: The collection's UUID.
        key: The store's key of the document.
        before: The document before, or `ABSENT`.
        after: The document after, or `ABSENT`.
        update: The update that made it, if one did.
        has_images: Whether a server would have kept `before` and `after`.
        renamed_to: The collection's new name.
        description: The `operationDescription` of its event.
        state_before: The `stateBeforeChange` of its event.
        transaction: The transaction that it was a part of.
    """

    place: Place
    kind: str
    time_us: int
    epoch_seconds: int
    database: str
    collection: str = ""
    store: Any = None
    uuid: Any = None
    key: Hashable = None
    before: Any = ABSENT
    after: Any = ABSENT
    update: Any = None
    has_images: bool = False
    renamed_to: str | None = None
    description: Any = None
    state_before: Any = None
    transaction: TransactionIdentity | None = None

    @property
    def timestamp(self) -> Timestamp:
        """Its cluster time."""
        return timestamp_at(self.place.position, self.time_us, self.epoch_seconds)


class PendingChanges:
    """What a transaction has changed so far, in order: the log of its own stores.

    Attributes:
        update: The update that is being made, if one is.
        writes: Namespace, key, document before, document after, and update of each change.
    """

    def __init__(self) -> None:
        self.update: Any = None
        self.writes: list[tuple[tuple[str, str], Hashable, Any, Any, Any]] = []

    def wrote(self, store: CollectionHistory, key: Hashable, before: Any) -> None:
        """Note a change of a document; see `ChangeLog`."""
        after = store._documents.get(key, ABSENT)
        namespace = (store.database_name, store.name)
        self.writes.append((namespace, key, before, after, self.update))

    def changed_metadata(self, store: CollectionHistory, before: Metadata) -> None:
        """Nothing: the commit makes this change anew."""


class ChangeLog:
    """The changes of one server store, oldest first, by number.

    Args:
        server: The store.

    Attributes:
        epoch: The number of the simulation, or of the time between two, that runs.
        first: The number of the oldest change that is kept.
        forgotten: The place up to which changes are forgotten, or were never noted.
        forgotten_time: Its cluster time; None if there was nothing before.
        grown: Notified after each change; a front may wait on it.
        update: The update that is being made, if one is.
    """

    def __init__(self, server: ServerHistory) -> None:
        self._server = server
        self._changes: list[Change] = []
        self._dropped_target: Any = None
        self._replaces_target = False
        self.epoch = 1
        self.first = 0
        self.forgotten = Place(0, 0)
        self.forgotten_time: Timestamp | None = None
        self.grown = Condition()
        self.update: Any = None
        self._updates: dict[Any, Any] = {}
        self._transaction: TransactionIdentity | None = None
        self._is_held = False

    # -- reading ---------------------------------------------------------------------------

    @property
    def end(self) -> int:
        """The number that the next change gets."""
        return self.first + len(self._changes)

    def __getitem__(self, number: int) -> Change:
        """The change of that number, which is kept."""
        return self._changes[number - self.first]

    def number_after(self, place: Place) -> int:
        """The number of the oldest change that is after `place`; of those that are kept."""
        low, high = 0, len(self._changes)
        while low < high:
            middle = (low + high) // 2
            if self._changes[middle].place <= place:
                low = middle + 1
            else:
                high = middle
        return self.first + low

    # -- noting ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Note changes from now on; what there is exists already."""
        self.forgotten = Place(self.epoch, self.position, order=1 << 20)
        journal = self._server.journal
        if journal is not None and self.position:
            self.forgotten_time = journal.replica_set.oplog.timestamp(self.position)
        for database in self._server._databases.values():
            for collection in database._collections.values():
                collection.is_noted = collection.exists

    def begin_epoch(self) -> None:
        """Another journal takes over: positions start anew."""
        self.epoch += 1

    @property
    def position(self) -> int:
        """The newest position of the oplog; 0 without one."""
        journal = self._server.journal
        return 0 if journal is None else journal.replica_set.oplog.last

    @property
    def epoch_start(self) -> Timestamp:
        """A time that is not after any of the running simulation."""
        journal = self._server.journal
        return Timestamp(0 if journal is None else journal.replica_set.oplog.epoch_seconds, 0)

    def wrote(self, store: CollectionHistory, key: Hashable, before: Any) -> None:
        """Note a change of a document that was logged at the newest position.

        Args:
            store: The collection.
            key: The document's key.
            before: The document before, or `ABSENT`.
        """
        if self._is_held:
            return
        update = self.update
        if self._updates:
            update = self._updates.get((store.database_name, store.name, key))
        self._wrote(store, key, before, store._documents.get(key, ABSENT), update)

    def _wrote(
        self, store: CollectionHistory, key: Hashable, before: Any, after: Any, update: Any
    ) -> None:
        self._ensure_exists(store)
        self._note(
            "write",
            store,
            key=key,
            before=before,
            after=after,
            update=update,
            has_images=store.keeps_images,
        )

    @contextmanager
    def committing(
        self, pending: PendingChanges | None, identity: TransactionIdentity | None
    ) -> Iterator[None]:
        """A transaction's writes are brought to the live stores inside.

        They are noted as it made them: the one oplog entry has only what became of each document.

        Args:
            pending: What it has changed; None if it began before changes were kept.
            identity: Its identity, if it is known.
        """
        before, self._transaction = self.position, identity
        self._is_held = pending is not None
        try:
            yield
        finally:
            self._is_held = False
            for namespace, *write in pending.writes if pending is not None else ():
                if self.position == before:  # one that has undone itself is in the oplog, too
                    self._log_entry()
                self._wrote(self._server[namespace[0]][namespace[1]], *write)
            self._transaction = None

    @contextmanager
    def writing_beside(self, pending: PendingChanges | None) -> Iterator[None]:
        """A plain write that was made beside open transactions reaches the live stores inside.

        Args:
            pending: What it has changed; of each change only the update is of interest.
        """
        writes = pending.writes if pending is not None else ()
        self._updates = {(*namespace, key): update for namespace, key, _, _, update in writes}
        try:
            yield
        finally:
            self._updates = {}

    def changed_metadata(self, store: CollectionHistory, before: Metadata) -> None:
        """Note a change of a collection's indexes or options at the newest position."""
        after = store.metadata
        self._ensure_exists(store)
        for name in before.indexes.keys() - after.indexes.keys():
            self._note_index("dropIndexes", store, name, before.indexes[name])
        for name in after.indexes.keys() - before.indexes.keys():
            self._note_index("createIndexes", store, name, after.indexes[name])
        changed = {
            name: value
            for name, value in after.options.items()
            if before.options.get(name) != value
        }
        if changed and before.is_force_created == after.is_force_created:
            options = {"uuid": store.uuid, **before.options}
            state = {"collectionOptions": options}
            self._note("modify", store, description=changed, state_before=state)

    def _note_index(
        self, kind: str, store: CollectionHistory, name: str, index: dict[str, Any]
    ) -> None:
        told = {key: value for key, value in index.items() if key not in ("key", "v")}
        spec = {"v": 2, **told, "key": dict(index["key"]), "name": name}
        self._note(kind, store, description={"indexes": [spec]})

    def _ensure_exists(self, store: CollectionHistory) -> None:
        """A collection comes into being with what is first put into it."""
        if not store.is_noted:
            store.is_noted = True
            id_index = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
            options = getattr(store, "options", {})
            self._note("create", store, description={**options, "idIndex": id_index})

    @contextmanager
    def replacing_target(self) -> Iterator[None]:
        """A collection that is dropped inside makes room for one that gets its name."""
        self._replaces_target = True
        try:
            yield
        finally:
            self._replaces_target = False
            self._dropped_target = None

    def dropped(self, store: CollectionHistory, *, is_logged: bool) -> None:
        """Note that a collection is dropped.

        Args:
            store: The collection, as it was.
            is_logged: Whether the oplog has an entry of it. It has none if the collection had
                become empty: the library has forgotten it by then, a server has not.
        """
        if not store.is_noted:
            return
        store.is_noted = False
        if self._replaces_target:
            self._dropped_target = store.uuid
            return
        if not is_logged:
            self._log_entry()
        self._note("drop", store)

    def renamed(self, store: CollectionHistory, new_name: str) -> None:
        """Note that a collection, which still has its old name, was given another."""
        description: dict[str, Any] = {"to": {"db": store.database_name, "coll": new_name}}
        if self._dropped_target is not None:
            description["dropTarget"] = self._dropped_target
        self._note("rename", store, renamed_to=new_name, description=description)

    def rolled_back(self, position: int) -> None:
        """The changes after `position` have been undone; no stream has shown them."""
        for number in range(len(self._changes) - 1, -1, -1):
            place = self._changes[number].place
            if place.epoch != self.epoch or place.position <= position:
                return
            self._changes[number] = self._changes[number]._replace(kind=ROLLED_BACK)

    def dropped_database(self, name: str) -> None:
        """Note that a database was dropped, after its collections."""
        journal = self._server.journal
        if journal is not None:
            self._log_entry()
            self._add("dropDatabase", journal, database=name)

    def _log_entry(self) -> None:
        """Make an entry in the oplog for a change that no document or index tells of."""
        journal = self._server.journal
        if journal is not None:
            replica_set = journal.replica_set
            replica_set.oplog.append(replica_set.clock.now_us, journal.write)

    def _note(self, kind: str, store: CollectionHistory, **what: Any) -> None:
        journal = self._server.journal
        if journal is not None:
            self._add(
                kind,
                journal,
                database=store.database_name,
                collection=store.name,
                store=store,
                uuid=store.uuid,
                **what,
            )

    def _add(self, kind: str, journal: Journal, **what: Any) -> None:
        oplog = journal.replica_set.oplog
        position = oplog.last
        newest = self._changes[-1].place if self._changes else Place(0, 0)
        follows = newest[:2] == (self.epoch, position)
        change = Change(
            Place(self.epoch, position, newest.order + 1 if follows else 0),
            kind,
            oplog.time_us(position),
            oplog.epoch_seconds,
            transaction=self._transaction,
            **what,
        )
        if len(self._changes) >= 2 * WINDOW:
            self.forgotten = self._changes[WINDOW - 1].place
            self.forgotten_time = self._changes[WINDOW - 1].timestamp
            del self._changes[:WINDOW]
            self.first += WINDOW
        self._changes.append(change)
        with self.grown:
            self.grown.notify_all()
