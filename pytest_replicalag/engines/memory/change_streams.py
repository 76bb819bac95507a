"""Change streams on the memory engine: what a stream shows, and from where it goes on.

A stream shows a change once a majority has it and the member that serves the stream has applied
it; how far that is, its front says. Driver specification, Change Streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.change_events import event_of, invalidate_of, token_text_of
from pytest_replicalag.engines.memory.change_log import ROLLED_BACK, Change, ChangeLog
from pytest_replicalag.engines.memory.change_stream_options import (
    INTERNAL,
    check_pipeline,
    options_of,
)
from pytest_replicalag.engines.memory.contents import INCARNATION, Incarnation, Record
from pytest_replicalag.engines.memory.documents import copy_document
from pytest_replicalag.engines.memory.resume_tokens import Place, token_text
from pytest_replicalag.engines.memory.versions import ABSENT
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.error_labels import NON_RESUMABLE_STREAM

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.engine import MemoryEngine

__all__ = ["ChangeStream"]

_PLAIN: Final = frozenset({"write", "drop", "rename", "dropDatabase"})
"""The kinds of changes that every stream shows; others are shown as expanded events."""

_LAST: Final = 1 << 20
"""An index behind all changes of a position."""

_OPENING: Final = "PlanExecutor error during aggregation :: caused by :: "
_GOING_ON: Final = "Executor error during getMore :: caused by :: "


class ChangeStream:
    """A change stream on a collection, a database, or all databases; the caller holds the lock.

    Args:
        engine: Holds the data; changes are kept from now on.
        database: The database; None for the whole cluster.
        collection: The collection; None for the whole database.
        stage: The document of its `$changeStream` stage.
        pipeline: The stages after it.
        position: The newest position that the serving member has applied, from where it starts
            unless it resumes; the newest of all if it is None.

    Attributes:
        log: The log that it reads.
        is_closed: Whether its namespace has gone and it has shown that.

    Raises:
        OperationFailure: What a server refuses.
    """

    def __init__(
        self,
        engine: MemoryEngine,
        database: str | None,
        collection: str | None,
        stage: Mapping[str, Any],
        pipeline: Sequence[Mapping[str, Any]],
        position: int | None = None,
    ) -> None:
        self._options = options_of(database, collection, stage)
        check_pipeline(pipeline)
        self._engine = engine
        self._database = None if self._options.is_for_cluster else database
        self._collection = collection
        self._pipeline = [copy_document(dict(each)) for each in pipeline]
        self._run([])  # what the library cannot do is refused now
        self.log: ChangeLog = engine.keep_changes()
        self._opened_in = self.log.epoch
        self._invalidating: Change | None = None
        self._up_to = 0
        self.is_closed = False
        start = self.log.position if position is None else position
        # What the resume token stands for, and where to go on in the log.
        self._shown = Place(self.log.epoch, start + 1)
        self._token = self._high_water(start + 1)
        self._next = self.log.number_after(Place(self.log.epoch, start, _LAST))
        self._go_to_start(stage)

    # -- where it begins -------------------------------------------------------------------

    def _go_to_start(self, stage: Mapping[str, Any]) -> None:
        options = self._options
        if options.start_at is not None:
            self._shown = Place(self.log.epoch, options.start_at.inc)
            self._token = token_text(self._shown, options.start_at)
            self._next = self._number_from(options.start_at)
        for place, name in (
            (options.resume_after, "resumeAfter"),
            (options.start_after, "startAfter"),
        ):
            if place is not None:
                self._shown, self._token = place, stage[name]["_data"]
                self._next = self._number_after(place)

    def _number_from(self, time: Timestamp) -> int:
        """The number of the first change that is not before `time`.

        Only where times never go back does it look into what was before the running simulation.
        """
        log = self.log
        number = log.end
        while number > log.first:
            change = log[number - 1]
            is_foreign = change.place.epoch != log.epoch and change.timestamp > log.epoch_start
            if is_foreign or change.timestamp < time:
                return number
            number -= 1
        if log.forgotten_time is not None and time <= log.forgotten_time:
            raise _history_lost(_OPENING)
        return number

    def _number_after(self, place: Place) -> int:
        """The number of the first change after that of a resume token."""
        log = self.log
        event = place._replace(is_invalidate=False)
        if event <= log.forgotten:
            raise _history_lost(_OPENING)
        number = log.number_after(event)
        if event.order < 0 or event[:2] > (log.epoch, log.position):
            return number
        if number == log.first or log[number - 1].place != event:
            raise _resume_failed(
                _OPENING,
                f'cannot resume stream; the resume token was not found. {{_data: "{self._token}"}}',
            )
        if self._invalidates(log[number - 1]) and not place.is_invalidate:
            self._invalidating = log[number - 1]
        return number

    # -- what it shows ---------------------------------------------------------------------

    def next_batch(self, up_to: int, limit: int) -> list[dict[str, Any]]:
        """The next events, as the stages after `$changeStream` leave them.

        Args:
            up_to: The newest position that a majority and the serving member have applied.
            limit: How many events there may be at most.

        Raises:
            OperationFailure: The stream cannot go on: it has fallen out of the log's window, a
                stage has changed an event's `_id`, or an image that is required is missing.
        """
        if self._next < self.log.first:
            raise _history_lost(_GOING_ON)
        self._up_to = up_to
        shown: list[dict[str, Any]] = []
        while len(shown) < limit and not self.is_closed:
            events = self._take(limit - len(shown))
            if not events:
                reached = Place(self.log.epoch, up_to)
                if reached > self._shown:
                    self._shown, self._token = reached, self._high_water(up_to)
                break
            shown += self._through_pipeline(events)
        return shown

    @property
    def resume_token(self) -> dict[str, str]:
        """The `postBatchResumeToken`: a stream that resumes after it misses nothing."""
        return {"_data": self._token}

    @property
    def next_position(self) -> int | None:
        """The position of the oldest change that it has not shown yet; None without one.

        0 stands for what every member has.
        """
        log = self.log
        if self.is_closed:
            return None
        if self._next < log.first:
            return 0
        change = self._invalidating
        while change is None:
            if self._next == log.end:
                return None
            if self._matches(log[self._next]):
                change = log[self._next]
            else:
                self._next += 1
        return change.place.position if change.place.epoch == log.epoch else 0

    def _take(self, count: int) -> list[dict[str, Any]]:
        """Events up to `_up_to`; a change that ends the stream is the last of its batch."""
        log = self.log
        ending = self._invalidating
        if ending is not None:
            self._invalidating = None
            self.is_closed = True
            self._shown = ending.place._replace(is_invalidate=True)
            self._token = token_text_of(ending, is_invalidate=True)
            return [invalidate_of(ending)]
        events: list[dict[str, Any]] = []
        while len(events) < count and self._next < log.end:
            change = log[self._next]
            if change.place.epoch == log.epoch and change.place.position > self._up_to:
                break
            self._next += 1
            if self._matches(change):
                events.append(event_of(change, self._options, self._look_up))
                self._shown, self._token = change.place, token_text_of(change)
                if self._invalidates(change):
                    self._invalidating = change
                    break
        return events

    def _matches(self, change: Change) -> bool:
        """Whether the stream shows a change."""
        options = self._options
        if change.kind == ROLLED_BACK:
            return False
        if change.kind not in _PLAIN and not options.shows_expanded:
            return False
        if (
            options.start_at is not None
            and change.place.epoch == self._opened_in
            and change.timestamp < options.start_at
        ):
            return False
        if change.collection.startswith("system."):
            return False
        if self._database is None:
            return change.database not in INTERNAL
        if change.database != self._database:
            return False
        return self._collection in (None, change.collection, change.renamed_to)

    def _invalidates(self, change: Change) -> bool:
        """Whether a change that it shows ends it."""
        if self._database is None:
            return False
        if self._collection is None:
            return change.kind == "dropDatabase"
        return change.kind in ("drop", "rename")

    def _look_up(self, change: Change) -> Any:
        """A copy of the document of a change as it is at `_up_to`, under whatever name; or None."""
        store: Any = change.store
        source = store.incarnations.at(INCARNATION, self._up_to, store)
        if source.uuid != change.uuid:
            return None
        documents = source.documents if isinstance(source, Incarnation) else source._documents
        live = documents.get(change.key, ABSENT)
        image = source.versions.at(change.key, self._up_to, live)
        document = image.document if isinstance(image, Record) else image
        return None if document is ABSENT else copy_document(document)

    def _high_water(self, position: int) -> str:
        """The token of a moment at which no event need be."""
        return token_text(Place(self.log.epoch, position), self._engine.timestamp(position))

    # -- the stages after it ---------------------------------------------------------------

    def _through_pipeline(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the stages make of events; they may drop some, and must keep each `_id`."""
        if not self._pipeline:
            return events
        results = self._run(events)
        tokens = [event["_id"] for event in events]
        if all(result.get("_id") in tokens for result in results):
            return results
        for event in events:
            token = event["_id"]["_data"]
            for result in self._run([event]):
                if result.get("_id") != {"_data": token}:
                    raise _modified(token, result)
        return results

    def _run(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        database = self._engine.live_client.get_database(self._database or "admin")
        return self._engine.library.run_stages(events, database, self._pipeline)


def _resume_failed(prefix: str, message: str, code: int = 280) -> OperationFailure:
    names = {280: "ChangeStreamFatalError", 286: "ChangeStreamHistoryLost"}
    return server_errors.operation_failure(
        code, names[code], prefix + message, labels=[NON_RESUMABLE_STREAM]
    )


def _history_lost(prefix: str) -> OperationFailure:
    return _resume_failed(
        prefix,
        "Resume of change stream was not possible, as the resume point may no longer be in the "
        "oplog.",
        286,
    )


def _modified(token: str, result: Mapping[str, Any]) -> OperationFailure:
    found = f"{{ _id: {result['_id']!r} }}" if "_id" in result else "{}"
    return _resume_failed(
        _GOING_ON,
        "Encountered an event whose _id field, which contains the resume token, was modified by "
        "the pipeline. Modifying the _id field of an event makes it impossible to resume the "
        "stream from that point. Only transformations that retain the unmodified _id field are "
        f'allowed. Expected: {{ _id: {{ _data: "{token}" }} }} but found: {found}',
    )
