"""A member of the replica set: the primary, or a secondary with its replication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_replicalag.replicaset.lag import NO_LAG, Lag
from pytest_replicalag.replicaset.replication import Replication

__all__ = ["PRIMARY", "Member"]

PRIMARY = "primary"


@dataclass(slots=True, eq=False)
class Member:
    """One member; its state is read through the `ReplicaSet`.

    Attributes:
        name: `primary`, `secondary-1`, ….
        address: Host and port as a driver would know it; names no real host.
        tags: The member's replica set tags.
        lag: What it was told to lag by; no lag for the primary.
        replication: How far it has come; None for the primary, which has every write.
        is_up: Whether it can be reached: it has not crashed.
    """

    name: str
    address: tuple[str, int]
    tags: Mapping[str, str] = field(default_factory=dict)
    lag: Lag = NO_LAG
    replication: Replication | None = None
    is_up: bool = True

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes."""
        return self.replication is None

    @property
    def paused(self) -> bool:
        """Whether its replication is stopped, though it is up."""
        return self.is_up and self.replication is not None and self.replication.paused
