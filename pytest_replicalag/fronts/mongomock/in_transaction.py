"""Runs the operations of a session that is in a transaction, and the two that end it.

They go to the primary, and see what the transaction sees. An error of an operation ends the
transaction on the server; a command that no transaction takes is refused and does not.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Final

from pymongo.errors import CollectionInvalid, InvalidOperation, OperationFailure

from pytest_replicalag.call_sites import caller
from pytest_replicalag.engines.memory.comparison import Comparable
from pytest_replicalag.engines.memory.engine import MemoryEngine, Transaction
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.kept import kept
from pytest_replicalag.fronts.mongomock.session import ClientSession
from pytest_replicalag.fronts.mongomock.transactions import (
    SessionTransaction,
    State,
)
from pytest_replicalag.fronts.reading import Target
from pytest_replicalag.fronts.transactional import check_read, check_write
from pytest_replicalag.records import Commit
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.error_labels import UNKNOWN_COMMIT_RESULT
from pytest_replicalag.replicaset.oplog import NO_OP
from pytest_replicalag.replicaset.write_concern import check as check_write_concern

__all__ = ["InTransaction", "rebound"]

COMMANDS: Final = {
    "drop": "drop",
    "drop_collection": "drop",
    "drop_database": "dropDatabase",
    "drop_index": "dropIndexes",
    "drop_indexes": "dropIndexes",
    "rename": "renameCollection",
    "rename_collection": "renameCollection",
}
"""Methods that write, with the command of each that no transaction takes."""

_WRITING_STAGES: Final = ("$out", "$merge")
_CONFLICT: Final = 112
_CODES_OF_NO_ANSWER: Final = (50, 64)
"""A commit that failed with one of these may be sent once more: it waited too long."""


class InTransaction:
    """Runs the operations of one client that belong to transactions.

    Args:
        governor: Knows the running simulation.
        engine: Holds the client's data.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine) -> None:
        self._governor = governor
        self._engine = engine

    # -- operations ------------------------------------------------------------------------

    def write(
        self,
        operation: str,
        target: Target,
        session: ClientSession,
        apply: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a write; nobody else sees it before the commit."""
        if operation in COMMANDS:
            self.refuse(session, COMMANDS[operation])
        if operation in ("insert_many", "bulk_write"):
            # On a server, the first error ends it all.
            args, kwargs = (*args[:1], True, *args[2:]), {**kwargs}
            kwargs.pop("ordered", None)

        def run(transaction: Transaction, running: Running | None) -> Any:
            if operation == "aggregate":
                stage = next(name for name in _WRITING_STAGES if name in str(args[0]))
                raise transaction_errors.stage_refused(stage)
            check_write(_command(operation), target.database, target.collection)
            if running is not None:
                number = session.number
                session.transaction.writes.append(
                    running.write(operation, target.namespace, kept(args), number)
                )
                running.journal.write = None
            return rebound(apply, target, transaction.client)(*args, **kwargs)

        return self._run(operation, target, session, run)

    def read(self, comparable: Comparable, target: Target, session: ClientSession) -> Any:
        """Run a read at the transaction's snapshot, on the primary; it is never stale."""
        preference = session.transaction.read_preference
        if preference.mode:
            raise InvalidOperation(
                f"read preference in a transaction must be primary, not: {preference!r}"
            )

        def run(transaction: Transaction, running: Running | None) -> Any:
            pipeline = comparable.arguments[0] if comparable.operation == "aggregate" else ()
            check_read(target.collection, pipeline)
            if running is not None:
                running.replica_set.clock.round_trip()
                running.count_read(may_be_stale=False)
            return comparable.run(_opened(target, transaction.client))

        return self._run(comparable.operation, target, session, run)

    def _run(
        self,
        operation: str,
        target: Target,
        session: ClientSession,
        run: Callable[[Transaction, Running | None], Any],
    ) -> Any:
        try:
            transaction_errors.check_namespace(target.database, target.collection)
        except OperationFailure:
            session.transaction.refuse()
            raise
        running = self._governor.running
        with self._governor.lock:
            if running is not None and running.failovers.is_possible:
                running.failovers.before(operation, caller())
            journal = None if running is None else running.journal
            self._engine.attach(journal)
            self._engine.expire()
            after = 0 if running is None else session.read_after(running)
            try:
                result = run(session.transaction.enter(self._engine, journal, after), running)
            except (OperationFailure, CollectionInvalid) as error:
                session.transaction.drop()
                raise _as_told(error, operation, target) from None
            finally:
                if running is not None:
                    session.has_written(running, running.replica_set.oplog.last)
            return result

    def refuse(self, session: ClientSession, command: str) -> None:
        """Raise what the server says to a command that no transaction takes.

        Raises:
            OperationFailure: Error 263.
        """
        session.transaction.refuse()
        raise transaction_errors.command_refused(command)

    # -- endings ---------------------------------------------------------------------------

    def commit(self, session: ClientSession) -> None:
        """Commit, or wait once more for the write concern of what is committed.

        Raises:
            OperationFailure: It was aborted, or the wait went wrong; a label says what helps.
        """
        own = session.transaction
        if not own.start_commit():
            return
        try:
            self._commit(session)
        except OperationFailure as error:
            if error.code in _CODES_OF_NO_ANSWER:
                error._add_error_label(UNKNOWN_COMMIT_RESULT)
            raise
        finally:
            own.state = State.COMMITTED

    def _commit(self, session: ClientSession) -> None:
        own, running = session.transaction, self._governor.running
        concern = _write_concern(own, running)
        check_write_concern(concern)
        error = None
        with self._governor.lock:
            if running is not None and running.failovers.is_possible:
                running.failovers.before("commit_transaction", caller())
            self._engine.attach(None if running is None else running.journal)
            try:
                position = self._position(own, running)
            except OperationFailure as aborted:
                if running is None:
                    raise
                error = aborted
                position = _note_unknown(running)
            if running is None:
                return
            session.has_written(running, position)
        limit_ms = own.options.max_commit_time_ms
        trouble = running.acknowledge("commit_transaction", position, concern, limit_ms)
        if trouble is not None:
            raise server_errors.write_concern_exception(trouble) from error
        if error is not None:
            raise error
        if own.record is not None:
            own.record.acknowledged = concern

    def _position(self, own: SessionTransaction, running: Running | None) -> int:
        """Commit, unless that is done; returns the position that has to be acknowledged."""
        if running is not None:
            running.replica_set.clock.round_trip()
            own.record = own.record or (Commit(own.writes) if own.writes else None)
            running.journal.write = own.record
        try:
            if own.position is None:
                own.position = own.known().commit()
        finally:
            if running is not None:
                running.journal.write = None
        if running is not None and own.attempts > 1:
            return running.replica_set.oplog.last
        return own.position

    def abort(self, session: ClientSession) -> None:
        """Abort; what is aborted already stays so."""
        own = session.transaction
        if not own.start_abort():
            return
        with self._governor.lock:
            running = self._governor.running
            if running is not None:
                running.replica_set.clock.round_trip()
            try:
                own.known()
            except OperationFailure:
                if running is not None:
                    _note_unknown(running)  # the driver is not told of the error
            else:
                own.drop()


def _note_unknown(running: Running) -> int:
    """Log the no-op that a server writes when it is to end a transaction that it does not know.

    Returns:
        Its position, which a commit has to have acknowledged.
    """
    replica_set = running.replica_set
    return replica_set.oplog.append(replica_set.clock.now_us, NO_OP)


def _write_concern(own: SessionTransaction, running: Running | None) -> dict[str, Any]:
    """The write concern of a commit as the driver sends it; it is stricter with the second one."""
    if own.write_concern is not None:
        concern = dict(own.write_concern.document)
    else:
        concern = {} if running is None else dict(running.write_concern)
    return concern if own.attempts == 1 else {"wtimeout": 10_000, **concern, "w": "majority"}


def _command(operation: str) -> str:
    """The command of a method that writes, as far as a refusal of it tells."""
    if operation.startswith("find_one_and_"):
        return "findAndModify"
    return "createIndexes" if operation.startswith("create_index") else operation


def rebound(method: Callable[..., Any], target: Target, client: Any) -> Callable[..., Any]:
    """A method of a live collection or database, on the same one of another client."""
    function = method.__func__  # type: ignore[attr-defined]
    return MethodType(function, _opened(target, client))


def _opened(target: Target, client: Any) -> Any:
    """The collection or database that an operation is about, on another client."""
    database = client.get_database(target.database)
    if not target.collection:
        return database
    return database.collection(target.collection, target.codec_options)


def _as_told(error: Exception, operation: str, target: Target) -> Exception:
    """An error as the server words it in this operation."""
    if isinstance(error, CollectionInvalid):
        # Outside of transactions, the driver itself looks first.
        message = f"{str(error).split()[1]} already exists."
        return server_errors.operation_failure(
            48, "NamespaceExists", f"Collection {target.database}.{message}"
        )
    is_conflict = isinstance(error, OperationFailure) and error.code == _CONFLICT
    if is_conflict and operation.startswith("find_one_and"):
        prefix = "Plan executor error during findAndModify :: caused by :: "
        return transaction_errors.write_conflict(prefix)
    return error
