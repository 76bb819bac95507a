"""Makes a request of a command that has come: who sent it, from which line, to which member.

Both wire fronts begin here, the one that answers from memory and the one that asks a real server.
"""

from __future__ import annotations

from typing import Any

from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.callers import Callers, client_of
from pytest_replicalag.fronts.wire.clients import Clients
from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet
from pytest_replicalag.fronts.wire.peer import Peer
from pytest_replicalag.fronts.wire.protocol import Message
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.replicaset.member import Member

__all__ = ["Requests"]


class Requests:
    """Makes requests; the caller holds the lock.

    Args:
        endpoint_set: The set as its endpoints show it.
        callers: Knows the lines of code behind commands of this process.
        clients: Who has introduced themselves.
    """

    def __init__(self, endpoint_set: EndpointSet, callers: Callers, clients: Clients) -> None:
        self._set = endpoint_set
        self._callers = callers
        self._clients = clients

    def ended(self, connection: Peer) -> None:
        """A connection is gone."""
        self._clients.ended(connection)
        self._callers.forget(connection.number)

    def request(
        self,
        connection: Peer,
        message: Message,
        name: str,
        command: dict[str, Any],
        database: str,
        running: Running,
    ) -> Request:
        """The request that a command makes."""
        call = self._callers.take(connection.number, message.request_id)
        request = Request(
            connection=connection,
            name=name,
            command=command,
            database=database,
            expects_reply=message.expects_reply,
            running=running,
            member=self.member(connection, running),
            by=lambda: client_of(connection.client, command.get("comment")),
        )
        if call is None:
            request.is_direct = self._callers.is_direct(connection.number)
        else:
            request.by = lambda: call.caller
            request.is_direct = call.is_direct
            request.is_session_explicit = call.is_session_explicit
        return request

    def member(self, connection: Peer, running: Running) -> Member:
        """The member behind a connection; the last one if the set is smaller by now."""
        member = self._set.member(running, connection.endpoint)
        return member or running.replica_set.members[-1]

    def is_doubtful(self, request: Request) -> bool:
        """Whether it matters, and is not known, if the connection is a direct one.

        A client of another process then gets a moment to introduce itself to the other members;
        `decide` is called when that is over.
        """
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

    def decide(self, request: Request) -> None:
        """Its client has had its moment: it is connected to other members too, or directly."""
        request.connection.is_patient = True
        request.running = self._set.running()
        request.is_direct = not self._clients.are_everywhere(request.connection)
