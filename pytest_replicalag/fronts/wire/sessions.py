"""Logical sessions on the server's side: retryable writes applied once, and transactions.

Driver specification, Driver Sessions; Retryable Writes; Transactions. MongoDB manual, Server
Sessions.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from bson import Binary
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.transactions import Transaction
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["TIMEOUT_MINUTES", "TRANSIENT", "ServerSession", "Sessions", "TransactionState"]

TIMEOUT_MINUTES: Final = 30
"""`logicalSessionTimeoutMinutes` of the handshake."""

TRANSIENT: Final = "TransientTransactionError"
"""The label of an error after which a whole transaction may be tried again."""

_TRANSACTION_LIFETIME_S: Final = 60
"""`transactionLifetimeLimitSeconds`: an older transaction is aborted when another one meets it."""

_REMEMBERED: Final = 10_000
"""How many sessions are remembered; the one that was used longest ago is forgotten first."""


class TransactionState(Enum):
    """Where a session's newest transaction is."""

    NONE = "none"
    IN_PROGRESS = "in progress"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class ServerSession:
    """One logical session.

    Attributes:
        lsid: As drivers send it: `{"id": Binary}`.
        number: In the running test, from 1; 0 until it is seen to be an explicit one.
        txn_number: The newest transaction number it has used.
        state: Of the transaction with that number, if it is one.
        transaction: It, while it is in progress.
        committed_at: The position of its commit.
        replay: What the newest retryable write replied.
        pins: What keeps its snapshots readable.
    """

    lsid: Mapping[str, Any]
    number: int = 0
    txn_number: int = -1
    state: TransactionState = TransactionState.NONE
    transaction: Transaction | None = None
    committed_at: int = 0
    replay: dict[str, Any] | None = None
    pins: dict[int, object] = field(default_factory=dict)
    started_s: float = 0.0

    # -- retryable writes ------------------------------------------------------------------------

    def replayed(self, txn_number: int) -> dict[str, Any] | None:
        """What the write with that number replied, if it has been applied already.

        Raises:
            OperationFailure: A newer one has been started.
        """
        if txn_number < self.txn_number:
            raise self._too_old("Retryable write", txn_number)
        if txn_number == self.txn_number:
            if self.state is not TransactionState.NONE:
                raise _incomplete(txn_number)
            return self.replay
        self.begin(txn_number, TransactionState.NONE)
        return None

    def _too_old(self, what: str, txn_number: int) -> OperationFailure:
        newer = "retryable write" if self.state is TransactionState.NONE else "transaction"
        verb = "Cannot start transaction with" if what == "Transaction" else f"{what} with"
        ending = "" if what == "Transaction" else " is prohibited"
        return operation_failure(
            225,
            "TransactionTooOld",
            f"{verb} txnNumber {txn_number}{ending} on session {_shown(self.lsid)} because a newer "
            f"{newer} with txnNumber {self.txn_number} has already started on this session.",
        )

    def begin(self, txn_number: int, state: TransactionState) -> None:
        """Take up a new transaction number; what an older one left is over."""
        self.abort()
        self.txn_number = txn_number
        self.state = state
        self.replay = None

    # -- transactions ----------------------------------------------------------------------------

    def enter(self, request: Request) -> Transaction | None:
        """The transaction that a command belongs to; None for a first one, which starts it.

        Raises:
            OperationFailure: There is no such transaction, or not any more.
        """
        number = request.command["txnNumber"]
        if request.command.get("startTransaction"):
            if number < self.txn_number:
                raise self._too_old("Transaction", number)
            if number == self.txn_number and self.state is not TransactionState.ABORTED:
                raise operation_failure(
                    50911,
                    "Location50911",
                    f"Cannot start a transaction at given transaction number {number} a "
                    f"transaction with the same number is in state "
                    f"TxnState::{self._server_state}",
                )
            self.begin(number, TransactionState.IN_PROGRESS)
            return None
        self.check(number)
        return self.transaction

    def check(self, number: int) -> None:
        """Refuse a number that is not the one in progress.

        Raises:
            OperationFailure: Error 251 or 256.
        """
        if number != self.txn_number or self.state is TransactionState.NONE:
            active = self.txn_number
            raise no_such_transaction(
                f"Given transaction number {number} does not match any in-progress transactions. "
                f"The active transaction number is {active}"
            )
        if self.state is TransactionState.ABORTED:
            raise no_such_transaction(
                f"Transaction with {{ txnNumber: {number} }} has been aborted."
            )
        if self.state is TransactionState.COMMITTED:
            raise operation_failure(
                256,
                "TransactionCommitted",
                f"Transaction with {{ txnNumber: {number} }} has been committed.",
            )

    @property
    def _server_state(self) -> str:
        return {
            TransactionState.NONE: "None",
            TransactionState.IN_PROGRESS: "InProgress",
            TransactionState.COMMITTED: "Committed",
            TransactionState.ABORTED: "AbortedWithoutPrepare",
        }[self.state]

    def start(self, transaction: Transaction) -> None:
        """Keep the transaction that a first command has begun."""
        self.transaction = transaction
        self.started_s = time.monotonic()

    @property
    def is_too_long(self) -> bool:
        """Whether its transaction has outlived what a server allows."""
        age_s = time.monotonic() - self.started_s
        return self.transaction is not None and age_s > _TRANSACTION_LIFETIME_S

    def commit(self) -> int:
        """Commit its transaction, once; returns the position of the commit."""
        if self.transaction is not None:
            self.committed_at = self.transaction.commit()
            self.transaction = None
        self.state = TransactionState.COMMITTED
        return self.committed_at

    def abort(self) -> None:
        """Abort what is in progress, if anything is."""
        if self.transaction is not None:
            self.transaction.abort()
            self.transaction = None
        if self.state is TransactionState.IN_PROGRESS:
            self.state = TransactionState.ABORTED

    # -- snapshots -------------------------------------------------------------------------------

    def keep(self, running: Running, position: int) -> None:
        """Keep the data at `position` readable for as long as the session lives."""
        if position not in self.pins:
            self.pins[position] = running.replica_set.pin(position)


class Sessions:
    """The sessions that there are."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, ServerSession] = OrderedDict()

    def get(self, lsid: Mapping[str, Any]) -> ServerSession:
        """The session with that id; a new one if it is not known.

        Raises:
            OperationFailure: It is no session id.
        """
        key = lsid.get("id") if isinstance(lsid, Mapping) else None
        if not isinstance(key, bytes):
            raise operation_failure(
                40414, "Location40414", "BSON field 'OperationSessionInfo.lsid.id' is missing"
            )
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = ServerSession(lsid)
            if len(self._sessions) > _REMEMBERED:
                self._forget_one()
        else:
            self._sessions.move_to_end(key)
        return session

    def _forget_one(self) -> None:
        for key, session in self._sessions.items():
            if session.transaction is None and not session.pins:
                del self._sessions[key]
                return

    def end(self, running: Running, lsids: Any) -> None:
        """End sessions; unknown ones are ignored."""
        for lsid in lsids:
            key = lsid.get("id") if isinstance(lsid, Mapping) else None
            session = self._sessions.pop(key, None) if isinstance(key, bytes) else None
            if session is not None:
                session.abort()
                for token in session.pins.values():
                    running.replica_set.unpin(token)

    def abort_long_transactions(self) -> None:
        """Abort what has run for longer than a server allows."""
        for session in self._sessions.values():
            if session.is_too_long:
                session.abort()

    def abort_all(self) -> None:
        """Abort every transaction, such as when nobody is connected any more."""
        for session in self._sessions.values():
            session.abort()

    def start_anew(self) -> None:
        """Another test's set takes over: transactions and snapshots of the old one are over."""
        for session in self._sessions.values():
            session.abort()
            session.pins.clear()
            session.number = 0

    @property
    def all(self) -> list[Mapping[str, Any]]:
        """The ids of the sessions that there are."""
        return [session.lsid for session in self._sessions.values()]


def no_such_transaction(message: str) -> OperationFailure:
    """Error 251, after which the whole transaction may be tried again."""
    error = operation_failure(251, "NoSuchTransaction", message)
    error.details["errorLabels"] = [TRANSIENT]  # type: ignore[index]
    return error


def _incomplete(txn_number: int) -> OperationFailure:
    return operation_failure(
        244,
        "IncompleteTransactionHistory",
        f"Cannot retry a retryable write that has been converted into a transaction "
        f"(txnNumber {txn_number})",
    )


def _shown(lsid: Mapping[str, Any]) -> str:
    key = lsid["id"]
    return str(key.as_uuid()) if isinstance(key, Binary) and key.subtype == 4 else repr(key)  # noqa: PLR2004
