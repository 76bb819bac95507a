"""A connection without a driver, to send what no driver sends."""

from __future__ import annotations

import contextlib
import socket
import struct
from itertools import count
from typing import Any

import bson

PATIENCE_S = 20

_numbers = count(1)


def message(body: bytes, flags: int = 0, sections: bytes = b"", op_code: int = 2013) -> bytes:
    """The bytes of an `OP_MSG` with that body."""
    payload = struct.pack("<Ib", flags, 0) + body + sections
    return struct.pack("<iiii", 16 + len(payload), next(_numbers), 0, op_code) + payload


def nested(levels: int, *, kind: bytes = b"\x03") -> bytes:
    """A BSON document with that many others in it, one in the other."""
    sizes = range(5 + 8 * levels, 5, -8)
    heads = b"".join(struct.pack("<i", size) + kind + b"0\0" for size in sizes)
    return heads + b"\x05\0\0\0\0" + b"\0" * levels


def document_of(**fields: bytes) -> bytes:
    """A BSON document from fields that are encoded: their type, and the bytes of their value."""
    content = b"".join(
        value[:1] + name.replace("_", "$", name.startswith("_")).encode() + b"\0" + value[1:]
        for name, value in fields.items()
    )
    return struct.pack("<i", len(content) + 5) + content + b"\0"


def text(value: str) -> bytes:
    """A text as a field for `document_of`."""
    data = value.encode() + b"\0"
    return b"\x02" + struct.pack("<i", len(data)) + data


class Raw:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed the connection meanwhile is no error."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def end(self) -> None:
        """Send no more, and still read."""
        with contextlib.suppress(OSError):  # the server was faster
            self.socket.shutdown(socket.SHUT_WR)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def reply(self) -> dict[str, Any]:
        """The next reply.

        Raises:
            EOFError: The server has closed the connection.
        """
        try:
            [length] = struct.unpack("<i", self.read(4))
            data = self.read(length - 4)
        except ConnectionError:
            raise EOFError from None
        return bson.decode(data[17:])

    def ask(self, body: bytes) -> dict[str, Any]:
        """Send a command as bytes, and read its reply."""
        self.send(message(body))
        return self.reply()

    def command(self, database: str, command: dict[str, Any]) -> dict[str, Any]:
        """Run a command."""
        return self.ask(bson.encode({**command, "$db": database}))

    @property
    def is_closed(self) -> bool:
        """Whether the server closes the connection rather than say anything."""
        try:
            self.reply()
        except EOFError:
            return True
        return False
