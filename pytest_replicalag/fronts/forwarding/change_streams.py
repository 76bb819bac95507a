"""Change streams over a real node: an event shows when a majority, and the member, have it.

The node alone is its own majority and tells of each write at once; what the simulated members do
not have yet is held back here.
MongoDB manual, Change Streams; driver specification, Change Streams.

A `getMore` waits for real, up to its `maxTimeMS`, as with the memory engine; `stream_patience` says
what happens meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from bson import Int64, Timestamp
from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import encoded
from pytest_replicalag.engines.mongod.snapshots import with_fields
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.generic_fields import check_generic_fields
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.fronts.wire.request import Request
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

__all__ = ["ChangeStreams"]

_FIRST_BATCH: Final = 101

_STARTS: Final = ("resumeAfter", "startAfter", "startAtOperationTime")
"""What a stream may say of where it starts."""


@dataclass(slots=True, eq=False)
class _Stream:
    """One change stream.

    Attributes:
        member: The name of the member that serves it for all its life.
        namespace: What its cursor is called.
        token: Where it can be resumed.
        patience: How often it was asked for what can never come.
        held: Events that the node has told and the driver has not got.
        node_token: Where the node could resume it, after those.
        is_closed: Whether the node has closed it.
    """

    member: str
    namespace: str
    token: Any
    patience: Patience
    held: deque[Any] = field(default_factory=deque)
    node_token: Any = None
    is_closed: bool = False


class ChangeStreams:
    """Opens change streams and holds their events back.

    Args:
        endpoint_set: The set as its endpoints show it.
        preferences: Who serves a stream.
        data: How members show what they have.
    """

    def __init__(
        self, endpoint_set: ForwardedSet, preferences: ReadPreferences, data: MembersData
    ) -> None:
        self._set = endpoint_set
        self._data = data
        self._lock = endpoint_set.governor.lock
        self._preferences = preferences
        self._streams: dict[int, _Stream] = {}
        self._commands = 0

    def somebody_asked(self) -> None:
        """Note that a client has sent a command, so it is not idle."""
        self._commands += 1

    def killed(self, numbers: Any) -> None:
        """Forget cursors that are closed."""
        for number in numbers if isinstance(numbers, list) else ():
            self._streams.pop(number, None)

    def open(self, forwarded: Forwarded) -> bytes | None:
        """Answer the `aggregate` that opens a stream.

        Raises:
            PyMongoError: The member does not serve it.
            NodeError: The node has gone.
        """
        request = forwarded.request
        with self._lock:
            running = request.running
            history = self._set.history(running, forwarded.connection.upstream)
            running.replica_set.clock.round_trip()
            preference = self._preferences.preference(request)
            member = self._preferences.serving(request, preference, for_stream=True)
            applied = running.replica_set.applied(member)
            start = history.timestamp(applied) if applied < running.replica_set.oplog.last else None
        if start is None or any(name in _stage(request.command) for name in _STARTS):
            reply = forwarded.exchange()
        else:
            reply = forwarded.exchange_body(_starting_after(forwarded, start))
        if failure_of(reply) is not None:
            return reply
        cursor = RawBSONDocument(reply[BODY_AT:])["cursor"]
        patience = Patience(self._commands)
        stream = _Stream(member.name, cursor["ns"], cursor["postBatchResumeToken"], patience)
        _take(stream, cursor, "firstBatch")
        if stream.is_closed:
            return reply
        self._streams[cursor["id"]] = stream
        with self._lock:
            batch = self._due(running, history, stream, _FIRST_BATCH)
        return self._reply(forwarded, history, stream, cursor["id"], "firstBatch", batch)

    def get_more(self, forwarded: Forwarded) -> bytes | None:
        """The next batch of a cursor; of a stream, once there is an event or the time is over.

        Raises:
            EndlessWaitError: An event is there that no majority will ever have.
            OperationFailure: It does not say how long it may take.
            NodeError: The node has gone.
        """
        request = forwarded.request
        number = request.command["getMore"]
        stream = self._streams.get(number) if isinstance(number, int) else None
        if stream is None:
            with self._lock:
                request.running.replica_set.clock.round_trip()
            return self._plain(forwarded)
        check_generic_fields(request.name, request.command)
        return self._wait_for_events(forwarded, stream, number)

    def _plain(self, forwarded: Forwarded) -> bytes | None:
        """The next batch of a cursor that is no stream's, as the node has it."""
        return forwarded.returned(self._data.exchange(forwarded))

    def _wait_for_events(self, forwarded: Forwarded, stream: _Stream, number: int) -> bytes | None:
        request = forwarded.request
        limit_ms = await_ms(request.command)
        size = request.command.get("batchSize") or _FIRST_BATCH
        end_s = time.monotonic() + limit_ms / 1_000
        while True:
            commands = self._commands
            left_s = end_s - time.monotonic()
            if not stream.held and not stream.is_closed:
                refusal = self._ask(forwarded, stream, min(max(left_s, 0), IDLE_S))
                if refusal is not None:
                    self._streams.pop(number, None)
                    return refusal
            elif stream.held:
                pause(0)
            with self._lock:
                running = request.running = self._set.running()
                history = self._set.history(running, forwarded.connection.upstream)
                batch = self._due(running, history, stream, size)
                due_us = self._due_us(running, history, stream)
                if batch:
                    # How often a client asks in vain hangs on real time: only this takes time.
                    running.replica_set.clock.round_trip()
            is_over = stream.is_closed and not stream.held
            if batch or is_over or end_s <= time.monotonic():
                in_vain = due_us == NEVER and not batch
                self._check_patience(request, history, stream, in_vain=in_vain)
                if is_over:
                    self._streams.pop(number, None)
                shown = 0 if is_over else number
                return self._reply(forwarded, history, stream, shown, "nextBatch", batch)
            if due_us is None:
                continue
            pause(min(max(end_s - time.monotonic(), 0), IDLE_S))
            if due_us != NEVER and commands == self._commands:
                with self._lock:
                    let_come(self._set.running(), due_us, limit_ms)

    def _ask(self, forwarded: Forwarded, stream: _Stream, seconds: float) -> bytes | None:
        """Ask the node for events; returns its reply if it refuses."""
        limit_ms = Int64(max(round(seconds * 1_000), 1))
        reply = forwarded.exchange_body(with_fields(forwarded.message.body, maxTimeMS=limit_ms))
        if failure_of(reply) is not None:
            return reply
        _take(stream, RawBSONDocument(reply[BODY_AT:])["cursor"], "nextBatch")
        return None

    def _due(self, running: Running, history: History, stream: _Stream, size: int) -> list[Any]:
        """The events that the member and a majority have, at most `size`."""
        replica_set = running.replica_set
        member = serving_member(running, stream.member)
        up_to = replica_set.shown_to_stream(member)
        is_newest = up_to >= replica_set.oplog.last
        until = history.timestamp(up_to)
        batch: list[Any] = []
        while stream.held and len(batch) < size:
            if not is_newest and _time_of(stream.held[0]["_id"]) > until:
                break
            batch.append(stream.held.popleft())
            stream.token = batch[-1]["_id"]
        token = stream.node_token
        if not stream.held and token is not None and (is_newest or _time_of(token) <= until):
            stream.token = token
        return batch

    def _due_us(self, running: Running, history: History, stream: _Stream) -> int | None:
        """When the oldest held event shows; `NEVER`, or None if there is none."""
        if not stream.held:
            return None
        member = serving_member(running, stream.member)
        return shows_us(running.replica_set, member, _next_position(history, stream))

    def _check_patience(
        self, request: Request, history: History, stream: _Stream, *, in_vain: bool
    ) -> None:
        command = request.command
        if stream.patience.asked(command, self._commands, in_vain=in_vain):
            position = _next_position(history, stream)
            raise endless(request.running.replica_set, stream.member, position, command)

    def _reply(
        self,
        forwarded: Forwarded,
        history: History,
        stream: _Stream,
        number: int,
        name: str,
        batch: list[Any],
    ) -> bytes | None:
        with self._lock:
            running = forwarded.request.running
            applied = running.replica_set.applied(serving_member(running, stream.member))
            document = {
                "cursor": {
                    name: batch,
                    "postBatchResumeToken": stream.token,
                    "id": Int64(number),
                    "ns": stream.namespace,
                },
                "ok": 1.0,
                "$clusterTime": self._set.cluster_time(running),
                "operationTime": history.timestamp(applied),
            }
        return forwarded.returned(op_msg(0, forwarded.message.request_id, encoded(document)))


def _stage(command: Any) -> Any:
    return command["pipeline"][0]["$changeStream"] or {}


def _starting_after(forwarded: Forwarded, time: Timestamp) -> bytes:
    """The `aggregate` with a start of its own: just after an optime."""
    body = forwarded.message.body
    pipeline = list(RawBSONDocument(body)["pipeline"])
    start = {"startAtOperationTime": Timestamp(time.time, time.inc + 1)}
    pipeline[0] = {"$changeStream": {**pipeline[0]["$changeStream"], **start}}
    return with_fields(body, pipeline=pipeline)


def _take(stream: _Stream, cursor: Any, name: str) -> None:
    """Hold the events of a batch of the node's."""
    stream.held.extend(cursor[name])
    stream.node_token = cursor.get("postBatchResumeToken", stream.node_token)
    stream.is_closed = not cursor["id"]


def _next_position(history: History, stream: _Stream) -> int:
    """The position of the oldest held event."""
    return history.position_of(_time_of(stream.held[0]["_id"]))


def _time_of(token: Any) -> Timestamp:
    """The optime that a resume token tells: a type byte, seconds, increment, each as hex digits."""
    data = token["_data"]
    return Timestamp(int(data[2:10], 16), int(data[10:18], 16))
