"""Server-side cursors: what a read found, handed out in batches.

A cursor keeps the documents that its read found at its member's optime, so later writes do not
change what it yields. MongoDB manual, Cursors; driver specification, find/getMore commands.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bson import Int64, encode
from pymongo.errors import OperationFailure

from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.fronts.wire.sessions import ServerSession
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["FIRST_BATCH", "Cursors", "Documents", "ServerCursor", "Source", "not_found"]

FIRST_BATCH: Final = 101
"""How many documents the first batch has if nobody says."""

_BATCH_BYTES: Final = 16 * 1024 * 1024
_IDLE_S: Final = 600
"""A cursor that nobody has asked for ten minutes is forgotten."""


class Source(Protocol):
    """Where a cursor's documents come from."""

    @property
    def is_exhausted(self) -> bool:
        """Whether no more will come."""

    def take(self, limit: int | None) -> list[Any]:
        """The next documents, at most `limit`."""


class Documents:
    """Documents that are all there.

    Args:
        documents: In order.
        shows_end: Whether a server knows with the last document that it is the last; without, as
            after a scan of a collection, it sees that when it is asked for one more.
    """

    def __init__(self, documents: Sequence[Any], *, shows_end: bool = True) -> None:
        self._documents = documents
        self._taken = 0
        self._is_short = shows_end

    @property
    def is_exhausted(self) -> bool:
        """Whether all were taken, and a server would know."""
        return self._is_short and self._taken >= len(self._documents)

    def take(self, limit: int | None) -> list[Any]:
        """The next ones, at most `limit`, and not more than fit into a message."""
        end = len(self._documents) if limit is None else self._taken + limit
        batch = list(self._documents[self._taken : end])
        batch = _that_fit(batch)
        self._taken += len(batch)
        self._is_short = self._is_short or limit is None or len(batch) < limit
        return batch


def _that_fit(batch: list[Any]) -> list[Any]:
    """The first documents of a batch, up to the size of a reply; one at least."""
    if len(batch) <= 1 or len(encode({"": batch})) <= _BATCH_BYTES:
        return batch  # nearly always; one call for all of them takes a fraction of one for each
    size = 0
    for number, document in enumerate(batch):
        size += len(encode(document))
        if size > _BATCH_BYTES and number:
            return batch[:number]
    return batch


@dataclass(slots=True, kw_only=True, eq=False)
class ServerCursor:
    """One cursor.

    Attributes:
        number: Its id.
        namespace: Database and collection.
        source: Where its documents come from.
        endpoint: The number of the member that it was opened on; another one does not know it.
        session: The logical session that opened it; None without one.
        transaction: The number of the transaction that opened it; None outside of one.
        used_s: When it was used last.
    """

    number: int
    namespace: str
    source: Source
    endpoint: int
    session: ServerSession | None
    transaction: int | None
    used_s: float = field(default_factory=time.monotonic)


class Cursors:
    """The cursors that are open."""

    def __init__(self) -> None:
        self._cursors: dict[int, ServerCursor] = {}
        self._generator = random.Random(0)

    def __len__(self) -> int:
        return len(self._cursors)

    def open(self, request: Request, namespace: str, source: Source) -> ServerCursor:
        """A new cursor of the session and the transaction of a command."""
        self._forget_idle()
        number = 0
        while not number or number in self._cursors:
            number = self._generator.getrandbits(62)
        cursor = ServerCursor(
            number=number,
            namespace=namespace,
            source=source,
            endpoint=request.connection.endpoint,
            session=request.session,
            transaction=request.command["txnNumber"] if request.in_transaction else None,
        )
        self._cursors[number] = cursor
        return cursor

    def _forget_idle(self) -> None:
        before_s = time.monotonic() - _IDLE_S
        idle = [cursor for cursor in self._cursors.values() if cursor.used_s < before_s]
        for cursor in idle:
            del self._cursors[cursor.number]

    def get(self, request: Request, number: int) -> ServerCursor:
        """The cursor with that id on the member that is asked.

        Raises:
            OperationFailure: Error 43: there is none.
        """
        cursor = self._cursors.get(number)
        if cursor is None or cursor.endpoint != request.connection.endpoint:
            raise not_found(number)
        cursor.used_s = time.monotonic()
        return cursor

    def close(self, number: int) -> bool:
        """Forget a cursor; returns whether there was one."""
        return self._cursors.pop(number, None) is not None

    def close_session(self, session: ServerSession) -> None:
        """Forget the cursors of a session."""
        self._close([cursor for cursor in self._cursors.values() if cursor.session is session])

    def close_transaction(self, session: ServerSession) -> None:
        """Forget the cursors of a session's transaction, which is over."""
        self._close(
            [
                cursor
                for cursor in self._cursors.values()
                if cursor.session is session and cursor.transaction is not None
            ]
        )

    def close_all(self) -> None:
        """Forget all."""
        self._cursors.clear()

    def _close(self, cursors: list[ServerCursor]) -> None:
        for cursor in cursors:
            del self._cursors[cursor.number]


def not_found(number: int) -> OperationFailure:
    """Error 43: no cursor has that id."""
    return operation_failure(43, "CursorNotFound", f"cursor id {Int64(number)} not found")
