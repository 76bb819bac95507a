"""The next batches of cursors, and their end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from bson import Int64

from pytest_replicalag.fronts.wire.change_streams import ChangeStreams, StreamSource
from pytest_replicalag.fronts.wire.cursors import Cursors, ServerCursor
from pytest_replicalag.fronts.wire.reads import batch_reply
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["GetMore"]


class GetMore:
    """Answers `getMore` and `killCursors`.

    Args:
        cursors: The cursors that are open.
        streams: Waits for the events of change streams.
    """

    def __init__(self, cursors: Cursors, streams: ChangeStreams) -> None:
        self._cursors = cursors
        self._streams = streams

    def get_more(self, request: Request) -> Reply | Awaitable[Reply]:
        """The next batch.

        Raises:
            OperationFailure: There is no such cursor, or it is not this client's.
        """
        request.running.replica_set.clock.round_trip()
        cursor = self._cursor(request)
        if isinstance(cursor.source, StreamSource):
            return self._streams.get_more(request, cursor)
        size = request.command.get("batchSize")
        batch = cursor.source.take(size or None)
        if cursor.source.is_exhausted:
            self._cursors.close(cursor.number)
            return batch_reply(cursor.namespace, 0, batch)
        return batch_reply(cursor.namespace, cursor.number, batch)

    def _cursor(self, request: Request) -> ServerCursor:
        number = request.command["getMore"]
        if isinstance(number, bool) or not isinstance(number, int):
            raise operation_failure(
                14,
                "TypeMismatch",
                f"BSON field 'getMore.getMore' is the wrong type '{type(number).__name__}', "
                "expected type 'long'",
            )
        collection = request.command.get("collection")
        if not isinstance(collection, str):
            raise operation_failure(
                40414,
                "Location40414",
                "BSON field 'getMore.collection' is missing but a required field",
            )
        cursor = self._cursors.get(number)
        namespace = f"{request.database}.{collection}"
        if namespace != cursor.namespace:
            raise operation_failure(
                13,
                "Unauthorized",
                f"Requested getMore on namespace '{namespace}', but cursor belongs to a different "
                f"namespace {cursor.namespace}",
            )
        session = None if request.session is None else bytes(request.session.lsid["id"])
        if cursor.session != session:
            raise operation_failure(
                50738 if session is None else 50737,
                f"Location{50738 if session is None else 50737}",
                f"Cannot run getMore on cursor {number}, which was "
                f"{'created in' if cursor.session else 'not created in'} session "
                f"{'' if cursor.session is None else cursor.session.hex()}",
            )
        return cursor

    def kill_cursors(self, request: Request) -> Reply:
        """Close cursors; tells which there were."""
        numbers: Any = request.command.get("cursors")
        if not isinstance(numbers, list):
            raise operation_failure(
                40414,
                "Location40414",
                "BSON field 'killCursors.cursors' is missing but a required field",
            )
        killed = [number for number in numbers if self._cursors.close(number)]
        return {
            "cursorsKilled": [Int64(number) for number in killed],
            "cursorsNotFound": [Int64(number) for number in numbers if number not in killed],
            "cursorsAlive": [],
            "cursorsUnknown": [],
        }
