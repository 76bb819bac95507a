"""The memory engine: one mongomock server's data, readable at any retained position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from bson import Timestamp

from pytest_replicalag.engines.memory.change_log import ChangeLog
from pytest_replicalag.engines.memory.change_streams import ChangeStream
from pytest_replicalag.engines.memory.collections import engine_classes
from pytest_replicalag.engines.memory.journal import Journal, resting_journal
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.engines.memory.matches import Matches
from pytest_replicalag.engines.memory.past import PastServer
from pytest_replicalag.engines.memory.store import ServerHistory, store_classes
from pytest_replicalag.engines.memory.transactions import Blocked, Transaction
from pytest_replicalag.replicaset.optime import EPOCH_SECONDS

__all__ = ["Blocked", "MemoryEngine", "Past", "Transaction"]

_Result = TypeVar("_Result")


class MemoryEngine:
    """Runs operations on the data of one client; not thread-safe, the front holds a lock.

    Args:
        library: The client's library.
        client: A client of that library; its data is adopted, not copied.

    Attributes:
        library: As given.
        server: The live store.
    """

    def __init__(self, library: Library, client: Any) -> None:
        self.library = library
        self.server: ServerHistory = store_classes(library).adopt(client._store)
        self._classes = engine_classes(library)
        self._state = client.__dict__
        self.live_client = self._client(self._classes.live_client, self.server)

    def _client(self, kind: Any, store: Any) -> Any:
        """A client over `store`, made without parsing the host again."""
        client = kind.__new__(kind)
        client.__dict__.update(self._state, _store=store, _database_accesses={})
        return client

    def attach(self, journal: Journal | None) -> None:
        """Let `journal` log writes from now on; None while no simulation runs."""
        if journal is not self.server.journal:
            self.server.attach(journal)

    def expire(self) -> None:
        """Let the TTL monitor come round; what it removes is logged before what is done next."""
        if self.server.expires:
            self.server.expire()

    def live(self, database: str, collection: str, codec_options: Any) -> Any:
        """The primary's collection; valid for as long as the engine is."""
        return self.live_client.get_database(database).collection(collection, codec_options)

    def has_changed(self, database: str, collection: str, position: int) -> bool:
        """Whether a collection's documents differ, or may differ, from those at `position`."""
        names = self.server[database].names
        if names.newest > position and collection in names.chains:
            return True
        store = self.server[database][collection]
        if store._ttl_indexes:
            store._remove_expired_documents()
        return bool(store.versions.newest > position or store.incarnations.newest > position)

    def came_between(self, database: str, collection: str, after: int, until: int) -> int:
        """Where a collection came that is there at one position and was not at an earlier one.

        Args:
            database: The collection's database.
            collection: Its name.
            after: The earlier position.
            until: The later one.

        Returns:
            The position at which it was created, or got its name; 0 if it did not come in between.
        """
        history = self.server[database]
        store = history._collections.get(collection)
        if store is None or not store.exists:
            return 0
        came = max(store.came_after + 1, history.names.changed_at(collection))
        return came if after < came <= until else 0

    def existed(self, database: str, collection: str, position: int) -> bool:
        """Whether a server had a collection at `position`, with documents or without."""
        if self.past(position).versions(database, collection).is_created:
            return True
        store = self.server[database]._collections.get(collection)
        return store is not None and store.exists and store.came_after < position

    # -- change streams --------------------------------------------------------------------

    @property
    def change_log(self) -> ChangeLog | None:
        """Where changes are kept; None until somebody needs them."""
        return self.server.change_log

    def keep_changes(self) -> ChangeLog:
        """Keep changes from now on, for change streams."""
        return self.server.keep_changes()

    def watch(
        self,
        database: str | None,
        collection: str | None,
        stage: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        position: int | None = None,
    ) -> ChangeStream:
        """Open a change stream; see `ChangeStream`."""
        return ChangeStream(self, database, collection, stage, pipeline, position)

    def timestamp(self, position: int) -> Timestamp:
        """The cluster time of a position; of one to come, with the newest entry's second."""
        journal = self.server.journal
        if journal is None:
            return Timestamp(EPOCH_SECONDS, position)
        oplog = journal.replica_set.oplog
        if position <= oplog.last:
            return oplog.timestamp(position)
        return Timestamp(oplog.timestamp(oplog.last).time, position)

    # -- transactions ----------------------------------------------------------------------

    def begin(self, journal: Journal | None) -> Transaction:
        """Start a transaction whose snapshot is the newest position.

        Args:
            journal: The running simulation's; None while none runs.
        """
        self.attach(journal)
        if self.server.journal is None:
            self.server.attach(resting_journal())
        return self._begin(is_plain=False)

    def _begin(self, *, is_plain: bool) -> Transaction:
        open_client = partial(self._client, self._classes.live_client)
        return Transaction(self.server, open_client, is_plain=is_plain)

    @property
    def has_transactions(self) -> bool:
        """Whether a transaction is open; a front then makes its plain writes by `write_beside`."""
        server = self.server
        if server.had_transactions and not server.transactions:
            server.had_transactions = False
        return server.had_transactions

    def write_beside(self, write: Callable[[Any], _Result]) -> _Result:
        """Make a plain write of documents while transactions may be open.

        Args:
            write: Makes it on the client that it is given, and returns its result.

        Raises:
            Blocked: A transaction has written the same document; nothing has happened.
        """
        if not self.has_transactions:
            return write(self.live_client)
        own = self._begin(is_plain=True)
        try:
            result = write(own.client)
        except Blocked:
            own.abort()
            raise
        except BaseException:
            own.commit()  # what a bulk write has done before its error stays
            raise
        own.commit()
        return result

    def blocking(self, database: str, collection: str | None = None) -> Transaction | None:
        """The transaction that must end before a collection can be dropped, renamed or indexed.

        Args:
            database: The database's name.
            collection: The collection's name; None for any of the database.
        """
        for transaction in list(self.server.transactions):
            if transaction.has_touched(database, collection):
                return transaction  # type: ignore[no-any-return]
        return None

    # -- the past --------------------------------------------------------------------------

    def past(self, position: int, matches: Matches | None = None) -> Past:
        """The data at `position`, to be read once.

        Args:
            position: A retained position, or the newest one.
            matches: Shared between the evaluations of one read at two positions.
        """
        server = PastServer(self.server, position)
        return Past(server, self._client(self._classes.past_client, server), matches)


class Past:
    """The data at one position.

    Attributes:
        client: A client of the library, on these data.
        matches: Shared with another evaluation of the same read.
    """

    def __init__(self, server: PastServer, client: Any, matches: Matches | None) -> None:
        self._server = server
        self.client = client
        self.matches = matches

    def collection(self, database: str, name: str, codec_options: Any, *, copies: bool) -> Any:
        """A collection to read from.

        Args:
            database: The database's name.
            name: The collection's name.
            codec_options: The library's codec options.
            copies: Whether results will be handed out; False where they are only compared.
        """
        collection = self.client.get_database(database).collection(name, codec_options)
        collection.matches = self.matches
        collection.copies = copies
        return collection

    def changed(self) -> list[tuple[str, str]]:
        """The collections that were read and have changed since, as database and name."""
        return self._server.changed()

    def versions(self, database: str, collection: str) -> Any:
        """The recent past of a collection that was read; see `PastCollection`."""
        return self._server[database][collection]
