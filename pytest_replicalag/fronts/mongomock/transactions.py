"""A session's transaction, as a driver and the server together keep it.

Driver specification, Transactions; Convenient API for Transactions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto
from random import Random
from threading import get_ident
from typing import Any, Final, TypeVar

from pymongo.client_session import TransactionOptions  # type: ignore[attr-defined]
from pymongo.errors import InvalidOperation, NetworkTimeout, OperationFailure, PyMongoError

from pytest_replicalag.engines.memory.change_log import TransactionIdentity
from pytest_replicalag.engines.memory.engine import MemoryEngine, Transaction
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.records import Commit, Write
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.error_labels import (
    TRANSIENT_TRANSACTION,
    UNKNOWN_COMMIT_RESULT,
)
from pytest_replicalag.replicaset.read_concern import ReadConcern
from pytest_replicalag.replicaset.read_concern import check as check_read_concern

__all__ = ["SessionTransaction", "State", "with_transaction"]

_LEVELS: Final = (None, "local", "majority", "snapshot")

_RETRY_SECONDS: Final = 120
_FIRST_BACKOFF: Final = 0.005
_LONGEST_BACKOFF: Final = 0.5
_MAX_TIME_EXPIRED: Final = 50

_jitter: Final = Random()
"""Its own, so that code under test that seeds `random` draws what it would draw anyway."""

_Result = TypeVar("_Result")


class State(Enum):
    """Where a transaction is, for the driver."""

    NONE = auto()
    STARTING = auto()
    IN_PROGRESS = auto()
    COMMITTED = auto()
    COMMITTED_EMPTY = auto()
    ABORTED = auto()


class SessionTransaction:
    """The newest transaction of a session.

    Args:
        number: Its number in the session; 0 for none yet.
        options: Its options; None for no transaction yet.
        read_preference: The driver's for it.
        write_concern: The one that was given for its commit, or None.
        session_id: The id of its session.

    Attributes:
        number: As given.
        options: As given.
        read_preference: As given.
        write_concern: As given.
        state: Where it is.
        attempts: How often the commit was sent.
        position: The position of its commit, once it is committed.
        writes: What it has written, for reports.
        record: Its commit, for reports; None before it is committed, or if it has written nothing.
    """

    def __init__(
        self,
        number: int = 0,
        options: TransactionOptions | None = None,
        *,
        read_preference: Any = None,
        write_concern: Any = None,
        session_id: Any = None,
    ) -> None:
        self.number = number
        self._session_id = session_id
        self.read_preference = read_preference
        self.write_concern = write_concern
        self.options = options or TransactionOptions()
        self.state = State.NONE if options is None else State.STARTING
        self.attempts = 0
        self.position: int | None = None
        self.writes: list[Write] = []
        self.record: Commit | None = None
        self._server: Transaction | None = None

    @property
    def is_running(self) -> bool:
        """Whether operations in the session belong to it."""
        return self.state in (State.STARTING, State.IN_PROGRESS)

    def enter(self, engine: MemoryEngine, journal: Journal | None, after: int) -> Transaction:
        """The engine's transaction, for the next operation; the first one starts it.

        Args:
            engine: Holds the data.
            journal: The running simulation's; None while none runs.
            after: The position that the session must see (`afterClusterTime`); 0 for none.

        Raises:
            OperationFailure: Error 251: it was aborted, or its first command was refused; 72 or 9:
                its read concern level is none for a transaction.
        """
        if self.state is State.STARTING:
            self.state = State.IN_PROGRESS
            self._check_level(after)
            self._server = engine.begin(journal)
            self._server.identity = TransactionIdentity(self._session_id, self.number)
        own = self.known()
        own.owner = get_ident()
        return own

    def known(self) -> Transaction:
        """The engine's transaction.

        Raises:
            OperationFailure: Error 251: there is none any more.
        """
        if self._server is None or self._server.is_unknown:
            active = self.number - 1 or -1
            raise transaction_errors.not_started(self.number, active)
        if self._server.has_ended:
            raise transaction_errors.aborted(self.number)
        return self._server

    def leave(self) -> None:
        """Note that an operation outside of it follows; it can no longer be committed again."""
        if not self.is_running:
            self.state = State.NONE

    def refuse(self) -> None:
        """Note that a command was sent and refused outright, which does not end it."""
        self.state = State.IN_PROGRESS

    def drop(self) -> None:
        """Let the server abort it; the driver learns of it by and by."""
        if self._server is not None:
            self._server.abort()

    def _check_level(self, after: int) -> None:
        concern = self.options.read_concern
        level = None if concern is None else concern.document.get("level")
        check_read_concern(ReadConcern(level=level, after=after))
        if level in _LEVELS:
            return
        raise server_errors.invalid_options(
            "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in "
            "order to run in a transaction"
        )

    # -- what the driver checks before it sends anything -------------------------------------

    def start_commit(self) -> bool:
        """Whether a commit has to be sent.

        Raises:
            InvalidOperation: There is nothing to commit.
        """
        if self.state is State.NONE:
            raise InvalidOperation("No transaction started")
        if self.state is State.ABORTED:
            raise InvalidOperation("Cannot call commitTransaction after calling abortTransaction")
        if self.state in (State.STARTING, State.COMMITTED_EMPTY):
            self.state = State.COMMITTED_EMPTY
            return False
        self.state = State.IN_PROGRESS
        self.attempts += 1
        return True

    def start_abort(self) -> bool:
        """Whether an abort has to be sent.

        Raises:
            InvalidOperation: There is nothing to abort.
        """
        if self.state is State.NONE:
            raise InvalidOperation("No transaction started")
        if self.state is State.ABORTED:
            raise InvalidOperation("Cannot call abortTransaction twice")
        if self.state in (State.COMMITTED, State.COMMITTED_EMPTY):
            raise InvalidOperation("Cannot call abortTransaction after calling commitTransaction")
        was_started = self.state is State.IN_PROGRESS
        self.state = State.ABORTED
        return was_started


def with_transaction(session: Any, callback: Callable[[Any], _Result], *options: Any) -> _Result:
    """Run `callback` in a transaction, and again for as long as the errors' labels say so.

    Args:
        session: The session.
        callback: Is given the session.
        options: Those of `start_transaction`.
    """
    deadline = time.monotonic() + _RETRY_SECONDS
    error: PyMongoError | None = None
    attempt = 0
    while True:
        if error is not None:
            _back_off(attempt, deadline, error)
        attempt += 1
        session.start_transaction(*options)
        try:
            result = callback(session)
        except BaseException as caught:
            if session.in_transaction:
                session.abort_transaction()
            if not _is_transient(caught):
                raise
            error = _within(deadline, caught)
            continue
        if not session.in_transaction:  # the callback has ended it, on purpose
            return result
        error = _commit(session, deadline)
        if error is None:
            return result


def _commit(session: Any, deadline: float) -> PyMongoError | None:
    """Commit until the outcome is known; returns an error after which all is tried again."""
    while (error := _try_to_commit(session)) is not None:
        expired = isinstance(error, OperationFailure) and error.code == _MAX_TIME_EXPIRED
        if error.has_error_label(UNKNOWN_COMMIT_RESULT) and not expired:
            _within(deadline, error)
        elif _is_transient(error):
            return _within(deadline, error)
        else:
            raise error
    return None


def _try_to_commit(session: Any) -> PyMongoError | None:
    try:
        session.commit_transaction()
    except PyMongoError as error:
        return error
    return None


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(TRANSIENT_TRANSACTION)


def _within(deadline: float, error: Any) -> PyMongoError:
    """The error, if there is time for another attempt.

    Raises:
        NetworkTimeout: There is none.
    """
    if time.monotonic() < deadline:
        return error  # type: ignore[no-any-return]
    raise NetworkTimeout(str(error)) from error


def _back_off(attempt: int, deadline: float, error: PyMongoError) -> None:
    """Wait before another attempt, so that the transaction in the way can end."""
    seconds = _jitter.random() * min(_FIRST_BACKOFF * 1.5**attempt, _LONGEST_BACKOFF)
    _within(deadline - seconds, error)
    time.sleep(seconds)
