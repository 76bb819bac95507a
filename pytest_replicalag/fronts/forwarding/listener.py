"""The endpoints over a real node: one loopback listener for each member."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final

from pytest_replicalag.fronts.forwarding.connection import ForwardedConnection
from pytest_replicalag.fronts.forwarding.upstream import Upstream
from pytest_replicalag.fronts.wire.server import HOST

__all__ = ["Listener"]

_BACKLOG: Final = 1_024
_PATIENCE_S: Final = 5


class Listener:
    """Accepts drivers' connections on behalf of the members; each gets a thread.

    Args:
        answer: Answers a message that came on a connection; called on the connection's thread.
        ended: Told of each connection that is gone; called there too.
        connect: Makes a connection to the node behind an endpoint, by its number.
    """

    def __init__(
        self,
        answer: Callable[[ForwardedConnection, bytes], bytes | None],
        ended: Callable[[ForwardedConnection], None],
        connect: Callable[[int], Upstream],
    ) -> None:
        self._answer = answer
        self._ended = ended
        self._connect = connect
        self._sockets: list[socket.socket] = []
        self._connections: dict[ForwardedConnection, threading.Thread] = {}
        self._lock = threading.Lock()
        self._is_stopped = False
        self._selector = selectors.DefaultSelector()
        # What is written to one end wakes the thread that waits at the other.
        self._bell, bell = socket.socketpair()
        self._selector.register(bell, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="replica-lag-listen", daemon=True)
        self._thread.start()

    def listen(self, members: int) -> list[int]:
        """Listen on behalf of that many members; returns their ports, the primary's first.

        Endpoints that there are already stay as they are.
        """
        with self._lock:
            for number in range(len(self._sockets), members):
                listening = socket.create_server((HOST, 0), backlog=_BACKLOG)
                self._sockets.append(listening)
                self._selector.register(listening, selectors.EVENT_READ, number)
            self._bell.send(b"\0")  # not every selector notices what is registered meanwhile
        return [listening.getsockname()[1] for listening in self._sockets[:members]]

    def _run(self) -> None:
        while not self._is_stopped:
            for key, _ in self._selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if key.data is None:
                    ready.recv(_BACKLOG)
                else:
                    self._accept(ready, key.data)

    def _accept(self, listening: socket.socket, endpoint: int) -> None:
        try:
            driver, _ = listening.accept()
            connection = ForwardedConnection(endpoint, driver, self._connect)
        except OSError:
            return  # it has gone again, or the run is over
        name = f"replica-lag-forward-{connection.number}"
        thread = threading.Thread(target=self._serve, args=(connection,), name=name, daemon=True)
        with self._lock:
            self._connections[connection] = thread
        thread.start()

    def _serve(self, connection: ForwardedConnection) -> None:
        try:
            connection.serve(self._answer)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            self._ended(connection)

    def stop(self) -> None:
        """Close listeners and connections, and end all threads."""
        self._is_stopped = True
        self._bell.send(b"\0")
        self._thread.join(_PATIENCE_S)
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.close()
        for thread in connections.values():
            thread.join(_PATIENCE_S)
        bells = [key.fileobj for key in self._selector.get_map().values() if key.data is None]
        self._selector.close()
        for listening in [*self._sockets, self._bell, *bells]:
            assert isinstance(listening, socket.socket)
            listening.close()
