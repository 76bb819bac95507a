"""Reads: which member serves them, at which optime, and how the node is asked for that.

MongoDB manual, Read Concern "snapshot"; driver specification, Causal Consistency.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bson import Timestamp

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import operation_time, with_operation_time
from pytest_replicalag.fronts.forwarding.absent import came_between
from pytest_replicalag.fronts.forwarding.describing import describe_read
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.forwarding.staleness import Staleness
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.pipelines import joined
from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.fronts.wire.concern_fields import check_read_concern
from pytest_replicalag.fronts.wire.kinds import counts_metadata
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
        data: How members show what they have.
    """

    def __init__(
        self, endpoint_set: ForwardedSet, preferences: ReadPreferences, data: MembersData
    ) -> None:
        self._set = endpoint_set
        self._data = data
        self._lock = endpoint_set.governor.lock
        self._preferences = preferences
        self._staleness = Staleness(endpoint_set, data)

    def read(self, forwarded: Forwarded) -> bytes | None:
        """Answer a read outside of a transaction."""
        request = forwarded.request
        with self._lock:
            history = self._set.history(request.running, self._data.primary(forwarded))
        if self._data.follow(forwarded, history) and not request.command.get("readConcern"):
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
            plan = ReadPlan(member, running.replica_set.oplog.last)
            running.has_read(key, plan, lambda: (*describe_read(request), request.by()))
        return forwarded.returned(self._data.read_newest(forwarded, member))

    def _read_of_member(self, forwarded: Forwarded, history: History) -> bytes | None:
        """Answer a read of a member that may lag, or with a read concern."""
        request = forwarded.request
        with self._lock:
            running = request.running
            running.replica_set.clock.round_trip()
            preference = self._preferences.preference(request)
            subject = _subject(request)
            member = self._preferences.serving(request, preference, subject=subject)
            concern = self.concern(request, history)
        concern = self._of_collection(forwarded, history, member, concern)
        with self._lock:
            wait = running.start_read(
                describe_read(request)[0], member, concern, request.command.get("maxTimeMS")
            )
            no_op = running.replica_set.oplog.last  # if the read makes one
        is_linearizable = concern.level == "linearizable"
        if is_linearizable and wait.error is not None:
            self._note_no_op(history, no_op, self._data.write_no_op(forwarded))
        self.wait(request, wait)
        with self._lock:
            asked_for = _LOCAL if counts_metadata(request) else concern
            plan = running.finish_read(member, asked_for, subject)
        plan = self._data.reached(forwarded, history, plan, concern)
        with self._lock:
            newest = running.replica_set.oplog.last
            key = (request.session_number, None, request.namespace)
            seen = running.has_read(key, plan, lambda: (*describe_read(request), request.by()))
            told = self._told(request, plan, concern, history)
        may_be_stale = plan.is_judged and plan.position < newest
        is_old = may_be_stale and not snapshots.is_of_now(request.name, request.command)
        reply = self._data.read(forwarded, history, plan, concern)
        if is_linearizable:
            self._note_no_op(history, no_op, operation_time(reply))
        if is_old:
            self._staleness.check(forwarded, history, plan, preference, concern.level, reply, seen)
        return forwarded.returned(reply if told is None else with_operation_time(reply, told))

    def _note_no_op(self, history: History, position: int, time: Timestamp | None) -> None:
        """The primary has written the no-op of a linearizable read, which waits for it."""
        if time is not None:
            with self._lock:
                history.note_no_op(position, time)

    def _told(
        self, request: Request, plan: ReadPlan, concern: ReadConcern, history: History
    ) -> Timestamp | None:
        """The `operationTime` of the reply; None for the node's own."""
        if self._data.are_nodes:
            return None
        replica_set = request.running.replica_set
        position = plan.position
        if concern.level != "majority":
            position = max(position, replica_set.applied(plan.member))
        return None if position >= replica_set.oplog.last else history.timestamp(position)

    def open_stream(self, forwarded: Forwarded) -> bytes | None:
        """Answer the `aggregate` that opens a change stream, by a member that is a node."""
        request = forwarded.request
        with self._lock:
            history = self._set.history(request.running, self._data.primary(forwarded))
        self._data.follow(forwarded, history)
        with self._lock:
            request.running.replica_set.clock.round_trip()
            preference = self._preferences.preference(request)
            member = self._preferences.serving(request, preference, for_stream=True)
        return forwarded.returned(self._data.read_newest(forwarded, member))

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

        Raises:
            OperationFailure: It is none.
        """
        if "readConcern" not in request.command:
            return _LOCAL
        sent = request.command["readConcern"]
        check_read_concern(sent)
        after, at = sent.get("afterClusterTime"), sent.get("atClusterTime")
        return ReadConcern(
            level=sent.get("level"),
            after=0 if after is None else history.position_of(after),
            at=None if at is None else history.position_of(at),
        )

    def _of_collection(
        self, forwarded: Forwarded, history: History, member: Member, concern: ReadConcern
    ) -> ReadConcern:
        """The read concern of a read of a collection that may be new; see `of_collection`."""
        request = forwarded.request
        replica_set = request.running.replica_set
        with self._lock:
            committed, applied = replica_set.majority_applied(member), replica_set.applied(member)
            is_new = history.has_changed(request.database, committed)
        if concern.level != "majority" or not is_new or self._data.are_nodes:
            return concern  # a node does that itself

        def time(position: int) -> Timestamp:
            with self._lock:
                return history.timestamp(position)

        primary = self._data.primary(forwarded)
        positions = range(committed + 1, applied + 1)
        came = came_between(primary, request.database, request.collection, time, positions)
        return replace(concern, came=came)

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


def _subject(request: Request) -> Subject:
    """What a read reads."""
    pipeline = request.command.get("pipeline")
    return Subject(request.namespace, pipeline is not None and any(joined(pipeline)))
