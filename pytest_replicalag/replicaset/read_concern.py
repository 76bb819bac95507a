"""What a read may return: the position in the oplog at which a member answers it.

MongoDB manual, Read Concern; driver specification, Causal Consistency; Snapshot Reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.oplog import NO_OP
from pytest_replicalag.replicaset.replica_set import ReplicaSet

__all__ = [
    "LEVELS",
    "Came",
    "ReadConcern",
    "Wait",
    "check",
    "of_collection",
    "read_position",
    "refusal_position",
    "wait_for",
]

LEVELS: Final = ("local", "available", "majority", "linearizable", "snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConcern:
    """What one read asks for.

    Attributes:
        level: One of `LEVELS`; None is the server's default, `local`.
        after: The position that the member must have applied (`afterClusterTime`), or 0.
        at: The position to read at (`atClusterTime`, level `snapshot` only), or None.
        came: The position at which the collection came that is read, if the member has it and a
            majority has not (level `majority` only), or 0.
    """

    level: str | None = None
    after: int = 0
    at: int | None = None
    came: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait before a read.

    Attributes:
        until_us: When it is over, in simulated microseconds; 0 if there is none.
        error: What the read fails with when its time limit ends the wait.
    """

    until_us: int
    error: Exception | None = None


NO_WAIT: Final = Wait(until_us=0)


Came = Callable[[int, int], int]
"""Tells where the collection of a read came: after the first position, up to the second; else 0."""


def of_collection(
    replica_set: ReplicaSet, member: Member, concern: ReadConcern, came: Came
) -> ReadConcern:
    """The read concern of a read of a collection that may be new.

    What a majority has committed knows no collection that came later, and a server does not take
    it for an absent one: it waits until a majority has it.
    """
    if concern.level != "majority":
        return concern
    committed, applied = replica_set.majority_applied(member), replica_set.applied(member)
    if committed >= applied:
        return concern
    return replace(concern, came=came(committed, applied))


def wait_for(
    replica_set: ReplicaSet,
    member: Member,
    concern: ReadConcern,
    operation: str,
    max_time_us: int | None = None,
) -> Wait:
    """What the member waits for before it can answer.

    Args:
        replica_set: The set.
        member: The member that answers.
        concern: What the read asks for.
        operation: The operation's name, for the error.
        max_time_us: The read's time limit (`maxTimeMS`) in microseconds, if it has one.

    Raises:
        EndlessWaitError: The wait could never end.
        PyMongoError: The member cannot serve this read concern at all.
    """
    _check(member, concern)
    dues = [due for due in _dues(replica_set, member, concern) if due != 0]
    if not dues:
        return NO_WAIT
    over_us = None if None in dues else max(due for due in dues if due is not None)
    if max_time_us is not None:
        deadline_us = replica_set.clock.now_us + max_time_us
        if over_us is None or over_us > deadline_us:
            waited_for = _waited_for(replica_set, member, concern)
            return Wait(until_us=deadline_us, error=server_errors.max_time_expired(waited_for))
    if over_us is None:
        position = max(concern.after, concern.came) or concern.at or replica_set.oplog.last
        # The others do not matter if the member itself will never have it.
        laggards = replica_set.laggards(position, [member]) or replica_set.laggards(position)
        raise EndlessWaitError(f"{operation} on {member.name}", _awaited(concern), laggards)
    return Wait(until_us=over_us)


def check(concern: ReadConcern) -> None:
    """Raise what the server raises for a read concern that no member takes.

    Raises:
        OperationFailure: Error 9: there is no such level; 72: it knows no cluster times.
    """
    if concern.level is not None and concern.level not in LEVELS:
        raise server_errors.unknown_read_concern()
    if concern.after and concern.level in ("available", "linearizable"):
        raise server_errors.level_without_time()


def _check(member: Member, concern: ReadConcern) -> None:
    """Raise what the server raises for a read concern that it refuses outright."""
    check(concern)
    if concern.level == "linearizable" and not member.is_primary:
        raise server_errors.not_writable_primary(
            "cannot satisfy linearizable read concern on non-primary node"
        )


def _dues(replica_set: ReplicaSet, member: Member, concern: ReadConcern) -> list[int | None]:
    """When each thing that the read waits for comes; None for what never comes."""
    dues: list[int | None] = []
    needed = max(concern.after, concern.at or 0)
    if needed and member.replication is not None:
        dues.append(member.replication.due_us(needed))
    if concern.level == "linearizable":
        # The server writes a no-op, and waits until a majority has that.
        noop = replica_set.oplog.append(replica_set.clock.now_us, NO_OP)
        dues.append(replica_set.acknowledged_us(noop, replica_set.majority))
    elif concern.level in ("majority", "snapshot") and (needed or concern.came):
        dues.append(_committed_us(replica_set, max(needed, concern.came)))
    return dues


def _committed_us(replica_set: ReplicaSet, position: int) -> int | None:
    """When a majority has the entry at `position`."""
    if replica_set.commit_point() >= position:
        return 0
    return replica_set.acknowledged_us(position, replica_set.majority)


def _awaited(concern: ReadConcern) -> str:
    if concern.level == "linearizable":
        return "a majority of the members has the newest write (read concern linearizable)"
    if concern.came > concern.after:
        return "a majority of the members has the collection, which is new (read concern majority)"
    if concern.level in ("majority", "snapshot"):
        return f"the session's last write is on a majority (read concern {concern.level})"
    return "the member has the session's last write (causal consistency)"


def _waited_for(replica_set: ReplicaSet, member: Member, concern: ReadConcern) -> str:
    """How the server begins the message of a wait that took too long."""
    needed = max(concern.after, concern.at or 0)
    if not needed:
        return ""
    oplog = replica_set.oplog
    what = "snapshot not less than" if concern.level in ("majority", "snapshot") else "optime"
    applied = replica_set.applied(member)
    current, term = oplog.timestamp(applied), oplog.term_of(applied)
    return (
        f"Error waiting for {what} {{ ts: {oplog.timestamp(needed)}, t: -1 }}, current relevant "
        f"optime is {{ ts: {current}, t: {term} }}. :: caused by :: "
    )


def read_position(replica_set: ReplicaSet, member: Member, concern: ReadConcern) -> int:
    """The position at which the member answers, once the wait is over.

    Raises:
        OperationFailure: Error 239 `SnapshotTooOld`: the history before a snapshot is gone.
    """
    if concern.level == "snapshot" and concern.at is not None:
        if concern.at < replica_set.oplog.oldest_readable:
            requested = replica_set.oplog.timestamp(concern.at)
            raise server_errors.snapshot_too_old(requested)
        return concern.at
    applied = replica_set.applied(member)
    if concern.level in ("majority", "snapshot"):
        return min(replica_set.commit_point(), applied)
    return applied


def refusal_position(replica_set: ReplicaSet, member: Member, level: str | None) -> int:
    """The position that a member tells when it refuses a read, or anything else.

    Sessions take it over from refusals, too. With read concern majority it is what the member
    knows a majority to have, as was seen on a server.
    """
    if level == "majority":
        return read_position(replica_set, member, ReadConcern(level=level))
    return replica_set.applied(member)
