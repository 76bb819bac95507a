"""When a write is acknowledged: `w`, `j` and `wtimeout`.

The write takes effect on the primary first; only its acknowledgement waits. So every outcome here
is about a write that has happened. MongoDB manual, Write Concern; driver specification, Read and
Write Concern.

Not modelled: `j` waits for nothing, for every simulated member is journaled; custom write concern
modes (tag sets with counts) do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.replica_set import ReplicaSet

__all__ = ["MAJORITY", "Acknowledgement", "acknowledgement", "check"]

MAJORITY: Final = "majority"

LARGEST_SET: Final = 50
"""The most members that a replica set can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """How the wait for a write concern ends.

    Attributes:
        due_us: When it ends, in simulated microseconds; 0 if there is nothing to wait for.
        error: The write concern error of the reply, as the server sends it, if any.
    """

    due_us: int
    error: dict[str, Any] | None = None


_AT_ONCE = Acknowledgement(due_us=0)


def acknowledgement(
    replica_set: ReplicaSet,
    position: int,
    write_concern: Mapping[str, Any],
    operation: str,
    max_time_ms: int | None = None,
) -> Acknowledgement:
    """When and how the write at `position` is acknowledged.

    Args:
        replica_set: The set that the write was made on.
        position: Of the last oplog entry of the write.
        write_concern: As a client sends it: `{"w": …, "j": …, "wtimeout": …}`, `wtimeout` in
            milliseconds; empty for the server's default, which is a majority.
        operation: The operation's name, for the error.
        max_time_ms: The operation's time limit (`maxTimeMS`), if it has one.

    Raises:
        EndlessWaitError: The wait could never end.
    """
    w = _w(write_concern)
    if w == MAJORITY:
        if replica_set.majority_keeps_up:
            return _AT_ONCE
        members = replica_set.majority
    elif isinstance(w, str):
        error = server_errors.unknown_write_concern(w, _as_sent(write_concern))
        return Acknowledgement(due_us=0, error=error)
    else:
        members = w
    if members <= 1:
        return _AT_ONCE
    if members > len(replica_set.members):
        error = server_errors.unsatisfiable_write_concern(_as_sent(write_concern))
        return Acknowledgement(due_us=0, error=error)
    return _wait(replica_set, position, members, write_concern, operation, max_time_ms)


def _wait(
    replica_set: ReplicaSet,
    position: int,
    members: int,
    write_concern: Mapping[str, Any],
    operation: str,
    max_time_ms: int | None,
) -> Acknowledgement:
    due_us = replica_set.acknowledged_us(position, members)
    timeout_ms = write_concern.get("wtimeout") or 0
    limit_ms = min(timeout_ms or max_time_ms or 0, max_time_ms or timeout_ms)
    if limit_ms:
        limit_us = replica_set.clock.now_us + limit_ms * 1_000
        if due_us is None or due_us > limit_us:
            is_timeout = limit_ms == timeout_ms
            tell = server_errors.write_timeout if is_timeout else server_errors.write_expired
            return Acknowledgement(due_us=limit_us, error=tell(_as_sent(write_concern)))
    if due_us is None:
        raise EndlessWaitError(
            f"{operation} with write concern w: {_w(write_concern)}",
            f"{members} of {len(replica_set.members)} members have the write",
            replica_set.laggards(position),
        )
    return Acknowledgement(due_us=due_us)


def _w(write_concern: Mapping[str, Any]) -> int | str:
    """What `w` means. Nothing given is the server's default; only `j` or `wtimeout` is `w: 1`."""
    w: int | str = write_concern.get("w", 1 if write_concern else MAJORITY)
    return w


def check(write_concern: Mapping[str, Any]) -> None:
    """Raise what the server raises, before the write, for a write concern that cannot be.

    Raises:
        OperationFailure: `w` is larger than any replica set.
    """
    w = write_concern.get("w")
    if isinstance(w, int) and w > LARGEST_SET:
        raise server_errors.write_concern_too_large(w)


def _as_sent(write_concern: Mapping[str, Any]) -> dict[str, Any]:
    """The write concern as the server repeats it in an error."""
    return {
        "w": _w(write_concern),
        "wtimeout": write_concern.get("wtimeout", 0),
        "provenance": "clientSupplied" if write_concern else "implicitDefault",
    }
