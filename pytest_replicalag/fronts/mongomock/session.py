"""Client sessions of a wrapped client: causal consistency, snapshot reads, transactions.

Driver specification, Sessions; Causal Consistency; Snapshot Reads; Transactions.

Times are kept as positions in the oplog of the simulation in which they were seen. A session that
outlives a test starts the next one with what every member has: old data.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bson import Binary, Timestamp
from bson.binary import UUID_SUBTYPE
from pymongo.client_session import (  # type: ignore[attr-defined]
    SessionOptions,
    TransactionOptions,
)
from pymongo.errors import InvalidOperation
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from pytest_replicalag.fronts.governor import Governor, ReadPlan, Running
from pytest_replicalag.fronts.mongomock.transactions import SessionTransaction, with_transaction
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.read_concern import refusal_position

__all__ = ["ClientSession"]

_Result = TypeVar("_Result")


class ClientSession:
    """A logical session; use it as pymongo's, one thread at a time.

    Args:
        client: The wrapped client that started it.
        governor: Knows the running simulation.
        options: pymongo's session options.

    Attributes:
        transaction: The newest transaction.
    """

    def __init__(self, client: Any, governor: Governor, options: SessionOptions) -> None:
        self._client = client
        self._governor = governor
        self._options = options
        self._session_id = {"id": Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}
        self._has_ended = False
        self._seen_in: Running | None = None
        self._pin: object | None = None
        self.transaction = SessionTransaction()
        self._reset(None)

    def _reset(self, running: Running | None) -> None:
        """Forget the times of another simulation."""
        self._seen_in = running
        self._operation_time: Timestamp | None = None
        self._cluster_time: Mapping[str, Any] | None = None
        self._snapshot_at: int | None = None
        self._number = 0 if running is None else running.new_session()

    def _sync(self) -> None:
        if self._governor.running is not self._seen_in:
            self._reset(self._governor.running)

    # -- pymongo's public face -------------------------------------------------------------

    @property
    def client(self) -> Any:
        """The client that started the session."""
        return self._client

    @property
    def options(self) -> SessionOptions:
        """The options that it was started with."""
        return self._options

    @property
    def session_id(self) -> Mapping[str, Any]:
        """The session id: `{"id": Binary}`.

        Raises:
            InvalidOperation: The session has ended.
        """
        self.check(self._client)
        return self._session_id

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._has_ended

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was started and has not been ended."""
        return self.transaction.is_running

    @property
    def cluster_time(self) -> Mapping[str, Any] | None:
        """The newest `$clusterTime` that an operation in the session has returned."""
        self._sync()
        return self._cluster_time

    @property
    def operation_time(self) -> Timestamp | None:
        """The `operationTime` of the newest operation in the session."""
        self._sync()
        return self._operation_time

    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None:
        """Take over another session's cluster time if it is newer.

        Args:
            cluster_time: `{"clusterTime": Timestamp, …}`, another session's `cluster_time`.

        Raises:
            TypeError: It is no mapping.
            ValueError: It has no `clusterTime`.
        """
        if not isinstance(cluster_time, Mapping):
            raise TypeError(
                f"cluster_time must be a subclass of collections.Mapping, not {type(cluster_time)}"
            )
        if not isinstance(cluster_time.get("clusterTime"), Timestamp):
            raise ValueError("Invalid cluster_time")
        self._sync()
        known = self._cluster_time
        if known is None or cluster_time["clusterTime"] > known["clusterTime"]:
            self._cluster_time = cluster_time

    def advance_operation_time(self, operation_time: Timestamp) -> None:
        """Take over another session's operation time if it is newer.

        Raises:
            TypeError: It is no `bson.Timestamp`.
        """
        if not isinstance(operation_time, Timestamp):
            raise TypeError(
                "operation_time must be an instance of bson.timestamp.Timestamp, "
                f"not {type(operation_time)}"
            )
        self._sync()
        if self._operation_time is None or operation_time > self._operation_time:
            self._operation_time = operation_time

    # -- transactions ----------------------------------------------------------------------

    def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: Any = None,
        max_commit_time_ms: int | None = None,
    ) -> _TransactionContext:
        """Start a transaction; see pymongo's `ClientSession.start_transaction`.

        Raises:
            InvalidOperation: There is one, or the session cannot have any.
            ConfigurationError: The write concern is unacknowledged.
        """
        self.check(self._client)
        if self.is_snapshot:
            raise InvalidOperation("Transactions are not supported in snapshot sessions")
        if self.in_transaction:
            raise InvalidOperation("Transaction already in progress")
        self.transaction = self._next_transaction(
            TransactionOptions(read_concern, write_concern, read_preference, max_commit_time_ms)
        )
        return _TransactionContext(self)

    def _next_transaction(self, given: TransactionOptions) -> SessionTransaction:
        """A transaction whose options are the given ones, the session's or the client's."""
        default = self._options.default_transaction_options or TransactionOptions()
        read_concern = given.read_concern or default.read_concern or self._client.read_concern
        write_concern = given.write_concern or default.write_concern
        write_concern = write_concern or self._client._options.write_concern
        read_preference = given.read_preference or default.read_preference
        limit_ms = given.max_commit_time_ms
        limit_ms = default.max_commit_time_ms if limit_ms is None else limit_ms
        return SessionTransaction(
            self.transaction.number + 1,
            TransactionOptions(read_concern, write_concern, None, limit_ms),
            read_preference=read_preference or self._client.read_preference,
            write_concern=write_concern,
            session_id=self._session_id,
        )

    def commit_transaction(self) -> None:
        """Commit the transaction; again, wait once more for its write concern.

        Raises:
            InvalidOperation: There is none.
            PyMongoError: What the server says; its labels tell what to do.
        """
        self.check(self._client)
        self._client._front.in_transaction.commit(self)

    def abort_transaction(self) -> None:
        """Abort the transaction.

        Raises:
            InvalidOperation: There is none.
        """
        self.check(self._client)
        self._client._front.in_transaction.abort(self)

    def with_transaction(
        self,
        callback: Callable[[ClientSession], _Result],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: Any = None,
        max_commit_time_ms: int | None = None,
    ) -> _Result:
        """Run `callback(session)` in a transaction, and again where that helps.

        See pymongo's `ClientSession.with_transaction`.
        """
        return with_transaction(
            self, callback, read_concern, write_concern, read_preference, max_commit_time_ms
        )

    def end_session(self) -> None:
        """End the session; it is an error to use it afterwards."""
        if self._has_ended:
            return
        try:
            if self.in_transaction:
                self.abort_transaction()
        finally:
            self._has_ended = True
            self._unpin()

    def __enter__(self) -> ClientSession:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end_session()

    # -- what the front asks ---------------------------------------------------------------

    def check(self, client: Any) -> None:
        """Raise what pymongo raises if the session cannot be used with `client`."""
        if self._has_ended:
            raise InvalidOperation("Cannot use ended session")
        if client is not self._client:
            raise InvalidOperation("Can only use session with the MongoClient that started it")

    @property
    def number(self) -> int:
        """Its number in the running test, from 1, in the order of first use."""
        self._sync()
        return self._number

    @property
    def is_snapshot(self) -> bool:
        """Whether its reads are at one snapshot."""
        return bool(self._options.snapshot)

    def read_after(self, running: Running) -> int:
        """The position that reads in the session must see (`afterClusterTime`); 0 for none.

        Raises:
            OperationFailure: The session was advanced to a time that has not come.
        """
        self._sync()
        if not self._options.causal_consistency or self._operation_time is None:
            return 0
        oplog = running.replica_set.oplog
        position = oplog.position_of(self._operation_time)
        if position > oplog.last:
            current = oplog.timestamp(oplog.last)
            raise server_errors.time_ahead("afterClusterTime", self._operation_time, current)
        return position

    def read_at(self, running: Running) -> int | None:
        """The position of the session's snapshot, once its first read has taken one."""
        self._sync()
        return self._snapshot_at

    def has_read(self, running: Running, plan: ReadPlan, level: str | None) -> None:
        """Take over the times of a reply to a read."""
        self._sync()
        position = plan.position
        if level != "majority":
            position = max(position, running.replica_set.applied(plan.member))
        self._observe(running, position)

    def was_refused(self, running: Running, member: Member, level: str | None) -> None:
        """Take over the times of a refusal."""
        self._sync()
        self._observe(running, refusal_position(running.replica_set, member, level))

    def keep_snapshot(self, running: Running, position: int) -> None:
        """Read at this position from now on, if the session is not at one already."""
        if self._snapshot_at is None:
            self._snapshot_at = position
            self._pin = running.replica_set.pin(position)

    def has_written(self, running: Running, position: int) -> None:
        """Take over the times of a reply to a write."""
        self._sync()
        self._observe(running, position)

    def _observe(self, running: Running, position: int) -> None:
        oplog = running.replica_set.oplog
        timestamp = oplog.timestamp(position)
        if self._operation_time is None or timestamp > self._operation_time:
            self._operation_time = timestamp
        newest = oplog.timestamp(oplog.last)
        if self._cluster_time is None or newest > self._cluster_time["clusterTime"]:
            signature = {"hash": b"\0" * 20, "keyId": 0}
            self._cluster_time = {"clusterTime": newest, "signature": signature}

    def _unpin(self) -> None:
        if self._pin is not None and self._seen_in is not None:
            self._seen_in.replica_set.unpin(self._pin)
            self._pin = None


class _TransactionContext:
    """What `start_transaction` returns: commits at the end of a `with`, or aborts."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    def __enter__(self) -> _TransactionContext:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._session.in_transaction:
            if error is None:
                self._session.commit_transaction()
            else:
                self._session.abort_transaction()
