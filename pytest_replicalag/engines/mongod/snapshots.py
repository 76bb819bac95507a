"""Rewrites commands, so that the node answers them as a lagging member would.

Only the fields of a command are looked at; what they hold stays the bytes that the driver has sent.
MongoDB manual, Read Concern "snapshot"; error 246 `SnapshotUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import Timestamp
from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod.replies import encoded

__all__ = [
    "as_aggregate",
    "as_find",
    "counts_by_finding",
    "is_of_now",
    "read_at",
    "read_now",
    "with_fields",
]

_OF_NOW: Final = frozenset(
    {
        "$collStats",
        "$currentOp",
        "$documents",
        "$indexStats",
        "$listLocalSessions",
        "$listSessions",
        "$planCacheStats",
    }
)
"""First stages that tell of the server rather than of documents."""

_SYSTEM_DATABASES: Final = frozenset({"admin", "config", "local"})

_NOT_IN_A_MATCH: Final = ("$near", "$where")
"""What a `count` may ask and a `$match` may not; `$nearSphere` begins like the first."""

_COUNT_TO_AGGREGATE: Final = ("hint", "collation", "maxTimeMS", "comment", "lsid", "$db")


def read_at(body: bytes, timestamp: Timestamp) -> bytes:
    """A read, as it was at an optime."""
    return with_fields(body, readConcern={"level": "snapshot", "atClusterTime": timestamp})


def read_now(body: bytes) -> bytes:
    """A read of the newest data: the waiting for its read concern is over."""
    return with_fields(body, readConcern=None)


def with_fields(body: bytes, **fields: Any) -> bytes:
    """A command with other values for some of its fields; without those that are None."""
    command = {**RawBSONDocument(body)}
    for name, value in fields.items():
        if value is None:
            command.pop(name, None)
        else:
            command[name] = value
    return encoded(command)


def is_of_now(name: str, command: Mapping[str, Any]) -> bool:
    """Whether a read tells of the server as it is, whichever member is asked."""
    if command["$db"] in _SYSTEM_DATABASES or not isinstance(command[name], str):
        return True
    if name != "aggregate":
        return False
    pipeline = command.get("pipeline")
    first = pipeline[0] if isinstance(pipeline, list) and pipeline else None
    return isinstance(first, Mapping) and not _OF_NOW.isdisjoint(first)


def counts_by_finding(command: Mapping[str, Any]) -> bool:
    """Whether a `count` asks what only a `find` may ask, too."""
    asked = str(command.get("query", ""))
    return any(operator in asked for operator in _NOT_IN_A_MATCH)


def as_aggregate(body: bytes) -> bytes:
    """A `count`, which no server takes in a snapshot, as a pipeline that counts."""
    command = RawBSONDocument(body)
    stages: list[dict[str, Any]] = [{"$match": command.get("query") or {}}]
    if command.get("skip"):
        stages.append({"$skip": command["skip"]})
    if command.get("limit"):
        stages.append({"$limit": abs(command["limit"])})
    stages.append({"$count": "n"})
    kept = {name: command[name] for name in _COUNT_TO_AGGREGATE if name in command}
    return encoded({"aggregate": command["count"], "pipeline": stages, "cursor": {}, **kept})


def as_find(body: bytes) -> bytes:
    """A `count` as a find, for what no pipeline may ask."""
    command = RawBSONDocument(body)
    kept = {name: command[name] for name in ("skip", *_COUNT_TO_AGGREGATE) if name in command}
    if command.get("limit"):
        kept["limit"] = abs(command["limit"])
    asked = {"filter": command.get("query") or {}, "projection": {"_id": 1}}
    return encoded({"find": command["count"], **asked, **kept})
