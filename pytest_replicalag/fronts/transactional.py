"""What a transaction may neither read nor write, whichever front it comes by.

MongoDB manual, Transactions: Operations and Transactions.
"""

from __future__ import annotations

from typing import Any, Final

from pytest_replicalag.fronts.pipelines import stages
from pytest_replicalag.replicaset import transaction_errors

__all__ = ["check_read", "check_write"]

_VIEWS: Final = "system.views"

_SYSTEM: Final = "system."


def check_read(collection: str, pipeline: Any = ()) -> None:
    """Refuse a read that no transaction makes.

    Args:
        collection: What it reads; empty for none.
        pipeline: Its pipeline, if it is an aggregation.

    Raises:
        OperationFailure: Error 51071 or 263.
    """
    if collection == _VIEWS:
        raise transaction_errors.views_refused()
    if "$unionWith" in stages(pipeline):
        raise transaction_errors.stage_not_supported("$unionWith")


def check_write(command: str, database: str, collection: str) -> None:
    """Refuse a write to a system collection.

    Args:
        command: What writes.
        database: Where.
        collection: What it writes.

    Raises:
        OperationFailure: Error 50791, 50781 or 263.
    """
    if collection.startswith(_SYSTEM):
        raise transaction_errors.system_write_refused(command, f"{database}.{collection}")
