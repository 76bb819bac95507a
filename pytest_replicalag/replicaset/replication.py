"""How far a secondary has come in applying the oplog.

Members with the same fixed lag that have been treated alike share one `Replication`, so the cost
of an operation does not grow with the number of secondaries.
"""

from __future__ import annotations

from collections import deque

from pytest_replicalag.durations import FOREVER
from pytest_replicalag.replicaset.lag import LagPolicy
from pytest_replicalag.replicaset.oplog import Oplog

__all__ = ["Replication"]

_ENDLESS_US = FOREVER.us


class Replication:
    """The applied position of one or more secondaries; it never goes back.

    Attributes:
        paused: Whether applying is stopped.
    """

    __slots__ = ("_applied", "_dues_us", "_oplog", "_policy", "paused")

    def __init__(self, oplog: Oplog, policy: LagPolicy, applied: int = 0) -> None:
        self._oplog = oplog
        self._policy = policy
        self._applied = applied
        self._dues_us: deque[int] = deque()
        self.paused = False

    def alone(self) -> Replication:
        """Its own replication for a member that goes its own way from now on.

        Drawn delays belong to one member, so only a fixed lag is ever shared and needs a copy.
        """
        if self._policy.delay_us is None:
            return self
        copy = Replication(self._oplog, self._policy, self._applied)
        copy.paused = self.paused
        return copy

    @property
    def is_endless(self) -> bool:
        """Whether its lag is `inf`."""
        return self._policy.delay_us == _ENDLESS_US

    @property
    def keeps_up(self) -> bool:
        """Whether it applies every write at once."""
        return self._policy.delay_us == 0 and not self.paused

    def applied(self, now_us: int) -> int:
        """The position of the newest entry applied by `now_us`."""
        last = self._oplog.last
        if self._applied == last or self.paused:
            return self._applied
        delay_us = self._policy.delay_us
        if delay_us == 0:
            self._applied = last
        elif delay_us is None:
            self._draw_dues()
            while self._dues_us and self._dues_us[0] <= now_us:
                self._dues_us.popleft()
                self._applied += 1
        else:
            written_by_us = now_us - delay_us
            while self._applied < last and self._oplog.time_us(self._applied + 1) <= written_by_us:
                self._applied += 1
        return self._applied

    def due_us(self, position: int) -> int | None:
        """When the entry at `position` is applied, as things stand; None if never.

        An entry that is applied already was due at 0.
        """
        if position <= self._applied:
            return 0
        if position > self._oplog.last or self.paused or self.is_endless:
            return None
        if self._policy.delay_us is None:
            self._draw_dues()
            return self._dues_us[position - self._applied - 1]
        return self._oplog.time_us(position) + self._policy.delay_us

    def stop(self) -> None:
        """Apply nothing from now on."""
        self.paused = True

    def go_on(self) -> None:
        """Apply again; what is overdue is applied at once."""
        self.paused = False

    def catch_up(self) -> None:
        """Apply all there is, at once, whatever the lag and whether paused or not."""
        if self._policy.delay_us is None:
            self._draw_dues()
            self._dues_us.clear()
        self._applied = self._oplog.last

    def set_policy(self, policy: LagPolicy) -> None:
        """Lag differently from now on; what is not applied yet follows the new lag too."""
        self._policy = policy
        self._dues_us.clear()

    def _draw_dues(self) -> None:
        """Draw delays for the entries that have none yet, each once and in the oplog's order."""
        drawn = self._applied + len(self._dues_us)
        for position in range(drawn + 1, self._oplog.last + 1):
            due_us = self._oplog.time_us(position) + self._policy.draw_us()
            if self._dues_us and self._dues_us[-1] > due_us:
                due_us = self._dues_us[-1]
            self._dues_us.append(due_us)
