"""Simulations for tests that need no inner pytest run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import mongomock

from pytest_replicalag.clients import wrap
from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.options import Given
from pytest_replicalag.replicaset.clock import VirtualClock
from pytest_replicalag.replicaset.lag import Lag
from pytest_replicalag.replicaset.replica_set import ReplicaSet
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor
from pytest_replicalag.words import parse_lags

HAS_PIPELINE_UPDATES = not mongomock.__version__.startswith("4.2")
"""mongomock 4.2 has no updates by an aggregation pipeline; its GridFS breaks on newer pymongo."""


class Lagging(NamedTuple):
    """A wrapped client and the simulation that governs it."""

    client: Any
    control: ReplicaLag
    simulation: Simulation

    @property
    def stale(self) -> list[Any]:
        return self.simulation.stale_reads


def simulation_of(**words: Any) -> Simulation:
    """A simulation with the settings that a marker with these words would give."""
    given = {name: Given(source=name, value=value) for name, value in words.items()}
    return Simulation(resolve([given]), "tests/test_it.py::test_it")


@contextmanager
def lagging(client: Any = None, **words: Any) -> Iterator[Lagging]:
    """A wrapped client in a running simulation; by default two secondaries, one never applies."""
    words.setdefault("lag", "0,inf")
    words.setdefault("read_preference", "secondaryPreferred")
    wrapped = wrap(mongomock.MongoClient() if client is None else client)
    simulation = simulation_of(**words)
    with governor.govern(simulation):
        yield Lagging(wrapped, ReplicaLag(simulation, enabled=True), simulation)


def lags_of(text: str) -> tuple[Lag, ...]:
    """The lags that an option's value stands for."""
    lags = parse_lags(text)
    assert isinstance(lags, tuple)
    return lags


def replica_set_of(text: str) -> ReplicaSet:
    """A replica set on a virtual clock, one lag for each secondary."""
    return ReplicaSet(VirtualClock(), lags_of(text), 0, "test")


def until(condition: Callable[[], bool], patience_s: float = 20) -> None:
    """Wait for what another thread does."""
    end_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come"
        time.sleep(0.01)
