"""Each member as a node of its own: a real secondary is held back while the simulated one lags.

A real secondary moves by catching up with everything, so it does when the simulated one has
everything, or when a read or its read concern needs it to. Until then it stays where it was: it is
never fresher than the simulated one, and may be staler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, Final, NamedTuple

from bson import Timestamp

from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import decoded
from pytest_replicalag.engines.mongod.snapshots import read_now, with_fields
from pytest_replicalag.engines.replicaset.held_members import HeldMembers
from pytest_replicalag.engines.replicaset.primary_client import PrimaryClient
from pytest_replicalag.engines.replicaset.real_set import RealSet
from pytest_replicalag.fronts.forwarding.members_data import Asked
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.wire.protocol import BODY_AT, with_body
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import ReadConcern

__all__ = ["OwnNodes"]

_UNKNOWN: Final = -1
"""Where a member is that nobody has looked at in this simulation."""


_PATIENCE_MS: Final = 10_000

_OF_A_MAJORITY: Final = frozenset({"majority", "snapshot"})


class _State(NamedTuple):
    """What the simulation says of a secondary."""

    number: int
    keeps_up: bool
    has_all: bool


class OwnNodes:
    """Asks each member for what it has; see `MembersData`.

    Args:
        real: The set.
        lock: Held around every look at the simulation.
    """

    are_nodes = True

    def __init__(self, real: RealSet, lock: RLock) -> None:
        self._real = real
        self._lock = lock
        self._members = HeldMembers(real)
        self._primary = PrimaryClient(real)
        # Held while members move, and never while a driver's command is on its way, for that may
        # wait for another one.
        self._moving = Lock()
        self._writes = 0
        self._history: History | None = None
        self._positions: dict[int, int] = {}
        self._cursors: dict[int, int] = {}

    def primary(self, forwarded: Forwarded) -> Asked:
        """What answers as the primary does now: the primary."""
        return self._primary

    def close(self) -> None:
        """Let the members go."""
        self._members.close()
        self._primary.close()

    # -- moving ----------------------------------------------------------------------------------

    def follow(self, forwarded: Forwarded, history: History) -> bool:
        """Let the members have what the simulation says; whether all surely answer alike."""
        with self._moving:
            self._follow(forwarded, history)
        return False

    def _follow(self, forwarded: Forwarded, history: History) -> None:
        if history is not self._history:
            self._history, self._positions = history, {}
        with self._lock:
            replica_set = forwarded.request.running.replica_set
            last, newest = replica_set.oplog.last, history.newest
            states = [
                _State(number, _keeps_up(member), replica_set.applied(member) >= last)
                for number, member in enumerate(replica_set.secondaries, 1)
            ]
        self._real.address(len(states))  # there are as many
        for state in states:
            known = self._positions.get(state.number, _UNKNOWN)
            # What a write that is on its way does is not known yet.
            if known == _UNKNOWN or (state.has_all and known < last and not self._writes):
                self._bring(state.number, last, newest)
            if state.keeps_up:
                self._members.let_go(state.number)
            else:
                self._members.hold(state.number)

    def _bring(self, number: int, position: int, optime: Timestamp) -> None:
        self._members.bring(number, optime)
        self._positions[number] = position

    def reached(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> ReadPlan:
        """Where a read is really answered, once its wait is over."""
        with self._moving:
            self._follow(forwarded, history)
            with self._lock:
                replica_set = forwarded.request.running.replica_set
                number = replica_set.members.index(plan.member)
                last, newest = replica_set.oplog.last, history.newest
            if number and self._positions[number] < max(concern.after, concern.at or 0):
                self._bring(number, last, newest)
                self._follow(forwarded, history)
            if concern.level not in _OF_A_MAJORITY:
                return plan if not number else plan._replace(position=self._positions[number])
            position = min(plan.position, self._positions.get(number, last), self._committed(last))
            with self._lock:
                optime = history.timestamp(position)
            self._members.learn(number, optime)
            return plan._replace(position=position)

    def _committed(self, last: int) -> int:
        """The newest position that a majority of the real members has."""
        positions = sorted([last, *self._positions.values()], reverse=True)
        return positions[len(positions) // 2]

    @contextmanager
    def writing(self, forwarded: Forwarded, history: History) -> Iterator[None]:
        """Let a write be made inside; who lags does not get it."""
        is_awaited = forwarded.request.name == "dropDatabase"
        with self._moving:
            self._follow(forwarded, history)
            self._writes += 1
            if is_awaited:  # by a majority of real members, whatever its write concern
                for number in self._positions:
                    self._members.let_go(number)
        try:
            yield
        finally:
            with self._moving:
                self._writes -= 1
                if is_awaited:
                    self._positions.clear()

    # -- asking ----------------------------------------------------------------------------------

    def read(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, concern: ReadConcern
    ) -> bytes:
        """The reply of a member that lags, or to a read with a read concern."""
        sent = forwarded.request.command.get("readConcern")
        fields: dict[str, Any] = {}
        if isinstance(sent, Mapping) and "afterClusterTime" in sent:
            rest = {key: value for key, value in sent.items() if key != "afterClusterTime"}
            fields["readConcern"] = rest or None  # the simulation has waited
        if concern.level in _OF_A_MAJORITY and not forwarded.request.command.get("maxTimeMS"):
            # Of a collection that is new, the member waits for a majority that may be held back.
            fields["maxTimeMS"] = _PATIENCE_MS
        body = forwarded.message.body
        return self._ask(forwarded, plan.member, with_fields(body, **fields) if fields else body)

    def write_no_op(self, forwarded: Forwarded) -> Timestamp | None:
        """A note in the oplog: the primary would really wait for a majority."""
        note = {
            "appendOplogNote": 1,
            "data": {"msg": "linearizable read"},
            "writeConcern": {"w": 1},  # the default waits for a majority, too
            "$db": "admin",
        }
        time: Timestamp = self._primary.command(note)["operationTime"]
        return time

    def read_newest(self, forwarded: Forwarded, member: Member) -> bytes:
        """The reply of a member that has everything."""
        return self._ask(forwarded, member, forwarded.message.body)

    def read_again(
        self, forwarded: Forwarded, member: Member, time: Timestamp
    ) -> tuple[Asked, dict[str, Any]]:
        """The same read for the plugin's own use, as the member answers it."""
        upstream = forwarded.connection.upstream_to(self._number(forwarded, member))
        return upstream, decoded(upstream.run(read_now(forwarded.message.body)))

    def exchange(self, forwarded: Forwarded) -> bytes:
        """The reply to a command on a cursor, of the member that a read has opened it on."""
        command = forwarded.request.command
        [number, *_] = command.get("cursors") or [command.get("getMore")]
        endpoint = self._cursors.get(number, forwarded.connection.endpoint)
        return self._sent(forwarded, endpoint, forwarded.message.body)

    def _ask(self, forwarded: Forwarded, member: Member, body: bytes) -> bytes:
        """The reply of a member, whichever endpoint the driver has asked."""
        endpoint = self._number(forwarded, member)
        reply = self._sent(forwarded, endpoint, body)
        cursor: Any = decoded(reply[BODY_AT:]).get("cursor")
        if isinstance(cursor, Mapping) and cursor["id"]:
            self._cursors[cursor["id"]] = endpoint
        return reply

    def _sent(self, forwarded: Forwarded, endpoint: int, body: bytes) -> bytes:
        upstream = forwarded.connection.upstream_to(endpoint)
        return upstream.exchange(with_body(forwarded.message, body))

    def _number(self, forwarded: Forwarded, member: Member) -> int:
        with self._lock:
            return forwarded.request.running.replica_set.members.index(member)

    def write_body(self, forwarded: Forwarded) -> bytes | None:
        """The write for the primary alone; the simulation waits for the others."""
        fields: dict[str, Any] = {"writeConcern": {"w": 1}}
        if forwarded.request.name == "createIndexes":
            fields["commitQuorum"] = 0  # else it waits for members that are held back
        return with_fields(forwarded.message.body, **fields)


def _keeps_up(member: Member) -> bool:
    return member.replication is None or member.replication.keeps_up
