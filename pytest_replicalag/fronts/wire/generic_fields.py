"""The fields that any command may have: a wrong one is refused, with the words of a server.

What passes has the types that the rest of the front counts on; a null that means nothing is gone.
MongoDB manual, Database Commands; server source, `generic_argument.idl`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import Binary
from bson.binary import UUID_SUBTYPE
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.generic_fields import GENERIC
from pytest_replicalag.engines.types import (
    NUMBER,
    check_typed,
    type_name,
    unknown_field,
    whole,
    wrong_type,
)
from pytest_replicalag.fronts.wire.concern_fields import (
    check_read_concern,
    parsed_write_concern,
)
from pytest_replicalag.fronts.wire.kinds import HELLOS
from pytest_replicalag.fronts.wire.retryable_writes import RETRYABLE_WRITES
from pytest_replicalag.fronts.wire.stable_api import check_stable_api
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.server_errors import invalid_options, operation_failure

__all__ = ["OWN_FIELDS", "check_generic_fields", "check_own_fields"]

_TAKES_NO_TXN_NUMBER: Final = frozenset({*HELLOS, "ping"})
"""Commands that have no business with sessions; a transaction number on them is an error."""

OWN_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "abortTransaction": ("recoveryToken",),
    "commitTransaction": ("recoveryToken",),
    "connectionStatus": ("showPrivileges",),
    "endSessions": (),
    "getMore": ("collection", "batchSize", "term", "lastKnownCommittedOpTime"),
    "killCursors": ("cursors",),
    "killSessions": (),
    "ping": (),
    "refreshSessions": (),
}
"""The fields of those commands on no data that take no other ones; the rest takes any."""

_WITH_READ_CONCERN: Final = frozenset({"aggregate", "distinct", "find", "getMore"})

_WITH_WRITE_CONCERN: Final = RETRYABLE_WRITES | {
    "abortTransaction",
    "aggregate",
    "collMod",
    "commitTransaction",
    "create",
    "createIndexes",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "renameCollection",
}

_SUBTYPES: Final = {1: "function", 3: "UUID(deprecated)", 5: "MD5"}
_UUID_BYTES: Final = 16

_MODES: Final = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
_SMALLEST_MAX_STALENESS_S: Final = 90
_LARGEST_INT: Final = 2**31 - 1

_API_FIELDS: Final = frozenset({"apiVersion", "apiStrict", "apiDeprecationErrors"})


def check_generic_fields(name: str, command: dict[str, Any]) -> None:
    """Refuse what the server does not take; what it takes is put into one form, in place.

    Args:
        name: The command's name.
        command: The command.

    Raises:
        OperationFailure: A field has a wrong type or value, or two do not go together.
    """
    for field, check in _CHECKS.items():
        if field in command:
            check(command)
    if "readConcern" in command and "autocommit" not in command:
        _check_level(name, command["readConcern"].get("level"))
    if not _API_FIELDS.isdisjoint(command):
        check_stable_api(name, command)
    if "writeConcern" in command:
        _check_write_concern(name, command)
    if "txnNumber" in command or "autocommit" in command or "startTransaction" in command:
        _check_transaction(name, command)


def check_own_fields(name: str, command: Mapping[str, Any]) -> None:
    """Refuse a field that one of the commands has not whose fields the engine does not know.

    Raises:
        OperationFailure: Error 40415.
    """
    for field in command:
        if field != name and field not in GENERIC and field not in OWN_FIELDS[name]:
            raise unknown_field(f"{name}.{field}")


def _drop_null(command: dict[str, Any], field: str) -> bool:
    """Whether a field is null, which is as if it were not there."""
    if command[field] is None:
        del command[field]
        return True
    return False


# -- sessions ------------------------------------------------------------------------------------


def _check_lsid(command: dict[str, Any]) -> None:
    lsid, path = command["lsid"], "OperationSessionInfo.lsid"
    if _drop_null(command, "lsid"):
        return
    if not isinstance(lsid, dict):
        raise wrong_type(path, lsid, ("object",))
    for field in lsid:
        if field not in ("id", "uid", "txnNumber", "txnUUID"):
            raise unknown_field(f"{path}.{field}")
    key, user = lsid.get("id"), lsid.get("uid")
    if key is None:
        raise operation_failure(
            40414, "Location40414", f"BSON field '{path}.id' is missing but a required field"
        )
    if not isinstance(key, bytes):
        raise wrong_type(f"{path}.id", key, ("binData",))
    if not isinstance(key, Binary) or key.subtype != UUID_SUBTYPE:
        found = _SUBTYPES.get(getattr(key, "subtype", 0), "general")
        raise operation_failure(
            14,
            "TypeMismatch",
            f"BSON field '{path}.id' is the wrong binData type '{found}', expected type 'UUID'",
        )
    if len(key) != _UUID_BYTES:
        message = "uuid must be a 16-byte binary field with UUID (4) subtype"
        raise operation_failure(207, "InvalidUUID", message)
    if user is not None and not isinstance(user, bytes):
        raise wrong_type(f"{path}.uid", user, ("binData",))


def _check_session_field(field: str, expected: str) -> Callable[[dict[str, Any]], None]:
    def check(command: dict[str, Any]) -> None:
        value = command[field]
        if not _drop_null(command, field) and type_name(value) != expected:
            raise wrong_type(f"OperationSessionInfo.{field}", value, (expected,))

    return check


def _check_transaction(name: str, command: Mapping[str, Any]) -> None:
    """Refuse parts of a transaction or of a retryable write without the others."""
    if "startTransaction" in command and "autocommit" not in command:
        raise invalid_options(
            "'startTransaction' field requires 'autocommit' field to also be specified"
        )
    if name in _TAKES_NO_TXN_NUMBER:
        if "autocommit" in command:
            message = "This command is not supported in transactions"
            raise operation_failure(263, "OperationNotSupportedInTransaction", message)
        message = "It is illegal to provide a txnNumber for this command"
        raise operation_failure(50889, "Location50889", message)
    if "txnNumber" not in command:
        raise invalid_options(
            "'autocommit' field requires a transaction number to also be specified"
        )
    if "lsid" not in command:
        raise invalid_options("Transaction number requires a session ID to also be specified")
    if command["txnNumber"] < 0:
        raise invalid_options("Transaction number cannot be negative")
    if command.get("autocommit", False):
        raise invalid_options("Specifying autocommit=true is not allowed.")
    if not command.get("startTransaction", True):
        raise invalid_options("Specifying startTransaction=false is not allowed.")
    if "autocommit" not in command and name not in RETRYABLE_WRITES:
        raise operation_failure(
            50768,
            "NotARetryableWriteCommand",
            "txnNumber may only be provided for multi-document transactions and retryable write "
            f"commands. autocommit:false was not provided, and {name} is not a retryable write "
            "command.",
        )


# -- concerns and preferences --------------------------------------------------------------------


def _check_level(name: str, level: str | None) -> None:
    """Refuse a level that a command has not; `local` is what every command has."""
    if level in (None, "local") or name in _WITH_READ_CONCERN:
        return
    if name != "count":
        raise server_errors.read_concern_refused(name, str(level))
    if level == "snapshot":
        raise server_errors.read_concern_refused(name, level, "read concern snapshot not supported")


def _check_write_concern(name: str, command: dict[str, Any]) -> None:
    if name not in _WITH_WRITE_CONCERN:
        raise invalid_options("Command does not support writeConcern")
    command["writeConcern"] = parsed_write_concern(command["writeConcern"])


def _check_read_preference(command: dict[str, Any]) -> None:
    preference = command["$readPreference"]
    if not isinstance(preference, dict):
        raise operation_failure(
            14,
            "TypeMismatch",
            f"$readPreference has incorrect type: expected object but got {type_name(preference)}",
        )
    if "mode" not in preference:
        raise operation_failure(4, "NoSuchKey", 'Missing expected field "mode"')
    mode = preference["mode"]
    check_typed("mode", mode, "string")
    if mode not in _MODES:
        raise _bad_value(
            f"Could not parse $readPreference mode '{mode}'. Only the modes 'primary', "
            "'primaryPreferred', 'secondary', 'secondaryPreferred', and 'nearest' are supported. "
            f":: caused by :: Enumeration value '{mode}' for field 'mode' is not a valid value."
        )
    if "tags" in preference:
        check_typed("tags", preference["tags"], "array")
        tags = [tags for tags in preference["tags"] if isinstance(tags, dict)]
        preference["tags"] = tags or [{}]  # what selects whatever there is
        if mode == "primary" and any(preference["tags"]):
            raise _bad_value("Only empty tags are allowed with primary read preference")
    if "maxStalenessSeconds" in preference:
        _check_max_staleness(mode, preference)


def _check_max_staleness(mode: str, preference: dict[str, Any]) -> None:
    value = preference["maxStalenessSeconds"]
    if type_name(value) not in NUMBER:
        raise operation_failure(
            14,
            "TypeMismatch",
            'Expected field "maxStalenessSeconds" to have numeric type, but found '
            f"{type_name(value)}",
        )
    number = whole(value)
    if type_name(value) == "double" and number != value:
        raise _bad_value(
            'Expected field "maxStalenessSeconds" to have a value exactly representable as a '
            f"64-bit integer, but found maxStalenessSeconds: {value}"
        )
    if number < 0:
        raise _bad_value("maxStalenessSeconds must be a non-negative integer")
    if mode == "primary" and number:
        raise _bad_value("maxStalenessSeconds can not be set for the primary mode")
    if 0 < number < _SMALLEST_MAX_STALENESS_S:
        raise operation_failure(
            160,
            "MaxStalenessOutOfRange",
            "maxStalenessSeconds value can not be less than 90",
        )
    preference["maxStalenessSeconds"] = number or -1


# -- the rest ------------------------------------------------------------------------------------


def _check_cluster_time(command: dict[str, Any]) -> None:
    sent = command["$clusterTime"]
    if not isinstance(sent, (dict, list)):
        message = "invalid parameter: expected an object ($clusterTime)"
        raise operation_failure(10065, "Location10065", message)
    for field, expected in (("clusterTime", "timestamp"), ("signature", "object")):
        if isinstance(sent, list) or field not in sent:
            raise operation_failure(4, "NoSuchKey", f'Missing expected field "{field}"')
        check_typed(field, sent[field], expected)


def _check_max_time(command: dict[str, Any]) -> None:
    value = command["maxTimeMS"]
    if type_name(value) not in NUMBER:
        raise _bad_value("maxTimeMS must be a number")
    number = whole(value)
    if isinstance(value, float) and number != value and abs(value) != float("inf"):
        raise _bad_value("maxTimeMS has non-integral value")
    if not 0 <= number <= _LARGEST_INT:
        raise _bad_value(f"{number} value for maxTimeMS is out of range")
    command["maxTimeMS"] = number


def _bad_value(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)


_CHECKS: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
    "lsid": _check_lsid,
    "txnNumber": _check_session_field("txnNumber", "long"),
    "autocommit": _check_session_field("autocommit", "bool"),
    "startTransaction": _check_session_field("startTransaction", "bool"),
    "readConcern": lambda command: check_read_concern(command["readConcern"]),
    "$readPreference": _check_read_preference,
    "$clusterTime": _check_cluster_time,
    "maxTimeMS": _check_max_time,
}
