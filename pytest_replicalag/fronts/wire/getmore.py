"""The next batches of cursors, and their end."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from bson import Int64
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.types import NUMBER, type_name, whole, wrong_type
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
        cursor = self._cursor(request)
        if isinstance(cursor.source, StreamSource):
            return self._streams.get_more(request, cursor)
        request.running.replica_set.clock.round_trip()
        batch = cursor.source.take(_size(request) or None)
        if cursor.source.is_exhausted:
            self._cursors.close(cursor.number)
            return batch_reply(cursor.namespace, 0, batch)
        return batch_reply(cursor.namespace, cursor.number, batch)

    def _cursor(self, request: Request) -> ServerCursor:
        number = _checked("getMore.getMore", request.command["getMore"], ("long",))
        if request.command.get("collection") is None:
            raise _missing("getMore.collection")
        collection = _checked("getMore.collection", request.command["collection"], ("string",))
        if not collection:
            raise operation_failure(73, "InvalidNamespace", "Collection names cannot be empty")
        cursor = self._cursors.get(request, number)
        namespace = f"{request.database}.{collection}"
        if namespace != cursor.namespace:
            raise operation_failure(
                13,
                "Unauthorized",
                f"Requested getMore on namespace '{namespace}', but cursor belongs to a different "
                f"namespace {cursor.namespace}",
            )
        _check_owner(request, cursor)
        if "maxTimeMS" in request.command and not isinstance(cursor.source, StreamSource):
            message = "cannot set maxTimeMS on getMore command for a non-awaitData cursor"
            raise operation_failure(2, "BadValue", message)
        return cursor

    def kill_cursors(self, request: Request) -> Reply:
        """Close cursors; tells which there were."""
        if request.command.get("cursors") is None:
            raise _missing("killCursors.cursors")
        numbers = _checked("killCursors.cursors", request.command["cursors"], ("array",))
        for place, number in enumerate(numbers):
            _checked(f"killCursors.cursors.{place}", number, ("long",))
        killed = [number for number in numbers if self._cursors.close(number)]
        return {
            "cursorsKilled": [Int64(number) for number in killed],
            "cursorsNotFound": [Int64(number) for number in numbers if number not in killed],
            "cursorsAlive": [],
            "cursorsUnknown": [],
        }


def _check_owner(request: Request, cursor: ServerCursor) -> None:
    """Refuse a cursor that another session or another transaction has opened.

    Raises:
        OperationFailure: Error 50736 to 50741.
    """
    session, opener = request.session, cursor.session
    if opener is None and session is not None:
        raise _not_owner(50736, cursor, f"not created in a session, in session {session}")
    if opener is not None and session is None:
        raise _not_owner(50737, cursor, f"created in session {opener}, without an lsid")
    if opener is not session:
        raise _not_owner(50738, cursor, f"created in session {opener}, in session {session}")
    number = request.command["txnNumber"] if request.in_transaction else None
    if cursor.transaction is None and number is not None:
        raise _not_owner(50739, cursor, f"not created in a transaction, in transaction {number}")
    created = f"created in transaction {cursor.transaction}"
    if cursor.transaction is not None and number is None:
        raise _not_owner(50740, cursor, f"{created}, without a txnNumber")
    if cursor.transaction != number:
        raise _not_owner(50741, cursor, f"{created}, in transaction {number}")


def _not_owner(code: int, cursor: ServerCursor, why: str) -> OperationFailure:
    message = f"Cannot run getMore on cursor {cursor.number}, which was {why}"
    return operation_failure(code, f"Location{code}", message)


def _size(request: Request) -> int:
    """How many documents a batch may have; 0 for as many as fit."""
    size = request.command.get("batchSize")
    if size is None:
        return 0
    size = whole(_checked("getMore.batchSize", size, NUMBER))
    if size < 0:
        raise operation_failure(
            51024,
            "Location51024",
            f"BSON field 'batchSize' value must be >= 0, actual value '{size}'",
        )
    return size


def _checked(path: str, value: Any, expected: tuple[str, ...]) -> Any:
    if type_name(value) not in expected:
        raise wrong_type(path, value, expected)
    return value


def _missing(path: str) -> OperationFailure:
    return operation_failure(
        40414, "Location40414", f"BSON field '{path}' is missing but a required field"
    )
