"""Elections in a running test: who asked for one, and which acknowledged writes it has cost.

Only the memory engine can undo what a new primary does not have.
"""

from __future__ import annotations

from pytest_replicalag.call_sites import Caller, Client
from pytest_replicalag.checker.call_sites import call_site
from pytest_replicalag.checker.lost_writes import judge_lost
from pytest_replicalag.checker.shorten import Shortener
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.records import Commit, Failover, LostWrite, RolledBackWrite, Write
from pytest_replicalag.replicaset import elections
from pytest_replicalag.replicaset.explored import Schedule
from pytest_replicalag.replicaset.oplog import OplogEntry
from pytest_replicalag.replicaset.replica_set import Election, ReplicaSet

__all__ = ["Failovers"]


class Failovers:
    """The elections of one simulation; the caller holds the lock.

    Args:
        replica_set: The simulated set.
        journal: Its undo log.
        test: The test's node id.
        shorten: Shortens documents for reports.
        schedule: Chooses before which operation the primary crashes; None if none is to.

    Attributes:
        happened: The changes of the primary, in order.
        lost_writes: The acknowledged writes that they have cost, in order.
        is_possible: Whether there was an election, or may be one before the next operation.
    """

    def __init__(
        self,
        replica_set: ReplicaSet,
        journal: Journal,
        test: str,
        shorten: Shortener,
        schedule: Schedule | None,
    ) -> None:
        self.happened: list[Failover] = []
        self.lost_writes: list[LostWrite] = []
        self.is_possible = schedule is not None
        self._replica_set = replica_set
        self._journal = journal
        self._test = test
        self._shorten = shorten
        self._schedule = schedule

    def before(self, operation: str, by: Caller | Client) -> None:
        """Let the primary crash before an operation, if the schedule says so; once in a test."""
        schedule = self._schedule
        if schedule is not None and schedule.choose_crash():
            self._schedule = None
            self.crash_primary(f"before {operation}", by, is_chosen=True)

    def step_down(self, by: Caller | Client) -> None:
        """Elect another primary; the old one, which has waited, stays as a secondary."""
        election = elections.step_down(self._replica_set)
        self._journal.roll_back(election.common)  # nothing is, but transactions end
        self._end(election, [], "step_down()", by)

    def crash_primary(self, reason: str, by: Caller | Client, *, is_chosen: bool = False) -> None:
        """Elect another primary; the old one is gone, and what it alone had."""
        oplog = self._replica_set.oplog
        positions = range(oplog.oldest_readable + 1, oplog.last + 1)
        entries = [(position, oplog[position]) for position in positions]
        election = elections.crash_primary(self._replica_set)
        lost = [entry for position, entry in entries if position > election.common]
        self._journal.roll_back(election.common)
        self._end(election, lost, reason, by, is_chosen=is_chosen)

    def _end(
        self,
        election: Election,
        lost: list[OplogEntry],
        reason: str,
        by: Caller | Client,
        *,
        is_chosen: bool = False,
    ) -> None:
        failover = Failover(
            reason=reason,
            call_site=call_site(by),
            former=election.former,
            elected=election.elected,
            crashed=election.crashed,
            is_chosen=is_chosen,
        )
        self.is_possible = True
        self.happened.append(failover)
        now_us = self._replica_set.clock.now_us
        told: dict[int, RolledBackWrite] = {}
        for entry in lost:  # the last change of each write stands for it
            for write in _acknowledged(entry.write):
                told[id(write)] = RolledBackWrite(write=write, age_us=now_us - entry.time_us)
        self.lost_writes += [
            judge_lost(self._test, write, failover, self._shorten) for write in told.values()
        ]


def _acknowledged(write: object) -> tuple[Write, ...]:
    """The writes behind an entry of the oplog whose client was told that they are done."""
    if not isinstance(write, Write) or not hasattr(write, "acknowledged"):
        return ()
    if isinstance(write, Commit):
        for part in write.writes:
            part.acknowledged = write.acknowledged
        return write.writes
    return (write,)
