"""Commands that tell of databases, collections and indexes.

Drivers send them to the primary whatever the read preference; a client that is connected directly
to a secondary sees what that has.
"""

from __future__ import annotations

from typing import Any

from pytest_replicalag.engines.memory import commands
from pytest_replicalag.fronts.wire.cursors import Documents
from pytest_replicalag.fronts.wire.reads import Reads, batch_last
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.simulated_set import SimulatedSet

__all__ = ["Catalog"]


class Catalog:
    """Answers them.

    Args:
        simulated_set: The set as its endpoints show it.
        reads: For what they have in common with reads.
    """

    def __init__(self, simulated_set: SimulatedSet, reads: Reads) -> None:
        self._engine = simulated_set.engine
        self._reads = reads

    def tell(self, request: Request) -> Reply:
        """Answer one, as the member that serves it sees it."""
        running, command = request.running, request.command
        running.replica_set.clock.round_trip()
        self._reads.concern(request)
        member = self._reads.preferences.serving(
            request, self._reads.preferences.preference(request)
        )
        position = running.replica_set.applied(member)
        self._engine.attach(running.journal)
        if self._engine.server.expires:
            self._engine.expire()
        client = self._engine.live_client
        if position < running.replica_set.oplog.last:
            client = self._engine.past(position).client
        found: Any = commands.catalog(request.name, command, client)
        request.position = position
        if not isinstance(found, list):
            return dict(found)
        size = (command.get("cursor") or {}).get("batchSize")
        return batch_last(self._reads.first_batch(request, Documents(found), size))
