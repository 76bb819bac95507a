"""A connection to the node: whole messages there and back.

Each driver's connection to an endpoint has one of its own, so that authentication, which belongs to
a connection, is between driver and node.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.mongod.replies import decoded, encoded
from pytest_replicalag.errors import NodeError, NodeLostError
from pytest_replicalag.fronts.wire.protocol import (
    BODY_AT,
    MessageBuffer,
    ProtocolError,
    op_msg,
)

__all__ = ["Upstream"]

CONNECT_S: Final = 3
"""How long a node on this machine may take to accept a connection."""

_CHUNK: Final = 1 << 15
"""Larger buffers are fetched from the operating system, and given back, for each message."""

_ids = count(1)


class Upstream:
    """One connection to a node.

    Args:
        host: The node's host.
        port: Its port.

    Attributes:
        name: Host and port.

    Raises:
        NodeLostError: It cannot be reached.
    """

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self._buffer = MessageBuffer()
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            raise NodeLostError(f"the mongod at {self.name} is not up: {error}") from None
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send a message.

        Raises:
            NodeLostError: The node has gone.
        """
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._gone(error) from None

    def exchange(self, data: bytes) -> bytes:
        """Send a message and wait for the reply.

        Raises:
            NodeLostError: The node has gone.
        """
        self.send(data)
        while True:
            try:
                received = self._socket.recv(_CHUNK)
            except OSError as error:
                raise self._gone(error) from None
            if not received:
                raise self._gone(None)
            try:
                for reply in self._buffer.feed(received):
                    return reply  # one for each message: nobody asks for more
            except ProtocolError as error:
                raise NodeError(f"{self.name} is no mongod: it answers with {error}") from None

    def command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command of the plugin's own.

        Args:
            command: The command, with its database as `$db`.

        Raises:
            OperationFailure: The node refuses it.
            NodeLostError: The node has gone.
        """
        reply = decoded(self.run(encoded(dict(command))))
        if not reply.get("ok"):
            code = reply.get("code")
            raise OperationFailure(str(reply.get("errmsg")), code, reply)
        return reply

    def run(self, body: bytes) -> bytes:
        """The body of the reply to a command, as bytes."""
        return self.exchange(op_msg(next(_ids) & 0x7FFFFFFF, 0, body))[BODY_AT:]

    def _gone(self, error: OSError | None) -> NodeLostError:
        why = f": {error}" if error is not None else ": it has closed the connection"
        return NodeLostError(f"the mongod at {self.name} has gone{why}")

    def close(self) -> None:
        """End it; what waits for a reply on another thread fails."""
        with suppress(OSError):  # it has gone already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
