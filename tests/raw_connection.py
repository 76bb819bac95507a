"""A connection without a driver: what is sent is what the test says, and nothing else."""

from __future__ import annotations

import itertools
import socket
import struct
import uuid
from typing import Any

import bson
from bson import Binary
from bson.codec_options import CodecOptions

_numbers = itertools.count(1)


def lsid() -> dict[str, Any]:
    """The id of a new session."""
    return {"id": Binary(uuid.uuid4().bytes, 4)}


def endpoint_of(uri: str, member: int) -> int:
    """The endpoint of a member, of which the primary is 0, in a set that other tests share.

    The primary stays where drivers that are connected believe it; an election of another test may
    have told them of one.
    """
    with RawConnection(uri) as connection:
        primary = connection.run({"hello": 1, "$db": "admin"})["primary"]
    first = uri.split("//")[1].split("/", maxsplit=1)[0].split(",").index(primary)
    return {0: first, first: 0}.get(member, member)


class RawConnection:
    """A connection to one endpoint.

    Args:
        uri: The set's connection string.
        member: Which endpoint; 0 is the primary's.
    """

    def __init__(self, uri: str, member: int = 0) -> None:
        host, port = uri.split("//")[1].split("/", maxsplit=1)[0].split(",")[member].split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, payload: bytes, op_code: int = 2013) -> int:
        """Send a message; returns its number."""
        number = next(_numbers)
        header = struct.pack("<iiii", 16 + len(payload), number, 0, op_code)
        self._socket.sendall(header + payload)
        return number

    def send_command(self, command: dict[str, Any], database: str = "shop", flags: int = 0) -> int:
        """Send a command, with its document sequences in its body."""
        document = command if "$db" in command else {**command, "$db": database}
        return self.send(struct.pack("<I", flags) + b"\0" + bson.encode(document))

    def receive(self) -> bytes:
        """A whole message.

        Raises:
            EOFError: The server has closed the connection.
        """
        head = self._exactly(4)
        return head + self._exactly(struct.unpack("<i", head)[0] - 4)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise EOFError("closed by the server")
            data += more
        return data

    def reply(self) -> dict[str, Any]:
        """The document of the next reply."""
        message = self.receive()
        start = 36 if struct.unpack_from("<i", message, 12)[0] == 1 else 21
        length = struct.unpack_from("<i", message, start)[0]
        return bson.decode(message[start : start + length], CodecOptions(document_class=dict))

    def run(self, command: dict[str, Any], database: str = "shop") -> dict[str, Any]:
        """The reply to a command without the times, which every reply ends with."""
        self.send_command(command, database)
        reply = self.reply()
        assert list(reply)[-2:] == ["$clusterTime", "operationTime"]
        return dict(list(reply.items())[:-2])
