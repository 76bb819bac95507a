"""One connection by itself: order, waiting, and a driver that does not read."""

from __future__ import annotations

import asyncio
import struct

import bson
import pytest

from pytest_replicalag.fronts.wire.connection import Connection
from pytest_replicalag.fronts.wire.protocol import op_msg

PING = bson.encode({"ping": 1, "$db": "admin"})


class Transport(asyncio.Transport):
    """Keeps what is written, and says what it is asked."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.written: list[bytes] = []
        self.is_reading = True
        self.is_closed = False

    def write(self, data):
        self.written.append(data)

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def abort(self):
        self.is_closed = True


def request(number: int) -> bytes:
    return op_msg(number, 0, PING)


def replies(transport: Transport) -> list[int]:
    return [struct.unpack_from("<i", data)[0] for data in transport.written]


def connected(answer) -> tuple[Connection, Transport]:
    connection, transport = Connection(0, answer, lambda connection: None), Transport()
    connection.connection_made(transport)
    return connection, transport


def at_once(connection, message):
    return struct.pack("<i", message.request_id)


def test_requests_are_answered_in_order():
    connection, transport = connected(at_once)
    connection.data_received(request(1) + request(2))
    connection.data_received(request(3))
    assert replies(transport) == [1, 2, 3]


def test_a_request_that_waits_holds_back_those_after_it():
    async def main():
        going_on = asyncio.Event()

        async def later(message):
            await going_on.wait()
            return at_once(None, message)

        connection, transport = connected(
            lambda connection, message: (
                later(message) if message.request_id == 1 else at_once(connection, message)
            )
        )
        connection.data_received(b"".join(map(request, range(1, 101))))
        assert replies(transport) == []
        assert not transport.is_reading
        going_on.set()
        while len(transport.written) < 100:
            await asyncio.sleep(0)
        assert replies(transport) == [*range(1, 101)]
        assert transport.is_reading

    asyncio.run(main())


def test_a_driver_that_does_not_read_gets_no_more():
    connection, transport = connected(at_once)
    connection.pause_writing()
    connection.data_received(b"".join(map(request, range(1, 101))))
    assert replies(transport) == []
    assert not transport.is_reading
    connection.resume_writing()
    assert replies(transport) == [*range(1, 101)]
    assert transport.is_reading


def test_what_is_no_message_closes_the_connection_and_nothing_is_answered_after_it(caplog):
    connection, transport = connected(at_once)
    connection.data_received(request(1) + struct.pack("<iiii", 16, 2, 0, 2012) + request(3))
    assert transport.is_closed
    assert replies(transport) == [1]
    assert "opcode 2012" in caplog.text


def test_a_lost_connection_ends_what_it_waited_for():
    async def main():
        waiting = asyncio.get_running_loop().create_future()
        connection, _ = connected(lambda connection, message: waiting)
        connection.data_received(request(1))
        connection.connection_lost(None)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
