"""Reads: which member serves them, at which optime, and how the node is asked for that.

MongoDB manual, Read Concern "snapshot"; driver specification, Causal Consistency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import Int64, Timestamp
from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import (
    decoded,
    encoded,
    operation_time,
    with_operation_time,
)
from pytest_replicalag.errors import HistoryGoneError
from pytest_replicalag.fronts.forwarding.absent import (
    TOO_OLD,
    UNAVAILABLE,
    failure_of,
    is_absent,
    is_capped,
    without_absent,
)
from pytest_replicalag.fronts.forwarding.counts import count_at
from pytest_replicalag.fronts.forwarding.describing import describe_read
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.forwarding.staleness import Staleness
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern, Wait

__all__ = ["Reads"]

_LOCAL: Final = ReadConcern()


class Reads:
    """Answers reads.

    Args:
        endpoint_set: The set as its endpoints show it.
        preferences: Who serves which read.
    """

    def __init__(self, endpoint_set: ForwardedSet, preferences: ReadPreferences) -> None:
        self._set = endpoint_set
        self._lock = endpoint_set.governor.lock
        self._preferences = preferences
        self._staleness = Staleness(endpoint_set)

    def read(self, forwarded: Forwarded) -> bytes | None:
        """Answer a read outside of a transaction."""
        request = forwarded.request
        with self._lock:
            history = self._set.history(request.running, forwarded.connection.upstream)
            is_everywhere = request.running.replica_set.is_everywhere
        if is_everywhere and not request.command.get("readConcern"):
            return self._read_of_any(forwarded)
        return self._read_of_member(forwarded, history)

    def _read_of_any(self, forwarded: Forwarded) -> bytes | None:
        """Answer a read that all members answer alike."""
        request = forwarded.request
        with self._lock:
            running = request.running
            running.replica_set.clock.round_trip()
            member = self._preferences.serving(request, self._preferences.preference(request))
            key = (request.session_number, None, request.namespace)
            running.has_read(key, running.replica_set.oplog.last)
        return forwarded.returned(self._pinned(forwarded, member, forwarded.exchange()))

    def _read_of_member(self, forwarded: Forwarded, history: History) -> bytes | None:
        """Answer a read of a member that may lag, or with a read concern."""
        request = forwarded.request
        with self._lock:
            running = request.running
            running.replica_set.clock.round_trip()
            preference = self._preferences.preference(request)
            member = self._preferences.serving(request, preference)
            concern = self.concern(request, history)
            wait = running.start_read(
                describe_read(request)[0], member, concern, request.command.get("maxTimeMS")
            )
        self.wait(request, wait)
        with self._lock:
            plan = running.finish_read(member, concern)
            newest = running.replica_set.oplog.last
            key = (request.session_number, None, request.namespace)
            seen = running.has_read(key, plan.position)
            time = history.timestamp(plan.position)
            told = self._told(request, plan, concern, history)
        is_old = plan.position < newest and not snapshots.is_of_now(request.name, request.command)
        if concern.level == "snapshot":
            reply = self._in_snapshot(forwarded, history, plan)
        elif is_old:
            reply = self._at(forwarded, time)
        else:
            reply = self._now(forwarded, plan)
        if is_old:
            self._staleness.check(forwarded, history, plan, preference, concern.level, reply, seen)
        return forwarded.returned(reply if told is None else with_operation_time(reply, told))

    def _told(
        self, request: Request, plan: ReadPlan, concern: ReadConcern, history: History
    ) -> Timestamp | None:
        """The `operationTime` of the reply; None for the node's own."""
        replica_set = request.running.replica_set
        position = plan.position
        if concern.level != "majority":
            position = max(position, replica_set.applied(plan.member))
        return None if position >= replica_set.oplog.last else history.timestamp(position)

    def read_in_transaction(self, forwarded: Forwarded) -> bytes | None:
        """Answer a read in a transaction, which is always the primary's."""
        request = forwarded.request
        with self._lock:
            request.running.replica_set.clock.round_trip()
            request.running.count_read(may_be_stale=False)
        return forwarded.returned(forwarded.exchange())

    # -- how it was asked ------------------------------------------------------------------------

    def concern(self, request: Request, history: History) -> ReadConcern:
        """The read concern of a command, its times as positions in the oplog.

        What is no read concern is left to the node to refuse.
        """
        sent = request.command.get("readConcern")
        if not isinstance(sent, Mapping) or not sent:
            return _LOCAL
        after, at = sent.get("afterClusterTime"), sent.get("atClusterTime")
        return ReadConcern(
            level=sent.get("level"),
            after=history.position_of(after) if isinstance(after, Timestamp) else 0,
            at=history.position_of(at) if isinstance(at, Timestamp) else None,
        )

    def wait(self, request: Request, wait: Wait) -> None:
        """Let the wait for a read concern pass.

        Raises:
            PyMongoError: It ended too late.
        """
        if wait.until_us:
            with self._lock:
                seconds = request.running.seconds_until(wait.until_us)
            if seconds:
                pause(seconds)
        if wait.error is not None:
            raise wait.error

    # -- how the node is asked -------------------------------------------------------------------

    def _now(self, forwarded: Forwarded, plan: ReadPlan) -> bytes:
        """The newest data. The waiting for the read concern is over, so it is left out."""
        message = forwarded.message
        if forwarded.request.command.get("readConcern"):
            reply = forwarded.exchange_body(snapshots.read_now(message.body))
        else:
            reply = forwarded.exchange()
        return self._pinned(forwarded, plan.member, reply)

    def _pinned(self, forwarded: Forwarded, member: Member, reply: bytes) -> bytes:
        """The same reply; on a member that lags, what its cursor yields later must not be newer."""
        if member.replication is None or member.replication.keeps_up:
            return reply
        if forwarded.request.name not in ("find", "aggregate"):
            return reply
        cursor: Any = decoded(reply[BODY_AT:]).get("cursor")
        time = operation_time(reply)
        is_open = isinstance(cursor, Mapping) and cursor.get("id")
        if not is_open or time is None or forwarded.request.command.get("tailable"):
            return reply
        collection = cursor["ns"].partition(".")[2]
        kill = {"killCursors": collection, "cursors": [Int64(cursor["id"])]}
        lsid = forwarded.request.command.get("lsid")
        forwarded.connection.upstream.command(
            {**kill, **({"lsid": lsid} if lsid else {}), "$db": forwarded.request.database}
        )
        pinned = forwarded.exchange_body(snapshots.read_at(forwarded.message.body, time))
        return pinned if failure_of(pinned) is None else forwarded.exchange()

    def _in_snapshot(self, forwarded: Forwarded, history: History, plan: ReadPlan) -> bytes:
        """A read of a snapshot session.

        A member refuses a collection that came after the snapshot if it knows it by now; one that
        it does not have yet is empty for it.
        """
        with self._lock:
            replica_set = forwarded.request.running.replica_set
            applied = history.timestamp(replica_set.applied(plan.member))
            at = history.timestamp(plan.position)
        at = forwarded.request.command["readConcern"].get("atClusterTime", at)
        reply = forwarded.exchange_body(snapshots.read_at(forwarded.message.body, at))
        failure = failure_of(reply)
        if failure is None or failure["code"] != UNAVAILABLE or is_capped(failure):
            return reply
        if is_absent(forwarded, forwarded.request.collection, applied):
            return without_absent(forwarded, at)
        return reply

    def _at(self, forwarded: Forwarded, time: Timestamp) -> bytes:
        """The data that a lagging member has."""
        if forwarded.request.name == "count":
            return count_at(forwarded, time)
        body = snapshots.read_at(forwarded.message.body, time)
        reply = forwarded.exchange_body(body)
        failure = failure_of(reply)
        if failure is not None and failure["code"] == UNAVAILABLE and not is_capped(failure):
            reply = without_absent(forwarded, time)
            failure = failure_of(reply)
        if failure is None:
            return _without_time(forwarded, reply)
        if failure["code"] == TOO_OLD:
            raise HistoryGoneError(forwarded.connection.upstream.name)
        return forwarded.exchange() if is_capped(failure) else reply


def _without_time(forwarded: Forwarded, reply: bytes) -> bytes:
    """A reply that does not tell `atClusterTime`, for nobody has asked for a snapshot."""
    document = {**RawBSONDocument(reply[BODY_AT:])}
    document.pop("atClusterTime", None)
    if "cursor" in document:
        cursor = {**document["cursor"]}
        cursor.pop("atClusterTime", None)
        document["cursor"] = cursor
    return op_msg(0, forwarded.message.request_id, encoded(document))
