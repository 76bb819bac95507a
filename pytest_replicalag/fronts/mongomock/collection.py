"""The routed collection: mongomock's API, each operation run by the front."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from pytest_replicalag.engines.memory.comparison import Comparable, OtherRead
from pytest_replicalag.fronts.mongomock.change_stream import Watchable, Watched
from pytest_replicalag.fronts.mongomock.operations import Front, Target
from pytest_replicalag.fronts.mongomock.options import NOTHING_GIVEN, Options
from pytest_replicalag.fronts.mongomock.session import ClientSession

__all__ = ["RoutedCollection", "collection_methods"]

WRITES: Final = (
    "insert_one",
    "insert_many",
    "update_one",
    "update_many",
    "replace_one",
    "delete_one",
    "delete_many",
    "bulk_write",
    "find_one_and_delete",
    "find_one_and_replace",
    "find_one_and_update",
    "drop",
    "create_index",
    "create_indexes",
    "drop_index",
    "drop_indexes",
    "rename",
)
"""What changes data or indexes."""

PRIMARY_READS: Final = ("index_information",)
"""Commands that drivers send to the primary whatever the read preference."""

_WRITING_STAGES: Final = frozenset({"$out", "$merge"})
_RANDOM: Final = ("$sample", "$rand")


class RoutedCollection(Watchable):
    """Mixed into a library's `Collection`."""

    database: Any
    name: str
    codec_options: Any
    _front: Front
    _options: Options = NOTHING_GIVEN
    _target: Target
    _cursor_class: Any

    def _session(self, session: Any) -> ClientSession | None:
        return self.database.client._session(session)  # type: ignore[no-any-return]

    def _watched(self) -> Watched:
        return Watched(
            options=self._options,
            codec_options=self.codec_options,
            database=self.database.name,
            collection=self.name,
        )

    # -- options ---------------------------------------------------------------------------

    @property
    def read_preference(self) -> Any:
        """The one that was given here or above; else what the plugin's settings say."""
        return self.database.client._effective(self._options, "read_preference")

    @property
    def write_concern(self) -> Any:
        """The one that was given here or above; else the server's default."""
        given = self._options.write_concern
        return super().write_concern if given is None else given  # type: ignore[misc]

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
        """The same collection with other options."""
        # The library checks them, and may refuse them.
        super().with_options(codec_options, read_preference, write_concern, read_concern)  # type: ignore[misc]
        options = self._options.given(
            read_preference=read_preference, write_concern=write_concern, read_concern=read_concern
        )
        return self.database._routed_collection(
            self.name, options, codec_options or self.codec_options
        )

    def __getitem__(self, name: str) -> Any:
        """The collection `parent.name`; it inherits this one's options, as in pymongo."""
        database, full_name = self.database, f"{self.name}.{name}"
        if self._options == database._options:
            return database[full_name]
        return database._routed_collection(full_name, self._options, self.codec_options)

    # -- writes ----------------------------------------------------------------------------

    def _write(
        self, operation: str, session: Any, apply: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if session is not None:
            session = self._session(session)
        return self._front.write(
            operation,
            self._target,
            self._options.write_concern,
            session,
            apply,
            *args,
            **kwargs,
        )

    # What the library's own bulk builders call.

    def _insert(self, *args: Any, **kwargs: Any) -> Any:
        return self._write("insert", None, self._target.live._insert, *args, **kwargs)

    def _update(self, *args: Any, **kwargs: Any) -> Any:
        return self._write("update", None, self._target.live._update, *args, **kwargs)

    def _delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._write("delete", None, self._target.live._delete, *args, **kwargs)

    # -- reads -----------------------------------------------------------------------------

    def _read(self, comparable: Comparable, session: Any, max_time_ms: Any = None) -> Any:
        return self._front.read(
            comparable,
            self._target,
            self._options.read_preference,
            self._options.read_concern,
            None if session is None else self._session(session),
            max_time_ms,
        )

    def find(self, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        """A cursor over the documents that match; see pymongo's `Collection.find`."""
        return self._find("find", args, session, kwargs)

    def _find(self, operation: str, args: Any, session: Any, kwargs: Any) -> Any:
        session = None if session is None else self._session(session)
        cursor = self._cursor_class.of(
            super().find(*args, **kwargs),  # type: ignore[misc]
            session,
            operation,
        )
        cursor.max_time_ms(kwargs.get("max_time_ms"))
        return cursor

    def find_one(self, filter: Any = None, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        """The first document that matches, or None; see pymongo's `Collection.find_one`."""
        if filter is None:
            filter = {}
        if not isinstance(filter, Mapping):
            filter = {"_id": filter}
        return next(self._find("find_one", (filter, *args), session, kwargs), None)

    def _get_dataset(self, spec: Any, sort: Any, fields: Any, as_class: Any) -> Any:
        """What the library's own cursors evaluate, such as those of its GridFS integration."""
        return iter(
            self._read(
                OtherRead(
                    "find",
                    (spec,),
                    lambda coll: list(coll._get_dataset(spec, sort, fields, as_class)),
                    filter=spec,
                ),
                None,
            )
        )

    def count_documents(self, filter: Any, session: Any = None, **kwargs: Any) -> Any:
        """How many documents match; see pymongo's `Collection.count_documents`."""
        read = OtherRead(
            "count_documents",
            (filter,),
            lambda coll: coll.count_documents(filter, **kwargs),
            filter=filter,
        )
        return self._read(read, session, kwargs.get("maxTimeMS"))

    def estimated_document_count(self, **kwargs: Any) -> Any:
        """How many documents there are; see pymongo's `Collection.estimated_document_count`."""
        read = OtherRead(
            "estimated_document_count",
            (),
            lambda coll: coll.estimated_document_count(**kwargs),
            of_metadata=True,
        )
        return self._read(read, None, kwargs.get("maxTimeMS"))

    def distinct(
        self, key: str, filter: Any = None, session: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """The distinct values of a field; see pymongo's `Collection.distinct`."""
        library = self._front.engine.library
        read = OtherRead(
            "distinct",
            (key,) if filter is None else (key, filter),
            lambda coll: library.in_order(coll.distinct(key, filter, None, *args, **kwargs)),
            filter=filter,
            ignores_order=True,
        )
        return self._read(read, session)

    def aggregate(self, pipeline: Any, session: Any = None, **kwargs: Any) -> Any:
        """Run a pipeline on one member at one optime; see pymongo's `Collection.aggregate`.

        With `$out` or `$merge` it runs on the primary.
        """
        if _stages(pipeline) & _WRITING_STAGES:
            live = self._target.live
            return self._write("aggregate", session, live.aggregate, pipeline, **kwargs)
        # Both evaluations need the documents, and the caller a cursor: it is kept as a list.
        read = OtherRead(
            "aggregate",
            (pipeline,),
            lambda coll: list(coll.aggregate(pipeline, **kwargs)),
            filter=_leading_match(pipeline),
            reads_others=True,
            is_deterministic=not any(name in str(pipeline) for name in _RANDOM),
        )
        documents = self._read(read, session, kwargs.get("maxTimeMS"))
        return self._command_cursor(documents)

    _command_cursor: Any

    def list_indexes(self, session: Any = None, **kwargs: Any) -> Any:
        """The collection's indexes, from the primary."""
        live = self._target.live
        return iter(self._on_primary(session, lambda: list(live.list_indexes(**kwargs))))

    def _on_primary(self, session: Any, run: Callable[[], Any]) -> Any:
        session = None if session is None else self._session(session)
        return self._front.on_primary("listIndexes", session, run)

    def _iter_documents(self, filter: Any) -> Any:
        read = OtherRead(
            "find", (filter,), lambda coll: list(coll._iter_documents(filter)), filter=filter
        )
        return iter(self._read(read, None))


def collection_methods(base: Any) -> dict[str, Any]:
    """The operations of a library's collection that are routed alike, by name."""
    methods = {name: _write_method(base, name) for name in WRITES}
    methods.update({name: _primary_method(base, name) for name in PRIMARY_READS})
    return methods


def _write_method(base: Any, name: str) -> Any:
    documented = getattr(base, name)
    place = _place_of_session(documented)

    def write(self: Any, *args: Any, session: Any = None, **kwargs: Any) -> Any:
        if len(args) > place:
            args, session = (*args[:place], None, *args[place + 1 :]), args[place]
        return self._front.write(
            name,
            self._target,
            self._options.write_concern,
            None if session is None else self._session(session),
            getattr(self._target.live, name),
            *args,
            **kwargs,
        )

    return _like(write, documented, name)


def _primary_method(base: Any, name: str) -> Any:
    documented = getattr(base, name)

    def read(self: Any, session: Any = None) -> Any:
        return self._on_primary(session, getattr(self._target.live, name))

    return _like(read, documented, name)


def _place_of_session(method: Any) -> int:
    """The index of `session` among positional arguments, for callers that pass it so."""
    names = list(inspect.signature(method).parameters)[1:]
    return names.index("session") if "session" in names else len(names) + 1_000


def _like(method: Any, documented: Any, name: str) -> Any:
    method.__name__ = name
    method.__qualname__ = documented.__qualname__
    method.__doc__ = documented.__doc__
    method.__signature__ = inspect.signature(documented)
    return method


def _stages(pipeline: Any) -> set[str]:
    if not isinstance(pipeline, list):
        return set()
    return {name for stage in pipeline if isinstance(stage, Mapping) for name in stage}


def _leading_match(pipeline: Any) -> Any:
    """The filter of a pipeline that begins with `$match`."""
    if isinstance(pipeline, list) and pipeline and isinstance(pipeline[0], Mapping):
        return pipeline[0].get("$match")
    return None
