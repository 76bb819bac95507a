"""Bytes that are no message, and clients that vanish: each ends its own connection alone."""

from __future__ import annotations

import logging
import resource
import struct
from contextlib import ExitStack

import bson
import pymongo
import pytest
from bson import Binary, Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw import Raw, message

PING = bson.encode({"ping": 1, "$db": "admin"})
LSID = {"id": Binary(b"0123456789abcdef", 4)}


@pytest.fixture
def unharmed(raw):
    """A connection that must work afterwards as before."""
    connection = raw()
    assert connection.ask(PING)["ok"] == 1
    yield connection
    assert connection.ask(PING)["ok"] == 1


def with_length(length):
    return struct.pack("<i", length) + message(PING)[4:]


GARBAGE = {
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": b"\0" * 64,
    "ones": b"\xff" * 64,
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\7" * 200,
    "length 0": with_length(0),
    "length 15": with_length(15),
    "length negative": with_length(-1),
    "length too large": with_length(48_000_001),
    "opcode 2012": message(PING, op_code=2012),
    "opcode 2002": message(PING, op_code=2002),
    "opcode 1": message(PING, op_code=1),
    "unknown flag": message(PING, flags=1 << 5),
    "wrong checksum": message(PING, flags=1, sections=b"abcd"),
}

SECTIONS = {
    "two bodies": b"\0" + PING,
    "unknown section": b"\5" + PING,
    "sequence cut off": b"\1\xff\0\0\0a\0",
    "sequence without a name": b"\1\5\0\0\0a",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_bytes_that_are_no_message_close_their_connection(raw, unharmed, data, caplog):
    connection = raw()
    with caplog.at_level(logging.WARNING, "pytest_replicalag"):
        connection.send(data)
        assert connection.is_closed
    [record] = [record for record in caplog.records if "closing connection" in record.message]
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize("sections", SECTIONS.values(), ids=SECTIONS)
def test_wrong_sections_in_a_whole_message_are_answered(raw, sections):
    connection = raw()
    connection.send(message(PING, sections=sections))
    reply = connection.reply()
    assert reply["ok"] == 0
    assert reply["code"] > 1
    assert connection.ask(PING)["ok"] == 1


@pytest.mark.parametrize("cut", [1, 4, 15, 16, 20, 21, 25, len(message(PING)) - 1])
def test_a_message_that_is_cut_off_closes_its_connection(raw, unharmed, cut):
    connection = raw()
    connection.send(message(PING)[:cut])
    connection.end()
    assert connection.is_closed


def test_what_came_whole_before_a_half_closed_stream_ends_is_answered(raw, unharmed):
    connection = raw()
    connection.send(message(PING) * 3)
    connection.end()
    assert [connection.reply()["ok"] for _ in range(3)] == [1, 1, 1]
    assert connection.is_closed


def test_a_message_may_come_byte_by_byte(raw):
    connection = raw()
    for byte in message(PING):
        connection.send(bytes([byte]))
    assert connection.reply()["ok"] == 1


def test_messages_sent_at_once_are_answered_in_order(raw):
    connection = raw()
    connection.send(b"".join(message(bson.encode({"nope": 1, "$db": "a"})) for _ in range(500)))
    connection.send(message(PING))
    assert [connection.reply()["ok"] for _ in range(501)] == [0] * 500 + [1]


@pytest.mark.parametrize(
    "body",
    [
        PING[:-1] + b"\1",
        PING.replace(b"\x02$db", b"\x20$db"),
        PING.replace(struct.pack("<i", 6), struct.pack("<i", 600)),
        PING.replace(struct.pack("<i", 6), struct.pack("<i", -6)),
        PING.replace(b"admin", b"adm\xff\xfe"),
        PING.replace(b"ping", b"p\xffng"),
        PING[:-1],
    ],
)
def test_a_body_that_is_not_bson_is_refused(raw, unharmed, body):
    connection = raw()
    connection.send(message(body))
    try:
        reply = connection.reply()
    except EOFError:
        return
    assert reply["ok"] == 0
    assert reply["code"] in (9, 22, 59), reply
    assert connection.ask(PING)["ok"] == 1


def test_a_command_may_come_before_hello(raw):
    assert raw().command("shop", {"find": "orders"})["cursor"]["firstBatch"] == []


def test_a_legacy_query_is_for_the_handshake_only(raw):
    connection = raw()
    for name, ok in [("isMaster", 1), ("find", 0)]:
        body = bson.encode({name: 1, "helloOk": True})
        payload = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + body
        connection.send(struct.pack("<iiii", 16 + len(payload), 1, 0, 2004) + payload)
        [length] = struct.unpack("<i", connection.read(4))
        reply = bson.decode(connection.read(length - 4)[32:])
        assert reply["ok"] == ok
    assert reply["code"] == 352


@given(st.binary(max_size=200), st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_bytes_do_harm(shop, data, drawn):
    """Random bytes, or a real message with some bytes changed."""
    if drawn.draw(st.booleans()):
        command = {"find": "orders", "filter": {"a": {"$gt": 1}}, "lsid": LSID, "$db": "shop"}
        changed = bytearray(message(bson.encode(command)))
        for at in drawn.draw(st.lists(st.integers(16, len(changed) - 1), max_size=4)):
            changed[at] = drawn.draw(st.integers(0, 255))
        data = bytes(changed)
    with Raw(shop.port()) as connection:
        connection.send(data)
        connection.end()
        try:
            while True:
                assert connection.reply().get("code") != 1
        except EOFError:
            pass
    with Raw(shop.port()) as connection:
        assert connection.ask(PING)["ok"] == 1


# -- clients that vanish ---------------------------------------------------------------------------


def test_a_client_that_vanishes_in_a_transaction_leaves_nothing_of_it(shop, wired):
    orders = shop.client.shop.orders
    orders.insert_one({"_id": 1, "n": 0})
    connection = Raw(shop.port())
    transaction = {"lsid": LSID, "txnNumber": Int64(1), "autocommit": False}
    update = {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 1}}}]}
    reply = connection.command("shop", {**update, **transaction, "startTransaction": True})
    assert reply["nModified"] == 1
    connection.close()
    primary = orders.with_options(read_preference=pymongo.ReadPreference.PRIMARY)
    assert primary.find_one() == {"_id": 1, "n": 0}
    with Raw(shop.port()) as other:
        assert other.command("admin", {"killSessions": [LSID]})["ok"] == 1
        reply = other.command("admin", {"commitTransaction": 1, **transaction})
        assert reply["code"] == 251
    assert primary.update_one({"_id": 1}, {"$set": {"n": 2}}).modified_count == 1


def test_a_client_that_vanishes_with_a_cursor_open_does_no_harm(shop, raw):
    shop.client.shop.orders.insert_many([{} for _ in range(300)])
    connection = Raw(shop.port())
    find = {"find": "orders", "batchSize": 2}
    number = connection.command("shop", find)["cursor"]["id"]
    connection.close()
    more = {"getMore": Int64(number), "collection": "orders"}
    assert len(raw().command("shop", more)["cursor"]["nextBatch"]) == 298


def test_a_client_that_vanishes_while_its_write_waits_does_no_harm(shop, wired, raw):
    """Its write waits for a transaction to end."""
    orders = shop.client.shop.orders
    orders.insert_one({"_id": 1, "n": 0})
    with shop.client.start_session() as session, session.start_transaction():
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        connection = Raw(shop.port())
        update = {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 10}}}]}
        connection.send(message(bson.encode({**update, "$db": "shop"})))
        connection.close()
        assert raw().ask(PING)["ok"] == 1
    primary = orders.with_options(read_preference=pymongo.ReadPreference.PRIMARY)
    assert primary.find_one()["n"] in (1, 11)


def test_a_thousand_connections_are_served(shop):
    count, spare = 1_000, 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * count + spare  # both ends are in this process
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"a process may open {hard} files here, {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with ExitStack() as stack:
            connections = [stack.enter_context(Raw(shop.port(n % 3))) for n in range(count)]
            for connection in connections:
                connection.send(message(PING))
            assert sum(connection.reply()["ok"] for connection in connections) == count
        assert shop.client.admin.command("ping")["ok"] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
