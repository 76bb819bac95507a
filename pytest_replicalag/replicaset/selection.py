"""Which member serves a read: pymongo decides who is eligible, a `Choose` rule picks one of them.

Eligibility (modes, tag sets, max staleness) is pymongo's own server selection, applied to a
topology description of the simulated set. Driver specification, Server Selection; Max Staleness.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from pymongo.errors import ServerSelectionTimeoutError
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription
from pymongo.topology_description import TOPOLOGY_TYPE, TopologyDescription

from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.replica_set import SET_NAME, ReplicaSet

__all__ = ["ServerSelector", "may_read_from_secondary"]

_SECONDARY: Final = 2
"""The mode `secondary`. Those before it, `primary` and `primaryPreferred`, ask the primary if there
is one; those after it may ask a secondary, too."""

_EPOCH: Final = datetime(2000, 1, 1)
"""When simulated time began, as `lastWriteDate` tells it; only differences matter."""

_SETTINGS: Final = SimpleNamespace(
    heartbeat_frequency=10, local_threshold_ms=15, _topology_id=SET_NAME
)
"""The driver's defaults; max staleness is reckoned with the heartbeat frequency."""

_PRIMARY_MODE: Final = 0


class ServerSelector:
    """Chooses the member for each read of one simulation.

    Args:
        replica_set: The set to choose from.
        choose: The rule.
        generator: What `random` draws from.
    """

    def __init__(self, replica_set: ReplicaSet, choose: Choose, generator: random.Random) -> None:
        self._replica_set = replica_set
        rules: dict[Choose, Callable[[Sequence[Member]], Member]] = {
            Choose.STALEST: self._stalest,
            Choose.ALTERNATE: self._alternate,
            Choose.RANDOM: generator.choice,
        }
        self._rule = rules[choose]
        self._turn = 0
        # Without max staleness the eligible members never change, so each read preference is
        # asked once. The preference is kept with the answer: its id stays its own.
        self._known: dict[int, tuple[Any, Sequence[Member]]] = {}
        self._elections = 0
        self._unlike_members: dict[int, tuple[int, Sequence[Member], Sequence[Member]]] = {}

    def select(self, read_preference: Any, *, for_stream: bool = False) -> Member:
        """The member that serves a read.

        Args:
            read_preference: pymongo's, or mongomock's `PRIMARY`.
            for_stream: Whether it serves a change stream, for as long as that is open.

        Raises:
            ServerSelectionTimeoutError: No member is eligible.
            ConfigurationError: The max staleness is smaller than drivers allow.
        """
        eligible = self.eligible(read_preference)
        if len(eligible) == 1:
            return eligible[0]
        if for_stream and self._rule == self._stalest:
            return self._slowest(eligible)
        return self._rule(eligible)

    def eligible(self, read_preference: Any) -> Sequence[Member]:
        """The members that the driver could send the read to, by name, the primary first.

        Raises:
            ServerSelectionTimeoutError: There is none.
            ConfigurationError: The max staleness is smaller than drivers allow.
        """
        if len(self._replica_set.elections) != self._elections:
            self._elections = len(self._replica_set.elections)
            self._known = {}
        if read_preference.mode == _PRIMARY_MODE:
            return (self._replica_set.primary,)
        known = self._known.get(id(read_preference))
        if known is not None:
            return known[1]
        topology = self._topology()
        chosen = {server.address for server in topology.apply_selector(read_preference)}
        eligible = [member for member in self._replica_set.members if member.address in chosen]
        if not eligible:
            raise ServerSelectionTimeoutError(
                f'No replica set members match selector "{read_preference}", '
                f"Topology Description: {topology}"
            )
        if read_preference.max_staleness == -1:
            self._known[id(read_preference)] = (read_preference, eligible)
        return eligible

    def _stalest(self, eligible: Sequence[Member]) -> Member:
        """The one that has applied least; the first by name among equals."""
        return min(self._unlike(eligible), key=self._replica_set.applied)

    def _slowest(self, eligible: Sequence[Member]) -> Member:
        """The one that will be the stalest, for nobody may be behind when a stream is opened."""
        return max(self._unlike(eligible), key=lambda member: (member.paused, member.lag.high.us))

    def _unlike(self, eligible: Sequence[Member]) -> Sequence[Member]:
        """The first by name of those that share their replication, so 50 cost what two cost."""
        generation = self._replica_set.generation
        known = self._unlike_members.get(id(eligible))
        if known is not None and known[0] == generation and known[1] is eligible:
            return known[2]
        first = {id(member.replication): member for member in reversed(eligible)}
        unlike = sorted(first.values(), key=eligible.index)
        self._unlike_members = {id(eligible): (generation, eligible, unlike)}
        return unlike

    def _alternate(self, eligible: Sequence[Member]) -> Member:
        """Each in turn."""
        member = eligible[self._turn % len(eligible)]
        self._turn += 1
        return member

    def _topology(self) -> TopologyDescription:
        members = self._replica_set.members
        hosts = [f"{host}:{port}" for host, port in (member.address for member in members)]
        servers: dict[Any, ServerDescription] = {
            member.address: self._server(member, hosts) for member in members
        }
        return TopologyDescription(
            TOPOLOGY_TYPE.ReplicaSetWithPrimary, servers, SET_NAME, None, None, _SETTINGS
        )

    def _server(self, member: Member, hosts: list[str]) -> ServerDescription:
        if not member.is_up:
            return ServerDescription(member.address)
        hello: Mapping[str, Any] = {
            "ok": 1,
            "isWritablePrimary": member.is_primary,
            "secondary": not member.is_primary,
            "setName": SET_NAME,
            "hosts": hosts,
            "me": f"{member.address[0]}:{member.address[1]}",
            "tags": dict(member.tags),
            "lastWrite": {"lastWriteDate": self._last_write_date(member)},
            "minWireVersion": 0,
            "maxWireVersion": 21,
        }
        server = ServerDescription(member.address, Hello(dict(hello)), round_trip_time=0.0)
        # The driver stamps the moment at which it heard from a member; here all are heard at once,
        # or the microseconds between two stamps would decide at the limit of max staleness.
        server._last_update_time = 0.0
        return server

    def _last_write_date(self, member: Member) -> datetime:
        """The date of the newest write that the member has."""
        replica_set = self._replica_set
        last_us = replica_set.last_write_us(replica_set.applied(member))
        return _EPOCH + timedelta(microseconds=last_us)


def may_read_from_secondary(read_preference: Any) -> bool:
    """Whether a read may go to a secondary although there is a primary."""
    return bool(read_preference.mode >= _SECONDARY)
