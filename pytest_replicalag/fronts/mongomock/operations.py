"""Runs each operation of a wrapped client: on which data, when it is answered, and what it missed.

While no simulation runs, an operation goes to the live data as on a bare client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure
from pymongo.write_concern import WriteConcern

from pytest_replicalag.call_sites import caller
from pytest_replicalag.engines.memory.comparison import Comparable, FindRead
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.fronts.governor import Governor, ReadPlan, Running
from pytest_replicalag.fronts.in_words import in_words
from pytest_replicalag.fronts.kept import kept
from pytest_replicalag.fronts.mongomock.beside import beside
from pytest_replicalag.fronts.mongomock.bulk_write import OrderedBulkWrite, is_ordered
from pytest_replicalag.fronts.mongomock.in_transaction import InTransaction
from pytest_replicalag.fronts.mongomock.known_primary import KnownPrimary, is_retryable
from pytest_replicalag.fronts.mongomock.options import Retries
from pytest_replicalag.fronts.mongomock.outcome import (
    BULKS,
    NOT_WAITING,
    batches,
    outcome,
    unacknowledged,
)
from pytest_replicalag.fronts.mongomock.session import ClientSession
from pytest_replicalag.fronts.reading import Asked, Target, answer
from pytest_replicalag.fronts.subject import Subject
from pytest_replicalag.records import Write
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.write_concern import check as check_write_concern

__all__ = ["Front", "Target"]


class Front:
    """Runs the operations of one wrapped client.

    Args:
        governor: Knows the running simulation.
        engine: Holds the client's data.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine) -> None:
        self.governor = governor
        self.engine = engine
        self.in_transaction = InTransaction(governor, engine)
        self.retries = Retries()
        self._known_primary = KnownPrimary(governor)
        self._bulk_write = OrderedBulkWrite(governor, engine)

    def attach(self) -> Journal | None:
        """Let the running simulation log writes; the caller holds the lock.

        Returns:
            Its journal.
        """
        running = self.governor.running
        journal = None if running is None else running.journal
        self.engine.attach(journal)
        return journal

    def keep_changes(self) -> None:
        """Keep changes for change streams from now on."""
        with self.governor.lock:
            self.attach()
            self.engine.keep_changes()

    # -- writes, and whatever else only the primary does -------------------------------------

    def write(
        self,
        operation: str,
        target: Target,
        write_concern: Any,
        session: ClientSession | None,
        apply: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Apply a write on the primary and wait for its write concern.

        Args:
            operation: The method's name.
            target: What it is about.
            write_concern: The one that was given, or None.
            session: Its explicit session, or None.
            apply: The library's method, bound to the live data.
            args: What it is called with; a report shows these.
            kwargs: The same.

        Raises:
            PyMongoError: What `apply` raises, or the write concern's error; the write stays.
        """
        running = self.governor.running
        if running is None or (session is not None and session.in_transaction):
            return self._write_unrecorded(operation, target, session, apply, args, kwargs)
        concern = running.write_concern if write_concern is None else write_concern.document
        if session is not None or concern or running.failovers.is_possible:
            self._before_write(session, running, operation, args, kwargs, concern)
        acknowledged = concern.get("w") != 0
        if operation == "bulk_write" and acknowledged and is_ordered(args, kwargs):
            return self._bulk_write.run(running, target, session, concern, apply, args, kwargs)
        failure: Exception | None = None
        result = None
        with self.governor.lock:
            self.engine.attach(running.journal)
            self.engine.expire()
            if self.engine.server.had_transactions:
                apply = beside(self.governor, self.engine, operation, target, apply)
            number = 0 if session is None else session.number
            write = running.write(operation, target.namespace, args, number)
            try:
                result = apply(*args, **kwargs)
            except OperationFailure as error:
                failure = error
            finally:
                running.journal.write = None
            write.arguments = kept(args)  # the library has added identities
            position = running.replica_set.oplog.last
            if session is not None and acknowledged:
                session.has_written(running, position)
        if failure is not None or operation in BULKS or not acknowledged:
            waits = batches(operation, args, kwargs)
            return self._finish(running, write, waits, result, failure, position, concern)
        trouble = running.acknowledge(operation, position, concern)
        if trouble is not None:
            raise server_errors.write_concern_exception(trouble)
        write.acknowledged = concern
        return result

    def _before_write(
        self,
        session: ClientSession | None,
        running: Running,
        operation: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concern: Mapping[str, Any],
    ) -> None:
        """Check a write, and send it to the primary that the client knows."""
        _check(session, running, operation, concern)
        if not running.failovers.is_possible:
            return
        retries = self.retries.writes and is_retryable(operation, args, kwargs, concern)
        self._known_primary.turn_to(running, operation, retries=retries)

    def _write_unrecorded(
        self,
        operation: str,
        target: Target,
        session: ClientSession | None,
        apply: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Apply a write that has no oplog entries: nobody lags, or it is part of a transaction."""
        if session is not None and session.in_transaction:
            return self.in_transaction.write(operation, target, session, apply, args, kwargs)
        with self.governor.lock:
            self.engine.attach(None)
            if self.engine.server.had_transactions:
                apply = beside(self.governor, self.engine, operation, target, apply)
            return apply(*args, **kwargs)

    def _finish(
        self,
        running: Running,
        write: Write,
        waits: int,
        result: Any,
        failure: Exception | None,
        position: int,
        concern: dict[str, Any],
    ) -> Any:
        """End a write that failed, is of several commands, or is not acknowledged."""
        if concern.get("w") == 0:
            return unacknowledged(result)
        operation = write.operation
        if operation in NOT_WAITING and not isinstance(failure, BulkWriteError):
            waits = 0
        told = (running.acknowledge(operation, position, concern) for _ in range(waits))
        errors = [error for error in told if error]
        if not errors:
            write.acknowledged = concern
        return outcome(result, failure, errors)

    def on_primary(
        self,
        command: str,
        session: ClientSession | None,
        run: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Run a command that drivers send to the primary whatever the read preference.

        Args:
            command: Its name on the server; no transaction takes it.
            session: Its explicit session, or None.
            run: Runs it on the live data.
            args: What `run` is called with.
            kwargs: The same.
        """
        if session is not None and session.in_transaction:
            self.in_transaction.refuse(session, command)
        running = self.governor.running
        if running is None:
            with self.governor.lock:
                self.engine.attach(None)
                return run(*args, **kwargs)
        if running.failovers.is_possible:
            self._known_primary.turn_to(running, command, retries=self.retries.reads)
        with self.governor.lock:
            self.engine.attach(running.journal)
            self.engine.expire()
            running.replica_set.clock.round_trip()
            result = run(*args, **kwargs)
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
        if session is not None and session.in_transaction:
            return self.in_transaction.read(comparable, target, session)
        running = self.governor.running
        if running is None:
            with self.governor.lock:
                self.engine.attach(None)
                return comparable.run(target.live)
        preference = running.read_preference if read_preference is None else read_preference
        if running.failovers.is_possible:
            retries = self.retries.reads or preference.mode != 0
            self._known_primary.turn_to(running, comparable.operation, retries=retries)
        level = None if read_concern is None else read_concern.document.get("level")
        if session is not None and session.is_snapshot:
            level = "snapshot"
        if self.engine.server.expires:
            with self.governor.lock:
                self.engine.attach(running.journal)
                self.engine.expire()
        came = partial(self.engine.came_between, target.database, target.collection)
        plan = running.plan_read(
            comparable.operation,
            preference,
            level,
            session,
            max_time_ms,
            came=came,
            subject=Subject(target.namespace, comparable.reads_others),
        )
        with self.governor.lock:
            self.engine.attach(running.journal)
            if comparable.of_metadata:
                plan = ReadPlan(plan.member, running.replica_set.applied(plan.member))
            number = 0 if session is None else session.number
            asked = Asked(
                read_preference=lambda: in_words(preference),
                level=level,
                session=number,
                client=id(self),
                by=caller,
            )
            if session is None:
                return answer(self.engine, comparable, target, running, plan, asked)
            return self._answer_in_session(comparable, target, running, plan, asked, session)

    def _answer_in_session(
        self,
        comparable: Comparable,
        target: Target,
        running: Running,
        plan: ReadPlan,
        asked: Asked,
        session: ClientSession,
    ) -> Any:
        """What a read returns; its session takes over the times of the reply."""
        try:
            result = answer(self.engine, comparable, target, running, plan, asked)
        except OperationFailure:
            session.was_refused(running, plan.member, asked.level)
            raise
        session.has_read(running, plan, asked.level)
        if session.is_snapshot and self._tells_snapshot(comparable, target, plan):
            session.keep_snapshot(running, plan.position)
        return result

    def _tells_snapshot(self, comparable: Comparable, target: Target, plan: ReadPlan) -> bool:
        """Whether the reply tells the time of the snapshot: not if a find finds no collection."""
        return not isinstance(comparable, FindRead) or self.engine.existed(
            target.database, target.collection, plan.position
        )


def _check(
    session: ClientSession | None, running: Running, operation: str, concern: Mapping[str, Any]
) -> None:
    """Raise what the driver, or the server before it writes, raises for a write.

    Args:
        session: Its explicit session, or None.
        running: The running simulation.
        operation: The method's name.
        concern: The write concern as a client sends it.
    """
    check_write_concern(concern)
    if session is None:
        return
    if concern.get("w") == 0:
        raise ConfigurationError(
            "Explicit sessions are incompatible with unacknowledged write concern: "
            f"{WriteConcern(**concern)!r}"
        )
    if session.is_snapshot:
        raise server_errors.snapshot_refused(operation)
    session.read_after(running)
