"""Logical sessions on the server's side: retryable writes applied once, and transactions.

Driver specification, Driver Sessions; Retryable Writes; Transactions. MongoDB manual, Server
Sessions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bson import Binary
from bson.binary import UUID_SUBTYPE
from pymongo.errors import OperationFailure

from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.fronts.wire.retryable_writes import Applied
from pytest_replicalag.records import Commit, Write
from pytest_replicalag.replicaset import transaction_errors
from pytest_replicalag.replicaset.server_errors import operation_failure

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.transactions import Transaction

__all__ = [
    "TIMEOUT_MINUTES",
    "TRANSACTION_LIFETIME_S",
    "ServerSession",
    "Sessions",
    "TransactionState",
]

TIMEOUT_MINUTES: Final = 30
"""`logicalSessionTimeoutMinutes` of the handshake."""

TRANSACTION_LIFETIME_S: Final = 60
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
        applied: What the statements of its newest retryable write did.
        pins: What keeps its snapshots readable.
        writes: What its transaction has written so far.
        record: The commit of that, for reports; None if it has written nothing.
    """

    lsid: Mapping[str, Any]
    number: int = 0
    txn_number: int = -1
    state: TransactionState = TransactionState.NONE
    transaction: Transaction | None = None
    committed_at: int = 0
    applied: Applied = field(default_factory=dict)
    pins: dict[int, object] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    record: Commit | None = None

    def __str__(self) -> str:
        """As servers show it: its id, and the digest of a user that is nobody."""
        key = self.lsid["id"]
        name = str(key.as_uuid()) if isinstance(key, Binary) and key.subtype == UUID_SUBTYPE else ""
        return f"{name} - 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= -  - "

    # -- retryable writes ------------------------------------------------------------------------

    def applied_by(self, txn_number: int) -> Applied:
        """What the write with that number has done already; grows when it is sent again.

        Raises:
            OperationFailure: A newer one has been started.
        """
        if txn_number < self.txn_number:
            newer = "retryable write" if self.state is TransactionState.NONE else "transaction"
            raise operation_failure(
                225,
                "TransactionTooOld",
                f"Retryable write with txnNumber {txn_number} is prohibited on session "
                f"{self} because a newer {newer} with txnNumber {self.txn_number} has "
                "already started on this session.",
            )
        if txn_number == self.txn_number:
            if self.state is not TransactionState.NONE:
                raise operation_failure(
                    217,
                    "IncompleteTransactionHistory",
                    "Cannot retry a retryable write that has been converted into a transaction",
                )
            return self.applied
        self.begin(txn_number, TransactionState.NONE)
        return self.applied

    def begin(self, txn_number: int, state: TransactionState) -> None:
        """Take up a new transaction number; what an older one left is over."""
        self.abort()
        self.txn_number = txn_number
        self.state = state
        self.applied = {}

    # -- transactions ----------------------------------------------------------------------------

    def enter(self, request: Request) -> Transaction | None:
        """The transaction that a command belongs to; None for a first one, which starts it.

        Raises:
            OperationFailure: There is no such transaction, or not any more.
        """
        number = request.command["txnNumber"]
        if not request.command.get("startTransaction"):
            self.check(number)
            return self.transaction
        self._check_age(number)
        if number == self.txn_number:
            raise operation_failure(
                117,
                "ConflictingOperationInProgress",
                "Only servers in a sharded cluster can start a new transaction at the active "
                "transaction number",
            )
        self.begin(number, TransactionState.IN_PROGRESS)
        return None

    def _check_age(self, number: int) -> None:
        if number < self.txn_number:
            raise operation_failure(
                225,
                "TransactionTooOld",
                f"Cannot start transaction with {{ txnNumber: {number} }} on session "
                f"{self} because a newer transaction with txnNumberAndRetryCounter "
                f"{{ txnNumber: {self.txn_number}, txnRetryCounter: 0 }} has already started on "
                "this session.",
            )

    def check(self, number: int) -> None:
        """Refuse a number that is not the one in progress.

        Raises:
            OperationFailure: Error 225, 251 or 256.
        """
        self._check_age(number)
        if number != self.txn_number or self.state is TransactionState.NONE:
            raise transaction_errors.not_started(number, self.txn_number)
        if self.transaction is not None and self.transaction.is_unknown:
            raise transaction_errors.not_started(number, self.txn_number - 1)
        if self.state is TransactionState.ABORTED or (
            self.transaction is not None and self.transaction.has_ended
        ):
            self.abort()
            raise transaction_errors.aborted(number)
        if self.state is TransactionState.COMMITTED:
            raise operation_failure(
                256,
                "TransactionCommitted",
                f"Transaction with {{ txnNumber: {number} }} has been committed.",
            )

    def wrote(self, write: Write) -> None:
        """Note a write of its transaction, for the log."""
        self.writes.append(write)

    def start(self, transaction: Transaction) -> None:
        """Keep the transaction that a first command has begun."""
        self.transaction = transaction
        self.writes = []

    def commit(self, running: Running) -> int:
        """Commit its transaction, once; returns the position of the commit."""
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            self.record = Commit(self.writes) if self.writes else None
            running.journal.write = self.record
            try:
                self.committed_at = transaction.commit()
            except OperationFailure:
                self.state = TransactionState.ABORTED
                raise
            finally:
                running.journal.write = None
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

    def let_go(self, running: Running) -> None:
        """Let the data of its snapshots go; it needs them no more."""
        for token in self.pins.values():
            running.replica_set.unpin(token)
        self.pins.clear()


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
        key = bytes(key)  # a `Binary` is hashed and compared by Python code
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

    def known(self, lsids: list[Mapping[str, Any]]) -> list[ServerSession]:
        """Those sessions that there are."""
        found = (self._sessions.get(bytes(lsid["id"])) for lsid in lsids)
        return [session for session in found if session is not None]

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
    def all(self) -> list[ServerSession]:
        """The sessions that there are."""
        return list(self._sessions.values())
