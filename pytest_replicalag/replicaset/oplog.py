"""The ordered log of the primary's writes that some member may still have to apply.

An entry says when it was written and refers to what the engine wrote about it (`write`), which the
model does not look into. Entries that every member has applied are forgotten; positions go on.
MongoDB manual, Replica Set Oplog.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bson import Timestamp

from pytest_replicalag.replicaset.optime import EPOCH_SECONDS, TERM, OpTime, timestamp_at

__all__ = ["NO_OP", "Oplog", "OplogEntry"]


NO_OP: Final = "no-op"
"""The `write` of an entry that changes nothing, such as the first one of a term."""


class OplogEntry(NamedTuple):
    """One change on the primary.

    Attributes:
        time_us: When the primary applied it, in simulated microseconds.
        write: What the front says of the operation, shared by all entries of one command.
    """

    time_us: int
    write: Any


class Oplog:
    """Entries by position: the first one ever is 1.

    Attributes:
        epoch_seconds: The seconds of the first timestamp. Drivers carry times from one test to the
            next, so where a real one is connected each test's oplog begins after the one before.
        first_term: The term of the first entries; drivers carry terms along, too.
    """

    __slots__ = (
        "_forgotten",
        "_last_forgotten",
        "_last_forgotten_us",
        "_terms",
        "_times_us",
        "_writes",
        "epoch_seconds",
        "first_term",
    )

    def __init__(self) -> None:
        self.epoch_seconds = EPOCH_SECONDS
        self.first_term = TERM
        # Two lists, not one of entries: a write adds to both, and few entries are ever looked at.
        self._times_us: list[int] = []
        self._writes: list[Any] = []
        self._forgotten = 0
        self._last_forgotten_us = 0
        self._last_forgotten: Any = None
        # The positions after which the second term and later ones begin.
        self._terms: list[int] = []

    @property
    def last(self) -> int:
        """Position of the newest entry; 0 if nothing was written yet."""
        return self._forgotten + len(self._times_us)

    @property
    def oldest_readable(self) -> int:
        """The oldest position whose state can still be told."""
        return self._forgotten

    def append(self, time_us: int, write: Any) -> int:
        """Log one change; returns its position."""
        self._times_us.append(time_us)
        self._writes.append(write)
        return self._forgotten + len(self._times_us)

    def amend(self, position: int, write: Any) -> None:
        """Say anew what was written at a position that is still readable."""
        self._writes[position - self._forgotten - 1] = write

    def __getitem__(self, position: int) -> OplogEntry:
        """The entry at `position`.

        Raises:
            IndexError: It is forgotten, or not written yet.
        """
        index = position - self._forgotten - 1
        if index < 0:
            raise IndexError(position)
        return OplogEntry(self._times_us[index], self._writes[index])

    def time_us(self, position: int) -> int:
        """When the entry at `position` was written; 0 for position 0."""
        if position <= self._forgotten:
            return self._last_forgotten_us
        return self._times_us[position - self._forgotten - 1]

    @property
    def term(self) -> int:
        """The term of the entry that comes next."""
        return self.first_term + len(self._terms)

    def begin_term(self) -> None:
        """Another primary writes from now on."""
        self._terms.append(self.last)

    def term_of(self, position: int) -> int:
        """The term in which the entry at `position` was written."""
        return self.first_term + sum(position > begun for begun in self._terms)

    def optime(self, position: int) -> OpTime:
        """The optime of the entry at `position`."""
        term = self.term_of(position) if self._terms else self.first_term
        return OpTime.at(position, self.time_us(position), self.epoch_seconds, term)

    def timestamp(self, position: int) -> Timestamp:
        """The timestamp of the entry at `position`."""
        return timestamp_at(position, self.time_us(position), self.epoch_seconds)

    def position_of(self, timestamp: Timestamp) -> int:
        """The newest position whose timestamp is not after `timestamp`; may be in the future.

        A timestamp beyond the newest entry gives a position beyond `last`: its own increment, or
        the next one.
        """
        newest = self.timestamp(self.last)
        if timestamp > newest:
            return max(int(timestamp.inc), self.last + 1)
        if timestamp.inc <= self.last and self._second(timestamp.inc) == timestamp.time:
            return int(timestamp.inc)
        low, high = self._forgotten, self.last
        while low < high:
            middle = (low + high + 1) // 2
            if self.timestamp(middle) <= timestamp:
                low = middle
            else:
                high = middle - 1
        return low

    def _second(self, position: int) -> int:
        return self.epoch_seconds + self.time_us(position) // 1_000_000

    def missing_part(self, position: int, after: int) -> int:
        """How many changes of a write come after a position, where others of it do not.

        Args:
            position: Of one of its changes.
            after: The position that somebody is at.

        Returns:
            0 if all of its changes come after it, or none.
        """
        write = self[position].write
        first = last = position
        while self._write_at(first - 1) is write:
            first -= 1
        while self._write_at(last + 1) is write:
            last += 1
        return last - after if first <= after < last else 0

    def _write_at(self, position: int) -> Any:
        """What was written at a position, even at the last one that is forgotten."""
        if position == self._forgotten:
            return self._last_forgotten
        return self[position].write if self._forgotten < position <= self.last else NO_OP

    def forget(self, horizon: int) -> None:
        """Forget the entries up to `horizon`, which every member has applied."""
        count = horizon - self._forgotten
        if count > 0:
            self._last_forgotten_us = self._times_us[count - 1]
            self._last_forgotten = self._writes[count - 1]
            del self._times_us[:count]
            del self._writes[:count]
            self._forgotten = horizon
