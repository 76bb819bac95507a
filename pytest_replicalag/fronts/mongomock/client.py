"""The routed client, and how a client of the library becomes one."""

from __future__ import annotations

from functools import cache
from typing import Any

from pymongo.client_session import SessionOptions  # type: ignore[attr-defined]
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.library import Library, library_of
from pytest_replicalag.errors import NotWrappableError
from pytest_replicalag.fronts.governor import Governor
from pytest_replicalag.fronts.mongomock.change_stream import Watchable, Watched
from pytest_replicalag.fronts.mongomock.collection import RoutedCollection, collection_methods
from pytest_replicalag.fronts.mongomock.cursor import RoutedCursor
from pytest_replicalag.fronts.mongomock.database import RoutedDatabase
from pytest_replicalag.fronts.mongomock.operations import Front, Target
from pytest_replicalag.fronts.mongomock.options import NOTHING_GIVEN, Options
from pytest_replicalag.fronts.mongomock.session import ClientSession

__all__ = ["RoutedClient", "adopt", "client_class", "route", "wrap"]

_WRAPPED = "_replica_lag_wrapped"


class RoutedClient(Watchable):
    """Mixed into a library's `MongoClient`.

    Its metadata commands go to the primary, as drivers send them.
    """

    _front: Front
    _options: Options = NOTHING_GIVEN
    _codec_options: Any
    _database_accesses: dict[str, Any]
    _database_class: Any
    _library: Library

    # -- options ---------------------------------------------------------------------------

    def _effective(self, options: Options, name: str) -> Any:
        """An option that was given, else what the running simulation or the server says."""
        given = getattr(options, name)
        if given is not None:
            return given
        if name == "write_concern":
            return WriteConcern()
        running = self._front.governor.running
        return self.__dict__["_read_preference"] if running is None else running.read_preference

    @property
    def read_preference(self) -> Any:
        """The one that was given; else what the plugin's settings say."""
        return self._effective(self._options, "read_preference")

    @property
    def _store(self) -> Any:
        """The data of the server; `mongomock.patch` gives several clients the same."""
        return self.__dict__["_store"]

    @_store.setter
    def _store(self, store: Any) -> None:
        self.__dict__["_store"] = store
        front = self.__dict__.get("_front")
        if front is not None:
            self._database_accesses.clear()
            adopt(self, front.governor, self._options)

    @property
    def write_concern(self) -> Any:
        """The one that was given; else the server's default."""
        return self._effective(self._options, "write_concern")

    @property
    def read_concern(self) -> Any:
        """The one that was given; else the server's default."""
        return self._options.read_concern or ReadConcern()

    # -- databases -------------------------------------------------------------------------

    def get_database(
        self,
        name: str | None = None,
        codec_options: Any = None,
        read_preference: Any = None,
        write_concern: Any = None,
        read_concern: Any = None,
    ) -> Any:
        """A database; the same object each time if no option is given."""
        if name is None:
            return self.get_default_database(  # type: ignore[attr-defined]
                codec_options=codec_options,
                read_preference=read_preference,
                write_concern=write_concern,
                read_concern=read_concern,
            )
        if hasattr(type(self), "_check_closed"):
            self._check_closed()  # type: ignore[attr-defined]
        database = self._database_accesses.get(name)
        if database is None:
            database = self._routed_database(name, self._options, self._codec_options)
            self._database_accesses[name] = database
        given = (codec_options, read_preference, write_concern, read_concern)
        if given == (None, None, None, None):
            return database
        options = self._options.given(
            read_preference=read_preference, write_concern=write_concern, read_concern=read_concern
        )
        return self._routed_database(name, options, codec_options or self._codec_options)

    def _routed_database(self, name: str, options: Options, codec_options: Any) -> Any:
        database = self._database_class(
            self,
            name,
            _store=self._store[name],
            read_preference=options.read_preference,
            read_concern=options.read_concern,
            codec_options=codec_options,
        )
        database._front = self._front
        database._options = options
        live = self._front.engine.live_client.get_database(name)
        database._target = Target(database=name, namespace=name, live=live)
        return database

    def list_database_names(self, session: Any = None, **kwargs: Any) -> Any:
        """The names of the databases, from the primary."""
        return self._front.on_primary(
            "listDatabases",
            self._session(session),
            lambda: super(RoutedClient, self).list_database_names(**kwargs),  # type: ignore[misc]
        )

    def drop_database(self, name_or_db: Any, session: Any = None) -> Any:
        """Drop a database."""
        if isinstance(name_or_db, self._library.database):
            if not any(known is name_or_db for known in self._database_accesses.values()):
                return super().drop_database(name_or_db)  # type: ignore[misc]
            name_or_db = name_or_db.name
        live = self._front.engine.live_client
        target = Target(database=str(name_or_db), namespace=str(name_or_db), live=live)
        return self._front.write(
            "drop_database",
            target,
            self._options.write_concern,
            self._session(session),
            live.drop_database,
            name_or_db,
        )

    # -- sessions --------------------------------------------------------------------------

    def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: Any = None,
        snapshot: bool = False,
    ) -> ClientSession:
        """Start a logical session; see pymongo's `MongoClient.start_session`."""
        options = SessionOptions(causal_consistency, default_transaction_options, snapshot)
        self._front.keep_changes()  # a stream may start at the session's operation time
        return ClientSession(self, self._front.governor, options)

    def _watched(self) -> Watched:
        return Watched(options=self._options, codec_options=self._codec_options)

    def _session(self, session: Any) -> ClientSession | None:
        """A session to use; what is none is left to the library, which refuses it."""
        if isinstance(session, ClientSession):
            session.check(self)
            session.transaction.leave()
            return session
        if session is not None and session:
            self._library.refuse_session(session)
        return None


@cache
def client_class(library: Library) -> Any:
    """The routed client of `library`; it and what it hands out are named as the library's own."""
    cursor = type("Cursor", (RoutedCursor, library.cursor), {"library_cursor": library.cursor})
    collection = type(
        "Collection",
        (RoutedCollection, library.collection),
        {
            **collection_methods(library.collection),
            "_cursor_class": cursor,
            "_command_cursor": library.aggregate.command_cursor.CommandCursor,
        },
    )
    database = type(
        "Database",
        (RoutedDatabase, library.database),
        {"_collection_class": collection, "_library_collection": library.collection},
    )
    return _routed(library.client, database, library)


def _routed(kind: Any, database: Any, library: Library) -> Any:
    """The routed variant of a client class."""
    own = {"_database_class": database, "_library": library}
    return type(kind.__name__, (RoutedClient, kind), own)


@cache
def _routed_subclass(kind: Any, library: Library) -> Any:
    """The routed variant of somebody's own subclass of the library's client."""
    if kind is library.client:
        return client_class(library)
    return _routed(kind, client_class(library)._database_class, library)


def route(client: Any, governor: Governor, options: Options) -> None:
    """Make a routed client of one that has just been opened; it stays the same object.

    Args:
        client: Of mongomock or mongomock-ng, or of a subclass.
        governor: Knows the running simulation.
        options: What it was opened with.
    """
    library = library_of(client)
    assert library is not None
    kind: Any = type(client)
    client.__class__ = _routed_subclass(kind, library)
    adopt(client, governor, options)


def wrap(client: Any, governor: Governor) -> Any:
    """A routed client over the data of `client`; the same one each time for the same client.

    Args:
        client: A client of mongomock or mongomock-ng; a routed one is returned as it is.
        governor: Knows the running simulation.

    Raises:
        NotWrappableError: It is no such client.
    """
    if isinstance(client, RoutedClient):
        return client
    library = library_of(client)
    if library is None:
        raise NotWrappableError(client)
    wrapped = client.__dict__.get(_WRAPPED)
    if wrapped is None:
        kind = client_class(library)
        wrapped = kind.__new__(kind)
        wrapped.__dict__.update(client.__dict__, _database_accesses={})
        adopt(wrapped, governor, _told_by(client))
        client.__dict__[_WRAPPED] = wrapped
    return wrapped


def adopt(client: Any, governor: Governor, options: Options) -> None:
    """Put a client of a routed class under the governor.

    Args:
        client: It has its library's state, and no databases yet.
        governor: Knows the running simulation.
        options: What it was opened with.
    """
    client._front = Front(governor, MemoryEngine(client._library, client))
    client._front.retries = options.retries
    client._options = options


def _told_by(client: Any) -> Options:
    """What an open client still knows of what it was opened with.

    The library keeps a read preference, and nothing else; primary is also what it uses when none
    was given, so it does not count as given.
    """
    read_preference = client.read_preference
    return Options(read_preference=read_preference if read_preference.mode else None)
