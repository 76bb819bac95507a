"""Change streams of wrapped clients: pymongo's `watch`, and what it returns.

A stream is served by one member, chosen when it is opened, as a driver's is by the server where its
cursor lives. It shows a change once a majority has it and that member has applied it. Waiting for a
change that is on its way moves simulated time; waiting for one that nobody has made yet is a real
wait, for another thread has to make it.
Driver specification, Change Streams.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymongo import common
from pymongo.errors import PyMongoError

from pytest_replicalag.engines.memory.change_streams import ChangeStream as EngineStream
from pytest_replicalag.errors import EndlessWaitError, UnknownMemberError
from pytest_replicalag.fronts.governor import ReadPlan, Running
from pytest_replicalag.fronts.mongomock.options import Options
from pytest_replicalag.fronts.mongomock.session import ClientSession
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.member import Member

if TYPE_CHECKING:
    from pytest_replicalag.fronts.mongomock.operations import Front

__all__ = ["ChangeStream", "Watchable", "Watched"]

_AWAIT_MS: Final = 1_000
"""How long a server waits for a change before it sends an empty batch."""

_BATCH: Final = 101
"""How many events come at once where no batch size is given."""

_ADVICE: Final = (
    "Resume or catch up the member, give it a lag other than inf, or use try_next(), which does "
    "not wait for ever."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched, and how.

    Attributes:
        options: What was given here or above.
        codec_options: The library's codec options.
        database: The database; None for all.
        collection: The collection; None for the whole database.
    """

    options: Options
    codec_options: Any
    database: str | None = None
    collection: str | None = None


class Watchable:
    """Mixed into the routed client, database and collection: they can be watched."""

    _front: Front

    def _watched(self) -> Watched:
        raise NotImplementedError

    def _session(self, session: Any) -> ClientSession | None:
        raise NotImplementedError

    def watch(
        self,
        pipeline: Any = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: Any = None,
        start_at_operation_time: Any = None,
        session: Any = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> ChangeStream:
        """Watch changes; see pymongo's `watch`.

        Raises:
            PyMongoError: What the driver or the server refuses.
            EndlessWaitError: The session's last write can never reach the member.
        """
        pipeline = common.validate_list("pipeline", [] if pipeline is None else pipeline)
        common.validate_string_or_none("full_document", full_document)
        common.validate_non_negative_integer_or_none("batchSize", batch_size)
        if max_await_time_ms is not None and not isinstance(max_await_time_ms, int):
            raise TypeError(
                f"max_await_time_ms must be an integer or None, not {type(max_await_time_ms)}"
            )
        if collation is not None and pipeline:
            raise NotImplementedError("watch with a collation is not implemented on mongomock")
        stage = {
            "fullDocument": full_document,
            "fullDocumentBeforeChange": full_document_before_change,
            "resumeAfter": None if start_after is not None else resume_after,
            "startAfter": start_after,
            "showExpandedEvents": show_expanded_events or None,
        }
        if resume_after is None and start_after is None:
            stage["startAtOperationTime"] = start_at_operation_time
        return ChangeStream(
            self,
            self._watched(),
            {name: value for name, value in stage.items() if value is not None},
            copy.deepcopy(pipeline),
            self._session(session),
            await_us=(_AWAIT_MS if max_await_time_ms is None else max_await_time_ms) * 1_000,
            batch_size=batch_size or _BATCH,
        )


class ChangeStream:
    """An open change stream; use it as pymongo's, one thread at a time.

    Args:
        target: The client, database or collection.
        watched: What is watched.
        stage: The document of its `$changeStream` stage.
        pipeline: The stages after it.
        session: Its explicit session, or None.
        await_us: How long `try_next` waits for a change that is on its way, in microseconds.
        batch_size: How many events it takes over at once.
    """

    def __init__(
        self,
        target: Watchable,
        watched: Watched,
        stage: Mapping[str, Any],
        pipeline: list[Any],
        session: ClientSession | None,
        *,
        await_us: int,
        batch_size: int,
    ) -> None:
        self._front = target._front
        self._governor = self._front.governor
        self._watched = watched
        self._session = session
        self._await_us = await_us
        self._batch_size = batch_size
        self._buffer: list[dict[str, Any]] = []
        self._closed = False
        self._served_in: Running | None = None
        self._member: Member | None = None
        self._check()
        position = self._choose_member()
        engine = self._front.engine
        with self._governor.lock:
            self._front.attach()
            self._stream: EngineStream = engine.watch(
                watched.database, watched.collection, stage, pipeline, position
            )
            self._resume_token: Mapping[str, Any] = self._stream.resume_token
            self._fetch()

    def _check(self) -> None:
        """Raise what a server raises for a read concern, or a session, that it cannot have."""
        session, concern = self._session, self._watched.options.read_concern
        level = None if concern is None else concern.document.get("level")
        if session is not None:
            if session.in_transaction:
                with self._governor.lock:
                    session.transaction.enter(self._front.engine, self._front.attach(), 0)
                    session.transaction.drop()
                raise transaction_errors.stage_not_permitted("$changeStream")
            if session.is_snapshot:
                level = "snapshot"
        if level not in (None, "majority"):
            raise server_errors.stream_read_concern(level)

    # -- pymongo's public face -------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether it can still show changes."""
        return not self._closed

    @property
    def resume_token(self) -> Mapping[str, Any]:
        """The token to resume from after what it has shown."""
        return dict(self._resume_token)

    def close(self) -> None:
        """Close it; a thread that waits in `next` gets `StopIteration`."""
        self._closed = True
        grown = self._stream.log.grown
        with grown:
            grown.notify_all()

    def __iter__(self) -> ChangeStream:
        return self

    def __enter__(self) -> ChangeStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def next(self) -> dict[str, Any]:
        """The next change; waits for it.

        Raises:
            StopIteration: The stream is closed.
            EndlessWaitError: A change can never become visible, or nobody is there to make one.
            PyMongoError: The stream cannot go on.
        """
        while not self._closed:
            # What is made from here on ends the wait, also if it is made before that begins.
            end = self._stream.log.end
            event = self._advance(None)
            if event is not None:
                return event
            self._wait_for_a_change(end)
        raise StopIteration

    def __next__(self) -> dict[str, Any]:
        return self.next()

    def try_next(self) -> dict[str, Any] | None:
        """The next change if there is one, or one is on its way and comes in time; else None.

        Raises:
            PyMongoError: The stream cannot go on.
        """
        return None if self._closed else self._advance(self._await_us)

    # -- fetching --------------------------------------------------------------------------

    def _advance(self, await_us: int | None) -> dict[str, Any] | None:
        """The next event, or None if nothing comes within `await_us` (if it is None, ever)."""
        try:
            if not self._buffer:
                self._get_more(await_us)
        except PyMongoError:
            self.close()
            raise
        event = self._buffer.pop(0) if self._buffer else None
        if event is not None and self._buffer:
            self._resume_token = event["_id"]
            return event
        self._resume_token = self._stream.resume_token
        self._closed = self._closed or self._stream.is_closed
        return event

    def _get_more(self, await_us: int | None) -> None:
        """Fetch a batch, which is one operation, and wait for one that is on its way."""
        running = self._governor.running
        limit_us = None
        with self._governor.lock:
            self._front.attach()
            self._front.engine.expire()
            if running is not None:
                now_us = running.replica_set.clock.round_trip()
                limit_us = None if await_us is None else now_us + await_us
        self._find_member()
        while True:
            with self._governor.lock:
                self._front.attach()
                self._fetch()
                position = self._stream.next_position
                if running is None or self._buffer or position is None:
                    return
                due_us = self._due_us(running, position)
            if due_us is None or (limit_us is not None and due_us > limit_us):
                if limit_us is None:
                    raise self._endless(running, position)
                running.wait_until(limit_us if due_us is not None else 0)
                return
            running.wait_until(due_us)

    def _fetch(self) -> None:
        """Take over what the member can show now."""
        running = self._governor.running
        shown = self._stream.log.position
        if running is not None and self._member is not None:
            shown = running.replica_set.shown_to_stream(self._member)
            if self._session is not None:
                self._session.has_read(running, ReadPlan(self._member, shown), "majority")
        library, codec_options = self._front.engine.library, self._watched.codec_options
        self._buffer = [
            library.presented(event, codec_options)
            for event in self._stream.next_batch(shown, self._batch_size)
        ]

    def _due_us(self, running: Running, position: int) -> int | None:
        assert self._member is not None
        return running.replica_set.majority_applies_us(self._member, position)

    # -- the member ------------------------------------------------------------------------

    def _choose_member(self) -> int | None:
        """Choose who serves it, which is one operation; returns what that member has applied."""
        running = self._governor.running
        if running is None:
            return None
        preference = self._watched.options.read_preference
        if preference is None:
            preference = running.read_preference
        plan = running.plan_read(
            "watch", preference, "majority", self._session, None, for_stream=True
        )
        self._member, self._served_in = plan.member, running
        return running.replica_set.applied(plan.member)

    def _find_member(self) -> None:
        """The same member in another simulation; another one if that is gone, or has crashed."""
        running = self._governor.running
        if running is None:
            return
        if self._member is not None and not self._member.is_up:
            self._member = None  # a driver resumes the stream on a member that is up
        elif self._member is not None and running is not self._served_in:
            try:
                self._member = running.replica_set.member(self._member.name)
                self._served_in = running
            except UnknownMemberError:
                self._member = None
        if self._member is None:
            self._choose_member()

    # -- waiting ---------------------------------------------------------------------------

    def _wait_for_a_change(self, end: int) -> None:
        """Wait really until another thread has made a change, or closes the stream."""
        if threading.active_count() == 1:
            raise EndlessWaitError(
                self._words(),
                "another thread makes a change",
                ["there is no other thread"],
                "Make the change first, or use try_next(), which does not wait for ever.",
            )
        log = self._stream.log
        with log.grown:
            log.grown.wait_for(lambda: self._closed or log.end != end)

    def _endless(self, running: Running, position: int) -> EndlessWaitError:
        assert self._member is not None
        replica_set = running.replica_set
        member = self._member
        laggards = replica_set.laggards(position, [member]) or replica_set.laggards(position)
        waited_for = f"a majority of the members and {member.name} have the next change"
        return EndlessWaitError(self._words(), waited_for, laggards, _ADVICE)

    def _words(self) -> str:
        on = "" if self._member is None else f" on {self._member.name}"
        return f"next() of a change stream{on}"
