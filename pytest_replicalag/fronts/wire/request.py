"""A command on its way: who sent it, to which member, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_replicalag.call_sites import Caller, Client
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.peer import Peer
from pytest_replicalag.fronts.wire.retryable_writes import Applied
from pytest_replicalag.records import Write
from pytest_replicalag.replicaset.member import Member

if TYPE_CHECKING:
    from pytest_replicalag.fronts.wire.sessions import ServerSession

__all__ = ["Found", "Reply", "Request"]

Reply = Mapping[str, Any]
"""A reply's own fields; `ok` and the times are added to it."""


class Found(NamedTuple):
    """What a secondary has found for a pipeline that writes, which the primary is to write.

    Attributes:
        documents: The documents.
        position: Where they were read.
    """

    documents: list[Any]
    position: int


@dataclass(slots=True, kw_only=True)
class Request:
    """A command on its way.

    Attributes:
        connection: It came on this connection.
        name: The command's name, its first field.
        command: The command, with its document sequences as lists.
        database: Its database (`$db`).
        expects_reply: Whether the sender waits for an answer.
        running: The simulation that answers it.
        member: The member whose endpoint it came to.
        serving: The member that was chosen to serve it, which need not be that one; None if none
            was.
        by: Where it was called.
        session: Its logical session, or None.
        session_number: The number of its explicit session in the running test; 0 without one.
        is_session_explicit: Whether the application started that session; None if unknown.
        is_direct: Whether it came on a direct connection, which pins the member; None if unknown.
        applied: What has been applied already under its transaction number, if it is a retryable
            write.
        position: Of the reply's `operationTime`, once it is known.
        write: The record of what it writes, if it does.
        found: What a secondary hands over for it to write, if one does.
    """

    connection: Peer
    name: str
    command: dict[str, Any]
    database: str
    expects_reply: bool
    running: Running
    member: Member
    by: Callable[[], Caller | Client]
    serving: Member | None = None
    session: ServerSession | None = None
    session_number: int = 0
    is_session_explicit: bool | None = None
    is_direct: bool | None = None
    applied: Applied | None = None
    position: int | None = None
    write: Write | None = None
    found: Found | None = None

    @property
    def namespace(self) -> str:
        """Database and collection, such as `shop.orders`; the database alone without one."""
        collection = self.command[self.name]
        if not isinstance(collection, str):
            return self.database
        # This one is a command on the server, and names the database itself.
        is_whole = self.name == "renameCollection"
        return collection if is_whole else f"{self.database}.{collection}"

    @property
    def cursor_namespace(self) -> str:
        """What a cursor that it opens is called: one without a collection has a name, too."""
        if self.name == "aggregate" and not self.collection:
            return f"{self.database}.$cmd.aggregate"
        if self.name == "listCollections":
            return f"{self.database}.$cmd.listCollections"
        return self.namespace

    @property
    def collection(self) -> str:
        """The collection's name; empty for commands on a database."""
        collection = self.command[self.name]
        return collection if isinstance(collection, str) else ""

    @property
    def is_handed_over(self) -> bool:
        """Whether it is a write that a secondary hands over: no other one chooses a member."""
        return self.serving is not None and not self.serving.is_primary

    @property
    def in_transaction(self) -> bool:
        """Whether it belongs to a transaction."""
        return self.command.get("autocommit") is False
