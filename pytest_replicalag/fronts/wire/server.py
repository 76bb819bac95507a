"""The endpoints: one loopback listener for each member, on one background thread with its loop.

Started on first use and stopped at the end of the run; many tests share it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from pytest_replicalag.fronts.wire.connection import Answer, Connection
from pytest_replicalag.fronts.wire.protocol import Message

__all__ = ["HOST", "Server"]

HOST: Final = "127.0.0.1"
"""Listeners bind to loopback only."""

_BACKLOG: Final = 1_024
_PATIENCE_S: Final = 10


class Server:
    """Listens for drivers on behalf of the members.

    Args:
        answer: Answers a message that came on a connection; called on the server's thread.
        ended: Told of each connection that is gone; called there too.
    """

    def __init__(
        self,
        answer: Callable[[Connection, Message], Answer],
        ended: Callable[[Connection], None],
    ) -> None:
        self._answer = answer
        self._ended = ended
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="replica-lag-wire", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def listen(self, members: int) -> list[int]:
        """Listen on behalf of that many members; returns their ports, the primary's first.

        Endpoints that there are already stay as they are.
        """
        if len(self._listeners) < members:
            self._on_loop(self._add_listeners(members))
        return [listener.sockets[0].getsockname()[1] for listener in self._listeners[:members]]

    async def _add_listeners(self, members: int) -> None:
        for number in range(len(self._listeners), members):
            listener = await self._loop.create_server(
                lambda number=number: self._connection(number),  # type: ignore[misc]
                HOST,
                0,
                backlog=_BACKLOG,
            )
            self._listeners.append(listener)

    def _connection(self, endpoint: int) -> Connection:
        connection = Connection(endpoint, self._answer, self._has_ended)
        self._connections.add(connection)
        return connection

    def _has_ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._ended(connection)

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function on the server's thread, soon."""
        self._loop.call_soon_threadsafe(function, *args)

    def stop(self) -> None:
        """Close listeners and connections, and end the thread."""
        if self._loop.is_closed():
            return
        self._on_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.close()
        current = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets transports tell that they are closed

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)
