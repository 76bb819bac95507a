"""Runs each operation of a wrapped client: on which data, when it is answered, and what it missed.

While no simulation runs, an operation goes to the live data as on a bare client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure, WriteError
from pymongo.write_concern import WriteConcern

from pytest_replicalag.call_sites import caller
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.fronts.governor import Governor, ReadPlan, Running
from pytest_replicalag.fronts.mongomock.comparison import Comparable
from pytest_replicalag.fronts.mongomock.options import in_words
from pytest_replicalag.fronts.mongomock.outcome import batches, outcome, unacknowledged
from pytest_replicalag.fronts.mongomock.session import ClientSession
from pytest_replicalag.records import Read
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.write_concern import check as check_write_concern

__all__ = ["Front", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The database or collection that an operation is about.

    Attributes:
        database: The database's name.
        collection: The collection's name; empty for the database itself.
        codec_options: The library's codec options.
    """

    database: str
    collection: str
    codec_options: Any

    @property
    def namespace(self) -> str:
        """Database and collection, such as `shop.orders`."""
        return f"{self.database}.{self.collection}" if self.collection else self.database


class Front:
    """Runs the operations of one wrapped client.

    Args:
        governor: Knows the running simulation.
        engine: Holds the client's data.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine) -> None:
        self.governor = governor
        self.engine = engine

    # -- writes, and whatever else only the primary does -------------------------------------

    def write(
        self,
        operation: str,
        target: Target,
        arguments: tuple[Any, ...],
        write_concern: Any,
        session: ClientSession | None,
        apply: Callable[[], Any],
    ) -> Any:
        """Apply a write on the primary and wait for its write concern.

        Args:
            operation: The method's name.
            target: What it is about.
            arguments: What it was called with.
            write_concern: The one that was given, or None.
            session: Its explicit session, or None.
            apply: Runs it on the live data.

        Raises:
            PyMongoError: What `apply` raises, or the write concern's error; the write stays.
        """
        running = self.governor.running
        if running is None:
            with self.governor.lock:
                self.engine.attach(None)
                return apply()
        concern = running.write_concern if write_concern is None else write_concern.document
        acknowledged = concern.get("w") != 0
        if session is not None:
            _check_session(session, running, operation, concern)
        if "w" in concern:
            check_write_concern(concern)
        result, failure, refusal = None, None, None
        with self.governor.lock:
            self.engine.attach(running.journal)
            number = 0 if session is None else session.number
            write = running.write(operation, target.namespace, arguments, number)
            try:
                result = apply()
            except BulkWriteError as error:
                failure = error
            except OperationFailure as error:
                # A write error is the outcome of a command that ran; the server still waits.
                refusal = error
            finally:
                running.journal.write = None
            if operation == "insert_one":
                write.arguments = _unchanged(arguments)
            position = running.replica_set.oplog.last
            if session is not None and acknowledged:
                session.has_written(running, position)
        if not acknowledged:
            return None if failure or refusal else unacknowledged(result)
        if refusal is not None:
            if isinstance(refusal, WriteError) and not operation.startswith("find_one_and"):
                running.acknowledge(operation, position, concern)
            raise refusal
        count = batches(operation, arguments) if operation == "bulk_write" else 1
        errors = [running.acknowledge(operation, position, concern) for _ in range(count)]
        return outcome(operation, result, failure, [error for error in errors if error])

    def on_primary(self, session: ClientSession | None, run: Callable[[], Any]) -> Any:
        """Run a command that drivers send to the primary whatever the read preference."""
        running = self.governor.running
        if running is None:
            with self.governor.lock:
                self.engine.attach(None)
                return run()
        with self.governor.lock:
            self.engine.attach(running.journal)
            running.replica_set.clock.round_trip()
            result = run()
            if session is not None:
                session.has_written(running, running.replica_set.oplog.last)
            return result

    # -- reads -----------------------------------------------------------------------------

    def read(
        self,
        comparable: Comparable,
        target: Target,
        read_preference: Any,
        read_concern: Any,
        session: ClientSession | None,
        max_time_ms: int | None = None,
    ) -> Any:
        """Answer a read at the position of the member that serves it.

        Args:
            comparable: The operation: how to run it, and how to tell whether it is stale.
            target: What it reads.
            read_preference: The one that was given, or None.
            read_concern: The one that was given, or None.
            session: Its explicit session, or None.
            max_time_ms: Its time limit, or None.
        """
        running = self.governor.running
        if running is None:
            with self.governor.lock:
                self.engine.attach(None)
                return comparable.run(self.live(target))
        preference = running.read_preference if read_preference is None else read_preference
        level = None if read_concern is None else read_concern.document.get("level")
        if session is not None and session.is_snapshot:
            level = "snapshot"
        plan = running.plan_read(comparable.operation, preference, level, session, max_time_ms)
        with self.governor.lock:
            self.engine.attach(running.journal)
            result = self._read_at(comparable, target, running, plan, preference, level, session)
            if session is not None:
                session.has_read(running, plan, level)
        return result

    def live(self, target: Target) -> Any:
        """The primary's collection."""
        database = self.engine.live_client.get_database(target.database)
        return database.collection(target.collection, target.codec_options)

    def _read_at(
        self,
        comparable: Comparable,
        target: Target,
        running: Running,
        plan: ReadPlan,
        preference: Any,
        level: str | None,
        session: ClientSession | None,
    ) -> Any:
        position = plan.position
        number = 0 if session is None else session.number
        seen = running.has_read((number, id(self), target.namespace), position)
        newest = running.replica_set.oplog.last
        unchanged = position >= newest or not (
            comparable.reads_others
            or self.engine.has_changed(target.database, target.collection, position)
        )
        if unchanged:
            return comparable.run(self.live(target))
        then = comparable.at(self.engine, target, position)
        if not running.checks or not then.past.changed() or not comparable.is_deterministic:
            return then.result
        now = comparable.now(self.engine, target, running.replica_set.oplog.last, then)
        if comparable.is_fresh(then, now):
            return then.result
        read = Read(
            operation=comparable.operation,
            namespace=target.namespace,
            arguments=comparable.arguments,
            caller=caller(),
            session=number,
            read_preference=in_words(preference),
            read_concern=level,
        )
        running.stale(
            read, plan, *comparable.results(then, now), comparable.missed(then, now, position), seen
        )
        return then.result


def _check_session(
    session: ClientSession, running: Running, operation: str, concern: Mapping[str, Any]
) -> None:
    """Raise what the driver, or the server before it writes, raises for a write in a session."""
    if concern.get("w") == 0:
        raise ConfigurationError(
            "Explicit sessions are incompatible with unacknowledged write concern: "
            f"{WriteConcern(**concern)!r}"
        )
    if session.is_snapshot:
        raise server_errors.snapshot_refused(operation)
    session.read_after(running)


def _unchanged(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, safe from what the caller does with the inserted document later."""
    if arguments and isinstance(arguments[0], dict):
        return (arguments[0].copy(), *arguments[1:])
    return arguments
