"""The routed database: mongomock's API, each operation run by the front."""

from __future__ import annotations

from typing import Any

from pytest_replicalag.fronts.mongomock.change_stream import Watchable, Watched
from pytest_replicalag.fronts.mongomock.operations import Front, Target
from pytest_replicalag.fronts.mongomock.options import NOTHING_GIVEN, Options

__all__ = ["RoutedDatabase"]


class RoutedDatabase(Watchable):
    """Mixed into a library's `Database`.

    Its metadata commands go to the primary, as drivers send them.
    """

    name: str
    client: Any
    codec_options: Any
    _client: Any
    _store: Any
    _front: Front
    _options: Options = NOTHING_GIVEN
    _collection_accesses: dict[str, Any]
    _collection_class: Any
    _library_collection: Any

    # -- options ---------------------------------------------------------------------------

    @property
    def read_preference(self) -> Any:
        """The one that was given here or above; else what the plugin's settings say."""
        return self._client._effective(self._options, "read_preference")

    @property
    def write_concern(self) -> Any:
        """The one that was given here or above; else the server's default."""
        return self._client._effective(self._options, "write_concern")

    @property
    def read_concern(self) -> Any:
        """The one that was given here or above; else the server's default."""
        given = self._options.read_concern
        return super().read_concern if given is None else given  # type: ignore[misc]

    def with_options(
        self,
        codec_options: Any = None,
        read_preference: Any = None,
        write_concern: Any = None,
        read_concern: Any = None,
    ) -> Any:
        """The same database with other options."""
        if write_concern is not None and not hasattr(write_concern, "document"):
            # The library refuses any; a real one is honoured here.
            super().with_options(write_concern=write_concern)  # type: ignore[misc]
        super().with_options(codec_options, read_preference, None, read_concern)  # type: ignore[misc]
        options = self._options.given(
            read_preference=read_preference, write_concern=write_concern, read_concern=read_concern
        )
        if options == self._options:
            return self
        return self._client._routed_database(
            self.name, options, codec_options or self.codec_options
        )

    # -- collections -----------------------------------------------------------------------

    def get_collection(
        self,
        name: str,
        codec_options: Any = None,
        read_preference: Any = None,
        write_concern: Any = None,
        read_concern: Any = None,
    ) -> Any:
        """A collection of this database; the same object each time if no option is given."""
        collection = self._collection_accesses.get(name)
        if collection is None:
            self._ensure_valid_collection_name(name)  # type: ignore[attr-defined]
            collection = self._routed_collection(name, self._options, self.codec_options)
            self._collection_accesses[name] = collection
        given = (codec_options, read_preference, write_concern, read_concern)
        if given == (None, None, None, None):
            return collection
        return collection.with_options(*given)

    def _routed_collection(self, name: str, options: Options, codec_options: Any) -> Any:
        collection = self._collection_class(
            self, name=name, codec_options=codec_options, _db_store=self._store
        )
        collection._front = self._front
        collection._options = options
        collection._target = Target(
            database=self.name,
            collection=name,
            codec_options=codec_options,
            namespace=f"{self.name}.{name}",
            live=self._front.engine.live(self.name, name, codec_options),
        )
        return collection

    # -- operations ------------------------------------------------------------------------

    _target: Target

    def _watched(self) -> Watched:
        return Watched(options=self._options, codec_options=self.codec_options, database=self.name)

    def _session(self, session: Any) -> Any:
        return self._client._session(session)

    def _write(self, session: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._front.write(
            method,
            self._target,
            self._options.write_concern,
            self._client._session(session),
            getattr(self._target.live, method),
            *args,
            **kwargs,
        )

    def _on_primary(self, session: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        run = getattr(self._target.live, method)
        command = "listCollections"
        if method == "command":
            command = args[0] if isinstance(args[0], str) else next(iter(args[0]))
        session = self._client._session(session)
        return self._front.on_primary(command, session, run, *args, **kwargs)

    def list_collections(self, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        """The collections, from the primary."""
        return self._on_primary(session, "list_collections", *args, **kwargs)

    def list_collection_names(self, filter: Any = None, session: Any = None) -> Any:
        """The names of the collections, from the primary."""
        return self._on_primary(session, "list_collection_names", filter)

    def create_collection(self, name: str, session: Any = None, **kwargs: Any) -> Any:
        """Create a collection."""
        self._write(session, "create_collection", name, **kwargs)
        return self.get_collection(name)

    def drop_collection(self, name_or_collection: Any, session: Any = None) -> Any:
        """Drop a collection."""
        name = name_or_collection
        if isinstance(name, self._library_collection):
            name = name.name
        return self._write(session, "drop_collection", name)

    def rename_collection(
        self, name: str, new_name: str, *args: Any, session: Any = None, **kwargs: Any
    ) -> Any:
        """Give a collection another name."""
        return self._write(session, "rename_collection", name, new_name, *args, **kwargs)

    def dereference(self, dbref: Any, session: Any = None) -> Any:
        """The document that a DBRef points to; read as this database reads."""
        session = self._client._session(session)
        if not hasattr(dbref, "collection") or dbref.database not in (None, self.name):
            return super().dereference(dbref)  # type: ignore[misc]
        return self[dbref.collection].find_one({"_id": dbref.id}, session=session)  # type: ignore[index]

    def command(self, command: Any, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        """Run a command that the library knows, on the primary."""
        return self._on_primary(session, "command", command, *args, **kwargs)
