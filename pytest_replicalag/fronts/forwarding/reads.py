"""Reads: which member serves them, at which optime, and how the node is asked for that.

MongoDB manual, Read Concern "snapshot"; driver specification, Causal Consistency.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

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
from pytest_replicalag.fronts.wire.concern_fields import check_read_concern, check_waits
from pytest_replicalag.fronts.wire.kinds import counts_metadata
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.records import PastRead
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern, Wait

__all__ = ["Planned", "Reads"]

_LOCAL: Final = ReadConcern()


class Planned(NamedTuple):
    """Where a read is answered, by a member that may lag or with a read concern.

    Attributes:
        plan: By which member, and at which position.
        concern: Its read concern.
        is_old: Whether the data may be newer by now.
        no_op: The position of the no-op that it makes, if it is linearizable.
        told: The `operationTime` of the reply; None for the node's own.
        seen: What its client had read of the namespace before, as new as it ever was.
    """

    plan: ReadPlan
    concern: ReadConcern
    is_old: bool
    no_op: int
    told: Timestamp | None
    seen: PastRead | None

    def with_time(self, reply: bytes) -> bytes:
        """A reply at the time that it tells."""
        return reply if self.told is None else with_operation_time(reply, self.told)


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
        with self._lock:
            forwarded.request.running.replica_set.clock.round_trip()
            member = self.choose(forwarded.request)
        planned = self.plan(forwarded, history, member)
        reply = self.ask(forwarded, history, planned)
        return forwarded.returned(planned.with_time(reply))

    def choose(self, request: Request) -> Member:
        """The member that serves a read; the caller holds the lock.

        Raises:
            OperationFailure: A secondary was asked for what only a primary answers.
        """
        preference = self._preferences.preference(request)
        return self._preferences.serving(request, preference, subject=_subject(request))

    def plan(self, forwarded: Forwarded, history: History, member: Member) -> Planned:
        """Where a read on a member is answered, once what it waits for has come.

        Raises:
            PyMongoError: The wait ended too late, or the member cannot serve it.
            EndlessWaitError: The wait could never end.
        """
        request = forwarded.request
        running = request.running
        with self._lock:
            concern = self.concern(request, history)
        concern = self._of_collection(forwarded, history, member, concern)
        with self._lock:
            wait = running.start_read(
                describe_read(request)[0], member, concern, request.command.get("maxTimeMS")
            )
            no_op = running.replica_set.oplog.last  # if the read makes one
        if concern.level == "linearizable" and wait.error is not None:
            self._note_no_op(history, no_op, self._data.write_no_op(forwarded))
        self.wait(request, wait)
        with self._lock:
            asked_for = _LOCAL if counts_metadata(request) else concern
            plan = running.finish_read(member, asked_for, _subject(request))
        plan = self._data.reached(forwarded, history, plan, concern)
        with self._lock:
            newest = running.replica_set.oplog.last
            key = (request.session_number, None, request.namespace)
            seen = running.has_read(key, plan, lambda: (*describe_read(request), request.by()))
            told = self._told(request, plan, concern, history)
        may_be_stale = plan.is_judged and plan.position < newest
        is_old = may_be_stale and not snapshots.is_of_now(request.name, request.command)
        return Planned(plan, concern, is_old, no_op, told, seen)

    def ask(self, forwarded: Forwarded, history: History, planned: Planned) -> bytes:
        """What answers a read where it was planned, and whether that is stale."""
        plan, concern = planned.plan, planned.concern
        reply = self._data.read(forwarded, history, plan, concern)
        if concern.level == "linearizable":
            self._note_no_op(history, planned.no_op, operation_time(reply))
        if planned.is_old:
            with self._lock:
                preference = self._preferences.preference(forwarded.request)
            level, seen = concern.level, planned.seen
            self._staleness.check(forwarded, history, plan, preference, level, reply, seen)
        return reply

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
        check_waits(sent)
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
