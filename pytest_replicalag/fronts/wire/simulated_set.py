"""The set whose data the memory engine holds, as its endpoints show it."""

from __future__ import annotations

from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet

__all__ = ["SimulatedSet"]


class SimulatedSet(EndpointSet):
    """The set whose data the memory engine holds; the caller holds the lock.

    Args:
        governor: Knows the running simulation.
        engine: Holds the data.

    Attributes:
        engine: As given.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine) -> None:
        super().__init__(governor)
        self.engine = engine

    def running(self) -> Running:
        """The simulation there is now, ready for a command on the data."""
        running = super().running()
        self.engine.attach(running.journal)
        return running
