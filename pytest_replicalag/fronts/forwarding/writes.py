"""Writes: made by the node, acknowledged as their write concern asks of the simulated members.

The node is a set of one and knows nobody else, so it is asked for what it can give, and the
simulation waits for the rest. MongoDB manual, Write Concern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import (
    REPLY_TIMES,
    decoded,
    encoded,
    operation_time,
)
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.describing import describe_write
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.forwarding.sessions import Sessions
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.concern_fields import parsed_write_concern
from pytest_replicalag.fronts.wire.kinds import CATALOG_WRITES, ENDINGS, NOT_WAITING
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.fronts.wire.write_replies import (
    hand_over_failed,
    not_primary,
    unacknowledged,
)
from pytest_replicalag.records import Commit, Write
from pytest_replicalag.replicaset.write_concern import is_acknowledged

__all__ = ["WRITES", "Writes"]

WRITES: Final = frozenset(
    {
        "insert",
        "update",
        "delete",
        "findAndModify",
        "findandmodify",
        "bulkWrite",
        *CATALOG_WRITES,
        "cloneCollectionAsCapped",
        "convertToCapped",
        "createRole",
        "createUser",
        "deleteIndexes",
        "dropAllUsersFromDatabase",
        "dropRole",
        "dropUser",
        "grantRolesToUser",
        "mapReduce",
        "mapreduce",
        "revokeRolesFromUser",
        "updateRole",
        "updateUser",
    }
)
"""Commands that a secondary refuses and that the oplog has an entry of."""

_INVALID: Final = 72
"""The server refuses such a command before it runs, and so does not wait either."""


class Writes:
    """Passes writes on.

    Args:
        endpoint_set: The set as its endpoints show it.
        sessions: Remembers what transactions have written.
        data: How members show what they have.
    """

    def __init__(
        self,
        endpoint_set: ForwardedSet,
        sessions: Sessions,
        data: MembersData,
    ) -> None:
        self._set = endpoint_set
        self._data = data
        self._lock = endpoint_set.governor.lock
        self._sessions = sessions

    def write(self, forwarded: Forwarded) -> bytes | None:
        """Pass a write on, and wait for its write concern.

        Raises:
            PyMongoError: The member is no primary, or there is no such write concern.
            EndlessWaitError: The wait could never end.
            NodeError: The node has gone.
        """
        if not forwarded.request.member.is_primary:
            raise not_primary(forwarded.request)
        return self.write_on_primary(forwarded)

    def write_on_primary(self, forwarded: Forwarded) -> bytes | None:
        """Pass a write on as above, whichever member was asked."""
        request = forwarded.request
        if request.in_transaction and request.name not in ENDINGS:
            return self._write_in_transaction(forwarded)
        concern = self.concern(forwarded)
        with self._lock:
            history = self._set.history(request.running, self._data.primary(forwarded))
            is_ending = request.name in ENDINGS
            write = self._end(request) if is_ending else self._begin(forwarded)
        with self._data.writing(forwarded, history):
            reply = self._exchange(forwarded)
            position = self._log(request, history, write, reply)
        return self._acknowledged(forwarded, concern, reply, position)

    def _begin(self, forwarded: Forwarded) -> Write:
        """Charge a round trip; returns what the log says of the write."""
        request = forwarded.request
        running = request.running
        operation, arguments = describe_write(forwarded)
        write = running.write(
            operation, request.namespace, arguments, request.session_number, request.by()
        )
        running.journal.write = None  # the memory engine's; this write is logged when it is made
        return write

    def _end(self, request: Request) -> Write | None:
        """Charge the round trip of a transaction's end; returns what a commit has written."""
        request.running.replica_set.clock.round_trip()
        written = self._sessions.written(request)
        return Commit(written) if written and request.name == "commitTransaction" else None

    def _write_in_transaction(self, forwarded: Forwarded) -> bytes | None:
        with self._lock:
            self._set.history(forwarded.request.running, self._data.primary(forwarded))
            self._sessions.wrote(forwarded.request, self._begin(forwarded))
        return forwarded.returned(forwarded.exchange())

    def _log(self, request: Request, history: History, write: Write | None, reply: bytes) -> int:
        """The position of a write that the node has answered."""
        time = operation_time(reply)
        with self._lock:
            is_abort = request.name == "abortTransaction" and failure_of(reply) is None
            if time is None or is_abort:
                return request.running.replica_set.oplog.last
            # The commit of a transaction that has only read is a no-op in the oplog, for its wait,
            # and so is the end of one that the node does not know.
            return history.log(write, time)

    # -- write concerns --------------------------------------------------------------------------

    def concern(self, forwarded: Forwarded) -> Mapping[str, Any]:
        """The write concern of a command; the settings' one if it says nothing.

        Raises:
            OperationFailure: There is no such write concern.
        """
        command = forwarded.request.command
        if "writeConcern" not in command:
            return forwarded.request.running.write_concern
        concern = command["writeConcern"] = parsed_write_concern(command["writeConcern"])
        return concern

    def _exchange(self, forwarded: Forwarded) -> bytes:
        """The node's reply; it does not wait for other members."""
        body = self._data.write_body(forwarded)
        return forwarded.exchange() if body is None else forwarded.exchange_body(body)

    def _acknowledged(
        self,
        forwarded: Forwarded,
        concern: Mapping[str, Any],
        reply: bytes,
        position: int,
    ) -> bytes | None:
        """The reply, once the write concern is met or has failed."""
        request, message = forwarded.request, forwarded.message
        running = request.running
        if not message.expects_reply:
            return None
        if not is_acknowledged(concern):
            return _unacknowledged(forwarded, reply)
        if not concern and running.replica_set.majority_keeps_up:
            return reply
        failure = failure_of(reply)
        if failure is not None and (request.name in NOT_WAITING or failure["code"] == _INVALID):
            return reply
        if request.name == "abortTransaction":
            return reply
        error = self._wait(forwarded, concern, position)
        return reply if error is None else _with_error(forwarded, reply, error)

    def _wait(
        self, forwarded: Forwarded, concern: Mapping[str, Any], position: int
    ) -> Mapping[str, Any] | None:
        """Wait for a write concern; returns the error that it ends with, if any."""
        request = forwarded.request
        running: Running = request.running
        operation = describe_write(forwarded)[0]
        with self._lock:
            ending = running.start_acknowledgement(
                operation, position, concern, request.command.get("maxTimeMS")
            )
            seconds = running.seconds_until(ending.due_us) if ending.due_us else 0
        if seconds:
            pause(seconds)
        return ending.error


def _unacknowledged(forwarded: Forwarded, reply: bytes) -> bytes:
    """A reply to a write whose statements nobody asks about."""
    document = decoded(reply[BODY_AT:])
    told = unacknowledged(forwarded.request.name, document)
    if told is document:
        return reply
    times = {field: document[field] for field in REPLY_TIMES if field in document}
    return op_msg(0, forwarded.message.request_id, encoded({**told, "ok": 1.0, **times}))


def _with_error(forwarded: Forwarded, reply: bytes, error: Mapping[str, Any]) -> bytes:
    """A reply that also tells that its write concern was not met."""
    answer = RawBSONDocument(reply[BODY_AT:])
    if forwarded.request.is_handed_over:
        times = {key: answer[key] for key in REPLY_TIMES if key in answer}
        failed = encoded({**hand_over_failed(error), **times})
        return op_msg(0, forwarded.message.request_id, failed)
    document: dict[str, Any] = {}
    is_commit = forwarded.request.name == "commitTransaction"
    for key, value in answer.items():
        if key == "ok":
            document["writeConcernError"] = error
        if key == "writeConcernError" or (key == "errorLabels" and is_commit):
            continue  # a commit whose write concern failed is not to run again from its beginning
        document[key] = value
    return op_msg(0, forwarded.message.request_id, encoded(document))
