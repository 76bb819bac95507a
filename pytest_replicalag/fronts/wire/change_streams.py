"""Change streams on the wire: a cursor whose next batch may have to be waited for.

MongoDB manual, Change Streams; driver specification, Change Streams.

A `getMore` waits for real, up to its `maxTimeMS`, for somebody to write; what happens meanwhile is
said in `stream_patience`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bson import Int64

from pytest_replicalag.engines.memory.change_streams import ChangeStream
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.cursors import FIRST_BATCH, Cursors, ServerCursor
from pytest_replicalag.fronts.wire.reads import Reads, pause
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.fronts.wire.stream_patience import (
    IDLE_S,
    NEVER,
    Patience,
    await_ms,
    endless,
    let_come,
    serving_member,
    shows_us,
)
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.member import Member

__all__ = ["ChangeStreams", "StreamSource"]


class StreamSource:
    """The source of a change stream's cursor.

    Attributes:
        stream: The stream.
        member: The name of the member that serves it for all its life.
        patience: How often it was asked for what can never come.
    """

    def __init__(self, stream: ChangeStream, member: str, patience: Patience) -> None:
        self.stream = stream
        self.member = member
        self.patience = patience

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
            raise transaction_errors.stage_not_permitted("$changeStream")
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
        source = StreamSource(stream, member.name, Patience(self._commands))
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
        limit_ms = await_ms(request.command)
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
                in_vain = due_us == NEVER and not reply["nextBatch"]
                self._check_patience(request, cursor, in_vain=in_vain)
                return {"cursor": reply}
            commands = self._commands
            await pause(min(left_s, IDLE_S))
            if due_us is None or due_us == NEVER or commands != self._commands:
                continue
            with self._set.governor.lock:
                let_come(self._set.running(), due_us, limit_ms)

    def _reply(self, request: Request, cursor: ServerCursor) -> dict[str, Any]:
        source = cursor.source
        assert isinstance(source, StreamSource)
        running = request.running = self._set.running()
        member = serving_member(running, source.member)
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
        """When the oldest hidden event shows; `NEVER`, or None if there is none."""
        source = cursor.source
        assert isinstance(source, StreamSource)
        position = source.stream.next_position
        if position is None:
            return None
        return shows_us(running.replica_set, serving_member(running, source.member), position)

    def _check_patience(self, request: Request, cursor: ServerCursor, *, in_vain: bool) -> None:
        source, command = cursor.source, request.command
        assert isinstance(source, StreamSource)
        if source.patience.asked(command, self._commands, in_vain=in_vain):
            position = source.stream.next_position or 0
            raise endless(request.running.replica_set, source.member, position, command)
