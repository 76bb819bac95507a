"""Answers the messages of all connections: decodes, finds the command, replies.

Every command runs on the server's thread, with the lock held. One that has to wait for real gives
an awaitable, and the lock is free meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import OperationFailure, PyMongoError

from pytest_replicalag.engines.memory.commands import check_database
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.types import type_name
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.errors import EndlessWaitError, ReplicaLagError
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.wire.callers import Callers, client_of
from pytest_replicalag.fronts.wire.clients import PATIENCE_S, Clients
from pytest_replicalag.fronts.wire.codec import command_of, encoded
from pytest_replicalag.fronts.wire.commands import Commands
from pytest_replicalag.fronts.wire.connection import Answer, Connection
from pytest_replicalag.fronts.wire.generic_fields import check_generic_fields
from pytest_replicalag.fronts.wire.protocol import (
    CHECKSUM_PRESENT,
    LEGACY_REFUSED,
    OP_QUERY,
    Message,
    ProtocolError,
    op_msg,
    op_reply,
)
from pytest_replicalag.fronts.wire.reads import pause
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["WireFront"]

_log = logging.getLogger(__name__)

_NOT_PRIMARY: Final = 10107

_HELLOS: Final = ("hello", "isMaster", "ismaster")


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
        self._callers = callers
        self._clients = Clients()
        self._reply_ids = count(1)
        self.simulated_set = SimulatedSet(governor, engine)
        self._commands = Commands(self.simulated_set, self._clients)

    def ended(self, connection: Connection) -> None:
        """A connection is gone."""
        self._clients.ended(connection)
        self._callers.forget(connection.number)
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
                reply = _error_reply(error)
            if isinstance(reply, Mapping):
                return self._bytes(connection, message, request, reply)
        assert request is not None
        return self._later(message, request, reply)

    async def _later(
        self, message: Message, request: Request, waiting: Awaitable[Reply]
    ) -> bytes | None:
        try:
            reply = await waiting
        except ProtocolError:
            raise
        except Exception as error:  # as above
            reply = _error_reply(error)
        with self._governor.lock:
            return self._bytes(request.connection, message, request, reply)

    def _run(self, request: Request) -> Reply | Awaitable[Reply]:
        if self._is_doubtful(request):
            return self._once_known(request)
        return self._commands.run(request)

    # -- requests ------------------------------------------------------------------------------

    def _request(self, connection: Connection, message: Message) -> Request:
        command = command_of(message)
        name = next(iter(command))
        database: Any = command.get("$db")
        if message.op_code == OP_QUERY:
            database = message.namespace.partition(".")[0]
            if name not in _HELLOS:
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
        call = self._callers.take(connection.number, message.request_id)
        simulated = self.simulated_set
        running = simulated.running()
        request = Request(
            connection=connection,
            name=name,
            command=command,
            database=database,
            expects_reply=message.expects_reply,
            running=running,
            member=self._member(connection, running),
            by=lambda: client_of(connection.client, command.get("comment")),
        )
        if call is None:
            request.is_direct = self._callers.is_direct(connection.number)
        else:
            request.by = lambda: call.caller
            request.is_direct = call.is_direct
            request.is_session_explicit = call.is_session_explicit
        return request

    def _is_doubtful(self, request: Request) -> bool:
        """Whether it matters, and is not known, if the connection is a direct one."""
        if request.is_direct is not None:
            return False
        mode = (request.command.get("$readPreference") or {}).get("mode", "primary")
        if mode in ("primary", "primaryPreferred"):
            # Only a direct connection brings such a read to a secondary.
            request.is_direct = not request.member.is_primary
            return False
        if self._clients.are_everywhere(request.connection):
            request.is_direct = False
        elif request.connection.is_patient:
            request.is_direct = True
        return request.is_direct is None

    async def _once_known(self, request: Request) -> Reply:
        """Give the client a moment to introduce itself to the other members."""
        await pause(PATIENCE_S)
        request.connection.is_patient = True
        with self._governor.lock:
            request.running = self.simulated_set.running()
            request.is_direct = not self._clients.are_everywhere(request.connection)
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
            body = encoded(_error_reply(not_supported(f"what the library found ({error})")))
        if message.op_code == OP_QUERY:
            return op_reply(number, message.request_id, body)
        has_checksum = bool(message.flags & CHECKSUM_PRESENT)
        return op_msg(number, message.request_id, body, has_checksum=has_checksum)

    def _add_times(
        self, connection: Connection, request: Request | None, document: dict[str, Any]
    ) -> None:
        simulated = self.simulated_set
        if request is None:
            running, position = simulated.running(), None
            member = self._member(connection, running)
        else:
            running, position, member = request.running, request.position, request.member
        if position is None:
            position = running.replica_set.applied(member)
        oplog = running.replica_set.oplog
        newest = document["$clusterTime"] = simulated.cluster_time(running)
        is_newest = position == oplog.last
        time = newest["clusterTime"] if is_newest else oplog.timestamp(position)
        document["operationTime"] = time

    def _member(self, connection: Connection, running: Running) -> Member:
        """The member behind a connection; the last one if the set is smaller by now."""
        member = self.simulated_set.member(running, connection.endpoint)
        return member or running.replica_set.members[-1]


def _no_database(command: Mapping[str, Any]) -> OperationFailure:
    if "$db" not in command:
        message = "OP_MSG requests require a $db argument"
        return operation_failure(40571, "Location40571", message)
    found = type_name(command["$db"])
    message = f"wrong type for field ($db) {found} != string"
    return operation_failure(13111, "Location13111", message)


def _error_reply(error: Exception) -> dict[str, Any]:
    """The reply to a command that has failed."""
    details = getattr(error, "details", None)
    if isinstance(error, PyMongoError) and isinstance(details, Mapping) and "code" in details:
        labels = {"errorLabels": details["errorLabels"]} if "errorLabels" in details else {}
        return {**labels, "ok": 0.0, **details}
    if isinstance(error, OperationFailure):
        return _refusal(error.code or 2, "BadValue", str(error))
    if isinstance(error, EndlessWaitError):
        return _refusal(96, "OperationFailed", str(error))
    if isinstance(error, (ReplicaLagError, NotImplementedError)):
        return _refusal(115, "CommandNotSupported", str(error))
    if isinstance(error, RecursionError):
        return _refusal(15, "Overflow", "the command is nested too deep for the memory engine")
    _log.error("a command failed inside pytest-replicalag", exc_info=error)
    message = (
        f"{type(error).__name__}: {error} (an error inside pytest-replicalag; please report it)"
    )
    return _refusal(1, "InternalError", message)


def _refusal(code: int, code_name: str, message: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": code_name}
