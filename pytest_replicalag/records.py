"""What clients did and saw: the only thing that the checker and the reports look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pytest_replicalag.call_sites import Caller, Client
from pytest_replicalag.durations import Duration

__all__ = [
    "MONOTONIC_READS",
    "MONOTONIC_WRITES",
    "READ_YOUR_WRITES",
    "WRITES_FOLLOW_READS",
    "BulkRequest",
    "CallSite",
    "Commit",
    "Creation",
    "Failover",
    "Fix",
    "KnownWrite",
    "Lane",
    "LostWrite",
    "MissedWrite",
    "Observation",
    "PastRead",
    "Read",
    "RolledBackWrite",
    "StaleRead",
    "Timeline",
    "UnseenWrite",
    "Witness",
    "Write",
]

# The session guarantees.
READ_YOUR_WRITES: Final = "read your writes"
MONOTONIC_READS: Final = "monotonic reads"
MONOTONIC_WRITES: Final = "monotonic writes"
WRITES_FOLLOW_READS: Final = "writes follow reads"


class Write:
    """A write operation of a client.

    Not a frozen data class: one is made on every write, and what it wrote is known afterwards.

    Attributes:
        operation: The method's name, such as `insert_one`.
        namespace: Database and collection, such as `shop.orders`.
        arguments: What it was called with.
        caller: Where it was called.
        session: The number of its session in this test; 0 without an explicit one.
        follows: The newest position at which its session had read each namespace before.
        acknowledged: The write concern that its client was told of, such as `{"w": 1}`; not there
            before it is acknowledged.
    """

    __slots__ = (
        "acknowledged",
        "arguments",
        "caller",
        "follows",
        "namespace",
        "operation",
        "session",
    )
    acknowledged: Mapping[str, Any]

    def __init__(
        self,
        operation: str,
        namespace: str,
        arguments: tuple[Any, ...],
        caller: Caller | Client | None,
        session: int,
        follows: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.operation = operation
        self.namespace = namespace
        self.arguments = arguments
        self.caller = caller
        self.session = session
        self.follows = follows

    def about(self, namespace: str) -> Write:  # noqa: ARG002 - a commit looks at it
        """The write that a reader of `namespace` is told of."""
        return self


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """One of the requests that `bulk_write` was called with.

    Attributes:
        name: Of its class, such as `UpdateOne`.
        arguments: What it was made with: filter, and document or update, as far as it has them.
    """

    name: str
    arguments: tuple[Any, ...]


class Commit(Write):
    """The commit of a transaction: one entry of the oplog, for all that it wrote.

    Args:
        writes: What it wrote, at least one, in order.

    Attributes:
        writes: As given.
    """

    __slots__ = ("writes",)

    def __init__(self, writes: Sequence[Write]) -> None:
        last = writes[-1]
        super().__init__(
            last.operation,
            last.namespace,
            last.arguments,
            last.caller,
            last.session,
            writes[0].follows,
        )
        self.writes = tuple(writes)

    def about(self, namespace: str) -> Write:
        """The last write to that namespace; the last one of all if there is none."""
        own = [write for write in self.writes if write.namespace == namespace]
        return own[-1] if own else self


class Creation(Write):
    """The creation of a collection by its first write: an entry of the oplog before that.

    Args:
        write: That write.

    Attributes:
        write: As given.
    """

    __slots__ = ("write",)

    def __init__(self, write: Write) -> None:
        super().__init__(
            write.operation,
            write.namespace,
            write.arguments,
            write.caller,
            write.session,
            write.follows,
        )
        self.write = write


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A read operation of a client.

    Attributes:
        operation: The method's name, such as `find_one`.
        namespace: Database and collection.
        arguments: What it was called with.
        caller: Where it was called.
        session: The number of its session in this test; 0 without an explicit one.
        read_preference: Its mode and what else it asks for, in MongoDB's words.
        read_concern: The level; None for the server's default.
    """

    operation: str
    namespace: str
    arguments: tuple[Any, ...]
    caller: Caller | Client
    session: int
    read_preference: str
    read_concern: str | None


@dataclass(frozen=True, slots=True)
class PastRead:
    """A read that has shown its client more of a namespace than any one before.

    Attributes:
        operation: The method's name.
        namespace: Database and collection.
        arguments: What it was called with.
        caller: Where it was called.
        member: The name of the member that answered.
        position: The position at which it was answered.
        at_us: When, in microseconds.
    """

    operation: str
    namespace: str
    arguments: tuple[Any, ...]
    caller: Caller | Client
    member: str
    position: int
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenWrite:
    """A write that a read has missed, by its last change that made the difference.

    Attributes:
        position: Of that change.
        age_us: How long ago it was, in microseconds.
        write: The write; None if no client made it.
        missing_part: How many of its changes the member had not, where it had others; 0 if it had
            none.
    """

    position: int
    age_us: int
    write: Write | None
    missing_part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWrite:
    """A write that a client has read, and so knows of.

    Attributes:
        position: Its position.
        at_us: When it was made, in microseconds.
        write: The write.
    """

    position: int
    at_us: int
    write: Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A read that a member answered at an older position than the newest.

    Attributes:
        read: The read.
        member: The name of the member that answered.
        behind: How long ago the primary's state was what the member showed.
        is_paused: Whether the member's replication was stopped.
        members: How many members the set has.
        result: What the read returned.
        fresh_result: What the same read returns at the newest position.
        missed: The newest of the writes that made the difference, oldest first.
        missed_count: How many changes made the difference.
        missed_from: The position of the oldest of them.
        seen: What the same client has read of this namespace before, as new as it ever was; None
            if nothing.
        is_primary: Whether that member is the primary.
        timeline: What happened when.
        number: Which read of the test it is, from 1.
        known: Later writes to other namespaces that the same session has read before.
        is_committed: Whether a majority of the members has all that it missed.
    """

    read: Read
    member: str
    behind: Duration
    is_paused: bool
    members: int
    result: Any
    fresh_result: Any
    missed: tuple[UnseenWrite, ...]
    missed_count: int
    missed_from: int
    seen: PastRead | None
    is_primary: bool = False
    timeline: Timeline | None = None
    number: int = 0
    known: tuple[KnownWrite, ...] = ()
    is_committed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSite:
    """A line of the user's code.

    Attributes:
        path: The file, absolute; empty for code in another process.
        line: The line, from 1; 0 for code in another process.
        function: The function's name.
        client: What is known of a client in another process: its driver, its application and the
            comment of its command.
    """

    path: str
    line: int
    function: str
    client: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedWrite:
    """A write that a stale read did not see.

    Attributes:
        operation: The method's name.
        namespace: Database and collection.
        text: The call, shortened, such as `insert_one({"_id": 7, …})`.
        call_site: Where it was called; None for a write that no code made (TTL expiry).
        age: The time between it and the read.
        missing_part: How many of its changes the member had not, of an `insert_many` documents,
            where it had others; 0 if it had none.
    """

    operation: str
    namespace: str
    text: str
    call_site: CallSite | None
    age: Duration
    missing_part: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What shows that a client knew more than a stale read told it.

    Attributes:
        guarantee: The session guarantee that it makes a broken one.
        text: The call, shortened: of an earlier read, or of a later write that the client has read.
        call_site: Where it was called; None for a write that no code made.
        at: When, simulated, since the test's call phase began.
        member: The member that answered the earlier read; empty for a write.
    """

    guarantee: str
    text: str
    call_site: CallSite | None
    at: Duration
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Something that mends a finding.

    Attributes:
        text: What to do.
        change: What is to be changed for it: `read`, `write`, `read and write` or `session`.
        cost: What it costs, or where it does not help; empty if there is no such thing.
    """

    text: str
    change: str
    cost: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A member, as it was when a stale read was answered.

    Attributes:
        name: Its name.
        is_primary: Whether it was the primary.
        is_up: Whether it was in reach.
        is_paused: Whether its replication was stopped.
        lag: The lag that it had, in the option's words; empty where a schedule chose.
        arrivals: When each of the missed writes reached it, or will; None where that is not known,
            or never.
    """

    name: str
    is_primary: bool
    is_up: bool
    is_paused: bool
    lag: str
    arrivals: tuple[Duration | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What happened when, on which member; times are simulated, since the test's call phase began.

    Attributes:
        read_at: When the read was answered.
        written_at: When each of the missed writes was made, in their order.
        lanes: The members, in the order of their names; the first of those that lag alike.
        members: How many members the set has.
    """

    read_at: Duration
    written_at: tuple[Duration, ...]
    lanes: tuple[Lane, ...]
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleRead:
    """A read that returned something else than it does at the primary's newest optime.

    Attributes:
        test: The test's node id.
        operation: The method's name.
        namespace: Database and collection.
        text: The call, shortened, such as `shop.orders.find_one({"_id": 7})`.
        call_site: Where it was called.
        read_preference: Its read preference in words.
        read_concern: Its read concern level, or None.
        member: The member that answered.
        behind: How long ago the primary's state was what the member showed.
        is_paused: Whether the member's replication was stopped.
        result: What it returned, shortened.
        fresh_result: What it returns at the newest optime, shortened.
        missed: The writes it missed, the newest few, oldest first.
        missed_count: How many changes it missed.
        guarantees: The session guarantees that broke, such as `read your writes`.
        witnesses: What shows that they broke, where it is not a missed write itself.
        advice: What would have made it fresh, the simplest first.
        number: Which read of the test it is, from 1.
        is_primary: Whether the member that answered is the primary.
        timeline: What happened when; None where it is not known.
    """

    test: str
    operation: str
    namespace: str
    text: str
    call_site: CallSite
    read_preference: str
    read_concern: str | None
    member: str
    behind: Duration
    is_paused: bool = False
    result: str
    fresh_result: str
    missed: tuple[MissedWrite, ...]
    missed_count: int
    guarantees: tuple[str, ...] = field(default=())
    witnesses: tuple[Witness, ...] = field(default=())
    advice: tuple[Fix, ...] = field(default=())
    number: int = 0
    is_primary: bool = False
    timeline: Timeline | None = None

    @property
    def fixes(self) -> tuple[str, ...]:
        """What would have made it fresh, in words, the simplest first."""
        return tuple(fix.text for fix in self.advice)

    def __str__(self) -> str:
        """A sentence: what was read, where it was served, and what it missed."""
        missed = self.missed[-1].text if self.missed else "a write"
        return (
            f"{self.text} returned {self.result} from {self.member}, which had missed {missed}; "
            f"the primary has {self.fresh_result}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """A change of the primary in a test.

    Attributes:
        reason: What has made it: `crash_primary()`, `step_down()`, or the operation before which a
            schedule lets the primary crash, such as `before find_one`.
        call_site: Where that was called.
        former: The name of the old primary.
        elected: The name of the new one.
        crashed: Whether the old one is gone; else it is a secondary.
        is_chosen: Whether a schedule has chosen it, and the test has not asked for it.
    """

    reason: str
    call_site: CallSite
    former: str
    elected: str
    crashed: bool
    is_chosen: bool = False

    @property
    def ending(self) -> str:
        """What became of the old primary, as a verb."""
        return "crashed" if self.crashed else "stepped down"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBackWrite:
    """An acknowledged write that a new primary does not have.

    Attributes:
        write: The write.
        age_us: The time between it and the election, in microseconds.
    """

    write: Write
    age_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWrite:
    """A write that was acknowledged, and rolled back when another primary was elected.

    Attributes:
        test: The test's node id.
        operation: The method's name.
        namespace: Database and collection.
        text: The call, shortened, such as `shop.orders.insert_one({"_id": 7, …})`.
        call_site: Where it was called; None for a write that no code made.
        write_concern: What it was acknowledged with, such as `w: 1`.
        age: The time between it and the election.
        failover: The election.
        advice: What would have kept it.
    """

    test: str
    operation: str
    namespace: str
    text: str
    call_site: CallSite | None
    write_concern: str
    age: Duration
    failover: Failover
    advice: Fix

    @property
    def fix(self) -> str:
        """What would have kept it, in words."""
        return self.advice.text

    def __str__(self) -> str:
        """A sentence: what was acknowledged, and what became of it."""
        failover = self.failover
        return (
            f"{self.text} was acknowledged with {self.write_concern} by {failover.former} and "
            f"rolled back: {failover.elected}, which was elected, did not have it"
        )
