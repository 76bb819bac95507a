"""A replica set whose replication is not reckoned by a lag but chosen, read by read.

A real set promises little: a secondary applies the oplog in its order, and an acknowledged write is
on as many members as its write concern says. Everything else may happen. So nothing is decided
before somebody looks: each read that a secondary serves chooses what that secondary has by then,
out of all that these promises leave. A lag, if there is one, is the longest that a member takes.
MongoDB manual, Replication; Read Concern; Write Concern.

Choices are made by a `Schedule`; its first option is always the freshest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from pytest_replicalag.durations import ZERO, Duration
from pytest_replicalag.replicaset.clock import Clock
from pytest_replicalag.replicaset.lag import Lag
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.oplog import Oplog
from pytest_replicalag.replicaset.read_concern import ReadConcern, read_position
from pytest_replicalag.replicaset.replica_set import Election, ReplicaSet
from pytest_replicalag.replicaset.replication import Replication

__all__ = ["ChosenReplication", "ExploredReplicaSet", "IsRelevant", "Schedule"]

IsRelevant = Callable[[Any], bool]
"""Whether an entry of the oplog, by what was written, can change what a read returns."""

_COMMITTED: Final = ("majority", "snapshot")


class Schedule(Protocol):
    """Makes the choices of one run of a test."""

    names_members: bool
    """Whether the test has named a member; the set says so."""

    @property
    def tells_members_apart(self) -> bool:
        """Whether two members in the same state are two options."""

    def choose(self, options: int) -> int:
        """One of that many options, from 0, the freshest; asked only if there are two or more."""

    def choose_crash(self) -> bool:
        """Whether the primary crashes now; asked until it does."""


class ChosenReplication(Replication):
    """What is known of how far a secondary has come.

    Attributes:
        view: The newest position that it has shown as a majority's.
        ceiling: The newest position that it can have while it is paused; None if it is not.
    """

    __slots__ = ("_lag", "ceiling", "view")

    def __init__(self, oplog: Oplog, lag: Lag) -> None:
        super().__init__(oplog, lag.policy())
        self._lag = lag
        self.view = 0
        self.ceiling: int | None = None

    def alone(self) -> ChosenReplication:
        """Itself: it is never shared."""
        return self

    @property
    def is_endless(self) -> bool:
        """Whether its lag has no bound."""
        return self._lag.high.is_forever

    @property
    def keeps_up(self) -> bool:
        """Whether it has every write at once, whatever is chosen."""
        return self._lag.high.us == 0 and not self.paused

    def applied(self, now_us: int) -> int:
        """The oldest position that it may be at."""
        self.has(self.had_by(now_us))
        return self._applied

    def had_by(self, now_us: int) -> int:
        """The newest position that its lag lets it have at the latest."""
        if self.paused or self.is_endless:
            return self._applied
        written_by_us = now_us - self._lag.high.us
        position = self._applied
        while position < self._oplog.last and self._oplog.time_us(position + 1) <= written_by_us:
            position += 1
        return position

    def newest(self, now_us: int) -> int:
        """The newest position that it can have."""
        last = self._oplog.last if self.ceiling is None else self.ceiling
        written_by_us = now_us - (self._lag.low.us if self._lag.is_range else 0)
        while last > self._applied and self._oplog.time_us(last) > written_by_us:
            last -= 1
        return last

    def has(self, position: int) -> None:
        """It has been seen to be at `position`, or later."""
        self._applied = max(self._applied, position)

    def due_us(self, position: int) -> int | None:
        """When it has the entry for which somebody waits: at once; None if it is paused before."""
        if self.ceiling is not None and position > self.ceiling:
            return None
        return 0

    def catch_up(self) -> None:
        """Have all there is."""
        self.has(self._oplog.last)
        if self.ceiling is not None:
            self.ceiling = self._oplog.last

    def stop(self) -> None:
        """Have no newer write from now on."""
        self.paused = True
        if self.ceiling is None:
            self.ceiling = self._oplog.last

    def go_on(self) -> None:
        """Take part again."""
        self.paused = False
        self.ceiling = None

    def set_lag(self, lag: Lag) -> None:
        """Take as long as `lag` at most, from now on."""
        self._lag = lag


def _any(_write: Any) -> bool:
    """Whatever was written matters."""
    return True


class _Promise:
    """A position that some secondaries have, without its being known which.

    Attributes:
        position: The position.
        secondaries: How many have it.
        without: The names of those that have been seen without it since.
    """

    __slots__ = ("position", "secondaries", "without")

    def __init__(self, position: int, secondaries: int, without: set[str]) -> None:
        self.position = position
        self.secondaries = secondaries
        self.without = without


class ExploredReplicaSet(ReplicaSet):
    """One primary and secondaries whose progress a schedule chooses.

    Args:
        clock: The simulation's.
        lags: How long each secondary takes at most, in the order of their names; of a range, at
            least as long as its lower bound.
        schedule: Makes the choices.
    """

    is_chosen = True

    def __init__(self, clock: Clock, lags: Sequence[Lag], schedule: Schedule) -> None:
        self._schedule = schedule
        self._promises: list[_Promise] = []
        self._committed = 0
        super().__init__(clock, lags)

    def _secondary(self, number: int, lag: Lag) -> Member:
        member = super()._secondary(number, lag)
        member.replication = ChosenReplication(self.oplog, lag)
        return member

    def _share_replications(self) -> None:
        """Each goes its own way."""
        self._regroup()

    # -- reads -----------------------------------------------------------------------------------

    def choose_member(self, eligible: Sequence[Member], is_relevant: IsRelevant) -> Member:
        """The member that serves a read: the first by name, or whom the schedule chooses.

        Members that would answer alike, now and later, are one option; and where nobody can miss
        anything of what is read, there is nothing to choose.
        """
        among = sum(not member.is_primary for member in eligible)
        if 0 < among < len(self.secondaries):
            self.member_named()
        if len(eligible) == 1 or not self._can_miss(eligible, is_relevant):
            return eligible[0]
        options = list(eligible)
        if not self._schedule.tells_members_apart:
            options = list({self._state(member): member for member in reversed(eligible)}.values())
            options.sort(key=eligible.index)
        return options[self._choose(len(options))]

    def member_named(self) -> None:
        """A member is named, by its tags or its address: it is not like others any more."""
        self._schedule.names_members = True

    def read_at(self, member: Member, concern: ReadConcern, is_relevant: IsRelevant) -> int:
        """The position at which a member answers, once the wait for the read concern is over.

        Raises:
            OperationFailure: Error 239 `SnapshotTooOld`: the history before a snapshot is gone.
        """
        replication = _replication(member)
        needed = max(concern.after, concern.came)
        if concern.at is not None or (replication is None and concern.level not in _COMMITTED):
            position = read_position(self, member, concern)
            if replication is not None:
                replication.has(position)
            return position
        if concern.level == "snapshot":  # it shows what later reads of it find, of whatever
            return self._read_committed(member, needed, _any)
        if concern.level in _COMMITTED:
            return self._read_committed(member, needed, is_relevant)
        assert replication is not None
        replication.has(max(needed, self._promised(member)))
        position, until = self._position(
            self.applied(member), replication.newest(self.clock.now_us), is_relevant
        )
        replication.has(position)
        self._seen_without(member, until)
        return position

    def _read_committed(self, member: Member, needed: int, is_relevant: IsRelevant) -> int:
        """The position that a member takes for a majority's."""
        replication = _replication(member)
        if replication is None:
            oldest, newest = max(self.commit_point(), needed), self.oplog.last
        else:
            now_us = self.clock.now_us
            oldest = max(replication.view, needed, replication.had_by(now_us))
            newest = replication.newest(now_us)
        position, _ = self._position(oldest, newest, is_relevant)
        if replication is not None:
            replication.view = position
            replication.has(position)
        self._commit(position)
        return position

    def _position(self, oldest: int, newest: int, is_relevant: IsRelevant) -> tuple[int, int]:
        """A position out of some that a read can tell apart, and the newest that is like it."""
        changes = [
            position
            for position in range(newest, oldest, -1)
            if is_relevant(self.oplog[position].write)
        ]
        options = [*changes, oldest]
        chosen = self._choose(len(options))
        until = options[chosen - 1] - 1 if chosen else max(newest, oldest)
        return options[chosen], until

    def _can_miss(self, eligible: Sequence[Member], is_relevant: IsRelevant) -> bool:
        oldest = min(map(self.applied, eligible))
        return any(
            is_relevant(self.oplog[position].write)
            for position in range(self.oplog.last, oldest, -1)
        )

    def _state(self, member: Member) -> object:
        """What two secondaries must have in common to be one option."""
        replication = _replication(member)
        if replication is None:
            return member.name
        without = [member.name in promise.without for promise in self._promises]
        return (
            self.applied(member),
            replication.view,
            replication.ceiling,
            member.lag,
            tuple(without),
        )

    def _choose(self, options: int) -> int:
        return self._schedule.choose(options) if options > 1 else 0

    # -- what is promised ------------------------------------------------------------------------

    def acknowledged_us(self, position: int, members: int) -> int | None:
        """When that many members have the entry for which somebody waits; None if never.

        The one who waits is promised it, so from now on it is so.
        """
        needed = members - 1
        if needed <= 0:
            return 0
        without = {
            member.name
            for member in self.secondaries
            if member.replication is not None and member.replication.due_us(position) is None
        }
        if len(self.secondaries) - len(without) < needed:
            return None
        known = (one.position == position and one.secondaries >= needed for one in self._promises)
        if not any(known):
            self._promises.append(_Promise(position, needed, without))
        if members >= self.majority:
            self._committed = max(self._committed, position)
        return 0

    def _commit(self, position: int) -> None:
        """A majority has been seen to have the position."""
        if position > self._committed:
            self.acknowledged_us(position, self.majority)

    def _promised(self, member: Member) -> int:
        """The newest position that this member has because the others do not suffice."""
        now_us = self.clock.now_us
        self._promises = [one for one in self._promises if not self._is_kept(one, now_us)]
        spare = len(self.secondaries)
        return max(
            (
                promise.position
                for promise in self._promises
                if member.name not in promise.without
                and len(promise.without) >= spare - promise.secondaries
            ),
            default=0,
        )

    def _is_kept(self, promise: _Promise, now_us: int) -> bool:
        """Whether enough members are known to have what was promised."""
        have = sum(
            member.replication is not None
            and member.replication.applied(now_us) >= promise.position
            for member in self.secondaries
        )
        return have >= promise.secondaries

    def _seen_without(self, member: Member, until: int) -> None:
        """A read has shown that a member is at no newer position than `until`."""
        for promise in self._promises:
            if promise.position > until:
                promise.without.add(member.name)

    # -- progress --------------------------------------------------------------------------------

    def commit_point(self) -> int:
        """The newest position that a majority is known to have."""
        return max(super().commit_point(), self._committed)

    def shown_to_stream(self, member: Member) -> int:
        """All that has happened: a change stream shows every event at once."""
        self.majority_applies_us(member, self.oplog.last)
        return min(self.commit_point(), self.applied(member))

    def majority_applies_us(self, member: Member, position: int) -> int | None:
        """When a majority and the member have the entry for which somebody waits."""
        replication = _replication(member)
        if replication is not None:
            if replication.due_us(position) is None:
                return None
            replication.has(position)
        if self.commit_point() >= position:
            return 0
        return self.acknowledged_us(position, self.majority)

    def due_us(self, member: Member, position: int) -> int | None:  # noqa: ARG002
        """Unknown: it has not been chosen yet."""
        return None

    def behind(self, member: Member) -> Duration:
        """How long ago the primary's state was what the member has shown last."""
        position = self.applied(member) + 1
        if member.replication is None or position > self.oplog.last:
            return ZERO
        return Duration.of_us(self.clock.now_us - self.oplog.time_us(position))

    # -- elections -------------------------------------------------------------------------------

    def successor(self) -> tuple[Member, int]:
        """Who is elected if the primary goes, and the newest position that is not lost then.

        How far the newest secondary has come is chosen; which one that is makes no difference.
        """
        now_us = self.clock.now_us
        up = [member for member in self.secondaries if member.is_up]
        reach = [(_chosen(member).newest(now_us), member) for member in up]
        oldest = max(self._held_by_some(len(self.secondaries) - len(up)), *map(self.applied, up))
        options = range(max(newest for newest, _ in reach), oldest - 1, -1)
        position = options[self._choose(len(options))]
        member = next(member for newest, member in reach if newest >= position)
        _chosen(member).has(position)
        return member, position

    def _held_by_some(self, down: int) -> int:
        """The newest position that more members have than are down."""
        promised = (one.position for one in self._promises if one.secondaries > down)
        return max(promised, default=0)

    def elect(self, successor: Member, common: int, *, crashed: bool) -> Election:
        """Let another member be the primary; what was promised goes for the members' new roles."""
        self._promises = [one for one in self._promises if one.position <= common]
        for promise in self._promises:
            promise.without.discard(successor.name)
        return super().elect(successor, common, crashed=crashed)

    # -- control ---------------------------------------------------------------------------------

    def take_down(self, names: Sequence[str]) -> None:
        """Let these secondaries be gone."""
        self._note(names)
        super().take_down(names)

    def pause(self, names: Sequence[str]) -> None:
        """Stop replication on these secondaries."""
        self._note(names)
        super().pause(names)

    def resume(self, names: Sequence[str]) -> None:
        """Let replication go on."""
        self._note(names)
        super().resume(names)

    def catch_up(self, names: Sequence[str]) -> None:
        """Let these secondaries have all there is."""
        self._note(names)
        super().catch_up(names)

    def _note(self, names: Sequence[str]) -> None:
        if len(names) < len(self.secondaries):
            self.member_named()

    def set_lag(self, lag: Lag, names: Sequence[str]) -> None:
        """Let these secondaries take as long as `lag` at most, from now on."""
        self._note(names)
        for member in map(self.member, names):
            replication = _replication(member)
            if replication is not None:
                member.lag = lag
                replication.set_lag(lag)
        self._regroup()


def _chosen(member: Member) -> ChosenReplication:
    replication = member.replication
    assert isinstance(replication, ChosenReplication)
    return replication


def _replication(member: Member) -> ChosenReplication | None:
    replication = member.replication
    assert replication is None or isinstance(replication, ChosenReplication)
    return replication
