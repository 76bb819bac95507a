"""A command on its way to the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_replicalag.fronts.forwarding.connection import ForwardedConnection
from pytest_replicalag.fronts.wire.protocol import (
    CHECKSUM_PRESENT,
    EXHAUST_ALLOWED,
    Message,
    with_body,
)
from pytest_replicalag.fronts.wire.request import Request

__all__ = ["Forwarded"]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A command on its way to the node.

    Attributes:
        request: What is known of it.
        connection: It came on this connection.
        message: As it came.
        data: The same as bytes.
    """

    request: Request
    connection: ForwardedConnection
    message: Message
    data: bytes

    def exchange(self) -> bytes:
        """The node's reply to the command as it came.

        A stream of replies (`exhaustAllowed`) is not asked for, and everything is acknowledged: the
        reply tells the optime.

        Raises:
            NodeError: The node has gone.
        """
        flags = self.message.flags
        if flags & (EXHAUST_ALLOWED | CHECKSUM_PRESENT) or not self.message.expects_reply:
            return self.exchange_body(self.message.body)
        return self.connection.upstream.exchange(self.data)

    def exchange_body(self, body: bytes) -> bytes:
        """The node's reply to another command in the place of this one.

        Raises:
            NodeError: The node has gone.
        """
        return self.connection.upstream.exchange(with_body(self.message, body))

    def asking(self, body: bytes, command: Mapping[str, Any] | None = None) -> Forwarded:
        """Another command in the place of this one, with its sender and its place.

        Args:
            body: What the node is asked.
            command: What it is to the simulation; None for the same.
        """
        own = self.request if command is None else replace(self.request, command=dict(command))
        message = self.message._replace(body=body)
        return Forwarded(own, self.connection, message, with_body(message, body))

    def returned(self, reply: bytes) -> bytes | None:
        """The reply, if anybody waits for one."""
        return reply if self.message.expects_reply else None
