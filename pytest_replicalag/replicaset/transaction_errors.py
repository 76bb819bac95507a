"""The errors of a MongoDB server about transactions, as pymongo raises them.

Each was recorded from MongoDB 6.0. Most carry the label that tells a driver to start the whole
transaction again.
MongoDB manual, Transactions; driver specification, Transactions.
"""

from __future__ import annotations

from typing import Final

from bson import Timestamp
from pymongo.errors import OperationFailure

from pytest_replicalag.replicaset.error_labels import TRANSIENT_TRANSACTION
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = [
    "aborted",
    "check_database",
    "command_refused",
    "index_refused",
    "not_started",
    "refused",
    "snapshot_outdated",
    "snapshot_unavailable",
    "stage_refused",
    "stream_refused",
    "write_conflict",
]

_PENDING: Final = (
    "Unable to read from a snapshot due to pending collection catalog changes; please retry the "
    "operation."
)


def _transient(code: int, code_name: str, message: str) -> OperationFailure:
    return operation_failure(code, code_name, message, [TRANSIENT_TRANSACTION])


def write_conflict(prefix: str = "") -> OperationFailure:
    """Error 112: another write to the same document, since the snapshot of the transaction.

    Args:
        prefix: What the server says before it, if anything.
    """
    message = (
        f"{prefix}WriteConflict error: this operation conflicted with another operation. Please "
        "retry your operation or multi-document transaction."
    )
    return _transient(112, "WriteConflict", message)


def snapshot_unavailable(requested: Timestamp, minimum: Timestamp) -> OperationFailure:
    """Error 246: a collection was created, or got its name, after the snapshot."""
    message = f"{_PENDING} Snapshot timestamp is {requested}. Collection minimum is {minimum}"
    return _transient(246, "SnapshotUnavailable", message)


def snapshot_outdated() -> OperationFailure:
    """Error 246: a collection or an index has come since the snapshot."""
    return _transient(246, "SnapshotUnavailable", _PENDING)


def aborted(number: int) -> OperationFailure:
    """Error 251: the transaction has been aborted.

    Args:
        number: Its number in its session (`txnNumber`).
    """
    message = f"Transaction with {{ txnNumber: {number} }} has been aborted."
    return _transient(251, "NoSuchTransaction", message)


def not_started(number: int, active: int) -> OperationFailure:
    """Error 251: the command that should have started the transaction was refused.

    Args:
        number: Its number in its session (`txnNumber`).
        active: The newest number that the server knows of.
    """
    message = (
        f"Given transaction number {number} does not match any in-progress transactions. The "
        f"active transaction number is {active}"
    )
    return _transient(251, "NoSuchTransaction", message)


def refused(message: str) -> OperationFailure:
    """Error 263: something that no transaction can do."""
    return operation_failure(263, "OperationNotSupportedInTransaction", message)


_DATABASES: Final = {
    "config": "the config database",
    "local": "the 'local' database",
}


def check_database(name: str) -> None:
    """Refuse a database that no transaction may touch.

    Raises:
        OperationFailure: Error 263.
    """
    if name in _DATABASES:
        raise refused(f"Cannot run command against {_DATABASES[name]} in a transaction.")


def command_refused(command: str) -> OperationFailure:
    """Error 263: a command that no transaction takes; it does not end the transaction."""
    if command in ("ping", "hello"):
        return refused("This command is not supported in transactions")
    advice = ""
    if command == "count":
        link = "http://dochub.mongodb.org/core/transaction-count"
        advice = f" Please see {link} for a recommended alternative."
    return refused(f"Cannot run '{command}' in a multi-document transaction.{advice}")


def stream_refused() -> OperationFailure:
    """Error 263: a change stream."""
    return refused(
        "Operation not permitted in transaction :: caused by :: Aggregation stage $changeStream "
        "cannot run within a multi-document transaction."
    )


def stage_refused(stage: str) -> OperationFailure:
    """Error 263: an aggregation stage that writes."""
    return refused(f"{stage} cannot be used in a transaction")


def index_refused(namespace: str, what: str) -> OperationFailure:
    """Error 263: a new index on a collection that was there, or has documents.

    Args:
        namespace: Database and collection.
        what: `existing` or `non-empty`.
    """
    return refused(
        f"Cannot create new indexes on {what} collection {namespace} in a multi-document "
        "transaction."
    )
