"""Sends changed messages of a real driver to an endpoint, in a loop, and looks what is left.

Run by hand: `python tests/fuzz_wire.py [MESSAGES] [SEED]`. Ends with an error if the endpoint stops
answering, answers with an internal error, or keeps a task, cursor, session or connection.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "fronts" / "wire")]

import bson
import pymongo
from pymongo import monitoring
from raw import PATIENCE_S, Raw
from simulating import simulation_of

from pytest_replicalag.endpoints import endpoints
from pytest_replicalag.fronts.wire.connection import Connection
from pytest_replicalag.fronts.wire.cursors import ServerCursor
from pytest_replicalag.fronts.wire.sessions import ServerSession
from pytest_replicalag.simulation import governor

BATCH = 20
"""How many messages go over one connection, if the endpoint lets them."""

LEFT = (Connection, ServerCursor, ServerSession, asyncio.Task)


class Capture:
    """Stands between a driver and an endpoint, and keeps what the driver sends."""

    def __init__(self, port: int) -> None:
        self.messages: list[bytes] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                driver, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(driver,), daemon=True).start()

    def _relay(self, driver: socket.socket) -> None:
        with driver, Raw(self._port) as endpoint:
            while True:
                data = driver.recv(4, socket.MSG_WAITALL)
                if not data:
                    return
                rest = struct.unpack("<i", data)[0] - 4
                data += driver.recv(rest, socket.MSG_WAITALL)
                self.messages.append(data)
                endpoint.send(data)
                length = endpoint.read(4)
                driver.sendall(length + endpoint.read(struct.unpack("<i", length)[0] - 4))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # or its thread would wait on
        self._listener.close()
        self._thread.join()


def work(client: pymongo.MongoClient[Any]) -> None:
    """What an application does: a bit of everything."""
    orders = client.shop.orders
    orders.insert_many(
        [{"n": n, "tags": ["a", {"b": n}], "at": bson.Timestamp(n, 1)} for n in range(9)]
    )
    orders.create_index("n", unique=True)
    list(orders.find({"n": {"$gt": 2}}, {"n": 1}, sort=[("n", -1)], batch_size=2, max_time_ms=99))
    list(orders.aggregate([{"$match": {"n": {"$lt": 7}}}, {"$group": {"_id": "$n"}}], batchSize=2))
    orders.update_one({"n": 1}, {"$set": {"x": 1}, "$push": {"tags": 2}}, upsert=True)
    orders.replace_one({"n": 2}, {"n": 20})
    orders.delete_many({"n": {"$in": [3, 4]}})
    orders.find_one_and_update({"n": 5}, {"$inc": {"m": 1}}, sort=[("n", 1)])
    orders.count_documents({"n": {"$exists": True}})
    orders.estimated_document_count()
    orders.distinct("n", {"n": {"$ne": 1}})
    with client.start_session() as session, session.start_transaction():
        orders.insert_one({"n": 100}, session=session)
        orders.find_one({"n": 100}, session=session)
    with client.start_session(causal_consistency=True) as session:
        orders.find_one({}, session=session)
        orders.insert_one({"n": 200}, session=session)
    client.shop.list_collection_names(filter={"name": "orders"})
    orders.index_information()
    orders.rename("others", dropTarget=True)
    client.shop.command("collStats", "others")
    client.admin.command("replSetGetStatus")
    with client.shop.watch(max_await_time_ms=1) as stream:
        stream.try_next()
    client.drop_database("shop")


def changed(messages: list[bytes], chance: random.Random) -> bytes:
    """A message with some bytes changed, cut, put in or taken from another one."""
    data = bytearray(chance.choice(messages))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        at = chance.randrange(16, len(data))
        kind = chance.randrange(6)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 6))
        elif kind == 3:
            del data[at : at + chance.randrange(1, 6)]
        elif kind == 4 and at + 4 <= len(data):
            data[at : at + 4] = struct.pack(
                "<i", chance.choice((-1, 0, 1, 5, 2**31 - 1, len(data)))
            )
        else:
            other = chance.choice(messages)
            data[at:] = other[min(at, len(other) - 1) :]
        if len(data) < 20:
            break
    if chance.random() < 0.97:  # mostly framed well, to get past the framing
        data[:4] = struct.pack("<i", len(data))
    return bytes(data)


class Loudness(logging.Handler):
    """Counts what the endpoint logs as its own error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        told = record.exc_info[1] if record.exc_info else None
        self.errors[f"{record.getMessage()}: {told!r}"] += 1


def answered(connection: Raw, port: int, seen: Counter[str]) -> dict[str, Any]:
    """The reply to a message; one that waits for a transaction is helped by ending all of them."""
    connection.socket.settimeout(1)
    try:
        return connection.reply()
    except TimeoutError:
        seen["waited"] += 1
        with Raw(port) as other:
            assert other.command("admin", {"killAllSessions": []})["ok"] == 1
        connection.socket.settimeout(PATIENCE_S)
        return connection.reply()


def fuzz(port: int, messages: list[bytes], count: int, chance: random.Random) -> Counter[str]:
    """Send changed messages; returns what became of them."""
    seen: Counter[str] = Counter()
    sent = 0
    while sent < count:
        with Raw(port) as connection:
            for _ in range(BATCH):
                data = changed(messages, chance)
                connection.send(data)
                sent += 1
                expects_reply = len(data) < 20 or not data[16] & 2
                if len(data) >= 4 and struct.unpack("<i", data[:4])[0] != len(data):
                    connection.end()
                if not expects_reply:
                    seen["no reply asked for"] += 1
                    break
                try:
                    reply = answered(connection, port, seen)
                except EOFError:
                    seen["closed"] += 1
                    break
                except bson.errors.InvalidBSON:
                    seen["legacy reply"] += 1
                    break
                seen[f"code {reply['code']}" if reply.get("code") else "answered"] += 1
                if reply.get("code") == 1:
                    print("internal error:", data)
    return seen


def left() -> Counter[str]:
    """How many objects of the endpoint there are."""
    gc.collect()
    found = Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing) in LEFT)
    found["thread"] = threading.active_count()
    found["listener"] = len(monitoring._LISTENERS.command_listeners)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("messages", nargs="?", type=int, default=200_000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    arguments = parser.parse_args()
    loudness = Loudness()
    logger = logging.getLogger("pytest_replicalag")
    logger.addHandler(loudness)
    logger.propagate = False
    logging.getLogger("asyncio").addHandler(loudness)
    before = left()
    with governor.govern(simulation_of(lag="0,1s", read_preference="nearest")):
        port = int(endpoints.uri.split("/")[2].split(",")[0].split(":")[1])
        capture = Capture(port)
        direct = f"mongodb://127.0.0.1:{capture.port}/?directConnection=true"
        with pymongo.MongoClient(direct) as client:
            work(client)
        capture.close()
        started_s = time.monotonic()
        chance = random.Random(arguments.seed)
        seen = fuzz(port, capture.messages, arguments.messages, chance)
        took_s = time.monotonic() - started_s
        with Raw(port) as connection:
            assert connection.command("admin", {"ping": 1})["ok"] == 1
        endpoints.stop()
    del capture
    after = left()
    print(f"{arguments.messages} messages, {arguments.messages / took_s:.0f} a second")
    for what, number in seen.most_common():
        print(f"{number:8} {what}")
    for error, number in loudness.errors.most_common():
        print(f"{number:8} {error}")
    kept = after - before
    print("left behind:", dict(kept) or "nothing")
    return bool(kept or loudness.errors or seen["code 1"])


if __name__ == "__main__":
    sys.exit(main())
