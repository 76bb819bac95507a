"""Pipelines that end in `$out` or `$merge`: read on a member, written on the primary.

A secondary reads its own data and hands what it finds to the primary, as was seen on a server of
MongoDB 6.0. Driver specification, CRUD: Read preferences and server selection.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from pytest_replicalag.engines.memory import commands
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.wire.kinds import writing_stage
from pytest_replicalag.fronts.wire.read_preferences import check_secondary_ok
from pytest_replicalag.fronts.wire.reads import Reads
from pytest_replicalag.fronts.wire.request import Found, Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet
from pytest_replicalag.fronts.wire.writes import Writes
from pytest_replicalag.replicaset import server_errors

__all__ = ["Outputs"]


class Outputs:
    """Answers pipelines that write what they find.

    Args:
        simulated_set: The set as its endpoints show it.
        reads: For what they read.
        writes: For what they write.
    """

    def __init__(self, simulated_set: SimulatedSet, reads: Reads, writes: Writes) -> None:
        self._engine = simulated_set.engine
        self._reads = reads
        self._writes = writes

    def aggregate(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a pipeline that ends in `$out` or `$merge`; the caller holds the lock.

        Raises:
            OperationFailure: A secondary was asked for the primary's data, or there is no such
                read or write concern.
        """
        reads = self._reads
        preference = reads.preferences.preference(request)
        check_secondary_ok(request.member, preference)
        if request.in_transaction:
            return self._writes.write_on_primary(request)
        self._writes.concern(request)
        _check_read_concern(request)
        if preference.mode == 0:
            return self._writes.write_on_primary(request)
        comparable = commands.read_to_write(request.command)
        member = reads.choose(request, comparable)
        if member.is_primary:
            return self._writes.write_on_primary(request)

        def hand_over(documents: list[Any], plan: ReadPlan) -> Reply | Awaitable[Reply]:
            return self._hand_over(request, Found(documents, plan.position))

        reads.travel(request)
        return reads.read_on(request, comparable, member, hand_over)

    def _hand_over(self, request: Request, found: Found) -> Reply | Awaitable[Reply]:
        """Let the primary write what a secondary has found; with nothing it has nothing to do."""
        if found.documents or writing_stage(request) == "$out":
            request.found = found
            return self._writes.write_on_primary(request)
        reply = commands.write_out(request.command, self._engine.live_client, [])
        self._reads.tell_snapshot(request, found.position, reply)
        return reply


def _check_read_concern(request: Request) -> None:
    """Refuse the one level that such a pipeline cannot have.

    Raises:
        OperationFailure: Error 72.
    """
    sent = request.command.get("readConcern")
    if sent and sent.get("level") == "linearizable":
        raise server_errors.linearizable_refused(request.name, writing_stage(request))
