"""The fields `readConcern` and `writeConcern` of a command: what is not well formed is refused.

Both wire fronts ask here, for both have to know what a command's concerns say before it runs.
MongoDB manual, Read Concern; Write Concern. Server source, `read_concern_args.cpp`,
`write_concern_options.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import (
    NUMBER,
    SAFE_BOOL,
    check_typed,
    type_name,
    unknown_field,
    whole,
    wrong_type,
)
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.read_concern import LEVELS
from pytest_replicalag.replicaset.server_errors import invalid_options, operation_failure
from pytest_replicalag.replicaset.write_concern import check as check_size

__all__ = ["check_read_concern", "check_waits", "parsed_write_concern"]

_TIMES: Final = ("afterClusterTime", "atClusterTime")

_LEVELS_OF_SESSIONS: Final = (None, "local", "majority", "snapshot")
"""The levels of reads that may have to wait for the time of their session."""

_PROVENANCES: Final = (
    "clientSupplied",
    "implicitDefault",
    "customDefault",
    "getLastErrorDefaults",
    "internalWriteDefault",
)
"""What may be said of where a concern comes from; drivers do not."""

_LARGEST_INT: Final = 2**31 - 1


# -- read concern --------------------------------------------------------------------------------


def check_read_concern(concern: Any) -> None:
    """Refuse a read concern that is none.

    Args:
        concern: What a command's field holds.

    Raises:
        OperationFailure: A field of it is unknown or has a wrong type or value, or two do not go
            together.
    """
    if not isinstance(concern, dict):
        raise operation_failure(9, "FailedToParse", "readConcern field should be an object")
    for field, value in concern.items():
        if field == "level":
            check_typed(field, value, "string")
            if value not in LEVELS:
                raise server_errors.unknown_read_concern()
        elif field in _TIMES:
            check_typed(field, value, "timestamp")
        elif field == "provenance":
            _check_provenance("ReadConcernArgs::parse", value)
        else:
            raise invalid_options(f"Unrecognized option in readConcern: {field}")
    _check_times(concern)


def _check_times(concern: Mapping[str, Any]) -> None:
    level = concern.get("level")
    if all(field in concern for field in _TIMES):
        raise invalid_options(
            "Specifying a timestamp for readConcern snapshot in a causally consistent session is "
            "not allowed. See https://docs.mongodb.com/manual/core/"
            "read-isolation-consistency-recency/#causal-consistency"
        )
    if "atClusterTime" in concern and level != "snapshot":
        raise invalid_options("atClusterTime field can be set only if level is equal to snapshot")
    for field in _TIMES:
        if field in concern and not concern[field].time and not concern[field].inc:
            raise invalid_options(f"{field} cannot be a null timestamp")


def check_waits(concern: Mapping[str, Any]) -> None:
    """Refuse the time of a session with a level that waits for none; asked of a member that reads.

    Raises:
        OperationFailure: Error 72.
    """
    if "afterClusterTime" in concern and concern.get("level") not in _LEVELS_OF_SESSIONS:
        raise server_errors.level_without_time()


def _check_provenance(path: str, value: Any) -> None:
    if value is None or value in _PROVENANCES:
        return
    field = f"{path}.provenance"
    if not isinstance(value, str):
        raise wrong_type(field, value, ("string",))
    message = f"Enumeration value '{value}' for field '{field}' is not a valid value."
    raise operation_failure(2, "BadValue", message)


# -- write concern -------------------------------------------------------------------------------


def parsed_write_concern(concern: Any) -> dict[str, Any]:
    """A write concern as a server understands it: numbers are whole, and a null `w` is no name.

    Args:
        concern: What a command's field holds.

    Raises:
        OperationFailure: A field of it is unknown or has a wrong type or value, or two do not go
            together.
    """
    check_typed("writeConcern", concern, "object")
    parsed: dict[str, Any] = {}
    for field, value in concern.items():
        parse = _PARSERS.get(field)
        if parse is None:
            raise unknown_field(f"WriteConcernOptions.{field}")
        parsed[field] = parse(field, value)
    if parsed.get("fsync") and parsed.get("j"):
        message = "fsync and j options cannot be used together"
        raise operation_failure(9, "FailedToParse", message)
    return parsed


def _w(_: str, value: Any) -> int | str | dict[str, int]:
    kind = type_name(value)
    if kind in NUMBER:
        number = whole(value)
        check_size({"w": number})
        return number
    if kind == "object":
        return _tags(value)
    if kind not in ("string", "null"):
        raise operation_failure(
            9, "FailedToParse", f"w has to be a number, string, or object; found: {kind}"
        )
    return value or ""


def _tags(tags: Mapping[str, Any]) -> dict[str, int]:
    """How many values of which tag, in the order of a server's errors, which is by name."""
    if not tags:
        raise operation_failure(9, "FailedToParse", "tagged write concern requires tags")
    for tag, count in tags.items():
        if type_name(count) not in NUMBER:
            raise operation_failure(
                9,
                "FailedToParse",
                "tags must be a single level document with only number values; found: "
                f"{tag}: {shown(count)}",
            )
    return {tag: min(whole(tags[tag]), _LARGEST_INT) for tag in sorted(tags)}


def _flag(field: str, value: Any) -> Any:
    if value is not None and type_name(value) not in SAFE_BOOL:
        raise wrong_type(f"WriteConcernOptions.{field}", value, SAFE_BOOL)
    return value if value is None else bool(value)


def _wtimeout(_: str, value: Any) -> int:
    """In milliseconds; what is no number is none."""
    limit = whole(value) if type_name(value) in NUMBER else 0
    if limit > _LARGEST_INT:
        raise operation_failure(9, "FailedToParse", "wtimeout must be a 32-bit integer")
    return max(limit, 0)


def _provenance(_: str, value: Any) -> Any:
    _check_provenance("WriteConcernOptions", value)
    return value


def _ignored(_: str, value: Any) -> Any:
    return value


_PARSERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "w": _w,
    "j": _flag,
    "fsync": _flag,
    "wtimeout": _wtimeout,
    "provenance": _provenance,
    # Of servers of old, whose clients may still send them.
    "getLastError": _ignored,
    "wElectionId": _ignored,
    "wOpTime": _ignored,
}
