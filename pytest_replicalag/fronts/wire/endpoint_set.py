"""The replica set as its endpoints show it: which member stands behind which, hosts, times.

The set is the running test's; while no test lags, one without lag. It changes between tests, and
the endpoints stay, so nothing here keeps a member for longer than a command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bson import Int64, ObjectId, Timestamp

from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.wire.server import HOST
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.replica_set import SET_NAME

__all__ = ["EndpointSet"]

_EPOCH: Final = datetime(2000, 1, 1)
"""The date of logical second 0; only differences of dates matter."""

_SIGNATURE: Final = {"hash": b"\0" * 20, "keyId": Int64(0)}
"""What a server without keys signs cluster times with."""


class EndpointSet:
    """Binds the endpoints to the members of the set there is now; the caller holds the lock.

    Args:
        governor: Knows the running simulation.

    Attributes:
        governor: As given.
        ports: Of the endpoints, the primary's first.
        version: Of the set's configuration; it grows when the number of members changes.
    """

    def __init__(self, governor: Governor) -> None:
        self.governor = governor
        self.ports: list[int] = []
        self.version = 1
        self._size = 0
        self._running: Running | None = None
        # The endpoint that drivers take for the primary's: the newest that has told one so. Of an
        # election at the end of a test, they may not have heard.
        self._taken_for_primary = 0
        self._first = 0  # the endpoint that the running test's first member is behind
        self._forgetting: list[Callable[[], None]] = []

    def when_it_changes(self, forget: Callable[[], None]) -> None:
        """Call `forget` when another test's set takes over; what it had under way is over."""
        self._forgetting.append(forget)

    def running(self) -> Running:
        """The simulation there is now."""
        running = self.governor.current
        if running is not self._running:
            for forget in self._forgetting:
                forget()
            self._first = self._taken_for_primary
            self._running = running
            size = len(running.replica_set.members)
            self.version += self._size not in (0, size)
            self._size = size
        return running

    def told_primary(self, endpoint: int) -> None:
        """A driver was told that the primary is behind this endpoint."""
        self._taken_for_primary = endpoint

    # -- members -------------------------------------------------------------------------------

    def member(self, running: Running, endpoint: int) -> Member | None:
        """The member behind an endpoint; None if the set has fewer members than endpoints.

        A test's first primary is behind the endpoint that clients which stay connected take for
        the primary's: nothing has happened for them.
        """
        members = running.replica_set.members
        return members[self._swapped(members, endpoint)] if endpoint < len(members) else None

    def _endpoint(self, running: Running, member: Member) -> int:
        """The endpoint of a member."""
        members = running.replica_set.members
        return self._swapped(members, members.index(member))

    def _swapped(self, members: Sequence[Member], number: int) -> int:
        """The member of an endpoint, or the endpoint of a member: two of them have changed places.

        If the set has no member for the endpoint of the last primary, all are where they were.
        """
        first = self._first if self._first < len(members) else 0
        return {0: first, first: 0}.get(number, number)

    def host(self, running: Running, member: Member) -> str:
        """Where a member listens."""
        return f"{HOST}:{self.ports[self._endpoint(running, member)]}"

    def hosts(self, running: Running) -> list[str]:
        """Where the members listen, in the order of their names; one may not listen yet."""
        return [
            self.host(running, member)
            for member in running.replica_set.members
            if self._endpoint(running, member) < len(self.ports)
        ]

    def election_id(self, running: Running) -> ObjectId:
        """The primary's election; drivers take the one with the greatest for the primary."""
        return ObjectId(f"7fffffff{running.replica_set.oplog.term:016x}")

    @property
    def name(self) -> str:
        """The set's name."""
        return SET_NAME

    # -- times ---------------------------------------------------------------------------------

    def timestamp(self, running: Running, position: int) -> Timestamp:
        """The timestamp of an oplog position, as replies tell it (`operationTime`)."""
        return running.replica_set.oplog.timestamp(position)

    def cluster_time(self, running: Running) -> Mapping[str, Any]:
        """The newest time that any member knows, as replies tell it (`$clusterTime`)."""
        newest = self.timestamp(running, running.replica_set.oplog.last)
        return {"clusterTime": newest, "signature": _SIGNATURE}

    def optime(self, running: Running, position: int) -> dict[str, Any]:
        """The optime of an oplog position, as status documents show it."""
        term = running.replica_set.oplog.term_of(position)
        return {"ts": self.timestamp(running, position), "t": Int64(term)}

    def date(self, timestamp: Timestamp) -> datetime:
        """The date of a timestamp, in UTC without a zone."""
        return _EPOCH + timedelta(seconds=timestamp.time)

    def last_write_date(self, running: Running, position: int) -> datetime:
        """The date of the newest write that a member has at `position`."""
        replica_set = running.replica_set
        last_us, began = replica_set.last_write_us(position), replica_set.oplog.epoch_seconds
        return _EPOCH + timedelta(seconds=began, microseconds=last_us)
