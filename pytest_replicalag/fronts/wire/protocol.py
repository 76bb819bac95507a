"""MongoDB's wire protocol as drivers of today speak it: bytes to messages and back.

`OP_MSG` with sections of kind 0 and 1, checksums and `moreToCome`; `OP_QUERY` and `OP_REPLY` for
the legacy handshake alone. Documents stay bytes: who needs to look into one decodes it.
MongoDB manual, MongoDB Wire Protocol; driver specification, OP_MSG.

What is wrong with a message's sections is told in a reply, as a server does; what is wrong with its
frame closes the connection. Not modelled: compression, which the handshake does not offer, and the
other legacy opcodes, which servers refuse since MongoDB 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

__all__ = [
    "BODY_AT",
    "CHECKSUM_PRESENT",
    "EXHAUST_ALLOWED",
    "LEGACY_REFUSED",
    "MAX_MESSAGE_BYTES",
    "MORE_TO_COME",
    "OP_MSG",
    "OP_QUERY",
    "BadMessageError",
    "Message",
    "MessageBuffer",
    "ProtocolError",
    "RequestedCloseError",
    "op_msg",
    "op_reply",
    "parse",
    "with_body",
]

OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_GET_MORE: Final = 2005
OP_MSG: Final = 2013

CHECKSUM_PRESENT: Final = 1
MORE_TO_COME: Final = 1 << 1
EXHAUST_ALLOWED: Final = 1 << 16
_REQUIRED_FLAGS: Final = 0xFFFF
"""A receiver must refuse a message that has one of these bits that it does not know."""

_QUERY_FAILURE, _AWAIT_CAPABLE = 2, 8
"""Flags of an `OP_REPLY`."""

MAX_MESSAGE_BYTES: Final = 48_000_000
"""`maxMessageSizeBytes` of the handshake."""

_HEADER: Final = struct.Struct("<iiii")
_INT32: Final = struct.Struct("<i")
_UINT32: Final = struct.Struct("<I")
_MSG_HEADER: Final = struct.Struct("<iiiiIb")
_PLAIN: Final = bytes(5)
"""No flags, and a section of kind 0."""

BODY_AT: Final = _MSG_HEADER.size
"""Where the body of an `OP_MSG` begins that has it first, as all replies have."""
_REPLY_HEADER: Final = struct.Struct("<iiiiiqii")
_GET_MORE: Final = struct.Struct("<iq")
_SMALLEST_DOCUMENT: Final = 5
_TLS: Final = b"\x16\x03"
"""How the first message of TLS begins: a handshake, version 3."""
_BODY, _SEQUENCE, _SECURITY_TOKEN = 0, 1, 2

LEGACY_REFUSED: Final = 5739101
"""The code for a legacy message other than the handshake's."""


class ProtocolError(Exception):
    """Bytes that are no message; the connection that sent them is closed."""


class BadMessageError(Exception):
    """A message that a server answers with an error; the connection stays open.

    Attributes:
        code: The error's code.
        code_name: Its name.
    """

    def __init__(self, code: int, message: str, code_name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.code_name = code_name or f"Location{code}"


class RequestedCloseError(ProtocolError):
    """Nothing is wrong: a test wants to see its connection closed."""


class Message(NamedTuple):
    """A request. A plain tuple, for one is made for every command.

    Attributes:
        op_code: `OP_MSG` or `OP_QUERY`.
        request_id: The sender's number for it.
        body: The command, as BSON.
        flags: Of an `OP_MSG`.
        sequences: Document sequences: the name of the field that each stands for, and its
            documents as BSON.
        namespace: Of an `OP_QUERY`, such as `admin.$cmd`.
        error: What is wrong with it; then it has no body.
    """

    op_code: int
    request_id: int
    body: bytes
    flags: int = 0
    sequences: tuple[tuple[str, tuple[bytes, ...]], ...] = ()
    namespace: str = ""
    error: BadMessageError | None = None

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
            ProtocolError: A message says that it is shorter than its header, too long, or of a
                kind that there is not.
        """
        held = self._bytes
        if not held and len(data) >= _HEADER.size and _length(data) == len(data):
            yield data  # the common case: one whole message, not copied
            return
        held += data
        while len(held) >= _INT32.size:
            length = _length(held)
            if len(held) < length:
                # Bytes of another protocol, such as TLS, would have us wait for what never comes.
                if len(held) >= _HEADER.size:
                    _check_start(held)
                return
            message = bytes(held[:length])
            del held[:length]
            yield message


def _check_start(held: bytearray) -> None:
    """Refuse what begins as no message does.

    Raises:
        ProtocolError: It does.
    """
    try:
        _check_op_code(_HEADER.unpack_from(held)[-1])
    except ProtocolError:
        if held.startswith(_TLS):
            raise ProtocolError(
                "TLS, which the endpoints do not speak; leave tls=true out of the connection string"
            ) from None
        raise


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
        if data.startswith(_PLAIN, _HEADER.size) and len(data) > BODY_AT + _SMALLEST_DOCUMENT:
            body = data[BODY_AT:]
            if _INT32.unpack_from(body)[0] == len(body):  # nearly always: a body, and no more
                return Message(OP_MSG, request_id, body)
        return _parse_msg(data, request_id)
    if op_code == OP_QUERY:
        return _parse_query(data, request_id)
    _check_op_code(op_code)
    _cstring(data, _HEADER.size + _INT32.size, len(data) - _GET_MORE.size)
    return Message(op_code=OP_QUERY, request_id=request_id, body=b"", error=_legacy("OP_GET_MORE"))


def _check_op_code(op_code: int) -> None:
    if op_code not in (OP_MSG, OP_QUERY, OP_GET_MORE):
        raise ProtocolError(f"opcode {op_code}; there are OP_MSG (2013) and OP_QUERY (2004)")


def _parse_msg(data: bytes, request_id: int) -> Message:
    end = len(data)
    if end < _HEADER.size + _UINT32.size:
        raise ProtocolError("OP_MSG without flags")
    flags: int = _UINT32.unpack_from(data, _HEADER.size)[0]
    if unknown := flags & _REQUIRED_FLAGS & ~(CHECKSUM_PRESENT | MORE_TO_COME):
        raise ProtocolError(f"OP_MSG with unknown required flags {unknown:#x}")
    error = None
    body: bytes = b""
    sequences: tuple[tuple[str, tuple[bytes, ...]], ...] = ()
    try:
        if flags & CHECKSUM_PRESENT:
            end -= _UINT32.size
            _check_sum(data, end)
        body, sequences = _sections(data, _HEADER.size + _UINT32.size, end)
    except BadMessageError as refused:
        error = refused
    return Message(
        op_code=OP_MSG,
        request_id=request_id,
        flags=flags,
        body=body,
        sequences=sequences,
        error=error,
    )


def _sections(
    data: bytes, at: int, end: int
) -> tuple[bytes, tuple[tuple[str, tuple[bytes, ...]], ...]]:
    """The body and the document sequences of an `OP_MSG`."""
    body: bytes | None = None
    sequences: dict[str, tuple[bytes, ...]] = {}
    while at < end:
        kind = data[at]
        at += 1
        if kind == _BODY:
            if body is not None:
                raise BadMessageError(40430, "Multiple body sections in message")
            body = _document(data, at, end)
            at += len(body)
        elif kind == _SEQUENCE:
            name, documents, at = _parse_sequence(data, at, end)
            if name in sequences:
                raise BadMessageError(40431, f"Duplicate document sequence: {name}")
            sequences[name] = documents
        elif kind == _SECURITY_TOKEN:
            raise BadMessageError(13, "Unsupported Security Token provided", "Unauthorized")
        else:
            raise BadMessageError(40432, f"Unknown section kind {kind}")
    if body is None:
        raise BadMessageError(40587, "OP_MSG messages must have a body")
    return body, tuple(sequences.items())


def _parse_sequence(data: bytes, at: int, end: int) -> tuple[str, tuple[bytes, ...], int]:
    """A section of kind 1 after its kind byte: its name, its documents, and where it ends."""
    rest = end - at - _INT32.size
    if rest < 0:
        raise _overflow(f"buffer size too small to read (4) bytes out of buffer[{end - at}]")
    size: int = _UINT32.unpack_from(data, at)[0] - _INT32.size & 0xFFFFFFFF
    if size > rest:
        raise _overflow(f"Invalid advance ({size}) past end of buffer[{rest}]")
    at += _INT32.size
    until = at + size
    if data.find(b"\0", at, until) < 0:
        raise _overflow(f"couldn't locate terminal char (\\u0000) in buffer[{size}]")
    name, at = _cstring(data, at, until)
    documents = []
    while at < until:
        documents.append(_document(data, at, until))
        at += len(documents[-1])
    return name, tuple(documents), until


def _parse_query(data: bytes, request_id: int) -> Message:
    name, at = _cstring(data, _HEADER.size + _INT32.size, len(data))
    at += 2 * _INT32.size  # numberToSkip, numberToReturn: a command needs neither
    body, error = b"", None
    if not name.endswith(".$cmd"):
        error = _legacy("OP_QUERY")
    else:
        try:
            body = _document(data, at, len(data))
        except BadMessageError as refused:
            error = refused
    return Message(op_code=OP_QUERY, request_id=request_id, body=body, namespace=name, error=error)


def _legacy(name: str) -> BadMessageError:
    return BadMessageError(
        LEGACY_REFUSED,
        f"{name} is no longer supported. The client driver may require an upgrade. For more "
        "details see https://dochub.mongodb.org/core/legacy-opcode-removal",
    )


def _overflow(message: str) -> BadMessageError:
    return BadMessageError(15, f"{message} at offset: 0", "Overflow")


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
    size: int = _INT32.unpack_from(data, at)[0] if at + _INT32.size <= until else 0
    if size < _SMALLEST_DOCUMENT:
        raise _invalid("BSON data has to be at least 5 bytes")
    if at + size > until:
        raise _invalid("Incorrect BSON length")
    return data[at : at + size]


def _invalid(message: str) -> BadMessageError:
    where = "in element with field name '?' in object with unknown _id"
    return BadMessageError(22, f"{message} {where}", "InvalidBSON")


def op_msg(request_id: int, response_to: int, body: bytes, *, has_checksum: bool = False) -> bytes:
    """A reply, or a request without sequences."""
    size = _MSG_HEADER.size + len(body)
    if not has_checksum:
        return _MSG_HEADER.pack(size, request_id, response_to, OP_MSG, 0, _BODY) + body
    size += _UINT32.size
    header = _MSG_HEADER.pack(size, request_id, response_to, OP_MSG, CHECKSUM_PRESENT, _BODY)
    return header + body + _UINT32.pack(crc32c(header + body))


def with_body(message: Message, body: bytes) -> bytes:
    """An `OP_MSG` once more, with another body; its sender's number, and a reply is expected."""
    rest = b"".join(
        _section(name.encode() + b"\0" + b"".join(documents))
        for name, documents in message.sequences
    )
    size = _MSG_HEADER.size + len(body) + len(rest)
    return _MSG_HEADER.pack(size, message.request_id, 0, OP_MSG, 0, _BODY) + body + rest


def _section(content: bytes) -> bytes:
    return bytes([_SEQUENCE]) + _INT32.pack(_INT32.size + len(content)) + content


def op_reply(request_id: int, response_to: int, body: bytes, *, is_refusal: bool = False) -> bytes:
    """A reply to an `OP_QUERY`.

    Args:
        request_id: The reply's own number.
        response_to: The number of the request.
        body: The reply's document.
        is_refusal: Whether it is no command's reply but the refusal of a query of old.
    """
    size = _REPLY_HEADER.size + len(body)
    flags = _QUERY_FAILURE if is_refusal else _AWAIT_CAPABLE
    header = _REPLY_HEADER.pack(size, request_id, response_to, OP_REPLY, flags, 0, 0, 1)
    return header + body


# -- checksums -----------------------------------------------------------------------------------

_CASTAGNOLI: Final = 0x82F63B78
_WORD: Final = 0xFFFFFFFF


def _check_sum(data: bytes, end: int) -> None:
    if end < _HEADER.size + _UINT32.size:
        raise BadMessageError(51252, "Invalid message size for an OpMsg containing a checksum")
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
