"""Commands run on a memory engine as the wire front runs them, against what a server replied.

The recorded files are one command a line, in order, on one state. Where the engine's reply, or what
has become of its collections, is not the server's, that is a difference, and the collections are
made what they were on the server: a difference is one of its own line alone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.describe import describe
from pytest_replicalag.engines.memory import commands
from pytest_replicalag.engines.memory.comparison import FindRead
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.fronts.wire.codec import command_of
from pytest_replicalag.fronts.wire.protocol import OP_MSG, Message

OPTIONS: Any = CodecOptions(
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def sent_over_the_wire(command: dict[str, Any]) -> dict[str, Any]:
    """A command as the wire front decodes it."""
    return command_of(Message(OP_MSG, 1, bson.encode(command)))


_LINES = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED,
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)

# What a server makes up: object ids that were not given, identities of collections and builds.
_MADE_UP = (
    (re.compile(r"ObjectId\('(?!0{20})[0-9a-f]{24}'\)"), "ObjectId"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"'uuid': Binary\(b(['\"]).*?\1, 4\)"), "'uuid': UUID"),
    (re.compile(r"datetime\.datetime\(20[2-9][1-9][^)]*\)"), "DATE"),
    (re.compile(r"Timestamp\(1\d{9}, \d+\)"), "TIMESTAMP"),
    # The query plan stands in the middle of the message.
    (re.compile(r"(error processing query: ns=\w+\.\w+?)Tree.*?(planner returned)"), r"\1 \2"),
)

_READS = ("find", "aggregate", "count", "distinct")
_WRITES = ("insert", "update", "delete", "findAndModify", "findandmodify")
_MEMORY_REFUSES = 115


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The recorded lines of a file."""
    lines: list[dict[str, Any]] = json_util.loads(path.read_text("utf-8"), json_options=_LINES)
    return lines


def differences(library: str, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file in which the engine differs from the server, and how."""
    server = Server(library)
    expected: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for number, line in enumerate(lines_of(path), 2):  # a line of the file, which begins with "["
        command = line["command"]
        name = next(iter(command))
        reply = server.run(line["db"], command)
        if line["reply"] is None:
            if not is_refused(reply):
                yield number, f"{command}\n    is not refused: {reply}"
        elif normal(name, reply) != normal(name, line["reply"]):
            yield number, _told(command, normal(name, line["reply"]), normal(name, reply))
        if name in _READS and "after" not in line and not writes_out(command):
            continue
        changed = line.get("after", {})
        expected.update(changed)
        now = server.state()
        touched = {one for one in {*now, *before} if now.get(one) != before.get(one)}
        for one in sorted(touched.union(changed)):
            wanted = expected.get(one)
            if shape(now.get(one)) == shape(wanted):
                continue
            if line["reply"] is None or normal(name, reply) == normal(name, line["reply"]):
                yield (
                    number,
                    _told(command, f"has {one} {shape(wanted)}", f"has {shape(now.get(one))}"),
                )
            server.restore(one, wanted)
        before = server.state()


def _told(command: Any, server: str, engine: str) -> str:
    return f"{command}\n    server {server}\n    engine {engine}"


def normal(name: str, reply: dict[str, Any]) -> str:
    """A reply as text, with its types and the order of its fields, without what is made up."""
    if isinstance(reply.get("cursor"), dict):
        reply = {**reply, "cursor": reply["cursor"]["firstBatch"]}
    if name == "listCollections" and reply["ok"]:  # a server tells them in no order
        reply = {**reply, "cursor": sorted(reply["cursor"], key=lambda told: told["name"])}
    return _text(reply)


def shape(collection: Any) -> str | None:
    """What a collection is, as text; None without one."""
    return None if collection is None else _text(collection)


def _text(document: Any) -> str:
    text = repr(bson.decode(bson.encode(document), OPTIONS))
    for pattern, replacement in _MADE_UP:
        text = pattern.sub(replacement, text)
    return text


def is_refused(reply: dict[str, Any]) -> bool:
    """Whether the engine says that it does not support it."""
    return reply.get("code") == _MEMORY_REFUSES


def writes_out(command: dict[str, Any]) -> bool:
    """Whether it is a pipeline that writes what it finds."""
    stages = command.get("pipeline")
    last = stages[-1] if isinstance(stages, list) and stages else None
    return isinstance(last, dict) and not {"$out", "$merge"}.isdisjoint(last)


class Server:
    """Runs commands on a memory engine; replies are what went through BSON."""

    def __init__(self, name: str) -> None:
        client = importlib.import_module(name).MongoClient()
        library = library_of(client)
        assert library is not None
        self.library = library
        self.engine = MemoryEngine(library, client)

    def run(self, database: str, command: dict[str, Any]) -> dict[str, Any]:
        """The reply to a command, also if it is an error."""
        sent = sent_over_the_wire({**command, "$db": database})
        name = next(iter(sent))
        if name not in commands.COMMANDS:
            return {"ok": 0.0, "code": 59, "codeName": "CommandNotFound"}
        try:
            commands.check_fields(name, sent)
            describe(name, sent)
            return self._decoded({**self._run(name, sent), "ok": 1.0})
        except OperationFailure as error:
            return self._decoded(dict(error.details or {}))
        except Exception as error:
            return {"ok": 0.0, "escaped": f"{type(error).__name__}: {error}"}

    @staticmethod
    def _decoded(reply: dict[str, Any]) -> dict[str, Any]:
        try:
            return bson.decode(bson.encode(reply), OPTIONS)
        except bson.errors.InvalidDocument as error:
            return {"ok": 0.0, "escaped": str(error)}

    def _run(self, name: str, command: dict[str, Any]) -> dict[str, Any]:
        client = self.engine.live_client
        if name in _READS and not writes_out(command):
            read = commands.read(name, command, self.library)
            collection = command[name] if isinstance(command[name], str) else "none"
            live = self.engine.live(command["$db"], collection, client._codec_options)
            result = read.run(live)
            if name == "count":
                return {"n": result}
            if name == "distinct":
                return {"values": result}
            return {"cursor": read.window(result) if isinstance(read, FindRead) else result}
        if name == "aggregate":
            commands.write(name, command, client)
            return {"cursor": []}
        if name in _WRITES:
            return commands.write(name, command, client)
        reply = commands.catalog(name, command, client)
        return {"cursor": reply} if isinstance(reply, list) else reply

    def state(self) -> dict[str, Any]:
        """The collections, each with its documents, indexes and options."""
        found = {}
        for database in ("t",):
            for told in self.run(database, {"listCollections": 1})["cursor"]:
                name = told["name"]
                indexes = self.run(database, {"listIndexes": name})["cursor"]
                whole = {
                    "documents": self.run(database, {"find": name}).get("cursor", "cannot be read"),
                    "indexes": [index for index in indexes if index["name"] != "_id_"],
                    "options": told["options"],
                }
                found[f"{database}.{name}"] = {key: part for key, part in whole.items() if part}
        return found

    def restore(self, namespace: str, wanted: Any) -> None:
        """Make a collection what it is on the server, as far as the engine can have it."""
        database, _, name = namespace.partition(".")
        self.run(database, {"drop": name})
        if wanted is None:
            return
        self.run(database, {"create": name, **wanted.get("options", {})})
        for document in wanted.get("documents", ()):
            self.run(database, {"insert": name, "documents": [document]})
        for index in wanted.get("indexes", ()):
            self.run(database, {"createIndexes": name, "indexes": [index]})
