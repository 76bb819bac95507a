"""Commands inside transactions, and the two that end them.

Driver specification, Transactions. MongoDB manual, Transactions: Production Considerations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.change_log import TransactionIdentity
from pytest_replicalag.fronts.wire.cursors import Cursors
from pytest_replicalag.fronts.wire.error_replies import error_reply
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.sessions import ServerSession, TransactionState
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.fronts.wire.write_replies import not_primary
from pytest_replicalag.fronts.wire.writes import Writes
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.error_labels import (
    TRANSIENT_TRANSACTION,
    TRANSIENT_TRANSACTION_CODES,
)
from pytest_replicalag.replicaset.oplog import NO_OP
from pytest_replicalag.replicaset.read_concern import check as check_read_concern
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Transactions"]

_ENDINGS: Final = {"commitTransaction": "a commit", "abortTransaction": "an abort"}

_LEVELS: Final = (None, "local", "majority", "snapshot")


class Transactions:
    """Runs commands in transactions.

    Args:
        simulated_set: The set as its endpoints show it.
        writes: For write concerns.
        cursors: The cursors that are open.
    """

    def __init__(self, simulated_set: SimulatedSet, writes: Writes, cursors: Cursors) -> None:
        self._set = simulated_set
        self._engine = simulated_set.engine
        self._writes = writes
        self._cursors = cursors

    def run(
        self,
        request: Request,
        run: Callable[[Request], Reply | Awaitable[Reply]],
        *,
        allowed: bool,
    ) -> Reply | Awaitable[Reply]:
        """Run a command that belongs to a transaction; if it fails, so does the transaction."""
        if not allowed:
            raise transaction_errors.command_refused(request.name)
        session = self._session(request)
        if request.name in _ENDINGS:
            if request.command.get("startTransaction"):
                raise transaction_errors.refused(
                    f"Cannot start a transaction with {_ENDINGS[request.name]}"
                )
            return run(request)
        transaction_errors.check_namespace(request.database, request.collection)
        _check_place(request)
        if not request.member.is_primary:
            raise not_primary(request)
        transaction = session.enter(request)
        try:
            if transaction is None:
                self._begin(request, session)
            reply = run(request)
        except OperationFailure as error:
            self._fail(session, request, error)
            raise
        request.position = request.running.replica_set.oplog.last
        if isinstance(reply, dict) and reply.get("writeErrors"):
            self._abort(session)
        return reply

    def _session(self, request: Request) -> ServerSession:
        if request.session is None or not isinstance(request.command.get("txnNumber"), int):
            raise operation_failure(
                72,
                "InvalidOptions",
                "Specifying autocommit=false requires a transaction number and a session",
            )
        return request.session

    def _begin(self, request: Request, session: ServerSession) -> None:
        concern = self._writes.read_concern(request)
        check_read_concern(concern)
        level = concern.level
        if level not in _LEVELS:
            raise server_errors.invalid_options(
                "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' "
                "in order to run in a transaction"
            )
        self._engine.attach(request.running.journal)
        transaction = self._engine.begin(request.running.journal)
        transaction.identity = TransactionIdentity(session.lsid, session.txn_number)
        session.start(transaction)

    def _fail(self, session: ServerSession, request: Request, error: OperationFailure) -> None:
        if session.txn_number == request.command["txnNumber"]:
            self._abort(session)
        details = error.details
        if error.code in TRANSIENT_TRANSACTION_CODES and isinstance(details, dict):
            labels = details.setdefault("errorLabels", [])
            if TRANSIENT_TRANSACTION not in labels:
                labels.append(TRANSIENT_TRANSACTION)

    def _abort(self, session: ServerSession) -> None:
        session.abort()
        self._cursors.close_transaction(session)

    # -- endings ---------------------------------------------------------------------------------

    def commit(self, request: Request) -> Reply | Awaitable[Reply]:
        """Commit; sent once more, it waits for its write concern again."""
        session = self._ending(request)
        number = request.command["txnNumber"]
        concern = self._writes.concern(request)
        if session.state is not TransactionState.COMMITTED or session.txn_number != number:
            try:
                session.check(number)
            except OperationFailure as error:
                noop = _note_unknown(request)
                return self._writes.acknowledged(request, error_reply(error), noop, concern)
        position = session.commit(request.running)
        request.write = session.record
        self._cursors.close_transaction(session)
        return self._writes.acknowledged(request, {}, position, concern)

    def abort(self, request: Request) -> Reply:
        """Abort."""
        session = self._ending(request)
        try:
            session.check(request.command["txnNumber"])
        except OperationFailure:
            _note_unknown(request)
            raise
        self._abort(session)
        return {}

    def _ending(self, request: Request) -> ServerSession:
        if not request.member.is_primary:
            raise not_primary(request)
        request.running.replica_set.clock.round_trip()
        if request.session is None or not request.in_transaction:
            raise operation_failure(
                125, "CommandFailed", f"{request.name} must be run within a transaction"
            )
        return request.session


def _check_place(request: Request) -> None:
    """Refuse what may stand only in a transaction's first command, or only outside of one.

    Raises:
        OperationFailure: Error 72 or 263, which leave the transaction as it is.
    """
    command = request.command
    is_first = bool(command.get("startTransaction"))
    if "writeConcern" in command:
        raise server_errors.invalid_options(
            "writeConcern is not allowed within a multi-statement transaction"
        )
    if is_first and request.name == "killCursors":
        raise transaction_errors.refused(
            "Cannot run killCursors as the first operation in a multi-document transaction."
        )
    if not is_first and command.get("readConcern"):
        raise server_errors.invalid_options(
            "Only the first command in a transaction may specify a readConcern"
        )


def _note_unknown(request: Request) -> int:
    """Log the no-op that a server writes when it is to end a transaction that it does not know.

    Returns:
        Its position, which a commit has to have acknowledged.
    """
    replica_set = request.running.replica_set
    return replica_set.oplog.append(replica_set.clock.now_us, NO_OP)
