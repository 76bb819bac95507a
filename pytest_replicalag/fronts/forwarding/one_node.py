"""All members as one node shows them: what a member has is what the node had a moment ago.

MongoDB manual, Read Concern "snapshot".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

from bson import Int64, Timestamp
from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import decoded, encoded, operation_time
from pytest_replicalag.errors import HistoryGoneError
from pytest_replicalag.fronts.forwarding.absent import (
    TOO_OLD,
    UNAVAILABLE,
    failure_of,
    is_capped,
    without_absent,
)
from pytest_replicalag.fronts.forwarding.counts import count_at
from pytest_replicalag.fronts.forwarding.members_data import Asked
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern

__all__ = ["OneNode"]


class OneNode:
    """Asks one node for what each member has; see `MembersData`.

    Args:
        lock: Held around every look at the simulation.
    """

    are_nodes = False

    def __init__(self, lock: RLock) -> None:
        self._lock = lock

    def primary(self, forwarded: Forwarded) -> Asked:
        """What answers as the primary does now: the node, to whoever is logged in."""
        return forwarded.connection.upstream

    def follow(self, forwarded: Forwarded, history: History) -> bool:
        """Whether all members have everything."""
        with self._lock:
            return forwarded.request.running.replica_set.is_everywhere

    def reached(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> ReadPlan:
        """Where a read is answered: where the simulation says."""
        return plan

    def exchange(self, forwarded: Forwarded) -> bytes:
        """The reply to a command on a cursor that a read has opened."""
        return forwarded.exchange()

    def write_body(self, forwarded: Forwarded) -> bytes | None:
        """The write for no more members than the one that the node is."""
        sent = forwarded.request.command.get("writeConcern")
        if sent is None or _is_met_by_one(sent):
            return None
        return snapshots.with_fields(forwarded.message.body, writeConcern={"w": 1})

    @contextmanager
    def writing(self, forwarded: Forwarded, history: History) -> Iterator[None]:
        """Nothing is to be done."""
        yield

    def close(self) -> None:
        """Nothing is to be done."""

    # -- reads -----------------------------------------------------------------------------------

    def read(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> bytes:
        """The reply of a member that lags, or to a read with a read concern."""
        request = forwarded.request
        if concern.level == "snapshot":
            return self._in_snapshot(forwarded, history, plan)
        with self._lock:
            is_old = plan.position < request.running.replica_set.oplog.last
            time = history.timestamp(plan.position)
            applied = history.timestamp(request.running.replica_set.applied(plan.member))
        if is_old and not snapshots.is_of_now(request.name, request.command):
            # A majority that does not have a collection yet does not make it an absent one.
            known = applied if concern.level == "majority" else time
            return self._at(forwarded, time, known)
        return self._now(forwarded, plan)

    def write_no_op(self, forwarded: Forwarded) -> Timestamp | None:
        """The node answers the read, of which nobody sees the reply."""
        return operation_time(forwarded.exchange())

    def read_newest(self, forwarded: Forwarded, member: Member) -> bytes:
        """The reply of a member that has everything."""
        return self._pinned(forwarded, member, forwarded.exchange())

    def read_again(
        self, forwarded: Forwarded, member: Member, time: Timestamp
    ) -> tuple[Asked, dict[str, Any]]:
        """The same read for the plugin's own use, as a member at an optime answers it."""
        upstream = forwarded.connection.upstream
        return upstream, decoded(upstream.run(snapshots.read_at(forwarded.message.body, time)))

    def _now(self, forwarded: Forwarded, plan: ReadPlan) -> bytes:
        """The newest data. The waiting for the read concern is over, so it is left out."""
        message = forwarded.message
        sent = forwarded.request.command.get("readConcern")
        # A linearizable read is one for the node too, which makes its no-op.
        if sent and sent.get("level") != "linearizable":
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
        return without_absent(forwarded, at, applied)

    def _at(self, forwarded: Forwarded, time: Timestamp, known: Timestamp) -> bytes:
        """The data that a lagging member has.

        Args:
            forwarded: The read.
            time: The optime of the data.
            known: That of the collections that it knows.
        """
        if forwarded.request.name == "count":
            return count_at(forwarded, time)
        body = snapshots.read_at(forwarded.message.body, time)
        reply = forwarded.exchange_body(body)
        failure = failure_of(reply)
        if failure is not None and failure["code"] == UNAVAILABLE and not is_capped(failure):
            reply = without_absent(forwarded, time, known)
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


def _is_met_by_one(concern: Mapping[str, Any]) -> bool:
    """Whether the node alone meets a write concern as a set would."""
    return concern.get("w", 1) in (1, "majority") and not concern.get("wtimeout")
