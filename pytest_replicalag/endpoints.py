"""The endpoints of the simulated replica set: started on first use, stopped at the end of the run.

There is one set of endpoints for the process, as there is one governor; each worker of pytest-xdist
has its own.
"""

from __future__ import annotations

import atexit
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
from pytest_replicalag.fronts.wire.server import HOST, Server
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.replicaset.replica_set import SET_NAME
from pytest_replicalag.simulation import governor

__all__ = ["Endpoints", "command_table", "endpoints"]

_LIBRARIES: Final = ("mongomock_ng", "mongomock")
"""What holds the data: the first that is installed. mongomock-ng knows more of MongoDB."""


class Endpoints:
    """The endpoints, if they are started, and the data behind them."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._front: WireFront | None = None
        self._callers = Callers(governor)

    @property
    def are_started(self) -> bool:
        """Whether they listen."""
        return self._server is not None

    @property
    def uri(self) -> str:
        """The connection string of the set there is now; starts what it needs.

        Returns:
            Such as `mongodb://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/?replicaSet=replicalag`; with
            the read preference that clients opened without one shall use, if it is not `primary`.
        """
        if self._server is None or self._front is None:
            self._server, self._front = self._start()
        self.follow_drivers()
        hosts = ",".join(f"{HOST}:{port}" for port in self._listen(self._server, self._front))
        return f"mongodb://{hosts}/?replicaSet={SET_NAME}{_read_preference()}"

    def make_room(self) -> None:
        """Listen for every member of the set there is now, if the endpoints are started."""
        if self._server is not None and self._front is not None:
            self._listen(self._server, self._front)

    def _listen(self, server: Server, front: WireFront) -> list[int]:
        ports = server.listen(len(governor.current.replica_set.members))
        with governor.lock:
            known = front.simulated_set.ports
            known.extend(ports[len(known) :])
        return ports

    def follow_drivers(self) -> None:
        """Find the lines of code also behind drivers that have been imported meanwhile."""
        self._callers.follow_motor()

    def _start(self) -> tuple[Server, WireFront]:
        with governor.lock:
            governor.continue_times()
            front = WireFront(governor, _engine(), self._callers)
        self._callers.ports = front.simulated_set.ports
        self._callers.register()
        atexit.register(self.stop)  # a run that is killed by its user does not get to its end
        return Server(front.answer, front.ended), front

    def stop(self) -> None:
        """Stop them and forget their data; the next use starts anew."""
        atexit.unregister(self.stop)
        self._callers.unregister()
        server, self._server, self._front = self._server, None, None
        if server is not None:
            server.stop()
            with governor.lock:
                governor.let_times_begin_anew()


def _read_preference() -> str:
    """The option of the connection string that says where drivers read, unless they know."""
    running = governor.running
    settings = governor.resting_settings if running is None else running.settings
    mode = settings.read_preference
    # A driver is silent about `primary`, so only its own settings can make it read elsewhere.
    return "" if mode == "primary" else f"&readPreference={mode}"


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


endpoints = Endpoints()
"""The endpoints of this process."""
