"""Reads at an optime at which a collection was not there yet, which the node refuses.

A lagging secondary has no such collection and finds nothing in it. The node says error 246, for it
looks the collection up by its name of today. So the read is asked once more, with a name that no
collection has in the place of each that was not there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import Timestamp
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.replies import decoded, encoded
from pytest_replicalag.fronts.forwarding.members_data import Asked
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.pipelines import JOINING, joined, joined_by
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg

__all__ = [
    "TOO_OLD",
    "UNAVAILABLE",
    "came_between",
    "failure_of",
    "is_absent",
    "is_capped",
    "without_absent",
]

UNAVAILABLE: Final = 246
"""`SnapshotUnavailable`."""

TOO_OLD: Final = 239
"""`SnapshotTooOld`."""

_NOBODY: Final = "replicalag.absent"
"""The name that no collection has."""

_SHORT: Final = 200
"""A reply that tells of a failure, or of nothing, is seldom much longer; others are not decoded."""


def failure_of(reply: bytes) -> Mapping[str, Any] | None:
    """The reply of a command that has failed; None for one that has not."""
    # `ok: 1.0` or `ok: 0.0` stands at the end, before the times; only a failure has an `errmsg`.
    if b"\x02errmsg\0" not in reply[BODY_AT : BODY_AT + _SHORT]:
        return None
    document = decoded(reply[BODY_AT:])
    return None if document.get("ok") else document


def is_capped(failure: Mapping[str, Any]) -> bool:
    """Whether a snapshot was refused because the collection is a capped one."""
    return "capped" in str(failure.get("errmsg"))


def without_absent(forwarded: Forwarded, time: Timestamp, known: Timestamp) -> bytes:
    """The reply to a read of collections some of which were not there at an optime.

    Args:
        forwarded: The read.
        time: The optime of the data.
        known: The optime at which a collection must not be there to be taken for absent.
    """
    request, body = forwarded.request, forwarded.message.body
    pipeline = decoded(body).get("pipeline")
    names = {request.collection, *joined(pipeline)}
    upstream = forwarded.connection.upstream
    absent = {name for name in names if is_absent(upstream, request.database, name, known)}
    fields: dict[str, Any] = {}
    if request.collection in absent:
        fields[request.name] = _NOBODY
    if pipeline is not None:
        fields["pipeline"] = _renamed(pipeline, absent)
    reply = forwarded.exchange_body(snapshots.with_fields(snapshots.read_at(body, time), **fields))
    document = decoded(reply[BODY_AT:])
    cursor = document.get("cursor")
    if cursor is not None and not cursor["id"]:
        cursor["ns"] = cursor["ns"].replace(_NOBODY, request.collection)
    return op_msg(0, forwarded.message.request_id, encoded(document))


def came_between(
    asked: Asked, database: str, collection: str, times: Callable[[int], Timestamp], found: range
) -> int:
    """At which of some positions a collection came that was not there before them.

    Args:
        asked: Has the data.
        database: The collection's database.
        collection: Its name.
        times: Tells the optime of a position.
        found: The positions, of which it is there at the last one if it came.

    Returns:
        The position; 0 if it was there before, or is not there.
    """

    def is_there(position: int) -> bool:
        return not is_absent(asked, database, collection, times(position))

    if not found or is_there(found.start - 1) or not is_there(found[-1]):
        return 0
    return found[bisect_left(found, True, key=is_there)]


def is_absent(asked: Asked, database: str, collection: str, time: Timestamp) -> bool:
    """Whether a collection, or what a view looks at, was not there at an optime."""
    probe = {
        "find": collection,
        "limit": 1,
        "singleBatch": True,
        "projection": {"_id": 1},
        "readConcern": {"level": "snapshot", "atClusterTime": time},
        "$db": database,
    }
    try:
        asked.command(probe)
    except OperationFailure as error:
        return error.code == UNAVAILABLE and not is_capped(error.details or {})
    return False


def _renamed(part: Any, absent: set[str]) -> Any:
    """A pipeline that reads nobody's collection in the place of those that are absent."""
    if isinstance(part, list):
        return [_renamed(item, absent) for item in part]
    if not isinstance(part, Mapping):
        return part
    renamed = {}
    for key, value in part.items():
        value = _renamed(value, absent)
        if key in JOINING and joined_by(value) in absent:
            if isinstance(value, str):
                value = _NOBODY
            else:
                value = {**value, "from" if "from" in value else "coll": _NOBODY}
        renamed[key] = value
    return renamed
