"""When a write is acknowledged: `w`, `j` and `wtimeout`.

The write takes effect on the primary first; only its acknowledgement waits. So every outcome here
is about a write that has happened. MongoDB manual, Write Concern; driver specification, Read and
Write Concern.

Not modelled: `j` waits for nothing, for every simulated member is journaled; custom write concern
modes, tag sets with names of their own, do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.replica_set import TAG, ReplicaSet

__all__ = ["MAJORITY", "Acknowledgement", "acknowledgement", "check", "is_acknowledged"]

W: TypeAlias = "int | str | Mapping[str, int]"

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
        write_concern: As a client sends it: `{"w": …, "j": …, "wtimeout": …}`, `w` a number, a
            word or a document of tags, `wtimeout` in milliseconds; empty for the server's default,
            which is a majority.
        operation: The operation's name, for the error.
        max_time_ms: The operation's time limit (`maxTimeMS`), if it has one.

    Raises:
        EndlessWaitError: The wait could never end.
    """
    w = _w(write_concern)
    if w == MAJORITY and replica_set.majority_keeps_up:
        return _AT_ONCE
    error = _unmeetable(replica_set, w, write_concern)
    if error is not None:
        return Acknowledgement(due_us=0, error=error)
    members = _members(replica_set, w)
    if members <= 1:
        return _AT_ONCE
    return _wait(replica_set, position, members, write_concern, operation, max_time_ms)


def _unmeetable(
    replica_set: ReplicaSet, w: W, write_concern: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The error of a write concern that no wait on this set can meet, if it is one."""
    size = len(replica_set.members)
    if isinstance(w, Mapping):
        for tag in w:
            if tag != TAG:
                return server_errors.unknown_tag(tag, _as_sent(write_concern))
        if w[TAG] > size:
            return server_errors.unsatisfiable_tag(TAG, w[TAG], _as_sent(write_concern))
    elif isinstance(w, str):
        if w != MAJORITY:
            return server_errors.unknown_write_concern(w, _as_sent(write_concern))
    elif w > size:
        return server_errors.unsatisfiable_write_concern(_as_sent(write_concern))
    return None


def _members(replica_set: ReplicaSet, w: W) -> int:
    """How many members must have a write."""
    if isinstance(w, Mapping):
        return w[TAG]  # a number of different values, and no two members have the same
    return replica_set.majority if isinstance(w, str) else w


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


def is_acknowledged(write_concern: Mapping[str, Any]) -> bool:
    """Whether a server tells what a write does; with `w: 0`, only if it is to be journaled."""
    if write_concern.get("w") != 0:
        return True
    return bool(write_concern.get("j") or write_concern.get("fsync"))


def _w(write_concern: Mapping[str, Any]) -> W:
    """What `w` means. Nothing given is the server's default; only `j` or `wtimeout` is `w: 1`."""
    w: W = write_concern.get("w", 1 if write_concern else MAJORITY)
    return w


def check(write_concern: Mapping[str, Any]) -> None:
    """Raise what the server raises, before the write, for a write concern that cannot be.

    Raises:
        OperationFailure: `w` is larger than any replica set, or negative.
    """
    w = write_concern.get("w")
    if isinstance(w, int) and not 0 <= w <= LARGEST_SET:
        raise server_errors.write_concern_too_large(w)


def _as_sent(write_concern: Mapping[str, Any]) -> dict[str, Any]:
    """The write concern as the server repeats it in an error."""
    return {
        "w": _w(write_concern),
        **({"j": write_concern["j"]} if write_concern.get("j") is not None else {}),
        **({"fsync": True} if write_concern.get("fsync") else {}),
        "wtimeout": write_concern.get("wtimeout", 0),
        "provenance": "clientSupplied" if write_concern else "implicitDefault",
    }
