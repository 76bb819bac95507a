"""What a front asks of the simulation that governs it.

Fronts are below the simulation and do not import it: they are handed a `Governor`, and ask it at
every operation which simulation runs, so that a client of any scope follows the running test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any, NamedTuple, Protocol, TypeAlias

from pytest_replicalag.call_sites import Caller, Client
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.records import PastRead, Read, Write
from pytest_replicalag.replicaset.changes import Changes
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import Came, ReadConcern, Wait
from pytest_replicalag.replicaset.replica_set import ReplicaSet
from pytest_replicalag.replicaset.write_concern import Acknowledgement

__all__ = ["Called", "Causality", "Governor", "ReadPlan", "Running"]


Called: TypeAlias = tuple[str, tuple[Any, ...], Caller | Client]
"""A method's name, what it was called with, and where."""


class Causality(Protocol):
    """What a session asks of its reads."""

    @property
    def number(self) -> int:
        """Its number in the running test, from 1."""

    def read_after(self, running: Running) -> int:
        """The position that its reads must see (`afterClusterTime`); 0 for none."""

    def read_at(self, running: Running) -> int | None:
        """The position that its reads are at (`atClusterTime`), once there is one."""

    def was_refused(self, running: Running, member: Member, level: str | None) -> None:
        """Take over the times of a refusal, as a driver does."""


class ReadPlan(NamedTuple):
    """Where a read is answered.

    Attributes:
        member: Which member answers.
        position: At which position of the oplog.
        is_judged: Whether it is stale if there is something newer.
    """

    member: Member
    position: int
    is_judged: bool = True


class Failovers(Protocol):
    """The elections of a simulation."""

    is_possible: bool
    """Whether there was one, or may be one before the next operation."""

    def before(self, operation: str, by: Caller | Client) -> None:
        """Let the primary crash before an operation, if a schedule says so."""

    def step_down(self, by: Caller | Client) -> None:
        """Elect another primary; the old one, which has waited, stays as a secondary."""


class Running(Protocol):
    """The running simulation."""

    replica_set: ReplicaSet
    journal: Journal
    checks: bool
    read_preference: Any
    write_concern: dict[str, Any]

    @property
    def failovers(self) -> Failovers:
        """The elections in it."""

    def plan_read(
        self,
        operation: str,
        read_preference: Any,
        level: str | None,
        session: Causality | None,
        max_time_ms: int | None,
        *,
        for_stream: bool = False,
        came: Came | None = None,
        subject: Subject | None = None,
    ) -> ReadPlan:
        """Charge a round trip, choose the member, wait as the read concern asks."""

    def acknowledge(
        self,
        operation: str,
        position: int,
        write_concern: dict[str, Any],
        max_time_ms: int | None = None,
    ) -> dict[str, Any] | None:
        """Wait as the write concern asks; returns the write concern error, if any."""

    def wait_until(self, time_us: int) -> None:
        """Let a time come; the caller does not hold the lock."""

    def has_read(
        self, key: tuple[int, object, str], plan: ReadPlan, what: Callable[[], Called]
    ) -> PastRead | None:
        """Note a read for its client; returns the one before it that has shown most."""

    def stale(
        self,
        read: Read,
        plan: ReadPlan,
        result: Any,
        fresh: Any,
        missed: Changes,
        seen: PastRead | None,
    ) -> None:
        """Record a read whose result is not the newest."""

    def new_session(self) -> int:
        """The number of a session that takes part from now on; from 1."""

    def write(
        self,
        operation: str,
        namespace: str,
        arguments: tuple[Any, ...],
        session: int,
        by: Caller | Client | None = None,
    ) -> Write:
        """Charge a round trip; returns the record of the write that follows."""

    # For a front that does its waiting itself.

    def select(
        self, read_preference: Any, *, for_stream: bool = False, subject: Subject | None = None
    ) -> Member:
        """The member that serves a read, or a change stream; counts the read."""

    def member_named(self) -> None:
        """A client is connected to one member, by its address."""

    def count_read(self, *, may_be_stale: bool) -> None:
        """Count a read whose member is known."""

    def start_read(
        self, operation: str, member: Member, concern: ReadConcern, max_time_ms: int | None
    ) -> Wait:
        """What a member waits for before it can answer a read."""

    def finish_read(
        self, member: Member, concern: ReadConcern, subject: Subject | None = None
    ) -> ReadPlan:
        """Where a read is answered once its wait is over."""

    def start_acknowledgement(
        self,
        operation: str,
        position: int,
        write_concern: Mapping[str, Any],
        max_time_ms: int | None = None,
    ) -> Acknowledgement:
        """When and how a write is acknowledged."""

    def seconds_until(self, time_us: int) -> float:
        """How long to wait really for a time to come; on the virtual clock it comes at once."""


class Governor(Protocol):
    """Knows the running simulation.

    Attributes:
        lock: Held around every operation on data.
    """

    @property
    def running(self) -> Running | None:
        """It; None between tests and for tests without lag."""

    @property
    def current(self) -> Running:
        """It; a set without lag while there is none."""

    lock: RLock
