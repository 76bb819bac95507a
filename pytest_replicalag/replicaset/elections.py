"""Elections: who becomes the primary when the primary goes, and which writes are rolled back.

The members vote for the newest of those that are up, which then takes over whatever another one
has. What only the old primary had is rolled back when that is back. A primary that steps down
waits first until a majority has everything, so nothing is lost; one that crashes waits for nobody.
MongoDB manual, Replica Set Elections; Rollbacks During Replica Set Failover; replSetStepDown.
"""

from __future__ import annotations

from typing import Final

from pytest_replicalag.errors import EndlessWaitError, NoElectionError
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.read_concern import Wait
from pytest_replicalag.replicaset.replica_set import Election, ReplicaSet

__all__ = [
    "catch_up_seconds",
    "crash_primary",
    "crash_secondary",
    "start_step_down",
    "step_down",
]

_CATCH_UP_SECONDS: Final = 10


def catch_up_seconds(*, force: bool) -> float:
    """How long a primary that steps down waits for a majority if nobody says how long.

    The default of `secondaryCatchUpPeriodSecs`, in simulated seconds; not at all if it is forced.
    """
    return 0 if force else _CATCH_UP_SECONDS


def start_step_down(
    replica_set: ReplicaSet, *, force: bool = False, wait_s: float | None = None
) -> Wait:
    """What a primary waits for before it steps down: that a majority has everything.

    Args:
        replica_set: The set.
        force: Whether it steps down although no majority has everything.
        wait_s: How long it waits for one, in simulated seconds; `catch_up_seconds` if it is None.

    Returns:
        The wait; its error, 262, says that no majority has everything in time, so that it stays.

    Raises:
        NoElectionError: There is no majority without it.
    """
    _check_majority(replica_set)
    if wait_s is None:
        wait_s = catch_up_seconds(force=force)
    last = replica_set.oplog.last
    limit_us = replica_set.clock.now_us + round(wait_s * 1_000_000)
    due_us = replica_set.acknowledged_us(last, replica_set.majority)
    if due_us is not None and due_us <= limit_us:
        return Wait(until_us=due_us)
    error = server_errors.nobody_caught_up(replica_set.oplog.timestamp(last))
    return Wait(until_us=limit_us, error=None if force else error)


def step_down(replica_set: ReplicaSet) -> Election:
    """Let the primary step down, once it has waited, and another member be elected.

    The old primary is still there, so the new one copies from it what it lacks; nothing is lost.

    Raises:
        EndlessWaitError: It cannot: its replication is paused.
    """
    successor, common = replica_set.successor()
    last = replica_set.oplog.last
    if common < last and successor.paused:
        raise EndlessWaitError(
            "the election after step_down(force=True)",
            f"{successor.name}, the newest member, has copied what it lacks",
            [f"{successor.name} is paused"],
            "Resume or catch up the member, or let the primary crash_primary().",
        )
    return replica_set.elect(successor, last, crashed=False)


def crash_primary(replica_set: ReplicaSet) -> Election:
    """Let the primary be gone at once and another member be elected.

    Raises:
        NoElectionError: There is no majority without it.
    """
    _check_majority(replica_set)
    successor, common = replica_set.successor()
    return replica_set.elect(successor, common, crashed=True)


def crash_secondary(replica_set: ReplicaSet, name: str) -> None:
    """Let a secondary be gone.

    Raises:
        NoElectionError: The primary would step down, for a majority would be gone.
    """
    member = replica_set.member(name)
    left = sum(other.is_up for other in replica_set.members) - member.is_up
    if left < replica_set.majority:
        raise NoElectionError(len(replica_set.members), left, replica_set.majority)
    if member.is_up:
        replica_set.take_down([name])


def _check_majority(replica_set: ReplicaSet) -> None:
    left = sum(member.is_up for member in replica_set.secondaries)
    if left < replica_set.majority:
        raise NoElectionError(len(replica_set.members), left, replica_set.majority)
