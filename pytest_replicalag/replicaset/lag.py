"""How long after the primary a secondary applies an oplog entry.

A `LagPolicy` gives the delay of each entry. Entries apply in the oplog's order whatever their
delays, so one that is late holds those behind it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from pytest_replicalag.durations import ZERO, Duration

__all__ = [
    "NO_LAG",
    "FixedLag",
    "Lag",
    "LagPolicy",
    "SeededRange",
    "assign_lags",
    "bound_lags",
    "seeded",
]


def seeded(*parts: object) -> random.Random:
    """A generator that depends on nothing but `parts`: not on order, process or hash seed.

    Args:
        parts: Such as the seed, the test's node id and a member's name; their `str` counts.
    """
    import hashlib  # takes milliseconds to load, which a run without lag need not spend

    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))


class LagPolicy(Protocol):
    """Answers, for one secondary, how long each oplog entry takes to be applied there."""

    @property
    def delay_us(self) -> int | None:
        """The delay of every entry in microseconds, if it is the same for all; else None."""

    def draw_us(self) -> int:
        """The delay of the next entry in microseconds; asked once for each entry, in order."""


@dataclass(frozen=True, slots=True)
class FixedLag:
    """The same delay for every entry; an endless one is never over."""

    delay_us: int

    def draw_us(self) -> int:
        """The delay."""
        return self.delay_us


class SeededRange:
    """A delay drawn for each entry between two bounds, both included."""

    delay_us = None

    def __init__(self, low_us: int, high_us: int, generator: random.Random) -> None:
        self._low_us = low_us
        self._high_us = high_us
        self._generator = generator

    def draw_us(self) -> int:
        """The next delay."""
        return self._generator.randint(self._low_us, self._high_us)


@dataclass(frozen=True, slots=True)
class Lag:
    """What one option value says of a secondary: a delay, or a range to draw delays from.

    Attributes:
        low: The delay, or the shortest one of a range.
        high: The same as `low`, or the longest one of a range.
    """

    low: Duration
    high: Duration

    @property
    def is_range(self) -> bool:
        """Whether delays are drawn for each write."""
        return self.low != self.high

    def policy(self, *seed: object) -> LagPolicy:
        """The policy of one member, seeded by the seed, the test and the member's name."""
        if self.is_range:
            return SeededRange(self.low.us, self.high.us, seeded(*seed))
        return FixedLag(self.low.us)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" if self.is_range else str(self.low)


NO_LAG = Lag(ZERO, ZERO)


def assign_lags(lags: tuple[Lag, ...], secondaries: int) -> tuple[Lag, ...]:
    """The lag of each secondary, in the order of their names.

    One value is the lag of the minority: the majority, of which the primary is one, keeps up, but
    at least one secondary lags. That is the honest worst case of a healthy set: since MongoDB 5.0
    writes wait for a majority, so a set whose secondaries all lagged alike would make every write
    wait, and hide the bug. Several values are for one secondary each; those left over keep up.

    Args:
        lags: One value, or at most one for each secondary; none means that all keep up.
        secondaries: How many there are.
    """
    if len(lags) == 1:
        keeping_up = min((secondaries + 1) // 2, secondaries - 1)
        return (NO_LAG,) * keeping_up + lags * (secondaries - keeping_up)
    return lags + (NO_LAG,) * (secondaries - len(lags))


def bound_lags(lags: tuple[Lag, ...], secondaries: int) -> tuple[Lag, ...]:
    """How long each secondary takes at most where a schedule chooses, in the order of their names.

    One value is that of each of them, for any may be the one that lags. Several values are for one
    secondary each; those left over keep up.

    Args:
        lags: One value, or at most one for each secondary.
        secondaries: How many there are.
    """
    if len(lags) == 1:
        return lags * secondaries
    return lags + (NO_LAG,) * (secondaries - len(lags))
