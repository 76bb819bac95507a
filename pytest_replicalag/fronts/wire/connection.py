"""One connection of a driver: bytes in, one command after the other, bytes out.

It knows nothing of commands; what answers a message is handed to it. Malformed bytes close this one
connection, with a line in the log; they never reach another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pytest_replicalag.fronts.wire.peer import Peer
from pytest_replicalag.fronts.wire.protocol import (
    Message,
    MessageBuffer,
    ProtocolError,
    RequestedCloseError,
    parse,
)

__all__ = ["Answer", "Connection"]

_log = logging.getLogger(__name__)

_TOO_MUCH_WAITING: Final = 64
"""How many requests of one connection may queue up before no more are read from it."""

Answer: TypeAlias = "bytes | Awaitable[bytes | None] | None"
"""A reply's bytes; None for no reply; something to await where the command has to wait first."""


class Connection(Peer, asyncio.Protocol):
    """One connection.

    Args:
        endpoint: The number of the member whose endpoint it is; 0 for the primary.
        answer: Answers a message.
        ended: Told when the connection is gone.
    """

    def __init__(
        self,
        endpoint: int,
        answer: Callable[[Connection, Message], Answer],
        ended: Callable[[Connection], None],
    ) -> None:
        super().__init__(endpoint)
        self._answer = answer
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._buffer = MessageBuffer()
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Future[bytes | None] | None = None
        self._is_full = False

    # -- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A driver has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = f"{host}:{port}"

    def data_received(self, data: bytes) -> None:
        """Answer what has become complete, in order."""
        try:
            self._waiting.extend(self._buffer.feed(data))
        except ProtocolError as error:
            self._refuse(error)
            return
        self._go_on()
        if len(self._waiting) > _TOO_MUCH_WAITING and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The driver does not read its replies: it gets no more before it does."""
        self._is_full = True

    def resume_writing(self) -> None:
        """The driver has read."""
        self._is_full = False
        self._read_on()

    def eof_received(self) -> bool:
        """The driver sends no more; nothing that it cannot read is worth finishing."""
        if not self._buffer.is_empty:
            _log.info("connection %d closed in the middle of a message", self.number)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: so is what it was waiting for."""
        self._transport = None
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self._ended(self)

    # -- one command after the other -----------------------------------------------------------

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    def _refuse(self, error: Exception) -> None:
        level = logging.DEBUG if isinstance(error, RequestedCloseError) else logging.WARNING
        _log.log(level, "closing connection %d: %s", self.number, error)
        self._waiting.clear()
        self.close()

    def _go_on(self) -> None:
        while self._waiting and self._task is None and not self._is_full:
            if self._transport is None:
                return
            data = self._waiting.popleft()
            try:
                answer = self._answer(self, parse(data))
            except ProtocolError as error:
                self._refuse(error)
                return
            if answer is None or isinstance(answer, bytes):
                self._send(answer)
            else:
                self._task = asyncio.ensure_future(answer)
                self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Future[bytes | None]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            assert isinstance(error, Exception)
            self._refuse(error)
            return
        self._send(task.result())
        self._read_on()

    def _read_on(self) -> None:
        """Answer what has come meanwhile, and read what comes then."""
        self._go_on()
        if self._transport is not None and len(self._waiting) <= _TOO_MUCH_WAITING:
            self._transport.resume_reading()

    def _send(self, reply: bytes | None) -> None:
        if reply is not None and self._transport is not None:
            self._transport.write(reply)
