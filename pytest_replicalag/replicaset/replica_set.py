"""The replica set: members, their progress through one oplog, and the majority commit point.

Members hold no data. A secondary's state is the primary's at the position that the secondary has
applied; an engine answers reads at that position.
MongoDB manual, Replication; Read Concern; Write Concern.

Not modelled: arbiters, hidden, delayed and non-voting members, initial sync, chained replication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_replicalag.durations import FOREVER, ZERO, Duration
from pytest_replicalag.errors import CRASHED, UnknownMemberError
from pytest_replicalag.replicaset.clock import Clock
from pytest_replicalag.replicaset.lag import NO_LAG, Lag
from pytest_replicalag.replicaset.member import PRIMARY, Member
from pytest_replicalag.replicaset.oplog import NO_OP, Oplog
from pytest_replicalag.replicaset.replication import Replication

__all__ = ["SET_NAME", "TAG", "Election", "ReplicaSet"]

SET_NAME: Final = "replicalag"

TAG: Final = "member"
"""The replica set tag that every member has: its own name, so that a read can ask for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """A change of the primary.

    Attributes:
        term: The new primary's term.
        former: The name of the old primary.
        elected: The name of the new one.
        common: The newest position of the old primary that the new one has; later ones are rolled
            back.
        last: The old primary's newest position.
        crashed: Whether the old one crashed; else it stepped down.
    """

    term: int
    former: str
    elected: str
    common: int
    last: int
    crashed: bool


class ReplicaSet:
    """One primary and its secondaries.

    Args:
        clock: Simulated or wall time.
        lags: The lag of each secondary, in the order of their names.
        seed: What ranges of lag are drawn from: the seed and the test's node id.

    Attributes:
        clock: As given.
        oplog: The primary's.
        members: In the order of their names, which they keep whatever they become: the first
            primary, then the secondaries.
        primary: The member that takes writes.
        secondaries: The other members, by name.
        elections: Those there were, in order.
        majority: How many members are one.
        majority_keeps_up: Whether a majority applies every write at once.
        generation: Changes whenever members start or stop replicating alike.
        is_chosen: Whether a schedule chooses what members have, and no lag.
    """

    is_chosen = False

    def __init__(self, clock: Clock, lags: Sequence[Lag], *seed: object) -> None:
        self.clock = clock
        self.oplog = Oplog()
        self._seed = seed
        primary = Member(PRIMARY, (PRIMARY, 27017), {TAG: PRIMARY})
        self.members = (primary, *(self._secondary(n, lag) for n, lag in enumerate(lags, 1)))
        self.primary = primary
        self.secondaries = self.members[1:]
        self.elections: list[Election] = []
        self.majority = len(self.members) // 2 + 1
        self.generation = 0
        self._pinned: dict[object, int] = {}
        self._share_replications()

    def _secondary(self, number: int, lag: Lag) -> Member:
        name = f"secondary-{number}"
        policy = lag.policy(*self._seed, name)
        return Member(name, (name, 27017), {TAG: name}, lag, Replication(self.oplog, policy))

    def _share_replications(self) -> None:
        """Let members that lag alike share their progress, so that 50 cost what two cost."""
        shared: dict[Lag, Replication] = {}
        for member in self.secondaries:
            if not member.lag.is_range and member.replication is not None:
                member.replication = shared.setdefault(member.lag, member.replication)
        self._regroup()

    def _regroup(self) -> None:
        """Count the members of each replication, after one has changed."""
        self.generation += 1
        counts: dict[int, int] = {}
        replications: dict[int, Replication] = {}
        for member in self.secondaries:
            replication = member.replication
            if replication is not None:
                replications[id(replication)] = replication
                counts[id(replication)] = counts.get(id(replication), 0) + 1
        self._groups = [(replications[key], count) for key, count in counts.items()]
        keeping_up = 1 + sum(count for group, count in self._groups if group.keeps_up)
        self.majority_keeps_up = keeping_up >= self.majority

    # -- members ---------------------------------------------------------------------------

    def member(self, name: str) -> Member:
        """The member of that name.

        Raises:
            UnknownMemberError: There is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise UnknownMemberError(name, [member.name for member in self.members])

    # -- progress --------------------------------------------------------------------------

    def applied(self, member: Member) -> int:
        """The position of the newest entry that the member has applied."""
        if member.replication is None:
            return self.oplog.last
        return member.replication.applied(self.clock.now_us)

    def commit_point(self) -> int:
        """The newest position that a majority of the members has applied."""
        last = self.oplog.last
        if self.majority_keeps_up:
            return last
        now_us = self.clock.now_us
        have = 1
        for position, count in sorted(
            ((group.applied(now_us), count) for group, count in self._groups), reverse=True
        ):
            last = position
            have += count
            if have >= self.majority:
                break
        return last

    def majority_applied(self, member: Member) -> int:
        """The newest position that a majority has applied, as far as the member has it too."""
        return min(self.commit_point(), self.applied(member))

    def shown_to_stream(self, member: Member) -> int:
        """The newest position whose events a change stream on the member shows."""
        return self.majority_applied(member)

    def majority_applies_us(self, member: Member, position: int) -> int | None:
        """When a majority and the member have the entry; None if never, 0 if they have it."""
        majority_us: int | None = 0
        if self.commit_point() < position:
            majority_us = self.acknowledged_us(position, self.majority)
        member_us = 0 if member.replication is None else member.replication.due_us(position)
        return None if majority_us is None or member_us is None else max(majority_us, member_us)

    def horizon(self) -> int:
        """The newest position that every member has applied; nobody reads before it.

        A pinned position is still read, so it holds the horizon back.
        """
        now_us = self.clock.now_us
        applied = (group.applied(now_us) for group, _ in self._groups)
        return min((*applied, *self._pinned.values()), default=self.oplog.last)

    @property
    def is_everywhere(self) -> bool:
        """Whether every member has applied every write."""
        last, now_us = self.oplog.last, self.clock.now_us
        return all(group.applied(now_us) == last for group, _ in self._groups)

    def pin(self, position: int) -> object:
        """Keep `position` readable, for a snapshot session; returns a token for `unpin`."""
        token = object()
        self._pinned[token] = position
        return token

    def unpin(self, token: object) -> None:
        """Let go of a pinned position; a token that is not pinned is ignored."""
        self._pinned.pop(token, None)

    def acknowledged_us(self, position: int, members: int) -> int | None:
        """When that many members, the primary included, have the entry; None if never."""
        have = 1
        if have >= members:
            return 0
        dues = ((group.due_us(position), count) for group, count in self._groups)
        for due_us, count in sorted((due, count) for due, count in dues if due is not None):
            have += count
            if have >= members:
                return due_us
        return None

    def due_us(self, member: Member, position: int) -> int | None:
        """When a secondary applies an entry that it has not applied; None if never, or unknown."""
        return None if member.replication is None else member.replication.due_us(position)

    def last_write_us(self, position: int) -> int:
        """When the newest write was made that a member has at `position`, in microseconds.

        An idle primary writes a no-op every ten seconds, so a member that misses nothing is as
        new as the clock.
        """
        if position >= self.oplog.last:
            return self.clock.now_us
        return self.oplog.time_us(position + 1)

    def behind(self, member: Member) -> Duration:
        """How long ago the primary's state was what the member shows now.

        Zero if the member has every write. Otherwise the delay of the oldest write that it has
        not applied; for a paused member, at least the time since that write.
        """
        position = self.applied(member) + 1
        replication = member.replication
        if replication is None or position > self.oplog.last:
            return ZERO
        if replication.is_endless:
            return FOREVER
        written_us = self.oplog.time_us(position)
        due_us = replication.due_us(position)
        if due_us is None:
            return Duration.of_us(max(self.clock.now_us - written_us, member.lag.low.us))
        return Duration.of_us(due_us - written_us)

    def laggards(self, position: int, among: Sequence[Member] | None = None) -> list[str]:
        """The members that will never apply the entry at `position`, each with the reason.

        Args:
            position: Of the entry.
            among: The members to look at; all of them if it is None.
        """
        return [
            f"{member.name} {_why_behind(member)}"
            for member in among or self.secondaries
            if member.replication is not None and member.replication.due_us(position) is None
        ]

    # -- control ---------------------------------------------------------------------------

    def pause(self, names: Sequence[str]) -> None:
        """Stop replication on these secondaries."""
        for replication in self._alone(self._up(names)):
            replication.stop()
        self._regroup()

    def resume(self, names: Sequence[str]) -> None:
        """Let replication go on; entries whose delay is over are applied at once."""
        for replication in self._alone(self._up(names)):
            replication.go_on()
        self._regroup()

    def catch_up(self, names: Sequence[str]) -> None:
        """Let these secondaries apply all there is; they lag, or stay paused, from there."""
        for replication in self._alone(self._up(names)):
            replication.catch_up()
        self._regroup()

    def set_lag(self, lag: Lag, names: Sequence[str]) -> None:
        """Let these secondaries lag by `lag` from now on."""
        for name in names:
            member = self.member(name)
            member.lag = lag
            [replication] = self._alone([name])
            replication.set_policy(lag.policy(*self._seed, name, self.oplog.last))
        self._regroup()

    # -- elections -------------------------------------------------------------------------

    def successor(self) -> tuple[Member, int]:
        """Who is elected if the primary goes, and the newest position that is not lost then.

        The newest of those that are up; the first by name among equals, paused ones last.
        """
        up = [member for member in self.secondaries if member.is_up]
        newest = max(up, key=lambda member: (self.applied(member), not member.paused))
        return newest, self.applied(newest)

    def elect(self, successor: Member, common: int, *, crashed: bool) -> Election:
        """Let another member be the primary; what the old one alone had is undone.

        The two change places, lag and all, so that the set goes on as it was. Positions go on, too:
        in place of what is undone there are no-ops, as there is one at the begin of each term.

        Args:
            successor: The next primary.
            common: The newest position that stays.
            crashed: Whether the old one is gone.
        """
        former, last = self.primary, self.oplog.last
        election = Election(
            term=self.oplog.term + 1,
            former=former.name,
            elected=successor.name,
            common=common,
            last=last,
            crashed=crashed,
        )
        [replication] = self._alone([successor.name])
        if common == last:
            replication.catch_up()
        replication.go_on()
        former.lag, successor.lag = successor.lag, NO_LAG
        former.replication, successor.replication = replication, None
        for position in range(common + 1, last + 1):
            self.oplog.amend(position, NO_OP)
        self.oplog.begin_term()
        self.oplog.append(self.clock.now_us, NO_OP)
        self.primary = successor
        self.secondaries = tuple(member for member in self.members if member is not successor)
        self.elections.append(election)
        if crashed:
            self._be_gone([former.name])
        self._regroup()
        return election

    def take_down(self, names: Sequence[str]) -> None:
        """Let these secondaries be gone: nobody reaches them, and they apply nothing."""
        self._be_gone(names)
        self._regroup()

    def _be_gone(self, names: Sequence[str]) -> None:
        for replication in self._alone(names):
            replication.stop()
        for name in names:
            self.member(name).is_up = False

    def bring_back(self, names: Sequence[str]) -> None:
        """Let these secondaries be up again, and apply what they lack."""
        for replication in self._alone([name for name in names if not self.member(name).is_up]):
            replication.go_on()
        for name in names:
            self.member(name).is_up = True
        self._regroup()

    def _up(self, names: Sequence[str]) -> Sequence[str]:
        """Those of these members that have not crashed."""
        return [name for name in names if self.member(name).is_up]

    def _alone(self, names: Sequence[str]) -> list[Replication]:
        """The replications of these members, each its own; the primary has none."""
        now_us = self.clock.now_us
        result = []
        for member in map(self.member, names):
            if member.replication is not None:
                member.replication.applied(now_us)
                member.replication = member.replication.alone()
                result.append(member.replication)
        return result


def _why_behind(member: Member) -> str:
    if not member.is_up:
        return CRASHED
    return "is paused" if member.paused else "has lag inf"
