"""Positions in the oplog, as MongoDB writes them.

An entry's position is its ordinal, an `int` that starts at 1; position 0 is the moment before the
first write. The increment of an entry's `bson.Timestamp` is that ordinal, so the two convert
without a table; the seconds are those of simulated time since `EPOCH_SECONDS`.
MongoDB manual, Replica Set Oplog; Timestamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bson import Timestamp

__all__ = ["EPOCH_SECONDS", "TERM", "OpTime", "timestamp_at"]

EPOCH_SECONDS: Final = 1
"""Seconds of the first optime; not zero, for MongoDB treats Timestamp(0, 0) as null."""

TERM: Final = 1
"""The election term of a set's first primary."""


def timestamp_at(position: int, time_us: int, epoch_seconds: int = EPOCH_SECONDS) -> Timestamp:
    """The timestamp of the oplog entry at `position`, written at simulated `time_us`."""
    return Timestamp(epoch_seconds + time_us // 1_000_000, position)


@dataclass(frozen=True, slots=True, order=True)
class OpTime:
    """A position in the oplog; ordered by term first, as MongoDB orders them.

    Attributes:
        t: The election term.
        ts: The timestamp.
    """

    t: int
    ts: Timestamp

    @classmethod
    def at(
        cls, position: int, time_us: int, epoch_seconds: int = EPOCH_SECONDS, term: int = TERM
    ) -> OpTime:
        """The optime of the entry at `position`, written at simulated `time_us`."""
        return cls(term, timestamp_at(position, time_us, epoch_seconds))

    def __str__(self) -> str:
        return f"{self.ts.time}:{self.ts.inc}"
