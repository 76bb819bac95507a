"""MongoDB's wire protocol as drivers of today speak it: bytes to messages and back.

`OP_MSG` with sections of kind 0 and 1, checksums and `moreToCome`; `OP_QUERY` and `OP_REPLY` for
the legacy handshake alone. Documents stay bytes: who needs to look into one decodes it.
MongoDB manual, MongoDB Wire Protocol; driver specification, OP_MSG.

Not modelled: compression, which the handshake does not offer, and the other legacy opcodes, which
servers refuse since MongoDB 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = [
    "CHECKSUM_PRESENT",
    "MAX_MESSAGE_BYTES",
    "MORE_TO_COME",
    "OP_MSG",
    "OP_QUERY",
    "Message",
    "MessageBuffer",
    "ProtocolError",
    "RequestedCloseError",
    "op_msg",
    "op_reply",
    "parse",
]

OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_MSG: Final = 2013

CHECKSUM_PRESENT: Final = 1
MORE_TO_COME: Final = 1 << 1
_REQUIRED_FLAGS: Final = 0xFFFF
"""A receiver must refuse a message that has one of these bits that it does not know."""

MAX_MESSAGE_BYTES: Final = 48_000_000
"""`maxMessageSizeBytes` of the handshake."""

_HEADER: Final = struct.Struct("<iiii")
_INT32: Final = struct.Struct("<i")
_UINT32: Final = struct.Struct("<I")
_MSG_HEADER: Final = struct.Struct("<iiiiIb")
_REPLY_HEADER: Final = struct.Struct("<iiiiiqii")
_SMALLEST_DOCUMENT: Final = 5
_BODY, _SEQUENCE = 0, 1


class ProtocolError(Exception):
    """Bytes that are no message; the connection that sent them is closed."""


class RequestedCloseError(ProtocolError):
    """Nothing is wrong: a test wants to see its connection closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request.

    Attributes:
        op_code: `OP_MSG` or `OP_QUERY`.
        request_id: The sender's number for it.
        flags: Of an `OP_MSG`.
        body: The command, as BSON.
        sequences: Document sequences: the name of the field that each stands for, and its
            documents as BSON.
        namespace: Of an `OP_QUERY`, such as `admin.$cmd`.
    """

    op_code: int
    request_id: int
    flags: int = 0
    body: bytes
    sequences: tuple[tuple[str, tuple[bytes, ...]], ...] = ()
    namespace: str = ""

    @property
    def expects_reply(self) -> bool:
        """Whether the sender waits for an answer."""
        return not self.flags & MORE_TO_COME


class MessageBuffer:
    """Cuts a stream of bytes into whole messages."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether no half of a message is left."""
        return not self._bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes.

        Raises:
            ProtocolError: A message says that it is shorter than its header, or too long.
        """
        held = self._bytes
        if not held and len(data) >= _HEADER.size and _length(data) == len(data):
            yield data  # the common case: one whole message, not copied
            return
        held += data
        while len(held) >= _INT32.size:
            length = _length(held)
            if len(held) < length:
                return
            message = bytes(held[:length])
            del held[:length]
            yield message


def _length(data: bytes | bytearray) -> int:
    length: int = _INT32.unpack_from(data)[0]
    if not _HEADER.size <= length <= MAX_MESSAGE_BYTES:
        raise ProtocolError(
            f"a message of {length} bytes; there are {_HEADER.size} to {MAX_MESSAGE_BYTES}"
        )
    return length


def parse(data: bytes) -> Message:
    """The message in `data`, one whole message.

    Raises:
        ProtocolError: It is none that a server of today takes.
    """
    _, request_id, _, op_code = _HEADER.unpack_from(data)
    if op_code == OP_MSG:
        return _parse_msg(data, request_id)
    if op_code == OP_QUERY:
        return _parse_query(data, request_id)
    raise ProtocolError(f"opcode {op_code}; there are OP_MSG (2013) and OP_QUERY (2004)")


def _parse_msg(data: bytes, request_id: int) -> Message:
    end = len(data)
    if end < _HEADER.size + _UINT32.size:
        raise ProtocolError("OP_MSG without flags")
    flags: int = _UINT32.unpack_from(data, _HEADER.size)[0]
    if unknown := flags & _REQUIRED_FLAGS & ~(CHECKSUM_PRESENT | MORE_TO_COME):
        raise ProtocolError(f"OP_MSG with unknown required flags {unknown:#x}")
    if flags & CHECKSUM_PRESENT:
        end -= _UINT32.size
        _check_sum(data, end)
    body: bytes | None = None
    sequences = []
    at = _HEADER.size + _UINT32.size
    while at < end:
        kind = data[at]
        at += 1
        if kind == _BODY:
            if body is not None:
                raise ProtocolError("OP_MSG with two bodies")
            body = _document(data, at, end)
            at += len(body)
        elif kind == _SEQUENCE:
            sequence, at = _parse_sequence(data, at, end)
            sequences.append(sequence)
        else:
            raise ProtocolError(f"OP_MSG with a section of kind {kind}; there are 0 and 1")
    if body is None:
        raise ProtocolError("OP_MSG without a body")
    return Message(
        op_code=OP_MSG,
        request_id=request_id,
        flags=flags,
        body=body,
        sequences=tuple(sequences),
    )


def _parse_sequence(data: bytes, at: int, end: int) -> tuple[tuple[str, tuple[bytes, ...]], int]:
    """A section of kind 1 after its kind byte, and where it ends."""
    if at + _INT32.size > end:
        raise ProtocolError("a document sequence that is cut off")
    size: int = _INT32.unpack_from(data, at)[0]
    until = at + size
    if size < _INT32.size + 1 or until > end:
        raise ProtocolError(f"a document sequence of {size} bytes, which do not fit")
    name, at = _cstring(data, at + _INT32.size, until)
    documents = []
    while at < until:
        documents.append(_document(data, at, until))
        at += len(documents[-1])
    return (name, tuple(documents)), until


def _parse_query(data: bytes, request_id: int) -> Message:
    name, at = _cstring(data, _HEADER.size + _INT32.size, len(data))
    at += 2 * _INT32.size  # numberToSkip, numberToReturn: a command needs neither
    body = _document(data, at, len(data))
    return Message(op_code=OP_QUERY, request_id=request_id, body=body, namespace=name)


def _cstring(data: bytes, at: int, until: int) -> tuple[str, int]:
    """A string that a zero byte ends, and where the bytes after that begin."""
    zero = data.find(b"\0", at, until)
    if zero < 0:
        raise ProtocolError("a string without an end")
    try:
        return data[at:zero].decode("utf-8"), zero + 1
    except UnicodeDecodeError as error:
        raise ProtocolError(f"a string that is not UTF-8: {error}") from None


def _document(data: bytes, at: int, until: int) -> bytes:
    """The bytes of the BSON document at `at`; what is in it is not looked at."""
    if at + _INT32.size > until:
        raise ProtocolError("a document that is cut off")
    size: int = _INT32.unpack_from(data, at)[0]
    if size < _SMALLEST_DOCUMENT or at + size > until:
        raise ProtocolError(f"a document of {size} bytes, which do not fit")
    return data[at : at + size]


def op_msg(request_id: int, response_to: int, body: bytes) -> bytes:
    """A reply, or a request without sequences."""
    size = _MSG_HEADER.size + len(body)
    return _MSG_HEADER.pack(size, request_id, response_to, OP_MSG, 0, _BODY) + body


def op_reply(request_id: int, response_to: int, body: bytes) -> bytes:
    """A reply to an `OP_QUERY`."""
    size = _REPLY_HEADER.size + len(body)
    await_capable = 8
    header = _REPLY_HEADER.pack(size, request_id, response_to, OP_REPLY, await_capable, 0, 0, 1)
    return header + body


# -- checksums -----------------------------------------------------------------------------------

_CASTAGNOLI: Final = 0x82F63B78
_WORD: Final = 0xFFFFFFFF


def _check_sum(data: bytes, end: int) -> None:
    if end < _HEADER.size + _UINT32.size:
        raise ProtocolError("OP_MSG without room for its checksum")
    sent: int = _UINT32.unpack_from(data, end)[0]
    if sent != crc32c(data[:end]):
        raise ProtocolError("OP_MSG checksum does not match contents")


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 4960, appendix B), which Python's library lacks; few drivers ever send one."""
    table, value = _table(), _WORD
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ _WORD
