"""The running test's simulation: its replica set, and the record of what its reads missed.

`wrap`, `MongoClient` and the `replica_lag` fixture talk to it. Which simulation runs is known to
one object, `governor`; every wrapped client asks it at every operation, whatever scope it was
made in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from threading import RLock
from types import MappingProxyType
from typing import Any, Final

from pymongo.errors import OperationFailure
from pymongo.read_preferences import make_read_preference, read_pref_mode_from_name

from pytest_replicalag.call_sites import Caller, Client, caller
from pytest_replicalag.checker.shorten import Shortener
from pytest_replicalag.checker.stale_reads import judge
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.failovers import Failovers
from pytest_replicalag.fronts.governor import Called, Causality, ReadPlan
from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.records import (
    Commit,
    Creation,
    KnownWrite,
    Observation,
    PastRead,
    Read,
    StaleRead,
    UnseenWrite,
    Write,
)
from pytest_replicalag.replicaset.changes import Changes
from pytest_replicalag.replicaset.clock import Clock, VirtualClock, WallClock
from pytest_replicalag.replicaset.explored import ExploredReplicaSet, IsRelevant, Schedule
from pytest_replicalag.replicaset.lag import NO_LAG, assign_lags, bound_lags, seeded
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import (
    Came,
    ReadConcern,
    Wait,
    of_collection,
    read_position,
    wait_for,
)
from pytest_replicalag.replicaset.replica_set import ReplicaSet
from pytest_replicalag.replicaset.selection import ServerSelector, may_read_from_secondary
from pytest_replicalag.replicaset.write_concern import Acknowledgement, acknowledgement
from pytest_replicalag.settings import Settings, resolve
from pytest_replicalag.timelines import timeline
from pytest_replicalag.words import ClockKind, OnStale

__all__ = ["Simulation", "governor"]


_NOTHING: Final[Mapping[str, int]] = MappingProxyType({})

_FRAMES_OF_A_WRITE: Final = 3
"""This module's, and two of a front's, stand between the user's code and the record of a write."""


class Simulation:
    """One test's replica set, from the start of its call phase to its end.

    Args:
        settings: The test's settings.
        test: Its node id.
        schedule: Chooses what each read misses; None to let lags decide.

    Attributes:
        settings: As given.
        test: As given.
        replica_set: The simulated set.
        journal: Numbers the writes and remembers what they replaced.
        checks: Whether reads are checked for staleness.
        read_preference: What clients opened without one use.
        write_concern: What clients opened without one use, as a client sends it.
        stale_reads: What was found so far.
        failovers: The elections of the test, and what they have cost.
        reads: How many reads there were.
        secondary_reads: How many of them a secondary could serve.
    """

    def __init__(self, settings: Settings, test: str, schedule: Schedule | None = None) -> None:
        self.settings = settings
        self.test = test
        seed = (settings.seed, test)
        clock: Clock = VirtualClock() if settings.clock is ClockKind.VIRTUAL else WallClock()
        lags = settings.lags or (NO_LAG,)
        self._explored: ExploredReplicaSet | None = None
        self.replica_set: ReplicaSet
        if schedule is None:
            self.replica_set = ReplicaSet(clock, assign_lags(lags, settings.secondaries), *seed)
        else:
            longest = bound_lags(lags, settings.secondaries)
            self.replica_set = self._explored = ExploredReplicaSet(clock, longest, schedule)
        self.journal = Journal(self.replica_set)
        self.checks = settings.on_stale is not OnStale.IGNORE
        mode = read_pref_mode_from_name(settings.read_preference)
        self.read_preference = make_read_preference(mode, None)
        default = settings.write_concern == "majority"
        self.write_concern: dict[str, Any] = {} if default else {"w": settings.write_concern}
        self.stale_reads: list[StaleRead] = []
        self.reads = 0
        self.secondary_reads = 0
        self._selector = ServerSelector(self.replica_set, settings.choose, seeded(*seed, "choose"))
        self._shorten = Shortener(datetime.now(timezone.utc))
        self.failovers = Failovers(
            self.replica_set,
            self.journal,
            test,
            self._shorten,
            schedule if settings.elections else None,
        )
        self._seen: dict[tuple[int, object, str], PastRead] = {}
        self._read_by: dict[int, dict[str, int]] = {}
        self._sessions = 0
        # The newest position when each snapshot was first taken.
        self._snapshots: dict[int, int] = {}
        self._is_virtual = settings.clock is ClockKind.VIRTUAL

    # -- what fronts ask -------------------------------------------------------------------

    def new_session(self) -> int:
        """The number of a session that takes part from now on; from 1."""
        self._sessions += 1
        return self._sessions

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
        """Charge a round trip, choose the member, wait as the read concern asks.

        Args:
            operation: The method's name, for errors.
            read_preference: pymongo's, or the library's `PRIMARY`.
            level: The read concern level, or None.
            session: The read's explicit session, or None.
            max_time_ms: Its time limit in milliseconds, or None.
            for_stream: Whether it opens a change stream.
            came: Tells whether the collection is new.
            subject: What it reads.

        Raises:
            PyMongoError: What the driver or the server raises.
            EndlessWaitError: The wait could never end.
        """
        try:
            with governor.lock:
                self.replica_set.clock.round_trip()
                member = self.select(read_preference, for_stream=for_stream, subject=subject)
                if level is None and session is None and self._explored is None:
                    return ReadPlan(member, self.replica_set.applied(member))
                concern = ReadConcern(
                    level=level,
                    after=0 if session is None else session.read_after(self),
                    at=None if session is None else session.read_at(self),
                )
                if came is not None:
                    concern = of_collection(self.replica_set, member, concern, came)
                wait = self.start_read(operation, member, concern, max_time_ms)
            self.wait_until(wait.until_us)
            if wait.error is not None:
                raise wait.error
        except OperationFailure:
            if session is not None:
                with governor.lock:
                    session.was_refused(self, member, level)
            raise
        with governor.lock:
            return self.finish_read(member, concern, subject)

    # What a front asks that does its waiting itself; it holds the lock.

    def select(
        self, read_preference: Any, *, for_stream: bool = False, subject: Subject | None = None
    ) -> Member:
        """The member that serves a read, or a change stream; counts the read.

        Raises:
            PyMongoError: No member is eligible.
        """
        if self._explored is None or for_stream:
            member = self._selector.select(read_preference, for_stream=for_stream)
        else:
            eligible = self._selector.eligible(read_preference)
            member = self._explored.choose_member(eligible, _relevance(subject))
        self.count_read(may_be_stale=may_read_from_secondary(read_preference))
        return member

    def member_named(self) -> None:
        """A client is connected to one member, by its address."""
        if self._explored is not None:
            self._explored.member_named()

    def count_read(self, *, may_be_stale: bool) -> None:
        """Count a read, and whether a secondary could serve it."""
        self.reads += 1
        self.secondary_reads += may_be_stale

    def start_read(
        self, operation: str, member: Member, concern: ReadConcern, max_time_ms: int | None
    ) -> Wait:
        """What a member waits for before it can answer a read.

        Raises:
            PyMongoError: It cannot serve that read concern.
            EndlessWaitError: The wait could never end.
        """
        limit_us = max_time_ms * 1_000 if max_time_ms else None
        return wait_for(self.replica_set, member, concern, operation, limit_us)

    def finish_read(
        self, member: Member, concern: ReadConcern, subject: Subject | None = None
    ) -> ReadPlan:
        """Where a read is answered once its wait is over."""
        if self._explored is not None:
            position = self._explored.read_at(member, concern, _relevance(subject))
        else:
            position = read_position(self.replica_set, member, concern)
        return ReadPlan(member, position, self._is_judged(concern, position))

    def _is_judged(self, concern: ReadConcern, position: int) -> bool:
        """Whether what is newer than a position may be missed there.

        A snapshot need not show what was written after it was taken.
        """
        if concern.level != "snapshot":
            return True
        newest = self.replica_set.oplog.last
        if concern.at is None:
            self._snapshots.setdefault(position, newest)
            return True
        return self._snapshots.get(position) == newest

    def start_acknowledgement(
        self,
        operation: str,
        position: int,
        write_concern: Mapping[str, Any],
        max_time_ms: int | None = None,
    ) -> Acknowledgement:
        """When and how a write is acknowledged.

        Raises:
            EndlessWaitError: The wait could never end.
        """
        return acknowledgement(self.replica_set, position, write_concern, operation, max_time_ms)

    def seconds_until(self, time_us: int) -> float:
        """How long to wait really for a time to come: on the virtual clock it comes at once."""
        clock = self.replica_set.clock
        if self._is_virtual:
            clock.wait_until(time_us)
        return max(time_us - clock.now_us, 0) / 1_000_000

    def acknowledge(
        self,
        operation: str,
        position: int,
        write_concern: dict[str, Any],
        max_time_ms: int | None = None,
    ) -> dict[str, Any] | None:
        """Wait as the write concern asks.

        Args:
            operation: The method's name, for errors.
            position: Of the write's last oplog entry.
            write_concern: As a client sends it.
            max_time_ms: The operation's time limit in milliseconds, or None.

        Returns:
            The write concern error of the reply, if there is one.

        Raises:
            EndlessWaitError: The wait could never end.
        """
        if not write_concern and self.replica_set.majority_keeps_up:
            return None
        with governor.lock:
            ending = self.start_acknowledgement(operation, position, write_concern, max_time_ms)
        self.wait_until(ending.due_us)
        return ending.error

    def wait_until(self, time_us: int) -> None:
        """Let a time come; only a virtual wait, which takes none, is made under the lock."""
        if not time_us:
            return
        if self._is_virtual:
            with governor.lock:
                self.replica_set.clock.wait_until(time_us)
        else:
            self.replica_set.clock.wait_until(time_us)

    def write(
        self,
        operation: str,
        namespace: str,
        arguments: tuple[Any, ...],
        session: int,
        by: Caller | Client | None = None,
    ) -> Write:
        """Charge a round trip; returns the record of the write that follows.

        Args:
            operation: The method's name.
            namespace: Database and collection.
            arguments: What it was called with.
            session: The number of its session.
            by: Where it was called; found on the stack if it is None.
        """
        self.replica_set.clock.round_trip()
        if by is None:
            by = caller(_FRAMES_OF_A_WRITE)
        read = self._read_by.get(session)
        write = Write(operation, namespace, arguments, by, session, {**read} if read else _NOTHING)
        self.journal.write = write
        return write

    def has_read(
        self, key: tuple[int, object, str], plan: ReadPlan, what: Callable[[], Called]
    ) -> PastRead | None:
        """Note a read for its client; returns the one before it that has shown most.

        Args:
            key: The number of its session, its client and its namespace.
            plan: Where it is answered.
            what: Tells what was called; asked only of a read that shows more than any before.
        """
        seen = self._seen.get(key)
        position = plan.position
        if seen is None or position > seen.position:
            session, _, namespace = key
            now_us = self.replica_set.clock.now_us
            operation, arguments, by = what()
            self._seen[key] = PastRead(
                operation, namespace, arguments, by, plan.member.name, position, now_us
            )
            read = self._read_by.setdefault(session, {})
            read[namespace] = max(position, read.get(namespace, 0))
        return seen

    def _known(self, session: int, namespace: str, after: int) -> tuple[KnownWrite, ...]:
        """The later writes to other namespaces that a session has read."""
        oplog = self.replica_set.oplog
        read = self._read_by.get(session, {})
        newest = max((at for other, at in read.items() if other != namespace), default=0)
        found = []
        for position in range(after + 1, newest + 1):
            write = oplog[position].write
            for part in write.writes if isinstance(write, Commit) else (write,):
                is_write = isinstance(part, Write) and not isinstance(part, Creation)
                is_seen = is_write and part.namespace != namespace
                if is_seen and read.get(part.namespace, 0) >= position:
                    at_us = oplog.time_us(position)
                    found.append(KnownWrite(position=position, at_us=at_us, write=part))
        return tuple(found)

    def stale(
        self,
        read: Read,
        plan: ReadPlan,
        result: Any,
        fresh: Any,
        missed: Changes,
        seen: PastRead | None,
    ) -> None:
        """Record a read whose result is not the newest.

        Args:
            read: The read.
            plan: Where it was answered.
            result: What it returned.
            fresh: What it returns at the newest position.
            missed: The changes that made the difference.
            seen: What its client had read of the namespace before, as new as it ever was.
        """
        replica_set = self.replica_set
        now_us = replica_set.clock.now_us
        entries = ((position, replica_set.oplog[position]) for position in missed.newest)
        told: dict[int, UnseenWrite] = {}
        for position, entry in entries:  # the last change of each write stands for it
            write = entry.write.write if isinstance(entry.write, Creation) else entry.write
            part = replica_set.oplog.missing_part(position, plan.position)
            told[id(write)] = UnseenWrite(
                position=position,
                age_us=now_us - entry.time_us,
                write=write,
                missing_part=0 if write is None else part,
            )
        observation = Observation(
            read=read,
            member=plan.member.name,
            behind=replica_set.behind(plan.member),
            is_paused=plan.member.paused,
            is_primary=plan.member.is_primary,
            timeline=timeline(
                replica_set, [each.position for each in told.values()], plan.member, seen
            ),
            members=len(replica_set.members),
            result=result,
            fresh_result=fresh,
            missed=tuple(told.values()),
            missed_count=missed.count,
            missed_from=missed.oldest,
            seen=seen,
            number=self.reads,
            known=self._known(read.session, read.namespace, missed.oldest),
            is_committed=max(missed.newest, default=0) <= replica_set.commit_point(),
        )
        self.stale_reads.append(judge(self.test, observation, self._shorten))


def _relevance(subject: Subject | None) -> IsRelevant:
    """Which writes matter to a read; all of them, if it is not known what it reads."""
    return (lambda _write: True) if subject is None else subject.is_changed_by


RESTING: Final = "between tests"
"""What the simulation without lag is called that endpoints show while no test lags."""


class SimulationGovernor:
    """Knows the running simulation.

    Attributes:
        running: It; None between tests and in tests without lag.
        lock: Held around every operation on data, and every look at the replica set.
        resting_settings: What the set is like that endpoints show meanwhile.
    """

    def __init__(self) -> None:
        self.running: Simulation | None = None
        self.lock = RLock()
        self.resting_settings = resolve([])
        self._resting: Simulation | None = None
        self._last: Simulation | None = None
        self._continuing = 0

    def rest_like(self, settings: Settings) -> None:
        """Let the set that endpoints show while no test lags have the members of a test's set."""
        with self.lock:
            if settings.secondaries != self.resting_settings.secondaries:
                self._resting = None
            self.resting_settings = settings

    def continue_times(self) -> None:
        """From now on, let no test's logical times go back behind those of the one before.

        Drivers that are connected to an endpoint carry them along.
        """
        self._continuing += 1
        self._last = self._last or self.running

    def let_times_begin_anew(self) -> None:
        """Those drivers are gone: each test's logical times may begin where they always do."""
        self._continuing -= 1
        if not self._continuing:
            self._last = self._resting = None

    @property
    def current(self) -> Simulation:
        """The running simulation, or a set without lag, which is never absent.

        A driver that is connected to an endpoint always sees a replica set. Each time that no test
        lags it is a new one: what the tests wrote is old data by then.
        """
        if self.running is not None:
            return self.running
        if self._resting is None:
            self._resting = Simulation(replace(self.resting_settings, lags=()), RESTING)
            self._begin_after(self._last, self._resting)
        return self._resting

    def _begin_after(self, before: Simulation | None, after: Simulation | None) -> None:
        if after is not None and self._continuing:
            if before is not None:
                oplog = before.replica_set.oplog
                after.replica_set.oplog.epoch_seconds = oplog.timestamp(oplog.last).time + 1
                after.replica_set.oplog.first_term = oplog.term
            self._last = after

    @contextmanager
    def govern(self, simulation: Simulation | None) -> Iterator[None]:
        """Let `simulation` run inside; the one that ran before, if any, goes on afterwards."""
        with self.lock:  # endpoints ask on a thread of their own
            before = self.running
            self._begin_after(self._resting or self._last, simulation)
            self.running = simulation
            self._resting = None
        try:
            yield
        finally:
            with self.lock:
                self.running = before


governor = SimulationGovernor()
