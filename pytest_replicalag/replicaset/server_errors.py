"""The errors of a MongoDB server, as pymongo raises them: codes, names, messages and details.

Each was recorded from a three-member replica set of MongoDB 6.0.
MongoDB manual, Error Codes; driver specification, Read and Write Concern.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson import Timestamp
from pymongo.errors import (
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)

__all__ = [
    "invalid_options",
    "level_without_time",
    "linearizable_refused",
    "max_time_expired",
    "nobody_caught_up",
    "not_writable_primary",
    "operation_failure",
    "read_concern_refused",
    "snapshot_refused",
    "snapshot_too_old",
    "snapshot_unavailable",
    "step_down_refused",
    "stream_read_concern",
    "time_ahead",
    "unknown_read_concern",
    "unknown_tag",
    "unknown_write_concern",
    "unsatisfiable_tag",
    "unsatisfiable_write_concern",
    "write_concern_exception",
    "write_concern_too_large",
    "write_expired",
    "write_timeout",
]


_MAX_TIME_EXPIRED: Final = 50


def operation_failure(
    code: int, code_name: str, message: str, labels: Sequence[str] = ()
) -> OperationFailure:
    """A command that the server refused; with the error labels of its reply, if it has any."""
    labelled = {"errorLabels": list(labels)} if labels else {}
    return OperationFailure(message, code, {**labelled, **_reply(code, code_name, message)})


def invalid_options(message: str) -> OperationFailure:
    """Error 72: options that do not go together, or a time that has not come."""
    return operation_failure(72, "InvalidOptions", message)


def time_ahead(field: str, requested: Timestamp, current: Timestamp) -> OperationFailure:
    """Error 72: `afterClusterTime` or `atClusterTime` is after the cluster time."""
    return invalid_options(
        f"readConcern {field} value must not be greater than the current clusterTime. "
        f"Requested clusterTime: {{ ts: {requested} }}; current clusterTime: {{ ts: {current} }}"
    )


def level_without_time() -> OperationFailure:
    """Error 72: `afterClusterTime` with a read concern level that waits for no time."""
    return invalid_options(
        "afterClusterTime field can be set only if level is equal to majority, local, or snapshot"
    )


def unknown_read_concern() -> OperationFailure:
    """Error 9: a read concern level that there is not."""
    levels = "'local', 'majority', 'linearizable', 'available', or 'snapshot'"
    return operation_failure(9, "FailedToParse", f"readConcern.level must be either {levels}")


def write_concern_too_large(w: int) -> OperationFailure:
    """Error 9: `w` is larger than any replica set, or negative; nothing is written."""
    message = f"w has to be a non-negative number and not greater than 50; found: {w}"
    return operation_failure(9, "FailedToParse", message)


def read_concern_refused(
    command: str, level: str, reason: str = "read concern not supported"
) -> OperationFailure:
    """Error 72: a command has not that read concern."""
    return invalid_options(
        f'Command {command} does not support {{ readConcern: {{ level: "{level}", '
        f'provenance: "clientSupplied" }} }} :: caused by :: {reason}'
    )


def snapshot_refused(command: str) -> OperationFailure:
    """Error 72: a snapshot session was used with a command that has no read concern snapshot."""
    return read_concern_refused(command, "snapshot")


def linearizable_refused(command: str, stage: str) -> OperationFailure:
    """Error 72: a pipeline that writes has read concern linearizable."""
    return invalid_options(
        f'Command {command} does not support {{ readConcern: {{ level: "linearizable", '
        f'provenance: "clientSupplied" }} }} :: caused by :: {stage} cannot be used with a '
        "'linearizable' read concern level"
    )


def stream_read_concern(level: str) -> OperationFailure:
    """Error 72: a change stream was asked for at another read concern than `majority`."""
    return read_concern_refused(
        "aggregate",
        level,
        "Aggregation stage $changeStream cannot run with a readConcern other than 'majority'. "
        f"Current readConcern: {level}",
    )


def snapshot_too_old(requested: Timestamp) -> OperationFailure:
    """Error 239: the history before a snapshot is gone."""
    return operation_failure(
        239,
        "SnapshotTooOld",
        f"Read timestamp {requested} is older than the oldest available timestamp.",
    )


def snapshot_unavailable(requested: Timestamp, minimum: Timestamp) -> OperationFailure:
    """Error 246: the collection was created, or got its name, after the snapshot."""
    return operation_failure(
        246,
        "SnapshotUnavailable",
        "Unable to read from a snapshot due to pending collection catalog changes; please retry "
        f"the operation. Snapshot timestamp is {requested}. Collection minimum is {minimum}",
    )


def max_time_expired(waiting: str = "") -> ExecutionTimeout:
    """Error 50: a wait outlasted `maxTimeMS`.

    Args:
        waiting: What the server says it waited for, if it does.
    """
    message = f"{waiting}operation exceeded time limit"
    return ExecutionTimeout(message, 50, _reply(50, "MaxTimeMSExpired", message))


def nobody_caught_up(optime: Timestamp) -> OperationFailure:
    """Error 262: a primary that was to step down waited in vain for a majority to have all."""
    message = (
        f"No electable secondaries caught up as of {_date(optime)}. Please use the "
        "replSetStepDown command with the argument {force: true} to force node to step down."
    )
    return operation_failure(262, "ExceededTimeLimit", message)


def step_down_refused() -> NotPrimaryError:
    """Error 10107: a secondary was told to step down."""
    return not_writable_primary("not primary so can't step down")


def _date(optime: Timestamp) -> str:
    """The date of a logical time, as a server's messages write dates."""
    return f"{optime.as_datetime():%Y-%m-%dT%H:%M:%S}.000+00:00"


def not_writable_primary(message: str = "not primary") -> NotPrimaryError:
    """Error 10107: a secondary was asked for what only the primary does."""
    return NotPrimaryError(message, _reply(10107, "NotWritablePrimary", message))


def _reply(code: int, code_name: str, message: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": code_name}


def write_timeout(write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 64: `wtimeout` passed before enough members had the write; the write stays."""
    return {
        "code": 64,
        "codeName": "WriteConcernFailed",
        "errmsg": "waiting for replication timed out",
        "errInfo": {"wtimeout": True, "writeConcern": write_concern},
    }


def write_expired(write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 50: `maxTimeMS` passed before enough members had the write; the write stays."""
    return {
        "code": 50,
        "codeName": "MaxTimeMSExpired",
        "errmsg": "operation exceeded time limit",
        "errInfo": {"writeConcern": write_concern},
    }


def unsatisfiable_write_concern(write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 100: `w` is larger than the set; the write stays."""
    return {
        "code": 100,
        "codeName": "UnsatisfiableWriteConcern",
        "errmsg": "Not enough data-bearing nodes",
        "errInfo": {"writeConcern": write_concern},
    }


def unsatisfiable_tag(tag: str, count: int, write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 100: `w` asks for more values of a tag than the set has; the write stays."""
    return {
        "code": 100,
        "codeName": "UnsatisfiableWriteConcern",
        "errmsg": f'Not enough nodes match write concern mode "{{("{tag}", {count})}}"',
        "errInfo": {"writeConcern": write_concern},
    }


def unknown_tag(tag: str, write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 4: `w` asks for a tag that no member has; the write stays."""
    return {
        "code": 4,
        "codeName": "NoSuchKey",
        "errmsg": f"No replica set tag key {tag} in config",
        "errInfo": {"writeConcern": write_concern},
    }


def unknown_write_concern(mode: str, write_concern: dict[str, Any]) -> dict[str, Any]:
    """Error 79: `w` is a word that the set does not define; the write stays."""
    return {
        "code": 79,
        "codeName": "UnknownReplWriteConcern",
        "errmsg": f"No write concern mode named '{mode}' found in replica set configuration",
        "errInfo": {"writeConcern": write_concern},
    }


def write_concern_exception(error: dict[str, Any]) -> WriteConcernError:
    """What pymongo raises for a reply with that write concern error."""
    is_late = error["code"] == _MAX_TIME_EXPIRED or error["errInfo"].get("wtimeout")
    kind = WTimeoutError if is_late else WriteConcernError
    return kind(error["errmsg"], error["code"], error)
