"""The endpoints in front of the memory engine: one set for the process, started on first use."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.fronts.wire.callers import Callers
from pytest_replicalag.fronts.wire.clients import Clients
from pytest_replicalag.fronts.wire.commands import Command, Commands
from pytest_replicalag.fronts.wire.front import WireFront
from pytest_replicalag.fronts.wire.server import Server
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.simulation import governor

__all__ = ["MemoryEndpoints", "command_table"]

_LIBRARIES: Final = ("mongomock_ng", "mongomock")
"""What holds the data: the first that is installed. mongomock-ng knows more of MongoDB."""


class MemoryEndpoints:
    """The endpoints, if they are started, and the data behind them.

    Args:
        callers: Finds the lines of code behind commands of this process.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._server: Server | None = None
        self._front: WireFront | None = None

    @property
    def are_started(self) -> bool:
        """Whether they listen."""
        return self._server is not None

    def ports(self) -> list[int]:
        """Where the members of the set there is now listen; starts what that needs."""
        if self._server is None or self._front is None:
            with governor.lock:
                governor.continue_times()
                self._front = WireFront(governor, _engine(), self._callers)
            self._server = Server(self._front.answer, self._front.ended)
        return self._listen(self._server, self._front)

    def make_room(self) -> None:
        """Listen for every member of the set there is now, if the endpoints are started."""
        if self._server is not None and self._front is not None:
            self._listen(self._server, self._front)

    def _listen(self, server: Server, front: WireFront) -> list[int]:
        ports = server.listen(len(governor.current.replica_set.members))
        with governor.lock:
            known = front.simulated_set.ports
            known.extend(ports[len(known) :])
            self._callers.ports.update(ports)
        return ports

    def stop(self) -> None:
        """Stop them and forget their data; the next use starts anew."""
        server, self._server, self._front = self._server, None, None
        if server is not None:
            server.stop()
            with governor.lock:
                governor.let_times_begin_anew()


def _engine() -> MemoryEngine:
    """An empty engine on the best library there is."""
    name = next(name for name in _LIBRARIES if importlib.util.find_spec(name) is not None)
    client: Any = importlib.import_module(name).MongoClient()
    library = library_of(client)
    assert library is not None
    return MemoryEngine(library, client)


def command_table() -> Mapping[str, Command]:
    """The commands that an endpoint answers, by name; the reference page is made from it."""
    return Commands(SimulatedSet(governor, _engine()), Clients()).table
