"""Commands that read: which member serves them, at which optime, and how the reply looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from bson import Int64, Timestamp

from pytest_replicalag.engines.memory import commands
from pytest_replicalag.engines.memory.comparison import Comparable, FindRead
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.in_words import in_words
from pytest_replicalag.fronts.reading import Asked, Target, answer
from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.fronts.transactional import check_read
from pytest_replicalag.fronts.wire.concern_fields import check_waits
from pytest_replicalag.fronts.wire.cursors import FIRST_BATCH, Cursors, Documents, Source
from pytest_replicalag.fronts.wire.kinds import counts_metadata
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern, Wait, of_collection

__all__ = ["READS", "Reads", "batch_last", "batch_reply", "pause"]

READS: Final = ("find", "aggregate", "count", "distinct")

_LOCAL: Final = ReadConcern()

Replies: TypeAlias = Callable[[Any, ReadPlan], Reply | Awaitable[Reply]]
"""Makes a reply of what was found, and where."""


class Reads:
    """Answers reads.

    Args:
        simulated_set: The set as its endpoints show it.
        cursors: The cursors that are open.

    Attributes:
        preferences: Who serves which read.
    """

    def __init__(self, simulated_set: SimulatedSet, cursors: Cursors) -> None:
        self._set = simulated_set
        self._engine = simulated_set.engine
        self._cursors = cursors
        self.preferences = ReadPreferences()

    def read(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a read; the caller holds the lock."""
        comparable = commands.read(request.name, request.command, self._engine.library)
        if request.in_transaction:
            return self._read_in_transaction(request, comparable)
        self.travel(request)
        member = self.choose(request, comparable)

        def reply(found: Any, plan: ReadPlan) -> Reply:
            reply = self._reply(request, comparable, found)
            self.tell_snapshot(request, plan.position, reply)
            return reply

        return self.read_on(request, comparable, member, reply)

    def travel(self, request: Request) -> None:
        """Let a read arrive: a round trip has passed, and what has expired meanwhile is gone."""
        if self._engine.server.expires:
            self._engine.expire()
        request.running.replica_set.clock.round_trip()

    def choose(self, request: Request, comparable: Comparable) -> Member:
        """The member that serves a read.

        Raises:
            OperationFailure: A secondary was asked for what only a primary answers.
        """
        preference = self.preferences.preference(request)
        return self.preferences.serving(request, preference, subject=_subject(request, comparable))

    def read_on(
        self, request: Request, comparable: Comparable, member: Member, reply: Replies
    ) -> Reply | Awaitable[Reply]:
        """Read on the member that has been chosen; the caller holds the lock.

        Args:
            request: The command.
            comparable: What it reads.
            member: The member that serves it.
            reply: Makes the reply, of what is found and where.
        """
        running = request.running
        came = partial(self._engine.came_between, request.database, request.collection)
        concern = of_collection(running.replica_set, member, self.concern(request), came)
        wait = running.start_read(
            comparable.operation, member, concern, request.command.get("maxTimeMS")
        )
        return self.after(
            request,
            wait,
            lambda: reply(*self._find(request, comparable, member, concern)),
        )

    def after(
        self, request: Request, wait: Wait, finish: Callable[[], Reply | Awaitable[Reply]]
    ) -> Reply | Awaitable[Reply]:
        """What `finish` replies, once a wait is over."""
        if wait.until_us:
            seconds = request.running.seconds_until(wait.until_us)
            if seconds:
                return self._later(request, seconds, wait.error, finish)
        if wait.error is not None:
            raise wait.error
        return finish()

    async def _later(
        self,
        request: Request,
        seconds: float,
        error: Exception | None,
        finish: Callable[[], Reply | Awaitable[Reply]],
    ) -> Reply:
        await pause(seconds)
        if error is not None:
            raise error
        with self._set.governor.lock:
            reply = finish()
        return reply if isinstance(reply, Mapping) else await reply

    # -- how it was asked ------------------------------------------------------------------------

    def concern(self, request: Request) -> ReadConcern:
        """The read concern of a command, its times as positions in the oplog.

        Raises:
            OperationFailure: A time has not come, or two fields do not go together.
        """
        sent = request.command.get("readConcern")
        if not sent:
            return _LOCAL
        check_waits(sent)
        oplog = request.running.replica_set.oplog
        positions: dict[str, int | None] = {}
        for name in ("afterClusterTime", "atClusterTime"):
            timestamp = sent.get(name)
            positions[name] = None if timestamp is None else oplog.position_of(timestamp)
            if timestamp is not None and positions[name] > oplog.last:  # type: ignore[operator]
                current = oplog.timestamp(oplog.last)
                raise server_errors.time_ahead(name, timestamp, current)
        return ReadConcern(
            level=sent.get("level"),
            after=positions["afterClusterTime"] or 0,
            at=positions["atClusterTime"],
        )

    def target(self, request: Request, client: Any = None) -> Target:
        """The collection that a command is about."""
        engine = self._engine
        codec_options = engine.live_client._codec_options
        live = client or engine.live_client
        return Target(
            database=request.database,
            collection=request.collection,
            codec_options=codec_options,
            namespace=request.namespace,
            live=live.get_database(request.database).collection(request.collection, codec_options),
        )

    # -- what it finds and replies ---------------------------------------------------------------

    def _find(
        self, request: Request, comparable: Comparable, member: Member, concern: ReadConcern
    ) -> tuple[Any, ReadPlan]:
        """What a read finds, and where."""
        running = request.running
        asked_for = _LOCAL if counts_metadata(request) else concern
        plan = running.finish_read(member, asked_for, _subject(request, comparable))
        asked = Asked(
            read_preference=lambda: in_words(self.preferences.preference(request)),
            level=concern.level,
            session=request.session_number,
            client=None,
            by=request.by,
        )
        self._engine.attach(running.journal)
        target = self.target(request)
        found = answer(self._engine, comparable, target, running, plan, asked)
        request.position = plan.position
        if concern.level != "majority":
            request.position = max(plan.position, running.replica_set.applied(member))
        return found, plan

    def tell_snapshot(self, request: Request, position: int, reply: dict[str, Any]) -> None:
        """Tell the driver the time of the snapshot, if it reads one, and keep it for its session.

        Args:
            request: The read.
            position: Where it was answered.
            reply: The reply, to which the time is added.
        """
        if self.concern(request).level != "snapshot":
            return
        running = request.running
        if request.session is not None:
            request.session.keep(running, position)
        at: Timestamp = running.replica_set.oplog.timestamp(position)
        if "cursor" not in reply:
            reply["atClusterTime"] = at
            return
        store = self._engine.past(position).versions(request.database, request.collection)
        if request.name == "aggregate" or store.is_created:
            reply["cursor"]["atClusterTime"] = at

    def _read_in_transaction(self, request: Request, comparable: Comparable) -> Reply:
        assert request.session is not None
        transaction = request.session.transaction
        assert transaction is not None
        check_read(request.collection, request.command.get("pipeline"))
        request.running.replica_set.clock.round_trip()
        request.running.count_read(may_be_stale=False)
        target = self.target(request, transaction.client)
        return self._reply(request, comparable, comparable.run(target.live))

    def _reply(self, request: Request, comparable: Comparable, result: Any) -> dict[str, Any]:
        if request.name == "count":
            return {"n": result}
        if request.name == "distinct":
            return {"values": result}
        command = request.command
        if isinstance(comparable, FindRead):
            documents = comparable.window(result)
            size = command.get("batchSize")
            limit = command.get("limit")
            is_single = bool(command.get("singleBatch")) or (limit is not None and limit < 0)
            shows_end = bool(limit or command.get("sort")) or comparable.is_by_id
        else:
            documents = result
            size = command.get("cursor", {}).get("batchSize")
            is_single = shows_end = False
        source = Documents(documents, shows_end=shows_end)
        reply = self.first_batch(request, source, size, is_single=is_single)
        if not documents and request.name == "find" and not self._is_created(request):
            return batch_last(reply)
        return reply

    def _is_created(self, request: Request) -> bool:
        return bool(self.target(request).live._store.is_created)

    def first_batch(
        self, request: Request, source: Source, size: int | None, *, is_single: bool = False
    ) -> dict[str, Any]:
        """The reply to a command that opens a cursor."""
        batch = source.take(FIRST_BATCH if size is None else abs(size))
        number = 0
        if not is_single and not source.is_exhausted:
            cursor = self._cursors.open(request, request.cursor_namespace, source)
            number = cursor.number
        namespace = request.cursor_namespace
        return {"cursor": {"firstBatch": batch, "id": Int64(number), "ns": namespace}}


def _subject(request: Request, comparable: Comparable) -> Subject:
    """What a read reads."""
    return Subject(request.namespace, comparable.reads_others)


def batch_last(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The same reply as a server orders it that has no collection, or no documents of one."""
    cursor = dict(reply["cursor"])
    batch = cursor.pop("firstBatch")
    return {"cursor": {**cursor, "firstBatch": batch}}


def batch_reply(namespace: str, number: int, batch: list[Any]) -> dict[str, Any]:
    """The reply to a `getMore`."""
    return {"cursor": {"nextBatch": batch, "id": Int64(number), "ns": namespace}}


async def pause(seconds: float) -> None:
    """Wait really. Not `asyncio.sleep`, which counts as the code under test sleeping."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, future.set_result, None)
    try:
        await future
    finally:
        timer.cancel()
