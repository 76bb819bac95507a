"""The state machine on the engine mongod: two real nodes, of which one is the reference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pymongo
from comparing import plain
from deployments_under_test import OnTheWire
from mongod_program import mongod_program
from naive import DATABASES
from pymongo.errors import BulkWriteError

from pytest_replicalag.engine_choice import MONGOD, EngineChoice, choose


class OnMongod(OnTheWire):
    """PyMongo, connected to endpoints in front of a real node; the reference is another real node.

    Rules that are left out: those that drop, rename or replace whole collections, whose past the
    node does not keep, and those in which documents expire, for the node has a real clock.
    """

    is_real = True

    def __init__(self) -> None:
        self.name = "mongod"
        self.library = "mongomock"  # whose clock is set, though nobody looks at it
        super().__init__()
        self.name = "mongod"
        self._nodes: list[Any] = []
        self._clients: list[Any] = []

    def _start(self) -> None:
        from pytest_replicalag.engines.mongod.process import MongodProcess

        self._folder = tempfile.TemporaryDirectory(prefix="state-machine-")
        program = mongod_program(Path(self._folder.name))
        for _ in range(2):
            self._nodes.append(MongodProcess(program).ready())
        self._reference = pymongo.MongoClient(self._nodes[1].uri)
        choose(EngineChoice(engine=MONGOD, mongod=self._nodes[0].uri))
        try:
            self._uri = self._endpoints.uri
        finally:
            choose(None)
        self._resting = pymongo.MongoClient(self._uri)

    def bare(self) -> Any:
        if not self._nodes:
            self._start()
        for database in self._reference.list_database_names():
            if database not in ("admin", "config", "local"):
                self._reference.drop_database(database)
        return self._reference

    def scratch(self, position: int) -> Any:
        return _Renamed(self._reference, f"at{position}")

    def forget(self, client: Any) -> None:
        client.drop()

    def uri(self) -> str:
        return self._uri

    @property
    def _history(self) -> Any:
        [started] = self._endpoints._mongod._started.values()
        return started.front.endpoint_set._history

    def position_of(self, time: Any) -> int:
        position: int = self._history.position_of(time)
        return position

    def told_of(self, position: int) -> int:
        history = self._history
        return self.position_of(history.timestamp(position)) if history and position else 0

    def is_time_of(self, time: Any, position: int) -> bool:
        # A no-op that the simulation has logged has no time of its own on the node, and the node
        # has times of its own after the newest entry.
        is_time: bool = self._history.timestamp(position) == time
        return is_time or self.position_of(time) == position

    def plain(self, result: Any) -> str:
        if isinstance(result, dict) and result.get("ok") == 1.0:
            return "None"  # a command's own reply, where the reference is asked by another method
        return plain(_in_any_order(result))

    def told(self, error: Exception | None) -> str:
        if isinstance(error, BulkWriteError):
            return super().told(error)
        return "" if error is None else f"{type(error).__name__} {getattr(error, 'code', None)}"

    def stop(self) -> None:
        super().stop()
        nodes, self._nodes = self._nodes, []
        if nodes:
            self._reference.close()  # before its node has gone, which it would wait for
            self._folder.cleanup()
        for node in nodes:
            node.stop()


class _Renamed:
    """A client whose databases are others of a real one."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def __getitem__(self, database: str) -> Any:
        return self._client[f"{self._prefix}-{database}"]

    def drop(self) -> None:
        for database in DATABASES:
            self._client.drop_database(f"{self._prefix}-{database}")


def _in_any_order(value: Any) -> Any:
    """A result whose lists are in one order; where an order was asked for, it is told by `_id`."""
    if isinstance(value, dict):
        return {key: _in_any_order(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted(map(_in_any_order, value), key=repr)
    return value
