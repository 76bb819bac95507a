"""A relay that passes bytes on and looks at none: what any endpoint in the same process costs."""

from __future__ import annotations

import socket
import threading

__all__ = ["relay_to"]

_CHUNK = 1 << 15
_BACKLOG = 128


def relay_to(port: int) -> int:
    """Listen in front of a server on this machine; returns the port.

    As the endpoints do, it has a thread for each connection; a reply must come in one piece.
    """
    listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    threading.Thread(target=_accept, args=(listening, port), daemon=True).start()
    own: int = listening.getsockname()[1]
    return own


def _accept(listening: socket.socket, port: int) -> None:
    while True:
        driver, _ = listening.accept()
        threading.Thread(target=_serve, args=(driver, port), daemon=True).start()


def _serve(driver: socket.socket, port: int) -> None:
    with driver, socket.create_connection(("127.0.0.1", port)) as node:
        for side in (driver, node):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while asked := driver.recv(_CHUNK):
            node.sendall(asked)
            driver.sendall(node.recv(_CHUNK))
