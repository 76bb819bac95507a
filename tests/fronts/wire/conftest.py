"""An endpoint in this process, and a simulation for each test."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pymongo
import pytest
from raw import Raw
from simulating import simulation_of

from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.simulation import Simulation, governor


class Wired(NamedTuple):
    """A running simulation behind endpoints, and a client of pymongo."""

    uri: str
    client: Any
    control: ReplicaLag
    simulation: Simulation

    @property
    def stale(self) -> list[Any]:
        return self.simulation.stale_reads

    def port(self, member: int = 0) -> int:
        """The port of a member's endpoint."""
        return int(self.uri.split("/")[2].split(",")[member].split(":")[1])


@pytest.fixture(scope="session")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def wired(endpoints):
    """Starts simulations, one at a time, each with a client; by default one member never applies.

    The database `shop` is empty at the start.
    """

    @contextmanager
    def start(options: str = "", **words: Any) -> Any:
        words.setdefault("lag", "0,inf")
        words.setdefault("read_preference", "secondaryPreferred")
        simulation = simulation_of(**words)
        with governor.govern(simulation), ExitStack() as stack:
            uri = endpoints.uri
            if "readPreference" not in uri + options:
                options += f"&readPreference={words['read_preference']}"
            client = stack.enter_context(pymongo.MongoClient(uri + options))
            client.drop_database("shop")
            control = ReplicaLag(simulation, enabled=True)
            control.catch_up()
            yield Wired(uri, client, control, simulation)

    return start


@pytest.fixture
def shop(wired):
    """A running simulation."""
    with wired() as running:
        yield running


@pytest.fixture
def raw(shop):
    """Opens connections without a driver."""
    with ExitStack() as stack:
        yield lambda member=0: stack.enter_context(Raw(shop.port(member)))
