"""The endpoints of the simulated replica set: started on first use, stopped at the end of the run.

There is one governor for the process, and so one simulated set; it has endpoints in front of the
memory engine (`memory.py`) and in front of each MongoDB node in use (`mongod.py`). Each worker of
pytest-xdist has its own.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_replicalag.engine_choice import MEMORY, chosen
from pytest_replicalag.fronts.wire.callers import Callers
from pytest_replicalag.fronts.wire.server import HOST
from pytest_replicalag.replicaset.replica_set import SET_NAME
from pytest_replicalag.simulation import governor

if TYPE_CHECKING:
    from pytest_replicalag.endpoints.memory import MemoryEndpoints
    from pytest_replicalag.endpoints.mongod import MongodEndpoints

__all__ = ["Endpoints", "endpoints"]


class Endpoints:
    """The endpoints that are started."""

    def __init__(self) -> None:
        self._callers = Callers(governor)
        self._is_registered = False
        self._process = 0

    # A run needs one of these, seldom both, and each loads much.

    @cached_property
    def _memory(self) -> MemoryEndpoints:
        """The endpoints in front of the memory engine."""
        from pytest_replicalag.endpoints.memory import MemoryEndpoints

        return MemoryEndpoints(self._callers)

    @cached_property
    def _mongod(self) -> MongodEndpoints:
        """The endpoints in front of nodes."""
        from pytest_replicalag.endpoints.mongod import MongodEndpoints

        return MongodEndpoints(self._callers)

    @property
    def _used(self) -> list[MemoryEndpoints | MongodEndpoints]:
        """Those that have been needed so far."""
        own = self.__dict__
        return [own[name] for name in ("_memory", "_mongod") if name in own]

    @property
    def are_started(self) -> bool:
        """Whether any listen."""
        return any(used.are_started for used in self._used)

    @property
    def uri(self) -> str:
        """The connection string of the set there is now; starts what it needs.

        Returns:
            Such as `mongodb://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/?replicaSet=replicalag`; with
            the read preference that clients opened without one shall use, if it is not `primary`,
            and the credentials of the node behind it, if it has any.

        Raises:
            NodeError: The run's MongoDB node cannot be used.
        """
        hosts = ",".join(self.hosts)
        is_memory = chosen().engine == MEMORY
        login, options = ("", "") if is_memory else self._mongod.login(chosen())
        # A driver is silent about `primary`, so only its own settings can make it read elsewhere.
        mode = self.read_preference
        reading = "" if mode == "primary" else f"&readPreference={mode}"
        return f"mongodb://{login}{hosts}/?replicaSet={SET_NAME}{options}{reading}"

    @property
    def hosts(self) -> list[str]:
        """Where the members of the run's set listen; starts what that needs.

        Raises:
            NodeError: The run's MongoDB node cannot be used.
        """
        self._begin()
        choice = chosen()
        is_memory = choice.engine == MEMORY
        ports = self._memory.ports() if is_memory else self._mongod.chosen(choice)
        return [f"{HOST}:{port}" for port in ports]

    @property
    def read_preference(self) -> str:
        """The mode that clients opened without one shall use."""
        running = governor.running
        settings = governor.resting_settings if running is None else running.settings
        return settings.read_preference

    def listens_at(self, host: str, port: int) -> bool:
        """Whether one of them listens there."""
        return host == HOST and port in self._callers.ports

    def in_front_of(
        self, seeds: Sequence[tuple[str, int]], uri: str | None, login: Mapping[str, Any]
    ) -> list[str]:
        """The hosts of the simulated set in front of the server that a client names.

        Args:
            seeds: The servers that it names.
            uri: The connection string that it was opened with, for who logs in.
            login: What its other arguments say of that.

        Raises:
            NodeError: The server cannot play a set.
        """
        self._begin()
        ports = self._mongod.named(seeds, uri, login, chosen())
        return [f"{HOST}:{port}" for port in ports]

    def _begin(self) -> None:
        if not self._is_registered:
            self._is_registered = True
            self._process = os.getpid()
            self._callers.register()
            atexit.register(self.stop)  # a run that is killed by its user does not get to its end
        self.follow_drivers()

    def make_room(self) -> None:
        """Listen for every member of the set there is now, where endpoints are started."""
        for used in self._used:
            used.make_room()

    def follow_drivers(self) -> None:
        """Find the lines of code also behind drivers that have been imported meanwhile."""
        self._callers.follow_motor()

    def stop(self) -> None:
        """Stop them and forget their data; the next use starts anew.

        A child process that a test has forked, and that ends as this one does, leaves them alone.
        """
        if self._is_registered and os.getpid() != self._process:
            return
        atexit.unregister(self.stop)
        self._callers.unregister()
        self._is_registered = False
        for used in self._used:
            used.stop()


endpoints = Endpoints()
"""The endpoints of this process."""
