"""Reads at an optime at which a collection was not there yet, which the node refuses.

A lagging secondary has no such collection and finds nothing in it. The node says error 246, for it
looks the collection up by its name of today. So the read is asked once more, with a name that no
collection has in the place of each that was not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bson import Timestamp
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.replies import decoded, encoded
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg

__all__ = ["TOO_OLD", "UNAVAILABLE", "failure_of", "is_absent", "is_capped", "without_absent"]

UNAVAILABLE: Final = 246
"""`SnapshotUnavailable`."""

TOO_OLD: Final = 239
"""`SnapshotTooOld`."""

_NOBODY: Final = "replicalag.absent"
"""The name that no collection has."""

_JOINING: Final = ("$lookup", "$graphLookup", "$unionWith")

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


def without_absent(forwarded: Forwarded, time: Timestamp) -> bytes:
    """The reply to a read of collections some of which were not there at that optime."""
    request, body = forwarded.request, forwarded.message.body
    names = {request.collection, *_joined(request.command.get("pipeline"))}
    absent = {name for name in names if is_absent(forwarded, name, time)}
    fields: dict[str, Any] = {}
    if request.collection in absent:
        fields[request.name] = _NOBODY
    if "pipeline" in request.command:
        fields["pipeline"] = _renamed(request.command["pipeline"], absent)
    reply = forwarded.exchange_body(snapshots.with_fields(snapshots.read_at(body, time), **fields))
    document = decoded(reply[BODY_AT:])
    cursor = document.get("cursor")
    if cursor is not None and not cursor["id"]:
        cursor["ns"] = cursor["ns"].replace(_NOBODY, request.collection)
    return op_msg(0, forwarded.message.request_id, encoded(document))


def is_absent(forwarded: Forwarded, collection: str, time: Timestamp) -> bool:
    """Whether a collection, or what a view looks at, was not there at an optime."""
    probe = {
        "find": collection,
        "limit": 1,
        "singleBatch": True,
        "projection": {"_id": 1},
        "readConcern": {"level": "snapshot", "atClusterTime": time},
        "$db": forwarded.request.database,
    }
    try:
        forwarded.connection.upstream.command(probe)
    except OperationFailure as error:
        return error.code == UNAVAILABLE and not is_capped(error.details or {})
    return False


def _joined(part: Any) -> Iterator[str]:
    """The collections that a pipeline reads besides its own."""
    if isinstance(part, list):
        for item in part:
            yield from _joined(item)
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if key in _JOINING and (name := _name_in(value)) is not None:
                yield name
            yield from _joined(value)


def _name_in(stage: Any) -> str | None:
    """The collection that a stage joins."""
    if isinstance(stage, str):
        return stage
    name = stage.get("from", stage.get("coll")) if isinstance(stage, Mapping) else None
    return name if isinstance(name, str) else None


def _renamed(part: Any, absent: set[str]) -> Any:
    """A pipeline that reads nobody's collection in the place of those that are absent."""
    if isinstance(part, list):
        return [_renamed(item, absent) for item in part]
    if not isinstance(part, Mapping):
        return part
    renamed = {}
    for key, value in part.items():
        value = _renamed(value, absent)
        if key in _JOINING and _name_in(value) in absent:
            if isinstance(value, str):
                value = _NOBODY
            else:
                value = {**value, "from" if "from" in value else "coll": _NOBODY}
        renamed[key] = value
    return renamed
