"""What a `$changeStream` stage and the stages after it ask for, and what a server refuses.

Codes and messages were recorded from MongoDB 6.0.5.
MongoDB manual, `$changeStream` (aggregation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson import Timestamp

from pytest_replicalag.engines.memory.resume_tokens import Place, token_of
from pytest_replicalag.replicaset import server_errors

__all__ = ["INTERNAL", "ChangeStreamOptions", "check_pipeline", "options_of"]

INTERNAL: Final = ("admin", "config", "local")
"""Databases whose changes no stream shows."""

_IMAGES: Final = {
    "fullDocument": ("default", "updateLookup", "whenAvailable", "required"),
    "fullDocumentBeforeChange": ("off", "whenAvailable", "required"),
}
_BOOLEANS: Final = (
    "allChangesForCluster",
    "showExpandedEvents",
    "showMigrationEvents",
    "showSystemEvents",
    "showRawUpdateDescription",
)
_TYPES: Final[dict[str, tuple[type, str]]] = {
    "resumeAfter": (Mapping, "object"),
    "startAfter": (Mapping, "object"),
    "startAtOperationTime": (Timestamp, "timestamp"),
    **dict.fromkeys(_IMAGES, (str, "string")),
}

_PERMITTED: Final = frozenset(
    {
        "$addFields",
        "$match",
        "$project",
        "$redact",
        "$replaceRoot",
        "$replaceWith",
        "$set",
        "$unset",
    }
)
_NOT_PERMITTED: Final = {
    "$collStats": "$collStats",
    "$currentOp": "$currentOp",
    "$densify": "$densify",
    "$documents": "$documents",
    "$facet": "$facet",
    "$fill": "$fill",
    "$geoNear": "$geoNear",
    "$graphLookup": "$graphLookup",
    "$group": "$group",
    "$indexStats": "$indexStats",
    "$limit": "$limit",
    "$listLocalSessions": "$listLocalSessions",
    "$listSessions": "$listSessions",
    "$lookup": "$lookup",
    "$merge": "$merge",
    "$out": "$out",
    "$planCacheStats": "$planCacheStats",
    "$sample": "$sample",
    "$search": "$search",
    "$setWindowFields": "$setWindowFields",
    "$skip": "$skip",
    "$sort": "$sort",
    "$unionWith": "$unionWith",
    "$unwind": "$unwind",
    "$bucket": "$group",
    "$bucketAuto": "$group",
    "$count": "$group",
    "$sortByCount": "$group",
}
"""What a server knows but does not permit, and what it calls it in the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStreamOptions:
    """A `$changeStream` stage.

    Attributes:
        full_document: One of `default`, `updateLookup`, `whenAvailable`, `required`.
        before_change: One of `off`, `whenAvailable`, `required`.
        is_for_cluster: Whether it shows the changes of all databases.
        shows_expanded: Whether it shows changes of catalog and indexes, and UUIDs.
        resume_after: The token's place, if it resumes.
        start_after: The token's place, if it starts after it; an invalidation is allowed.
        start_at: The cluster time from which it starts, if it has one.
    """

    full_document: str = "default"
    before_change: str = "off"
    is_for_cluster: bool = False
    shows_expanded: bool = False
    resume_after: Place | None = None
    start_after: Place | None = None
    start_at: Timestamp | None = None


def options_of(
    database: str | None, collection: str | None, stage: Mapping[str, Any]
) -> ChangeStreamOptions:
    """The options of a stage, checked.

    Args:
        database: The database that the command was sent to; None for the whole cluster.
        collection: The collection, or None.
        stage: The document of `$changeStream`.

    Raises:
        OperationFailure: What a server refuses.
    """
    if not isinstance(stage, Mapping):
        raise server_errors.operation_failure(
            6188500,
            "Location6188500",
            f"$changeStream must take a nested object but found: $changeStream: {stage}",
        )
    given = {name: value for name, value in stage.items() if value is not None}
    _check_types(given)
    is_for_cluster = bool(given.get("allChangesForCluster")) or database is None
    _check_namespace(database, collection, is_for_cluster=is_for_cluster)
    _check_resuming(given)
    resume_after, start_after = (
        token_of(given[name]) if name in given else None for name in ("resumeAfter", "startAfter")
    )
    if resume_after is not None and resume_after.is_invalidate:
        raise server_errors.operation_failure(
            260,
            "InvalidResumeToken",
            "Attempting to resume a change stream using 'resumeAfter' is not allowed from an "
            "invalidate notification",
        )
    return ChangeStreamOptions(
        full_document=given.get("fullDocument", "default"),
        before_change=given.get("fullDocumentBeforeChange", "off"),
        is_for_cluster=is_for_cluster,
        shows_expanded=given.get("showExpandedEvents", False),
        resume_after=resume_after,
        start_after=start_after,
        start_at=given.get("startAtOperationTime"),
    )


def _check_types(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _BOOLEANS:
            if not isinstance(value, bool):
                raise _mismatch(
                    f"Field '{name}' should be a boolean value, but found: {_type_of(value)}"
                )
        elif name not in _TYPES:
            raise server_errors.operation_failure(
                40415, "Location40415", f"BSON field '$changeStream.{name}' is an unknown field."
            )
        elif not isinstance(value, _TYPES[name][0]):
            raise _mismatch(
                f"BSON field '$changeStream.{name}' is the wrong type '{_type_of(value)}', "
                f"expected type '{_TYPES[name][1]}'"
            )
        elif name in _IMAGES and value not in _IMAGES[name]:
            raise server_errors.operation_failure(
                2,
                "BadValue",
                f"Enumeration value '{value}' for field '$changeStream.{name}' is not a valid "
                "value.",
            )


def _mismatch(message: str) -> Exception:
    return server_errors.operation_failure(14, "TypeMismatch", message)


def _type_of(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "double", str: "string", list: "array"}
    return names.get(type(value), "object" if isinstance(value, Mapping) else "unknown")


def _check_namespace(database: str | None, collection: str | None, *, is_for_cluster: bool) -> None:
    if is_for_cluster:
        if database not in (None, "admin") or collection is not None:
            raise server_errors.invalid_options(
                "A $changeStream with 'allChangesForCluster:true' may only be opened on the "
                "'admin' database, and with no collection name; found "
                f"{database}.{collection or '$cmd.aggregate'}"
            )
    elif database in INTERNAL:
        raise _internal(f"{database} database")
    elif collection is not None and collection.startswith("system."):
        raise _internal(f"{database}.{collection} collection")


def _internal(what: str) -> Exception:
    return server_errors.operation_failure(
        73, "InvalidNamespace", f"$changeStream may not be opened on the internal {what}"
    )


def _check_resuming(given: Mapping[str, Any]) -> None:
    if "startAtOperationTime" in given and ("resumeAfter" in given or "startAfter" in given):
        raise server_errors.operation_failure(
            40674,
            "Location40674",
            "Only one type of resume option is allowed, but multiple were found",
        )
    if "resumeAfter" in given and "startAfter" in given:
        raise server_errors.operation_failure(
            50865,
            "Location50865",
            "Do not specify both 'resumeAfter' and 'startAfter' in a $changeStream stage",
        )


def check_pipeline(pipeline: Sequence[Any]) -> None:
    """Check the stages after `$changeStream`.

    Raises:
        OperationFailure: A stage that there is not, or that change streams do not permit.
    """
    for stage in pipeline:
        if not isinstance(stage, Mapping):
            raise _mismatch("Each element of the 'pipeline' array must be an object")
        if len(stage) != 1:
            raise server_errors.operation_failure(
                40323,
                "Location40323",
                "A pipeline stage specification object must contain exactly one field.",
            )
        [name] = stage
        if name == "$changeStream":
            raise server_errors.operation_failure(
                40602,
                "Location40602",
                "$_internalChangeStreamOplogMatch is only valid as the first stage in a pipeline",
            )
        if name in _NOT_PERMITTED:
            raise server_errors.operation_failure(
                20,
                "IllegalOperation",
                f"{_NOT_PERMITTED[name]} is not permitted in a $changeStream pipeline",
            )
        if name not in _PERMITTED:
            raise server_errors.operation_failure(
                40324, "Location40324", f"Unrecognized pipeline stage name: '{name}'"
            )
