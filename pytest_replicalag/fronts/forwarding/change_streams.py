"""Change streams over a real node: an event shows when a majority, and the member, have it.

The node alone is its own majority and tells of each write at once; what the simulated members do
not have yet is held back here.
MongoDB manual, Change Streams; driver specification, Change Streams.

A `getMore` waits for real, up to its `maxTimeMS`, as with the memory engine: an event that is there
but not due yet becomes so at a simulated time, which comes if nobody else has sent a command for a
moment.
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
from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.replicaset.member import Member

__all__ = ["ChangeStreams"]

_AWAIT_MS: Final = 1_000
"""How long a `getMore` waits for events if it does not say."""

_IDLE_S: Final = 0.05
"""A moment: nobody else has sent a command for so long."""

_IN_VAIN: Final = 3
"""How many times in a row a client may ask for what can never come."""

_FIRST_BATCH: Final = 101

_NEVER: Final = -1
"""Stands for the time at which something happens that never does."""

_STARTS: Final = ("resumeAfter", "startAfter", "startAtOperationTime")
"""What a stream may say of where it starts."""


@dataclass(slots=True, eq=False)
class _Stream:
    """One change stream.

    Attributes:
        member: The name of the member that serves it for all its life.
        namespace: What its cursor is called.
        token: Where it can be resumed.
        held: Events that the node has told and the driver has not got.
        node_token: Where the node could resume it, after those.
        is_closed: Whether the node has closed it.
        in_vain: How many times in a row it was asked for what can never come.
    """

    member: str
    namespace: str
    token: Any
    held: deque[Any] = field(default_factory=deque)
    node_token: Any = None
    is_closed: bool = False
    in_vain: int = 0


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
        stream = _Stream(member.name, cursor["ns"], cursor["postBatchResumeToken"])
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
            NodeError: The node has gone.
        """
        request = forwarded.request
        number = request.command["getMore"]
        stream = self._streams.get(number) if isinstance(number, int) else None
        if stream is None:
            with self._lock:
                request.running.replica_set.clock.round_trip()
            return self._plain(forwarded)
        return self._wait_for_events(forwarded, stream, number)

    def _plain(self, forwarded: Forwarded) -> bytes | None:
        """The next batch of a cursor that is no stream's, as the node has it."""
        return forwarded.returned(self._data.exchange(forwarded))

    def _wait_for_events(self, forwarded: Forwarded, stream: _Stream, number: int) -> bytes | None:
        request = forwarded.request
        limit_ms = request.command.get("maxTimeMS") or _AWAIT_MS
        size = request.command.get("batchSize") or _FIRST_BATCH
        asked, end_s = self._commands, time.monotonic() + limit_ms / 1_000
        while True:
            commands = self._commands
            left_s = end_s - time.monotonic()
            if not stream.held and not stream.is_closed:
                refusal = self._ask(forwarded, stream, min(max(left_s, 0), _IDLE_S))
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
                is_in_vain = due_us == _NEVER and asked == self._commands
                self._check_patience(running, history, stream, is_in_vain=is_in_vain)
                if is_over:
                    self._streams.pop(number, None)
                shown = 0 if is_over else number
                return self._reply(forwarded, history, stream, shown, "nextBatch", batch)
            if due_us is None:
                continue
            pause(min(max(end_s - time.monotonic(), 0), _IDLE_S))
            if due_us != _NEVER and commands == self._commands:
                self._let_come(due_us, limit_ms)

    def _let_come(self, due_us: int, limit_ms: int) -> None:
        """Let the time come at which an event shows, if it is near enough."""
        with self._lock:
            running = self._set.running()
            near = due_us <= running.replica_set.clock.now_us + limit_ms * 1_000
            if near:
                running.seconds_until(due_us)

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
        member = _member(running, stream.member)
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
        """When the oldest held event shows; `_NEVER`, or None if there is none."""
        if not stream.held:
            return None
        position = history.position_of(_time_of(stream.held[0]["_id"]))
        replica_set = running.replica_set
        member = _member(running, stream.member)
        own_us = 0 if member.replication is None else member.replication.due_us(position)
        majority_us = replica_set.acknowledged_us(position, replica_set.majority)
        if own_us is None or majority_us is None:
            return _NEVER
        return max(own_us, majority_us)

    def _check_patience(
        self, running: Running, history: History, stream: _Stream, *, is_in_vain: bool
    ) -> None:
        stream.in_vain = stream.in_vain + 1 if is_in_vain else 0
        if stream.in_vain < _IN_VAIN:
            return
        position = history.position_of(_time_of(stream.held[0]["_id"])) if stream.held else 0
        raise EndlessWaitError(
            f"a change stream on {stream.member}",
            "a majority of the members, and the member itself, have the next event",
            running.replica_set.laggards(position),
        )

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
            applied = running.replica_set.applied(_member(running, stream.member))
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


def _time_of(token: Any) -> Timestamp:
    """The optime that a resume token tells: a type byte, seconds, increment, each as hex digits."""
    data = token["_data"]
    return Timestamp(int(data[2:10], 16), int(data[10:18], 16))


def _member(running: Running, name: str) -> Member:
    """The member of that name; the primary if the set of the running test has none."""
    members = running.replica_set.members
    return next((member for member in members if member.name == name), members[0])
