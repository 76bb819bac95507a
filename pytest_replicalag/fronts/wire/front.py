"""Answers the messages of all connections: decodes, finds the command, replies.

Every command runs on the server's thread, with the lock held. One that has to wait for real gives
an awaitable, and the lock is free meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands import check_database
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.types import type_name
from pytest_replicalag.fronts.governor import Governor
from pytest_replicalag.fronts.wire.callers import Callers
from pytest_replicalag.fronts.wire.clients import PATIENCE_S, Clients
from pytest_replicalag.fronts.wire.codec import command_of, encoded
from pytest_replicalag.fronts.wire.commands import Commands
from pytest_replicalag.fronts.wire.connection import Answer, Connection
from pytest_replicalag.fronts.wire.error_replies import error_reply
from pytest_replicalag.fronts.wire.generic_fields import check_generic_fields
from pytest_replicalag.fronts.wire.kinds import HELLOS
from pytest_replicalag.fronts.wire.protocol import (
    CHECKSUM_PRESENT,
    LEGACY_REFUSED,
    OP_QUERY,
    Message,
    ProtocolError,
    RequestedCloseError,
    op_msg,
    op_reply,
)
from pytest_replicalag.fronts.wire.reads import pause
from pytest_replicalag.fronts.wire.reply_times import told_position
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.requests import Requests
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["WireFront"]

_NOT_PRIMARY: Final = 10107


class WireFront:
    """Answers what drivers send.

    Args:
        governor: Knows the running simulation.
        engine: Holds the data.
        callers: Knows the lines of code behind commands of this process.

    Attributes:
        simulated_set: The set as its endpoints show it.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine, callers: Callers) -> None:
        self._governor = governor
        self._reply_ids = count(1)
        self.simulated_set = SimulatedSet(governor, engine)
        clients = Clients()
        self._requests = Requests(self.simulated_set, callers, clients)
        self._commands = Commands(self.simulated_set, clients)

    def ended(self, connection: Connection) -> None:
        """A connection is gone."""
        self._requests.ended(connection)
        self._commands.ended(connection)

    def answer(self, connection: Connection, message: Message) -> Answer:
        """Answer one message."""
        with self._governor.lock:
            request: Request | None = None
            try:
                request = self._request(connection, message)
                reply = self._run(request)
            except ProtocolError:
                raise
            except Exception as error:  # whatever it is, the client gets a reply
                reply = error_reply(error)
            if isinstance(reply, Mapping):
                return self._bytes(connection, message, request, reply)
        assert request is not None
        return self._later(connection, message, request, reply)

    async def _later(
        self, connection: Connection, message: Message, request: Request, waiting: Awaitable[Reply]
    ) -> bytes | None:
        try:
            reply = await waiting
        except ProtocolError:
            raise
        except Exception as error:  # as above
            reply = error_reply(error)
        with self._governor.lock:
            return self._bytes(connection, message, request, reply)

    def _run(self, request: Request) -> Reply | Awaitable[Reply]:
        if self._requests.is_doubtful(request):
            return self._once_known(request)
        return self._commands.run(request)

    # -- requests ------------------------------------------------------------------------------

    def _request(self, connection: Connection, message: Message) -> Request:
        command = command_of(message)
        name = next(iter(command))
        database: Any = command.get("$db")
        if message.op_code == OP_QUERY:
            database = message.namespace.partition(".")[0]
            if name not in HELLOS:
                raise operation_failure(
                    352,
                    "UnsupportedOpQueryCommand",
                    f"Unsupported OP_QUERY command: {name}. The client driver may require an "
                    "upgrade. For more details see "
                    "https://dochub.mongodb.org/core/legacy-opcode-removal",
                )
        elif type_name(database) != "string":
            raise _no_database(command)
        else:
            check_database(database)
        check_generic_fields(name, command)
        running = self.simulated_set.running()
        if not self._requests.member(connection, running).is_up:
            raise RequestedCloseError("the member has crashed")
        return self._requests.request(connection, message, name, command, database, running)

    async def _once_known(self, request: Request) -> Reply:
        """Give the client a moment to introduce itself to the other members."""
        await pause(PATIENCE_S)
        with self._governor.lock:
            self._requests.decide(request)
            reply = self._commands.run(request)
        return reply if isinstance(reply, Mapping) else await reply

    # -- replies -------------------------------------------------------------------------------

    def _bytes(
        self, connection: Connection, message: Message, request: Request | None, reply: Reply
    ) -> bytes | None:
        if not message.expects_reply:
            if reply.get("code") == _NOT_PRIMARY:
                connection.close()  # all that a server can do to tell the client
            return None
        number = next(self._reply_ids) & 0x7FFFFFFF
        if message.error is not None and message.error.code == LEGACY_REFUSED:
            refusal = {"$err": reply["errmsg"], "code": reply["code"], "ok": 0.0}
            return op_reply(number, message.request_id, encoded(refusal), is_refusal=True)
        document = {**reply}
        document.setdefault("ok", 1.0)
        self._add_times(connection, request, document)
        try:
            body = encoded(document)
        except (BSONError, OverflowError, TypeError, ValueError) as error:
            # What the commands make themselves can be; the library has found what no server could.
            body = encoded(error_reply(not_supported(f"what the library found ({error})")))
        if message.op_code == OP_QUERY:
            return op_reply(number, message.request_id, body)
        has_checksum = bool(message.flags & CHECKSUM_PRESENT)
        return op_msg(number, message.request_id, body, has_checksum=has_checksum)

    def _add_times(
        self, connection: Connection, request: Request | None, document: dict[str, Any]
    ) -> None:
        simulated = self.simulated_set
        if request is None:
            running = simulated.running()
            member = self._requests.member(connection, running)
            position = running.replica_set.applied(member)
        else:
            running = request.running
            known = request.position
            position = told_position(request) if known is None else known
        oplog = running.replica_set.oplog
        newest = document["$clusterTime"] = simulated.cluster_time(running)
        is_newest = position == oplog.last
        time = newest["clusterTime"] if is_newest else oplog.timestamp(position)
        document["operationTime"] = time


def _no_database(command: Mapping[str, Any]) -> OperationFailure:
    if "$db" not in command:
        message = "OP_MSG requests require a $db argument"
        return operation_failure(40571, "Location40571", message)
    found = type_name(command["$db"])
    message = f"wrong type for field ($db) {found} != string"
    return operation_failure(13111, "Location13111", message)
