"""The set as the endpoints over a real node show it: the simulation's members, the node's optimes.

Driver specification, Causal Consistency; MongoDB manual, Replica Set Oplog.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from bson import Timestamp

from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.fronts.forwarding.members_data import Asked
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet

__all__ = ["ForwardedSet"]


class ForwardedSet(EndpointSet):
    """Binds the endpoints to the members of the set there is now; the caller holds the lock.

    Args:
        governor: Knows the running simulation.
    """

    def __init__(self, governor: Governor) -> None:
        super().__init__(governor)
        self._seen = Timestamp(1, 1)
        self._history: History | None = None
        self.when_it_changes(self._forget_history)

    def _forget_history(self) -> None:
        self._history = None

    def history(self, running: Running, primary: Asked) -> History:
        """The node's optimes in the running simulation.

        The first command on the data of a test asks the node how new it is: what it has by then is
        old data, which every member has.

        Raises:
            NodeError: The node has gone.
        """
        if self._history is None:
            reply = primary.command({"ping": 1, "$db": "admin"})
            self._seen = max(self._seen, reply["operationTime"])
            self._history = History(running.replica_set, self._seen)
        return self._history

    def timestamp(self, running: Running, position: int) -> Timestamp:
        """The node's optime at an oplog position."""
        if self._history is None:
            return self._seen
        return self._history.timestamp(position)

    def last_write_date(self, running: Running, position: int) -> datetime:
        """The date of the newest write that a member has at `position`; see `EndpointSet`.

        As far behind now as the member is in simulated time.
        """
        replica_set = running.replica_set
        newest = super().last_write_date(running, replica_set.oplog.last)
        behind: timedelta = newest - super().last_write_date(running, position)
        return datetime.now(timezone.utc) - behind
