"""Change streams on the wire: a cursor whose next batch may have to be waited for.

MongoDB manual, Change Streams; driver specification, Change Streams.

A `getMore` waits for real, up to its `maxTimeMS`, for somebody to write. An event that is there but
not on a majority yet becomes due at a simulated time: if nobody else has sent a command for a
moment, simulated time goes there. A client that is busy is not overtaken, so a stream that is read
in the background does not make its lag vanish.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bson import Int64

from pytest_replicalag.engines.memory.change_streams import ChangeStream
from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.cursors import FIRST_BATCH, Cursors, ServerCursor
from pytest_replicalag.fronts.wire.reads import Reads, pause
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.member import Member

__all__ = ["ChangeStreams", "StreamSource"]

_AWAIT_MS: Final = 1_000
"""How long a `getMore` waits for events if it does not say."""

_NEVER: Final = -1
"""Stands for the time at which something happens that never does."""

_IN_VAIN: Final = 3
"""How many times in a row a client may ask for what can never come, while nobody else does
anything. A server cannot tell a driver's `try_next`, which asks once, from `next`, which asks for
ever."""

_IDLE_S: Final = 0.05
"""A moment: nobody else has sent a command for so long."""


class StreamSource:
    """The source of a change stream's cursor.

    Attributes:
        stream: The stream.
        member: The name of the member that serves it for all its life.
        in_vain: How many times in a row it was asked for what can never come.
    """

    def __init__(self, stream: ChangeStream, member: str) -> None:
        self.stream = stream
        self.member = member
        self.in_vain = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether its namespace has gone."""
        return self.stream.is_closed

    def take(self, limit: int | None) -> list[Any]:
        """What is there; `ChangeStreams` asks the stream itself, for it knows up to where."""
        return self.stream.next_batch(0, FIRST_BATCH if limit is None else limit)


class ChangeStreams:
    """Opens change streams and waits for their events.

    Args:
        simulated_set: The set as its endpoints show it.
        reads: For which member serves.
        cursors: The cursors that are open.
    """

    def __init__(self, simulated_set: SimulatedSet, reads: Reads, cursors: Cursors) -> None:
        self._set = simulated_set
        self._reads = reads
        self._cursors = cursors
        self._commands = 0
        simulated_set.engine.keep_changes()

    def somebody_asked(self) -> None:
        """Note that a client has sent a command, so it is not idle."""
        self._commands += 1

    def open(self, request: Request) -> Reply:
        """Answer the `aggregate` that opens a stream."""
        if request.in_transaction:
            raise transaction_errors.stream_refused()
        level = (request.command.get("readConcern") or {}).get("level", "majority")
        if level != "majority":
            raise server_errors.stream_read_concern(level)
        running = request.running
        running.replica_set.clock.round_trip()
        preference = self._reads.preferences.preference(request)
        member = self._reads.preferences.serving(request, preference, for_stream=True)
        self._reads.concern(request)
        stage, *pipeline = request.command["pipeline"]
        stream = self._set.engine.watch(
            request.database,
            request.collection or None,
            stage["$changeStream"],
            pipeline,
            running.replica_set.applied(member),
        )
        source = StreamSource(stream, member.name)
        size = (request.command.get("cursor") or {}).get("batchSize")
        batch = stream.next_batch(
            self._up_to(running, member), FIRST_BATCH if size is None else size
        )
        request.position = running.replica_set.applied(member)
        namespace = f"{request.database}.{request.collection or '$cmd.aggregate'}"
        number = 0 if stream.is_closed else self._cursors.open(request, namespace, source).number
        reply = {"firstBatch": batch, "postBatchResumeToken": stream.resume_token}
        return {"cursor": {**reply, "id": Int64(number), "ns": namespace}}

    async def get_more(self, request: Request, cursor: ServerCursor) -> Reply:
        """The next events, once there are any, or the time is over.

        Raises:
            EndlessWaitError: An event is there that no majority will ever have.
        """
        loop = asyncio.get_running_loop()
        asked = self._commands
        limit_ms = request.command.get("maxTimeMS", _AWAIT_MS)
        end_s = loop.time() + limit_ms / 1_000
        while True:
            with self._set.governor.lock:
                reply = self._reply(request, cursor)
                due_us = self._due_us(request.running, cursor)
            left_s = end_s - loop.time()
            if reply["nextBatch"]:
                # How often a client asks in vain hangs on real time, so only this takes time.
                request.running.replica_set.clock.round_trip()
            if reply["nextBatch"] or not reply["id"] or left_s <= 0:
                is_in_vain = due_us == _NEVER and asked == self._commands
                self._check_patience(request.running, cursor, is_in_vain=is_in_vain)
                return {"cursor": reply}
            commands = self._commands
            await pause(min(left_s, _IDLE_S))
            if due_us in (None, _NEVER) or commands != self._commands:
                continue
            with self._set.governor.lock:
                running = self._set.running()
                assert due_us is not None
                if due_us <= running.replica_set.clock.now_us + limit_ms * 1_000:
                    running.seconds_until(due_us)

    def _reply(self, request: Request, cursor: ServerCursor) -> dict[str, Any]:
        source = cursor.source
        assert isinstance(source, StreamSource)
        running = request.running = self._set.running()
        member = _member(running, source.member)
        size = request.command.get("batchSize") or FIRST_BATCH
        batch = source.stream.next_batch(self._up_to(running, member), size)
        request.position = running.replica_set.applied(member)
        number = cursor.number
        if source.stream.is_closed:
            self._cursors.close(number)
            number = 0
        return {
            "nextBatch": batch,
            "postBatchResumeToken": source.stream.resume_token,
            "id": Int64(number),
            "ns": cursor.namespace,
        }

    def _up_to(self, running: Running, member: Member) -> int:
        replica_set = running.replica_set
        return replica_set.shown_to_stream(member)

    def _due_us(self, running: Running, cursor: ServerCursor) -> int | None:
        """When the oldest hidden event shows; `_NEVER`, or None if there is none."""
        source = cursor.source
        assert isinstance(source, StreamSource)
        position = source.stream.next_position
        if position is None:
            return None
        replica_set = running.replica_set
        member = _member(running, source.member)
        own_us = 0 if member.replication is None else member.replication.due_us(position)
        majority_us = replica_set.acknowledged_us(position, replica_set.majority)
        if own_us is None or majority_us is None:
            return _NEVER
        return max(own_us, majority_us)

    def _check_patience(self, running: Running, cursor: ServerCursor, *, is_in_vain: bool) -> None:
        source = cursor.source
        assert isinstance(source, StreamSource)
        source.in_vain = source.in_vain + 1 if is_in_vain else 0
        if source.in_vain < _IN_VAIN:
            return
        position = source.stream.next_position or 0
        raise EndlessWaitError(
            f"a change stream on {source.member}",
            "a majority of the members, and the member itself, have the next event",
            running.replica_set.laggards(position),
        )


def _member(running: Running, name: str) -> Member:
    """The member of that name; the primary if the set of the running test has none."""
    members = running.replica_set.members
    return next((member for member in members if member.name == name), members[0])
