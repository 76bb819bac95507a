"""Plain writes while transactions are open: they wait for what a transaction holds.

MongoDB manual, In-progress Transactions and Write Conflicts; What locks does a transaction take.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Condition, get_ident
from threading import enumerate as threads
from typing import Any, Final

from pytest_replicalag.engines.memory.engine import Blocked, MemoryEngine, Transaction
from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.fronts.governor import Governor
from pytest_replicalag.fronts.mongomock.in_transaction import rebound
from pytest_replicalag.fronts.reading import Target

__all__ = ["beside"]

_EXCLUSIVE: Final = frozenset(
    {"create_index", "create_indexes", "drop", "drop_index", "drop_indexes", "rename"}
)
"""Methods that need a collection for themselves."""

_WHOLE_DATABASE: Final = frozenset(
    {"aggregate", "drop_collection", "drop_database", "rename_collection"}
)
"""Methods that need a collection for themselves whose name they are given."""

_LOOK_SECONDS: Final = 1.0
"""How often a wait looks whether the thread that it waits for is still there."""


def beside(
    governor: Governor,
    engine: MemoryEngine,
    operation: str,
    target: Target,
    apply: Callable[..., Any],
) -> Callable[..., Any]:
    """A write of the live data that may have to wait for a transaction."""
    return partial(_write_beside, governor, engine, operation, target, apply)


def _write_beside(
    governor: Governor,
    engine: MemoryEngine,
    operation: str,
    target: Target,
    apply: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Make a plain write; where a transaction is in its way, wait until that has ended.

    The caller holds the lock; the wait lets go of it.

    Raises:
        EndlessWaitError: The transaction can never end, for its thread is the one that waits.
    """
    while engine.has_transactions:
        try:
            if operation == "create_collection":
                break
            if operation not in _EXCLUSIVE | _WHOLE_DATABASE:
                return engine.write_beside(
                    lambda client: rebound(apply, target, client)(*args, **kwargs)
                )
            name = None if operation in _WHOLE_DATABASE else target.collection
            holder = engine.blocking(target.database, name)
            if holder is None:
                break
            raise Blocked(holder)
        except Blocked as blocked:
            _wait(governor, engine, blocked.transaction, operation)
    return apply(*args, **kwargs)


def _wait(
    governor: Governor, engine: MemoryEngine, transaction: Transaction, operation: str
) -> None:
    """Wait until a transaction has ended; other threads go on meanwhile."""
    journal = engine.server.journal
    write = None if journal is None else journal.write
    ended = Condition(governor.lock)
    transaction.when_ended(ended.notify_all)
    while not transaction.has_ended:
        _check_thread(transaction, operation)
        ended.wait(_LOOK_SECONDS)
    engine.attach(journal)
    if journal is not None:
        journal.write = write


def _check_thread(transaction: Transaction, operation: str) -> None:
    if transaction.owner == get_ident():
        holder = "this thread runs the transaction too"
    elif all(thread.ident != transaction.owner for thread in threads()):
        holder = "the thread that ran the transaction has ended"
    else:
        return
    raise EndlessWaitError(
        operation,
        "a transaction that has written the same document, or uses the collection, has ended",
        [holder],
        advice="Pass the transaction's session to this operation, or end the transaction first.",
    )
