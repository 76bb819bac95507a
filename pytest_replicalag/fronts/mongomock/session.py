"""Client sessions of a wrapped client: causal consistency and snapshot reads.

Driver specification, Sessions; Causal Consistency; Snapshot Reads.

Times are kept as positions in the oplog of the simulation in which they were seen. A session that
outlives a test starts the next one with what every member has: old data.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, NoReturn

from bson import Binary, Timestamp
from bson.binary import UUID_SUBTYPE
from pymongo.client_session import SessionOptions  # type: ignore[attr-defined]
from pymongo.errors import InvalidOperation

from pytest_replicalag.errors import UnsupportedFeatureError
from pytest_replicalag.fronts.governor import Governor, ReadPlan, Running
from pytest_replicalag.replicaset import server_errors

__all__ = ["ClientSession"]


class ClientSession:
    """A logical session; use it as pymongo's, one thread at a time.

    Args:
        client: The wrapped client that started it.
        governor: Knows the running simulation.
        options: pymongo's session options.
    """

    def __init__(self, client: Any, governor: Governor, options: SessionOptions) -> None:
        self._client = client
        self._governor = governor
        self._options = options
        self._session_id = {"id": Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}
        self._has_ended = False
        self._seen_in: Running | None = None
        self._pin: object | None = None
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
        """False: there are no transactions on a wrapped client."""
        return False

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

    def start_transaction(self, *args: object, **kwargs: object) -> NoReturn:
        """Refused: transactions are not supported yet."""
        self.check(self._client)
        _refuse_transaction()

    def commit_transaction(self) -> NoReturn:
        """Refused: transactions are not supported yet."""
        _refuse_transaction()

    def abort_transaction(self) -> NoReturn:
        """Refused: transactions are not supported yet."""
        _refuse_transaction()

    def with_transaction(self, *args: object, **kwargs: object) -> NoReturn:
        """Refused: transactions are not supported yet."""
        _refuse_transaction()

    def end_session(self) -> None:
        """End the session; it is an error to use it afterwards."""
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
        if self.is_snapshot and self._snapshot_at is None:
            self._snapshot_at = plan.position
            self._pin = running.replica_set.pin(plan.position)
        position = plan.position
        if level != "majority":
            position = max(position, running.replica_set.applied(plan.member))
        self._observe(running, position)

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


def _refuse_transaction() -> NoReturn:
    raise UnsupportedFeatureError(
        "transactions are",
        "test code that needs them against a real replica set, or run this test without wrap()",
    )
