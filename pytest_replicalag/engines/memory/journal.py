"""Numbers the writes of a simulation and remembers what they replaced, until all members have them.

One journal belongs to one simulation; the stores of all its clients share it, as the databases of
one replica set share one oplog.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pytest_replicalag.engines.memory.versions import VersionedMap
from pytest_replicalag.replicaset.clock import VirtualClock
from pytest_replicalag.replicaset.replica_set import ReplicaSet

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.store import ServerHistory

__all__ = ["Journal", "resting_journal"]

_PRUNE_FROM = 256

_UNDO_UP_TO = 50_000
"""How many changes are kept for the sake of undoing them all."""


class Journal:
    """The undo log of one simulation.

    Attributes:
        write: What the front says of the operation that is writing now; None between operations.
        stores: Those whose writes it has numbered.
    """

    __slots__ = ("_prune_at", "_replaced", "_start", "replica_set", "stores", "write")

    def __init__(self, replica_set: ReplicaSet) -> None:
        self.replica_set = replica_set
        self.write: Any = None
        self.stores: WeakSet[ServerHistory] = WeakSet()
        self._replaced: deque[tuple[int, VersionedMap, Hashable]] = deque()
        self._prune_at = _PRUNE_FROM
        self._start: object = None

    @property
    def position_before_entry(self) -> int:
        """The position before the entry that the next change belongs to."""
        return self.replica_set.oplog.last

    def replaced(self, versions: VersionedMap, key: Hashable, image: Any) -> int:
        """Log one change: an oplog entry, and the image that it replaced.

        Returns:
            The entry's position.
        """
        replica_set = self.replica_set
        position = replica_set.oplog.append(replica_set.clock.now_us, self.write)
        versions.replaced(key, image, position)
        self._replaced.append((position, versions, key))
        if len(self._replaced) >= self._prune_at:
            self.prune()
        return position

    def also_replaced(self, versions: VersionedMap, key: Hashable, image: Any) -> None:
        """Add to the newest entry: another thing that the same change replaced."""
        position = self.replica_set.oplog.last
        versions.replaced(key, image, position)
        self._replaced.append((position, versions, key))

    def prune(self) -> None:
        """Forget what every member has applied.

        It is done when the log has doubled, so that its cost for each write does not grow.
        """
        if len(self._replaced) > _UNDO_UP_TO:
            self.replica_set.unpin(self._start)
        horizon = self.replica_set.horizon()
        replaced = self._replaced
        while replaced and replaced[0][0] <= horizon:
            _, versions, key = replaced.popleft()
            chain = versions.chains.get(key)
            if chain is not None:
                if chain.untils[-1] <= horizon:
                    del versions.chains[key]
                else:
                    chain.forget(horizon)
        self.replica_set.oplog.forget(horizon)
        self._prune_at = max(_PRUNE_FROM, 2 * len(replaced))

    def keep_all(self) -> None:
        """Keep what is needed to undo everything; called before the first write."""
        self._start = self.replica_set.pin(0)

    def undo_all(self) -> None:
        """Undo everything, if it was kept and is not too much."""
        self.replica_set.unpin(self._start)
        if self.replica_set.oplog.oldest_readable == 0:
            self.roll_back(0)

    def roll_back(self, position: int) -> None:
        """Undo what was written after `position`, and end what is under way.

        Rollback begins at the newest write, as a server's does.
        """
        replaced = self._replaced
        while replaced and replaced[-1][0] > position:
            _, versions, key = replaced.pop()
            versions.undo(key, position)
        for store in self.stores:
            store.rolled_back(position)


def resting_journal() -> Journal:
    """A journal for transactions while no simulation runs: of a set with nobody who lags."""
    return Journal(ReplicaSet(VirtualClock(), ()))
