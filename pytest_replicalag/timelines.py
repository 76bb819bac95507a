"""What happened when, on each member of a set: for a report to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import Lane, PastRead, Timeline
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.replica_set import ReplicaSet

__all__ = ["timeline"]

_LANES: Final = 7
"""How many members are told of at most; a drawing has no more room."""


def timeline(
    replica_set: ReplicaSet, positions: Sequence[int], serving: Member, seen: PastRead | None
) -> Timeline:
    """The timeline of a read that is answered now.

    Of members that share their replication, for they lag alike, the first is told of, so that a
    stale read costs with 50 secondaries what it costs with two.

    Args:
        replica_set: The set.
        positions: Of the writes that the read misses.
        serving: The member that answers it.
        seen: An earlier read, whose member had by then what it showed.
    """
    first: dict[int, Member] = {}
    for member in replica_set.members:
        first.setdefault(id(member.replication), member)
    first[id(serving.replication)] = serving
    told = dict.fromkeys([replica_set.primary, serving, *first.values()])
    shown = sorted([*told][:_LANES], key=replica_set.members.index)
    oplog = replica_set.oplog
    return Timeline(
        read_at=Duration.of_us(replica_set.clock.now_us),
        written_at=tuple(Duration.of_us(oplog.time_us(position)) for position in positions),
        lanes=tuple(_lane(replica_set, member, positions, seen) for member in shown),
        members=len(replica_set.members),
    )


def _lane(
    replica_set: ReplicaSet, member: Member, positions: Sequence[int], seen: PastRead | None
) -> Lane:
    return Lane(
        name=member.name,
        is_primary=member.is_primary,
        is_up=member.is_up,
        is_paused=member.paused,
        lag="" if replica_set.is_chosen else str(member.lag),
        arrivals=tuple(_arrival(replica_set, member, position, seen) for position in positions),
    )


def _arrival(
    replica_set: ReplicaSet, member: Member, position: int, seen: PastRead | None
) -> Duration | None:
    """When a write reached a member, or will.

    Of one that it has, it is known only that it came within the lag, and before it was seen there.
    """
    written_us, now_us = replica_set.oplog.time_us(position), replica_set.clock.now_us
    if member.replication is None:
        return Duration.of_us(written_us)
    if replica_set.applied(member) >= position:
        latest_us = now_us if member.lag.high.is_forever else written_us + member.lag.high.us
        if seen is not None and seen.member == member.name and position <= seen.position:
            now_us = seen.at_us
        return Duration.of_us(min(latest_us, now_us))
    due_us = replica_set.due_us(member, position)
    return None if due_us is None else Duration.of_us(due_us)
