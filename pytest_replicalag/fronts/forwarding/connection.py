"""One driver's connection, on a thread of its own: a command is answered before the next is read.

Threads, not an event loop: nearly all of the time is spent in two system calls that wait, and a
thread that wakes from one has nothing between it and its message.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from pytest_replicalag.fronts.forwarding.upstream import Upstream
from pytest_replicalag.fronts.wire.peer import Peer
from pytest_replicalag.fronts.wire.protocol import (
    MessageBuffer,
    ProtocolError,
    RequestedCloseError,
)

__all__ = ["ForwardedConnection"]

_log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 15
"""Larger buffers are fetched from the operating system, and given back, for each message."""


class ForwardedConnection(Peer):
    """One connection of a driver, and what leads on from it to the node.

    Args:
        endpoint: The number of the member whose endpoint it is.
        driver: The driver's socket.
        connect: Makes the connection to the node behind an endpoint, when the first command needs
            it.
    """

    def __init__(
        self, endpoint: int, driver: socket.socket, connect: Callable[[int], Upstream]
    ) -> None:
        super().__init__(endpoint)
        driver.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = driver.getpeername()[:2]
        self.peer = f"{host}:{port}"
        self._driver = driver
        self._connect = connect
        self._upstreams: dict[int, Upstream] = {}
        self._is_closed = False

    @property
    def upstream(self) -> Upstream:
        """The way on to the node behind its own endpoint.

        Raises:
            NodeError: It cannot be reached.
        """
        return self.upstream_to(self.endpoint)

    def upstream_to(self, endpoint: int) -> Upstream:
        """The way on to the node behind an endpoint.

        Raises:
            NodeError: It cannot be reached.
        """
        upstream = self._upstreams.get(endpoint)
        if upstream is None:
            upstream = self._upstreams[endpoint] = self._connect(endpoint)
        return upstream

    def lose_upstream(self) -> None:
        """A node has gone; the next command tries to reach it anew."""
        upstreams, self._upstreams = self._upstreams, {}
        for upstream in upstreams.values():
            upstream.close()

    def serve(self, answer: Callable[[ForwardedConnection, bytes], bytes | None]) -> None:
        """Answer messages until the driver has gone, or sends what is none."""
        try:
            for message in self._messages():
                reply = answer(self, message)
                if reply is not None:
                    self._driver.sendall(reply)
        except RequestedCloseError:
            pass
        except ProtocolError as error:
            _log.warning("closing connection %d: %s", self.number, error)
        except OSError:
            pass  # the driver has gone, or the run is over
        finally:
            self.close()

    def _messages(self) -> Iterator[bytes]:
        buffer = MessageBuffer()
        while received := self._driver.recv(_CHUNK):
            yield from buffer.feed(received)
        if not buffer.is_empty:
            _log.info("connection %d closed in the middle of a message", self.number)

    def close(self) -> None:
        """End it; its thread wakes up and ends too."""
        if self._is_closed:
            return
        self._is_closed = True
        self.lose_upstream()
        with suppress(OSError):  # the driver was faster
            self._driver.shutdown(socket.SHUT_RDWR)
        self._driver.close()
