"""Which endpoints each client is connected to, as far as a server can tell.

A driver says no word about whether it is connected directly to one member or to the whole set, and
only the former pins a member. A client in this process can be asked (`callers.py`); one in another
process is taken for direct if it has introduced itself at one endpoint only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.fronts.wire.peer import Peer

__all__ = ["PATIENCE_S", "Clients"]

PATIENCE_S: Final = 0.05
"""How long a client's first doubtful read waits for it to introduce itself elsewhere too."""


class Clients:
    """The clients that have introduced themselves."""

    def __init__(self) -> None:
        self._connections: dict[str, Counter[int]] = {}
        self._names: dict[int, str] = {}

    def introduced(self, connection: Peer, client: Mapping[str, Any]) -> None:
        """A connection has told its client's metadata."""
        if connection.number in self._names:
            return
        connection.client = client
        name = self._names[connection.number] = repr(client)
        self._connections.setdefault(name, Counter())[connection.endpoint] += 1

    def ended(self, connection: Peer) -> None:
        """A connection is gone."""
        name = self._names.pop(connection.number, None)
        if name is None:
            return
        endpoints = self._connections[name]
        endpoints[connection.endpoint] -= 1
        if not endpoints[connection.endpoint]:
            del endpoints[connection.endpoint]
        if not endpoints:
            del self._connections[name]

    def are_everywhere(self, connection: Peer) -> bool:
        """Whether the client of a connection is connected to more than one member."""
        name = self._names.get(connection.number)
        return name is not None and len(self._connections[name]) > 1
