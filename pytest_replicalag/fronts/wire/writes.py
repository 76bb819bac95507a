"""Commands that write: applied on the primary, acknowledged as their write concern asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.describe import describe
from pytest_replicalag.engines.memory import commands
from pytest_replicalag.engines.memory.transactions import Blocked, Transaction
from pytest_replicalag.fronts.transactional import check_write
from pytest_replicalag.fronts.wire.kinds import CATALOG_WRITES, NOT_WAITING, WRITING_STAGES
from pytest_replicalag.fronts.wire.reads import Reads, pause
from pytest_replicalag.fronts.wire.request import Found, Reply, Request
from pytest_replicalag.fronts.wire.retryable_writes import RETRYABLE_WRITES, apply_once
from pytest_replicalag.fronts.wire.sessions import TRANSACTION_LIFETIME_S
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.fronts.wire.write_replies import (
    hand_over_failed,
    not_primary,
    unacknowledged,
    write_reply,
)
from pytest_replicalag.replicaset import server_errors, transaction_errors
from pytest_replicalag.replicaset.read_concern import ReadConcern
from pytest_replicalag.replicaset.write_concern import is_acknowledged

__all__ = ["Writes"]


class Writes:
    """Applies writes.

    Args:
        simulated_set: The set as its endpoints show it.
        reads: For what a write has in common with a read.
    """

    def __init__(self, simulated_set: SimulatedSet, reads: Reads) -> None:
        self._set = simulated_set
        self._engine = simulated_set.engine
        self._reads = reads

    def write(self, request: Request) -> Reply | Awaitable[Reply]:
        """Apply a write and wait for its write concern; the caller holds the lock.

        Raises:
            NotPrimaryError: It was sent to a secondary.
        """
        if not request.member.is_primary:
            raise not_primary(request)
        return self.write_on_primary(request)

    def write_on_primary(self, request: Request) -> Reply | Awaitable[Reply]:
        """Apply a write on the primary, whichever member was asked, and wait as above."""
        if request.in_transaction:
            return self._write_in_transaction(request)
        concern = self.concern(request)
        if request.command.get("readConcern"):  # only the times of its session are taken
            self._reads.concern(request)
        if "txnNumber" in request.command and request.session is not None:
            request.applied = request.session.applied_by(request.command["txnNumber"])
        self._log(request)
        return self._attempt(request, concern)

    def _attempt(self, request: Request, concern: Mapping[str, Any]) -> Reply | Awaitable[Reply]:
        """Apply it now, or once the transaction has ended that is in its way."""
        try:
            reply = self._apply(request)
        except Blocked as blocked:
            return self._once_free(request, concern, blocked.transaction)
        except OperationFailure as error:
            position = request.position = request.running.replica_set.oplog.last
            if request.name in NOT_WAITING or not isinstance(error.details, dict):
                raise
            return self.acknowledged(request, dict(error.details), position, concern)
        position = request.running.replica_set.oplog.last
        reply = self._in_order(request, reply, position)
        return self.acknowledged(request, reply, position, concern)

    async def _once_free(
        self, request: Request, concern: Mapping[str, Any], transaction: Transaction
    ) -> Reply:
        """Wait for a transaction to end that has written what a plain write would write.

        A server lets a transaction live for a minute, then it aborts it for others' sake.

        Raises:
            ExecutionTimeout: The write's own time limit has passed.
        """
        loop = asyncio.get_running_loop()
        limit_ms = request.command.get("maxTimeMS")
        limit_s = limit_ms / 1_000 if limit_ms else TRANSACTION_LIFETIME_S
        ended: asyncio.Future[None] = loop.create_future()
        with self._set.governor.lock:
            transaction.when_ended(lambda: _soon(loop, ended))
            if transaction.has_ended:
                _resolve(ended)
        done, _ = await asyncio.wait([ended], timeout=limit_s)
        with self._set.governor.lock:
            if not done and limit_ms:
                raise server_errors.max_time_expired()
            transaction.abort()  # it has ended, or has lived for too long
            request.running = self._set.running()
            self._log(request)
            reply = self._attempt(request, concern)
        return reply if isinstance(reply, Mapping) else await reply

    def _log(self, request: Request) -> None:
        """Charge a round trip, and say in the log who writes."""
        operation, arguments = describe(request.name, request.command)
        number, by = request.session_number, request.by()
        request.write = request.running.write(operation, request.namespace, arguments, number, by)

    def _apply(self, request: Request) -> dict[str, Any]:
        """Run a write on the data of the primary.

        Raises:
            Blocked: An open transaction is in its way.
        """
        engine, name, command = self._engine, request.name, request.command
        if engine.server.expires:
            engine.expire()
        try:
            if name in CATALOG_WRITES:
                self._check_free(request)
                return dict(commands.catalog(name, command, engine.live_client))
            if request.found is not None:
                return self._write_found(request, request.found)
            applied = request.applied
            if applied is None or name not in RETRYABLE_WRITES:
                return self._write(name, command)
            return apply_once(name, command, applied, lambda *what: self._write(name, *what))
        finally:
            request.running.journal.write = None

    def _write(
        self, name: str, command: Mapping[str, Any], done: list[commands.Statement] | None = None
    ) -> dict[str, Any]:
        return self._engine.write_beside(lambda client: commands.write(name, command, client, done))

    def _write_found(self, request: Request, found: Found) -> dict[str, Any]:
        """Write what a secondary has found."""
        reply = self._engine.write_beside(
            lambda client: commands.write_out(request.command, client, found.documents)
        )
        self._reads.tell_snapshot(request, found.position, reply)
        return reply

    def _in_order(self, request: Request, reply: dict[str, Any], position: int) -> dict[str, Any]:
        running = request.running
        election_id, optime = self._set.election_id(running), self._set.optime(running, position)
        return write_reply(request.name, reply, election_id, optime)

    def _check_free(self, request: Request) -> None:
        """Raise if a transaction uses what would be dropped, renamed or indexed."""
        if not self._engine.has_transactions:
            return
        blocking = self._engine.blocking(request.database, request.collection or None)
        if blocking is not None:
            raise Blocked(blocking)

    def read_concern(self, request: Request) -> ReadConcern:
        """The read concern of a command; see `Reads.concern`."""
        return self._reads.concern(request)

    def _write_in_transaction(self, request: Request) -> Reply:
        assert request.session is not None
        transaction = request.session.transaction
        assert transaction is not None
        if request.name == "aggregate":
            stage = next(stage for stage in WRITING_STAGES if stage in str(request.command))
            raise transaction_errors.stage_refused(stage)
        check_write(request.name, request.database, request.collection)
        self._log(request)
        request.session.wrote(request.running.journal.write)
        run = commands.catalog if request.name in CATALOG_WRITES else commands.write
        command = request.command
        if command.get("ordered") is False:  # the first error ends the transaction
            command = {**command, "ordered": True}
        try:
            reply: dict[str, Any] = run(request.name, command, transaction.client)
        finally:
            request.running.journal.write = None
        return self._in_order(request, reply, request.running.replica_set.oplog.last)

    # -- concerns --------------------------------------------------------------------------------

    def concern(self, request: Request) -> Mapping[str, Any]:
        """The write concern of a command; the settings' one if it says nothing."""
        sent: Mapping[str, Any] | None = request.command.get("writeConcern")
        return request.running.write_concern if sent is None else sent

    def acknowledged(
        self, request: Request, reply: Reply, position: int, concern: Mapping[str, Any]
    ) -> Reply | Awaitable[Reply]:
        """The reply, once the write concern is met or has failed."""
        running = request.running
        request.position = position
        if not request.expects_reply or not is_acknowledged(concern):
            return unacknowledged(request.name, reply)
        if not concern and running.replica_set.majority_keeps_up:
            return _told(request, reply, concern)
        operation = describe(request.name, request.command)[0]
        limit_ms = request.command.get("maxTimeMS")
        ending = running.start_acknowledgement(operation, position, concern, limit_ms)
        if ending.error is not None and request.is_handed_over:
            reply = hand_over_failed(ending.error)
        elif ending.error is not None:
            reply = {**reply, "writeConcernError": ending.error}
            if request.name == "commitTransaction":  # it may have been: it is not to run again
                reply.pop("errorLabels", None)
        else:
            _told(request, reply, concern)
        if ending.due_us and (seconds := running.seconds_until(ending.due_us)):
            return self._later(seconds, reply)
        return reply

    async def _later(self, seconds: float, reply: Reply) -> Reply:
        await pause(seconds)
        return reply


def _told(request: Request, reply: Reply, concern: Mapping[str, Any]) -> Reply:
    """The reply to a client that learns from it that its write is done."""
    if request.write is not None and reply.get("ok") != 0:
        request.write.acknowledged = concern
    return reply


def _soon(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Resolve a future of that loop, from whatever thread."""
    loop.call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
