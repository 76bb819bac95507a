"""The node's optimes, as positions in the oplog of one simulation.

The oplog of the simulation has an entry for each write command that went through its endpoints;
this remembers which optime each of them ended at. What reaches the node by another way has no entry
of its own: who has applied the next one has it, too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from bson import Timestamp

from pytest_replicalag.records import Commit, Write
from pytest_replicalag.replicaset.replica_set import ReplicaSet

__all__ = ["History"]

_PRUNE_FROM: Final = 256


class History:
    """Optimes of one node in one simulation; the caller holds the lock.

    Args:
        replica_set: The simulated set.
        base: The node's optime when the test began.
    """

    def __init__(self, replica_set: ReplicaSet, base: Timestamp) -> None:
        self._replica_set = replica_set
        self._base = base
        self._base_position = replica_set.oplog.last
        self._positions: list[int] = []
        self._timestamps: list[Timestamp] = []
        self._databases: dict[str, int] = {}
        self._prune_at = _PRUNE_FROM

    @property
    def newest(self) -> Timestamp:
        """The newest optime that has a position."""
        return self._timestamps[-1] if self._timestamps else self._base

    def log(self, write: Write | None, timestamp: Timestamp) -> int:
        """Log a write, or a no-op, that the node has answered with this `operationTime`.

        Replies can overtake each other: a write that is older than the newest one belongs to the
        entry after it.

        Returns:
            The position that has the write; the newest one if it has changed nothing.
        """
        replica_set = self._replica_set
        if timestamp <= self.newest:
            return self._log_late(write, timestamp)
        position = replica_set.oplog.append(replica_set.clock.now_us, write)
        self._positions.append(position)
        self._timestamps.append(timestamp)
        self._note(write, position)
        if len(self._positions) >= self._prune_at:
            self._prune()
        return position

    def _log_late(self, write: Write | None, timestamp: Timestamp) -> int:
        index = bisect_left(self._timestamps, timestamp)
        if index == len(self._timestamps) or self._timestamps[index] == timestamp:
            return self._replica_set.oplog.last  # it has changed nothing
        position = self._positions[index]
        oplog = self._replica_set.oplog
        entry = oplog[position].write
        if write is not None:
            oplog.amend(position, write if entry is None else Commit([entry, write]))
            self._note(write, position)
        return position

    def note_no_op(self, position: int, timestamp: Timestamp) -> None:
        """A no-op that the simulation has put into its oplog is at this optime on the node."""
        newest = self._positions[-1] if self._positions else self._base_position
        if position > newest and timestamp > self.newest:
            self._positions.append(position)
            self._timestamps.append(timestamp)

    def _note(self, write: Write | None, position: int) -> None:
        if write is None:
            return
        for part in write.writes if isinstance(write, Commit) else (write,):
            database = part.namespace.partition(".")[0]
            self._databases[database] = max(position, self._databases.get(database, 0))

    def _prune(self) -> None:
        """Forget what every member has applied; done when it has doubled."""
        horizon = self._replica_set.horizon()
        gone = bisect_right(self._positions, horizon)
        if gone:
            self._base, self._base_position = self._timestamps[gone - 1], self._positions[gone - 1]
            del self._positions[:gone]
            del self._timestamps[:gone]
            self._replica_set.oplog.forget(horizon)
        self._prune_at = max(_PRUNE_FROM, 2 * len(self._positions))

    def timestamp(self, position: int) -> Timestamp:
        """The optime that a member which has applied `position` is at."""
        index = bisect_right(self._positions, position)
        return self._timestamps[index - 1] if index else self._base

    def position_of(self, timestamp: Timestamp) -> int:
        """The position that has everything up to an optime; the newest one for a newer optime."""
        if timestamp <= self._base:
            return self._base_position
        index = bisect_left(self._timestamps, timestamp)
        if index == len(self._timestamps):
            return self._replica_set.oplog.last
        return self._positions[index]

    def has_changed(self, database: str, position: int) -> bool:
        """Whether a write after `position` was about that database."""
        return self._databases.get(database, 0) > position
