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
    "check_namespace",
    "command_refused",
    "index_refused",
    "not_started",
    "refused",
    "snapshot_outdated",
    "snapshot_unavailable",
    "stage_not_permitted",
    "stage_not_supported",
    "stage_refused",
    "system_write_refused",
    "views_refused",
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


def check_namespace(database: str, collection: str) -> None:
    """Refuse what no transaction may touch; it does not end the transaction.

    Raises:
        OperationFailure: Error 263.
    """
    if database in _DATABASES:
        raise refused(f"Cannot run command against {_DATABASES[database]} in a transaction.")
    if collection == "system.profile":
        namespace = f"'{database}.{collection}' collection"
        raise refused(f"Cannot run command against the {namespace} in a transaction.")


def views_refused() -> OperationFailure:
    """Error 51071: a read of the views there are."""
    message = "Cannot query system.views within a transaction"
    return operation_failure(51071, "Location51071", message)


def system_write_refused(command: str, namespace: str) -> OperationFailure:
    """Error 50791, or another one of some commands: a write to a system collection.

    Args:
        command: The command.
        namespace: Database and collection.
    """
    message = f"Cannot write to system collection {namespace} within a transaction."
    if command == "createIndexes":
        return refused(message)
    code = 50781 if command in ("findAndModify", "findandmodify") else 50791
    return operation_failure(code, f"Location{code}", message)


def command_refused(command: str) -> OperationFailure:
    """Error 263: a command that no transaction takes; it does not end the transaction."""
    if command in ("ping", "hello"):
        return refused("This command is not supported in transactions")
    advice = ""
    if command == "count":
        link = "http://dochub.mongodb.org/core/transaction-count"
        advice = f" Please see {link} for a recommended alternative."
    return refused(f"Cannot run '{command}' in a multi-document transaction.{advice}")


def stage_not_permitted(stage: str) -> OperationFailure:
    """Error 263: an aggregation stage that tells of no documents, such as a change stream's."""
    return refused(
        f"Operation not permitted in transaction :: caused by :: Aggregation stage {stage} cannot "
        "run within a multi-document transaction."
    )


def stage_not_supported(stage: str) -> OperationFailure:
    """Error 263: an aggregation stage that reads, and that no transaction has."""
    return refused(f"Stage not supported inside of a multi-document transaction: {stage}")


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
