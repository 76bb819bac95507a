"""The two clocks of a simulation; nobody else knows the time.

`VirtualClock` starts at zero and moves only when told, so that a slow machine changes nothing.
`WallClock` follows `time.monotonic`, for code that runs in other processes. Times are whole
microseconds since the clock was started; the unit is in each name.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

from pytest_replicalag.errors import ClockError

__all__ = ["ROUND_TRIP_US", "Clock", "VirtualClock", "WallClock"]

ROUND_TRIP_US: Final = 1_000
"""Simulated time that one database operation takes."""


class Clock(Protocol):
    """What the replica set asks of a clock."""

    @property
    def now_us(self) -> int:
        """Microseconds since the clock was started."""

    def round_trip(self) -> int:
        """Account for one database operation; returns the time at which the server runs it."""

    def wait_until(self, time_us: int) -> None:
        """Let the time come; returns at once if it has passed."""

    def advance(self, duration_us: int) -> None:
        """Move simulated time forward by `duration_us`; `ClockError` where it cannot be moved."""

    def slept(self, since_us: int, duration_us: int) -> None:
        """Account for a sleep of the code under test that began at `since_us`."""


class VirtualClock:
    """Simulated time: it moves by round trips, sleeps, waits and `advance`, never by computing."""

    __slots__ = ("now_us",)

    def __init__(self) -> None:
        self.now_us = 0

    def round_trip(self) -> int:
        """Add one round trip; returns the new time."""
        self.now_us += ROUND_TRIP_US
        return self.now_us

    def wait_until(self, time_us: int) -> None:
        """Be at `time_us` at least; costs no real time."""
        self.now_us = max(self.now_us, time_us)

    def advance(self, duration_us: int) -> None:
        """Move forward by `duration_us`.

        Raises:
            ClockError: The duration is negative.
        """
        if duration_us < 0:
            raise ClockError("simulated time cannot go back; advance by a positive duration")
        self.now_us += duration_us

    def slept(self, since_us: int, duration_us: int) -> None:
        """Count a sleep. Sleeps at the same time, in threads or tasks, overlap as real ones do."""
        self.wait_until(since_us + duration_us)


class WallClock:
    """Real time; waits are real and cannot be skipped."""

    __slots__ = ("_started_ns",)

    # Bound when the class is made: tools that freeze time replace the module's function, and what
    # modules have imported of it.
    _monotonic_ns = staticmethod(time.monotonic_ns)

    def __init__(self) -> None:
        self._started_ns = self._monotonic_ns()

    @property
    def now_us(self) -> int:
        """Microseconds since the clock was started."""
        return (self._monotonic_ns() - self._started_ns) // 1_000

    def round_trip(self) -> int:
        """The time now: on this clock an operation takes what it takes."""
        return self.now_us

    def wait_until(self, time_us: int, sleep=time.sleep) -> None:  # type: ignore[no-untyped-def]
        """Sleep until `time_us`.

        `time.sleep` is bound when this module is loaded, so that the plugin's patch of it (which
        accounts for sleeps of the code under test) is not in the way.
        """
        while (left_us := time_us - self.now_us) > 0:
            sleep(left_us / 1_000_000)

    def advance(self, duration_us: int) -> None:  # noqa: ARG002 - refused, whatever it is
        """Refused.

        Raises:
            ClockError: Always; the wall clock moves by itself.
        """
        raise ClockError(
            "the wall clock cannot be advanced; sleep instead, or use --replica-lag-clock=virtual"
        )

    def slept(self, since_us: int, duration_us: int) -> None:
        """Nothing to do: a real sleep has moved this clock already."""
