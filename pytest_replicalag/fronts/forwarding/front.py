"""Which command goes which way: to the simulation, to the node as it is, or rewritten.

Every connection has its thread; the lock is held for what the simulation decides, never while the
node is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from threading import RLock
from typing import Any, Final

from bson.errors import BSONError

from pytest_replicalag.engines.mongod.node import Node
from pytest_replicalag.engines.mongod.replies import (
    REPLY_TIMES,
    decoded,
    encoded,
    with_operation_time,
)
from pytest_replicalag.errors import NodeLostError
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.change_streams import ChangeStreams
from pytest_replicalag.fronts.forwarding.connection import ForwardedConnection
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.outputs import Outputs
from pytest_replicalag.fronts.forwarding.pauses import pause
from pytest_replicalag.fronts.forwarding.reads import Reads
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.forwarding.sessions import Sessions
from pytest_replicalag.fronts.forwarding.writes import WRITES, Writes
from pytest_replicalag.fronts.governor import Governor
from pytest_replicalag.fronts.wire.bad_messages import refusal_of
from pytest_replicalag.fronts.wire.callers import Callers
from pytest_replicalag.fronts.wire.clients import PATIENCE_S, Clients
from pytest_replicalag.fronts.wire.error_replies import error_reply
from pytest_replicalag.fronts.wire.generic_fields import check_generic_fields
from pytest_replicalag.fronts.wire.handshake import Handshake
from pytest_replicalag.fronts.wire.kinds import (
    BACKGROUND,
    BEGINNINGS,
    ENDINGS,
    HELLOS,
    IN_TRANSACTIONS,
    opens_stream,
    writes_out,
)
from pytest_replicalag.fronts.wire.protocol import (
    OP_QUERY,
    Message,
    ProtocolError,
    op_msg,
    op_reply,
    parse,
)
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences
from pytest_replicalag.fronts.wire.reply_times import told_position
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.fronts.wire.requests import Requests
from pytest_replicalag.fronts.wire.status import Status
from pytest_replicalag.fronts.wire.write_replies import not_primary
from pytest_replicalag.replicaset.transaction_errors import check_namespace as check_transactional

__all__ = ["ForwardingFront"]

_TELLING: Final = ("collStats", "dbStats", "listCollections", "listDatabases", "listIndexes")
"""Commands of an application that tell of its data, and take the time of a round trip."""

_NOT_PRIMARY: Final = 10107

_OF_THE_NODE: Final = (
    "maxBsonObjectSize",
    "maxMessageSizeBytes",
    "maxWriteBatchSize",
    "logicalSessionTimeoutMinutes",
    "minWireVersion",
    "maxWireVersion",
)
"""What a `hello` tells of the server rather than of the set."""

_OF_AUTHENTICATION: Final = ("speculativeAuthenticate", "saslSupportedMechs")
"""What a `hello` asks that only the node can answer."""


class ForwardingFront:
    """Answers what drivers send.

    Args:
        governor: Knows the running simulation.
        node: The node behind the endpoints.
        callers: Knows the lines of code behind commands of this process.
        explain: Says more of a node that has gone, if more is known.
        members_data: Makes what asks nodes for what members have.

    Attributes:
        endpoint_set: The set as its endpoints show it.
    """

    def __init__(
        self,
        governor: Governor,
        node: Node,
        callers: Callers,
        explain: Callable[[NodeLostError], NodeLostError],
        members_data: Callable[[RLock], MembersData],
    ) -> None:
        self._governor = governor
        self._explain = explain
        self._node = node
        self._reply_ids = count(1)
        self.endpoint_set = ForwardedSet(governor)
        self._clients = Clients()
        self._requests = Requests(self.endpoint_set, callers, self._clients)
        self._sessions = Sessions(self.endpoint_set)
        self._handshake = Handshake(self.endpoint_set)
        self._status = Status(self.endpoint_set)
        preferences = ReadPreferences()
        data = self._data = members_data(governor.lock)
        self._reads = Reads(self.endpoint_set, preferences, data)
        self._writes = Writes(self.endpoint_set, self._sessions, data)
        self._outputs = Outputs(
            self.endpoint_set, node, preferences, data, self._reads, self._writes
        )
        self._streams = ChangeStreams(self.endpoint_set, preferences, data)
        self._table: Mapping[str, Callable[[Forwarded], bytes | None]] = {
            **dict.fromkeys((*WRITES, *ENDINGS), self._writes.write),
            **dict.fromkeys(HELLOS, self._hello),
            **dict.fromkeys(_TELLING, self._tell),
            "aggregate": self._aggregate,
            "count": self._read,
            "distinct": self._read,
            "find": self._read,
            "getMore": self._streams.get_more,
            "killCursors": self._kill_cursors,
            "replSetGetConfig": self._replica_set_config,
            "replSetGetStatus": self._replica_set_status,
            "serverStatus": self._server_status,
        }

    def close(self) -> None:
        """Let the nodes be as they were."""
        self._data.close()

    def ended(self, connection: ForwardedConnection) -> None:
        """A connection is gone."""
        with self._governor.lock:
            self._requests.ended(connection)

    def answer(self, connection: ForwardedConnection, data: bytes) -> bytes | None:
        """Answer one message.

        Raises:
            ProtocolError: It is none.
        """
        message = parse(data)
        request: Forwarded | None = None
        try:
            request = self._request(connection, data, message)
            if request is None:
                return self._unread(connection, data, message)
            return self._answer(request)
        except ProtocolError:
            raise
        except Exception as error:  # whatever it is, the client gets a reply
            if isinstance(error, NodeLostError):
                connection.lose_upstream()
                error = self._explain(error)
            if request is not None:
                return self._own(request, error_reply(error))
            return self._reply(connection, message, error_reply(error))

    def _request(
        self, connection: ForwardedConnection, data: bytes, message: Message
    ) -> Forwarded | None:
        """The request that a message makes; None if it makes none, as the node may tell."""
        if message.error is not None:
            raise refusal_of(message.error)
        try:
            command = decoded(message.body)
        except (BSONError, ValueError, RecursionError):
            return None
        name = next(iter(command), "")
        database = command.get("$db", "admin")
        if not isinstance(database, str):
            return None
        with self._governor.lock:
            running = self.endpoint_set.running()
            request = self._requests.request(connection, message, name, command, database, running)
            self._sessions.enter(request)
        return Forwarded(request, connection, message, data)

    def _unread(
        self, connection: ForwardedConnection, data: bytes, message: Message
    ) -> bytes | None:
        """The node's answer to what it is to find wrong itself."""
        if message.expects_reply:
            return connection.upstream.exchange(data)
        connection.upstream.send(data)
        return None

    def _answer(self, forwarded: Forwarded) -> bytes | None:
        name = forwarded.request.name
        if forwarded.message.op_code == OP_QUERY and name not in HELLOS:
            return forwarded.connection.upstream.exchange(forwarded.data)
        if name not in BACKGROUND:
            self._streams.somebody_asked()
        if forwarded.request.in_transaction and not forwarded.request.member.is_primary:
            return self._refuse_in_transaction(forwarded)
        return self._table.get(name, self._pass)(forwarded)

    def _refuse_in_transaction(self, forwarded: Forwarded) -> bytes | None:
        """Answer a transaction's command on a secondary, which has no transactions.

        Passed on, it would begin one on the node. What no transaction begins with, or has at all,
        the node itself refuses, as a secondary does.

        Raises:
            NotPrimaryError: A transaction may have it.
            OperationFailure: It is about a database that no transaction may touch.
        """
        request = forwarded.request
        begins = bool(request.command.get("startTransaction"))
        if request.name not in (BEGINNINGS if begins else IN_TRANSACTIONS):
            return self._pass(forwarded)
        check_transactional(request.database, request.collection)
        raise not_primary(request)

    def _aggregate(self, forwarded: Forwarded) -> bytes | None:
        if writes_out(forwarded.request):
            self._wait_until_known(forwarded)
            return self._outputs.aggregate(forwarded)
        if opens_stream(forwarded.request.command):
            self._wait_until_known(forwarded)
            return self._open_stream(forwarded)
        return self._read(forwarded)

    def _open_stream(self, forwarded: Forwarded) -> bytes | None:
        if not self._data.are_nodes:
            return self._streams.open(forwarded)
        return self._reads.open_stream(forwarded)  # a member's own stream lags as it does

    def _read(self, forwarded: Forwarded) -> bytes | None:
        if forwarded.request.in_transaction:
            return self._reads.read_in_transaction(forwarded)
        self._wait_until_known(forwarded)
        return self._reads.read(forwarded)

    def _kill_cursors(self, forwarded: Forwarded) -> bytes | None:
        cursors = forwarded.request.command.get("cursors")
        self._streams.killed(cursors)
        if self._data.are_nodes and isinstance(cursors, list):
            return forwarded.returned(self._data.exchange(forwarded))
        return self._pass(forwarded)

    def _wait_until_known(self, forwarded: Forwarded) -> None:
        """Give a client of another process a moment to introduce itself to other members."""
        request = forwarded.request
        with self._governor.lock:
            if not self._requests.is_doubtful(request):
                return
        pause(PATIENCE_S)
        with self._governor.lock:
            self._requests.decide(request)

    # -- what the simulation answers -----------------------------------------------------------

    def _hello(self, forwarded: Forwarded) -> bytes | None:
        """The set as the member shows it, what the node can do, and who logs in."""
        request, connection = forwarded.request, forwarded.connection
        command, node = request.command, self._node.hello
        check_generic_fields(request.name, command)
        with self._governor.lock:
            if isinstance(command.get("client"), dict) and not connection.has_greeted:
                self._clients.introduced(connection, command["client"])
            connection.has_greeted = True
            reply = dict(self._handshake.hello(request))
        reply.update((field, node[field]) for field in _OF_THE_NODE if field in node)
        if any(field in command for field in _OF_AUTHENTICATION):
            answer = decoded(connection.upstream.run(forwarded.message.body))
            if not answer.get("ok"):
                return self._own(forwarded, answer)
            reply.update((field, answer[field]) for field in _OF_AUTHENTICATION if field in answer)
        return self._own(forwarded, reply)

    def _replica_set_status(self, forwarded: Forwarded) -> bytes | None:
        return self._of_set(forwarded, self._status.replica_set_status)

    def _replica_set_config(self, forwarded: Forwarded) -> bytes | None:
        return self._of_set(forwarded, self._status.replica_set_config)

    def _of_set(
        self, forwarded: Forwarded, tell: Callable[[Request], Mapping[str, Any]]
    ) -> bytes | None:
        """What the simulated set tells, to those whom the node would tell it."""
        answer = forwarded.exchange()
        if failure_of(answer) is not None:
            return forwarded.returned(answer)
        with self._governor.lock:
            reply = tell(forwarded.request)
        return self._own(forwarded, reply)

    def _server_status(self, forwarded: Forwarded) -> bytes | None:
        reply = decoded(forwarded.connection.upstream.run(forwarded.message.body))
        if "repl" in reply:
            with self._governor.lock:
                simulated = self._status.server_status(forwarded.request)
            reply.update(host=simulated["host"], repl=simulated["repl"])
        return self._own(forwarded, reply)

    def _own(self, forwarded: Forwarded, reply: Mapping[str, Any]) -> bytes | None:
        """A reply at the time of the member that answers."""
        request = forwarded.request
        document = {key: value for key, value in reply.items() if key not in REPLY_TIMES}
        document.setdefault("ok", 1.0)
        with self._governor.lock:
            running = request.running
            document["$clusterTime"] = self.endpoint_set.cluster_time(running)
            position = told_position(request)
            document["operationTime"] = self.endpoint_set.timestamp(running, position)
        return self._reply(forwarded.connection, forwarded.message, document)

    def _reply(
        self, connection: ForwardedConnection, message: Message, document: Mapping[str, Any]
    ) -> bytes | None:
        if not message.expects_reply:
            if document.get("code") == _NOT_PRIMARY:
                connection.close()  # all that a server can do to tell the client
            return None
        number = next(self._reply_ids) & 0x7FFFFFFF
        body = encoded({"ok": 1.0, **document})
        if message.op_code == OP_QUERY:
            return op_reply(number, message.request_id, body)
        return op_msg(number, message.request_id, body)

    # -- what the node answers -----------------------------------------------------------------

    def _tell(self, forwarded: Forwarded) -> bytes | None:
        """The node's answer, a round trip later."""
        with self._governor.lock:
            forwarded.request.running.replica_set.clock.round_trip()
        return self._pass(forwarded)

    def _pass(self, forwarded: Forwarded) -> bytes | None:
        """The node's answer, at the time of the member that was asked."""
        request = forwarded.request
        reply = forwarded.exchange()
        with self._governor.lock:
            applied = request.running.replica_set.applied(request.member)
            if applied >= request.running.replica_set.oplog.last:
                return forwarded.returned(reply)
            time = self.endpoint_set.timestamp(request.running, applied)
        return forwarded.returned(with_operation_time(reply, time))
