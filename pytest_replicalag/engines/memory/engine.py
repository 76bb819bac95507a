"""The memory engine: one mongomock server's data, readable at any retained position."""

from __future__ import annotations

from typing import Any

from pytest_replicalag.engines.memory.collections import Matches, engine_classes
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.engines.memory.past import PastServer
from pytest_replicalag.engines.memory.store import ServerHistory, store_classes

__all__ = ["MemoryEngine", "Past"]


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
