"""What kind of command one is: what its fields say beyond its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.fronts.wire.request import Request

__all__ = [
    "BACKGROUND",
    "BEGINNINGS",
    "CATALOG_WRITES",
    "ENDINGS",
    "HELLOS",
    "IN_TRANSACTIONS",
    "NOT_WAITING",
    "WRITING_STAGES",
    "counts_metadata",
    "opens_stream",
    "writes_out",
    "writing_stage",
]

HELLOS: Final = ("hello", "isMaster", "ismaster")
"""The command by which clients and servers get to know each other, by all its names."""

BACKGROUND: Final = (*HELLOS, "ping", "getMore")
"""What clients send without being told to, or while they wait for events."""

ENDINGS: Final = ("commitTransaction", "abortTransaction")
"""The commands that end a transaction."""

BEGINNINGS: Final = frozenset(
    {
        "aggregate",
        "create",
        "createIndexes",
        "delete",
        "distinct",
        "find",
        "findAndModify",
        "findandmodify",
        "getMore",
        "insert",
        "update",
    }
)
"""The commands that a transaction may begin with."""

IN_TRANSACTIONS: Final = BEGINNINGS | {*ENDINGS, "killCursors"}
"""The commands that a transaction may have."""

NOT_WAITING: Final = ("findAndModify", "findandmodify", "createIndexes", "aggregate")
"""Writes that do not wait for their write concern if they fail."""

CATALOG_WRITES: Final = (
    "create",
    "createIndexes",
    "dropIndexes",
    "drop",
    "dropDatabase",
    "renameCollection",
    "collMod",
)
"""Commands that change collections and indexes rather than documents."""

WRITING_STAGES: Final = ("$out", "$merge")


def writes_out(request: Request) -> bool:
    """Whether it is an aggregation that writes what it finds."""
    if request.name != "aggregate":
        return False
    pipeline = request.command.get("pipeline")
    if not isinstance(pipeline, list) or not pipeline or not isinstance(pipeline[-1], Mapping):
        return False
    return any(stage in pipeline[-1] for stage in WRITING_STAGES)


def writing_stage(request: Request) -> str:
    """The name of the last stage of a pipeline that writes."""
    name: str = next(iter(request.command["pipeline"][-1]))
    return name


def counts_metadata(request: Request) -> bool:
    """Whether it counts from metadata, which are as new as the member at each read concern."""
    return request.name == "count" and not request.command.get("query")


def opens_stream(command: Mapping[str, Any]) -> bool:
    """Whether an `aggregate` opens a change stream."""
    pipeline = command.get("pipeline")
    if not isinstance(pipeline, list) or not pipeline:
        return False
    return isinstance(pipeline[0], Mapping) and "$changeStream" in pipeline[0]
