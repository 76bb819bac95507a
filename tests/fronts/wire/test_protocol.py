"""Framing alone: bytes to messages and back, without a socket."""

from __future__ import annotations

import contextlib
import struct

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_replicalag.fronts.wire import protocol
from pytest_replicalag.fronts.wire.protocol import (
    CHECKSUM_PRESENT,
    MORE_TO_COME,
    OP_MSG,
    OP_QUERY,
    MessageBuffer,
    ProtocolError,
    op_msg,
    op_reply,
    parse,
)

PING = bson.encode({"ping": 1, "$db": "admin"})


def framed(op_code: int, payload: bytes, request_id: int = 7) -> bytes:
    return struct.pack("<iiii", 16 + len(payload), request_id, 0, op_code) + payload


def msg(*sections: bytes, flags: int = 0) -> bytes:
    return framed(OP_MSG, struct.pack("<I", flags) + b"".join(sections))


def body(document: bytes = PING) -> bytes:
    return b"\0" + document


def sequence(name: str, *documents: bytes) -> bytes:
    content = name.encode() + b"\0" + b"".join(documents)
    return b"\1" + struct.pack("<i", 4 + len(content)) + content


def with_checksum(data: bytes) -> bytes:
    length, *rest = struct.unpack_from("<iiii", data)
    data = struct.pack("<iiii", length + 4, *rest) + data[16:]
    return data + struct.pack("<I", protocol.crc32c(data))


def test_a_body_is_kept_as_bytes():
    message = parse(msg(body()))
    assert message.body == PING
    assert message.request_id == 7
    assert message.expects_reply


def test_document_sequences_come_under_their_field_and_in_any_order():
    one, two = bson.encode({"_id": 1}), bson.encode({"_id": 2})
    message = parse(msg(sequence("documents", one, two), body(), sequence("empty")))
    assert message.sequences == (("documents", (one, two)), ("empty", ()))
    assert message.body == PING


def test_more_to_come_asks_for_no_reply():
    assert not parse(msg(body(), flags=MORE_TO_COME)).expects_reply


def test_a_reply_has_a_checksum_if_the_request_had_one():
    reply = op_msg(3, 7, PING, has_checksum=True)
    assert parse(reply).flags == CHECKSUM_PRESENT
    assert parse(reply).body == PING


def test_unknown_optional_flags_are_ignored():
    assert parse(msg(body(), flags=1 << 16 | 1 << 20)).body == PING


def test_a_checksum_is_the_one_of_the_standard():
    assert protocol.crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4


def test_a_message_with_its_checksum_is_taken():
    assert parse(with_checksum(msg(body(), flags=CHECKSUM_PRESENT))).body == PING


def test_a_message_with_a_wrong_checksum_is_refused():
    data = bytearray(with_checksum(msg(body(), flags=CHECKSUM_PRESENT)))
    data[-1] ^= 1
    with pytest.raises(ProtocolError, match="checksum does not match"):
        parse(bytes(data))


def test_a_legacy_query_carries_its_command():
    payload = struct.pack("<i", 4) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + PING
    message = parse(framed(OP_QUERY, payload))
    assert (message.namespace, message.body) == ("admin.$cmd", PING)


def test_replies_name_the_request_that_they_answer():
    reply = op_msg(3, 7, PING)
    assert struct.unpack_from("<iiiiI", reply) == (len(reply), 3, 7, OP_MSG, 0)
    legacy = op_reply(3, 7, PING)
    assert struct.unpack_from("<iiiiiqii", legacy) == (len(legacy), 3, 7, 1, 8, 0, 0, 1)
    assert legacy[36:] == PING


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (framed(2012, b"\0" * 20), "opcode 2012"),
        (framed(2010, b""), "opcode 2010"),
        (framed(OP_MSG, b"\0\0"), "without flags"),
        (msg(body(), flags=4), "unknown required flags 0x4"),
        (framed(OP_QUERY, b"\0\0\0\0admin.$cmd"), "without an end"),
        (msg(body(), b"\1" + struct.pack("<i", 6) + b"\xff\0"), "not UTF-8"),
    ],
)
def test_malformed_messages_are_refused(data, text):
    with pytest.raises(ProtocolError, match=text):
        parse(data)


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (msg(), 40587, "OP_MSG messages must have a body"),
        (msg(body(), body()), 40430, "Multiple body sections in message"),
        (msg(body(), b"\0\0"), 40430, "Multiple body sections in message"),
        (msg(b"\2" + PING), 13, "Unsupported Security Token provided"),
        (msg(b"\7" + PING), 40432, "Unknown section kind 7"),
        (msg(b"\0" + PING[:-1]), 22, "Incorrect BSON length"),
        (msg(b"\0\1\0"), 22, "has to be at least 5 bytes"),
        (msg(b"\0" + struct.pack("<i", 4)), 22, "has to be at least 5 bytes"),
        (msg(b"\0" + struct.pack("<i", -5) + b"\0" * 9), 22, "has to be at least 5 bytes"),
        (msg(body(), b"\1\2\0"), 15, "read (4) bytes out of buffer[2] at offset: 0"),
        (
            msg(body(), b"\1" + struct.pack("<i", 5000) + b"documents\0"),
            15,
            "Invalid advance (4996) past end of buffer[10] at offset: 0",
        ),
        (
            msg(body(), b"\1" + struct.pack("<i", -1) + b"ab"),
            15,
            "Invalid advance (4294967291) past end of buffer[2] at offset: 0",
        ),
        (msg(body(), b"\1" + struct.pack("<i", 4)), 15, "terminal char (\\u0000) in buffer[0]"),
        (msg(body(), b"\1" + struct.pack("<i", 7) + b"abc"), 15, "terminal char"),
        (msg(body(), sequence("documents", PING[:-1])), 22, "Incorrect BSON length"),
        (msg(body(), sequence("a"), sequence("a")), 40431, "Duplicate document sequence: a"),
        (
            framed(OP_MSG, struct.pack("<I", CHECKSUM_PRESENT)),
            51252,
            "Invalid message size for an OpMsg containing a checksum",
        ),
        (framed(OP_QUERY, b"\0\0\0\0a.$cmd\0" + b"\0" * 8), 22, "has to be at least 5 bytes"),
        (framed(OP_QUERY, b"\0\0\0\0a.c\0" + b"\0" * 8 + PING), 5739101, "OP_QUERY is no longer"),
        (framed(2005, b"\0\0\0\0a.c\0" + b"\0" * 12), 5739101, "OP_GET_MORE is no longer"),
    ],
)
def test_a_message_with_a_wrong_inside_is_answered_with_the_error_of_a_server(data, code, text):
    error = parse(data).error
    assert error is not None
    assert error.code == code
    assert text in str(error)


@pytest.mark.parametrize("length", [-1, 0, 15, protocol.MAX_MESSAGE_BYTES + 1, 2**31 - 1])
def test_an_impossible_length_is_refused_before_anything_is_kept(length):
    with pytest.raises(ProtocolError, match=f"{length} bytes; there are 16 to 48000000"):
        list(MessageBuffer().feed(struct.pack("<i", length) + b"\0" * 12))


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.lists(st.integers(1, 50), max_size=40),
)
def test_messages_come_out_whole_however_the_bytes_are_cut(payloads, cuts):
    messages = [framed(OP_MSG, payload) for payload in payloads]
    stream, buffer, found = b"".join(messages), MessageBuffer(), []
    for cut in cuts:
        found += buffer.feed(stream[:cut])
        stream = stream[cut:]
    found += buffer.feed(stream)
    assert found == messages
    assert buffer.is_empty


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    try:
        for message in MessageBuffer().feed(data):
            parse(message)
    except ProtocolError:
        pass


@given(st.data())
def test_any_change_of_a_message_is_a_message_or_refused(data):
    bits = bytearray(msg(sequence("documents", PING, PING), body()))
    for _ in range(data.draw(st.integers(1, 4))):
        bits[data.draw(st.integers(4, len(bits) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        parse(bytes(bits))


def test_tls_is_told_by_its_name():
    with pytest.raises(ProtocolError, match="TLS, which the endpoints do not speak; leave tls"):
        list(MessageBuffer().feed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30)))
