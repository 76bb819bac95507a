"""Multi-document transactions on the live stores.

A transaction has stores of its own, filled with the documents of its snapshot when a collection is
first touched: references, not copies, for no stored document is changed in place while a journal
is attached. The library's own code runs on them; what it writes is checked against the writes of
others at once, and reaches the live stores at the commit, as one oplog entry.
MongoDB manual, Transactions; Transactions and Atomicity; In-progress Transactions and Write
Conflicts.

Not modelled: documents that a transaction inserts take their place in natural order when it
commits, not when it inserts them; a transaction does not end because it has been open for a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from threading import get_ident
from typing import Any
from weakref import finalize

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.change_log import TransactionIdentity
from pytest_replicalag.engines.memory.contents import METADATA
from pytest_replicalag.engines.memory.documents import is_same
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.engines.memory.private_stores import PrivateCollection, private_server
from pytest_replicalag.engines.memory.store import CollectionHistory, ServerHistory
from pytest_replicalag.engines.memory.versions import ABSENT
from pytest_replicalag.replicaset import transaction_errors as errors
from pytest_replicalag.replicaset.oplog import NO_OP

__all__ = ["Blocked", "Transaction"]


class Blocked(Exception):  # noqa: N818 - no error, but a sign to wait
    """A plain write has to wait: an open transaction has written what it would write.

    It has left no trace. Fronts catch it; no user ever sees it.

    Attributes:
        transaction: The transaction that must end first.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        super().__init__("an open transaction has written this document")


class Transaction:
    """A transaction; the caller holds the front's lock for every call.

    Any error of an operation ends it on a server: where the operation itself raises anything
    else than what this module does, the front calls `abort`.

    Args:
        server: The live store; its journal is attached.
        open_client: Makes a client over a server store.
        is_plain: Whether it stands for one plain write while transactions are open: it waits where
            a transaction would fail, and logs one entry for each document.

    Attributes:
        client: A client of the library whose databases show what the transaction sees.
        position: The position of its snapshot, which stays readable until it ends.
        has_ended: Whether it was committed or aborted.
        is_unknown: Whether it went with a primary, and another one does not know it.
        owner: The thread that used it last, for whoever waits for it.
        identity: What change streams show of it; a front that knows tells.
    """

    def __init__(
        self, server: ServerHistory, open_client: Callable[[Any], Any], *, is_plain: bool = False
    ) -> None:
        assert server.journal is not None
        self.has_ended = False
        self.is_unknown = False
        self.owner = get_ident()
        self.identity: TransactionIdentity | None = None
        self._server = server
        self._is_plain = is_plain
        self._when_ended: list[Callable[[], None]] = []
        self._late: set[tuple[str, str]] = set()
        self._take_snapshot(server.journal)
        self._store = private_server(server, self)
        self.client = open_client(self._store)
        server.transactions.add(self)
        server.had_transactions = True

    def _take_snapshot(self, journal: Journal) -> None:
        replica_set = journal.replica_set
        self._journal = journal
        self.position = replica_set.oplog.last
        # A transaction that is forgotten, not ended, must not keep the history for ever.
        self._unpin = finalize(self, replica_set.unpin, replica_set.pin(self.position))

    # -- its end ---------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether it has written nothing."""
        return not any(store.versions.chains for store in self._store.collections())

    def commit(self) -> int:
        """Let all its writes take effect, as one oplog entry.

        If it has written nothing, the entry is a no-op, as a server makes it, so that a write
        concern waits for what the transaction has read.

        Returns:
            The position of that entry.

        Raises:
            OperationFailure: Error 112: a collection that it created exists by now.
        """
        written = [store for store in self._store.collections() if store.versions.chains]
        for store in written:
            if store.live is None and store.live_database.has(store.name):
                raise self.fail(errors.write_conflict())
        self._end()
        server, journal = self._server, self._journal
        before = journal.replica_set.oplog.last
        if not self._is_plain:
            server.journal = _OneEntry(journal)  # type: ignore[assignment]
        try:
            with self._noting():
                for store in written:
                    _apply(store, store.live_database[store.name])
        finally:
            server.journal = journal
        replica_set = journal.replica_set
        if replica_set.oplog.last == before and not self._is_plain:
            replica_set.oplog.append(replica_set.clock.now_us, NO_OP)
        return replica_set.oplog.last

    def _noting(self) -> AbstractContextManager[None]:
        """Have the change log, if there is one, note what is brought to the live stores."""
        log = self._server.change_log
        if log is None:
            return nullcontext()
        pending = self._store.change_log
        if self._is_plain:
            return log.writing_beside(pending)
        return log.committing(pending, self.identity)

    def abort(self) -> None:
        """End it without a trace; no harm if it has ended."""
        if not self.has_ended:
            self._end()

    def forget(self) -> None:
        """End it because another primary was elected, which does not know it."""
        self.is_unknown = not self.has_ended
        self.abort()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when it ends, by whoever ends it."""
        self._when_ended.append(callback)

    def _end(self) -> None:
        self.has_ended = True
        self._unpin()
        self._server.transactions.discard(self)
        for callback in self._when_ended:
            callback()

    def fail(self, error: OperationFailure) -> OperationFailure:
        """End it because of an error; returns the error, to be raised."""
        self.abort()
        return error

    # -- what its stores ask ---------------------------------------------------------------

    def store_of(self, database: str, collection: str) -> PrivateCollection | None:
        """Its own view of a collection, if it has touched it."""
        touched: PrivateCollection | None = self._store.touched(database, collection)
        return touched

    def has_touched(self, database: str, collection: str | None) -> bool:
        """Whether it has read or written a collection that exists outside of it.

        Args:
            database: The database's name.
            collection: The collection's name; None for any of the database.
        """
        return any(
            store.database == database and collection in (None, store.name)
            for store in self._store.collections()
            if store.live is not None
        )

    def check_snapshot(self, database: str, live: CollectionHistory, renamed: bool) -> None:
        """Raise unless a collection, which exists now, is the one that the snapshot had.

        Raises:
            OperationFailure: Error 246: it was created, or got its name, after the snapshot.
        """
        if (database, live.name) in self._late:
            raise self.fail(errors.snapshot_outdated())
        if renamed or live.came_after >= self.position:
            oplog = self._journal.replica_set.oplog
            came = min(max(live.came_after, self.position) + 1, oplog.last)
            raise self.fail(
                errors.snapshot_unavailable(oplog.timestamp(self.position), oplog.timestamp(came))
            )

    def check_write(self, store: PrivateCollection, key: Hashable) -> None:
        """Raise if a write conflicts with what others have written since the snapshot.

        Raises:
            OperationFailure: Error 112: the write conflict; the transaction has ended.
            Blocked: The same for a plain write, which waits instead.
        """
        live = store.live
        if live is None:  # nobody else has this collection before the commit
            return
        if store.has_new_indexes:
            raise self.fail(errors.snapshot_outdated())
        chain = live.versions.chains.get(key)
        if key in store.outdated or (chain is not None and chain.untils[-1] > self.position):
            raise self._conflict(None)
        rivals = [*self._rivals(store)]
        for other, theirs in rivals:
            if key in theirs.versions.chains:
                raise self._conflict(other)
        document = store._documents.get(key, ABSENT)
        if document is ABSENT or not store.has_unique_indexes:
            return
        if store.collides(self.client, key, document, _committed_since(store, live, self.position)):
            raise self._conflict(None)
        for other, theirs in rivals:
            if store.collides(self.client, key, document, theirs.written()):
                raise self._conflict(other)

    def _rivals(self, store: PrivateCollection) -> Iterator[tuple[Transaction, PrivateCollection]]:
        """The other open transactions that have touched a collection, and their views of it."""
        for other in list(self._server.transactions):
            theirs = other.store_of(store.database, store.name)
            if other is not self and theirs is not None and theirs.live is store.live:
                yield other, theirs

    def _conflict(self, holder: Transaction | None) -> Exception:
        if self._is_plain and holder is not None:
            return Blocked(holder)
        return self.fail(errors.write_conflict())

    # -- a change of journals --------------------------------------------------------------

    def rebase(self, journal: Journal) -> None:
        """Go on under another journal, for a simulation starts or ends; the snapshot stays.

        What the old journal knows is taken over now, for it is about to be forgotten.
        """
        for name, database in self._server._databases.items():
            for collection in list(database._collections):
                if database.has(collection) and (name, collection) not in self._late:
                    self._touch(name, collection)
        for store in self._store.collections():
            if store.live is not None:
                store.outdated.update(store.live.versions.changed_since(self.position))
        self._unpin()
        self._take_snapshot(journal)

    def _touch(self, database: str, collection: str) -> None:
        """See a collection; if it came after the snapshot, it stays out of sight."""
        live = self._server[database]
        if self._store.is_late(live, collection):
            self._late.add((database, collection))
        else:
            self._store[database][collection]


class _OneEntry:
    """A journal in whose oplog all changes are one entry.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._before = journal.replica_set.oplog.last
        self._has_logged = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    @property
    def position_before_entry(self) -> int:
        """The position before the one entry."""
        return self._before

    def replaced(self, *args: Any, **kwargs: Any) -> int:
        """Log a change: the first one makes the entry."""
        if self._has_logged:
            self._journal.also_replaced(*args, **kwargs)
        else:
            self._has_logged = True
            self._journal.replaced(*args, **kwargs)
        return self._journal.replica_set.oplog.last


def _committed_since(
    store: PrivateCollection, live: CollectionHistory, position: int
) -> dict[Hashable, Any]:
    """The documents that others have written since the snapshot, as they are now."""
    own = store.versions.chains
    keys = {*live.versions.changed_since(position), *store.outdated} - own.keys()
    return {key: live._documents[key] for key in keys if key in live._documents}


def _apply(store: PrivateCollection, live: CollectionHistory) -> None:
    """Bring what a transaction has written to the live store."""
    if store.live is None:
        if store._is_force_created:
            live.create(**getattr(store, "options", {}))
        for name, index in store.indexes.items():
            live.create_index(name, index)
    keys = [key for key in store.versions.chains if key is not METADATA]
    keys.sort(key=lambda key: store.numbers.get(key, -1))  # inserts keep their order
    unchanged = [key for key in keys if _is_unchanged(store, live, key)]
    begun = live.begin_write()
    try:
        for key in keys:
            document = store._documents.get(key, ABSENT)
            if key in live.numbers and live.numbers[key] != store.numbers.get(key):
                del live[key]
            if document is not ABSENT:
                live[key] = document
    finally:
        if begun:
            live.end_write()
    for key in unchanged:  # replaced by its like, of which a server has an oplog entry
        live[key] = live._documents[key]


def _is_unchanged(store: PrivateCollection, live: CollectionHistory, key: Hashable) -> bool:
    """Whether a document that was written is what it is outside."""
    if key not in live._documents or live.numbers[key] != store.numbers.get(key):
        return False
    return is_same(live._documents[key], store._documents[key])
