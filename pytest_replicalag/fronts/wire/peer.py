"""What is known of the driver at the other end of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

__all__ = ["Peer"]

_connection_ids = count(1)


class Peer:
    """The driver at the other end of one connection to an endpoint.

    Args:
        endpoint: The number of the member whose endpoint it is; 0 for the primary.

    Attributes:
        endpoint: As given.
        number: The connection's number in this process, from 1; drivers know it as `connectionId`.
        client: What the driver says of itself in its handshake (`hello`, field `client`).
        peer: The driver's address and port.
        has_greeted: Whether a `hello` has come; only the first may describe the client.
        is_patient: Whether it has waited once for its client to introduce itself elsewhere.
    """

    def __init__(self, endpoint: int) -> None:
        self.endpoint = endpoint
        self.number = next(_connection_ids)
        self.client: Mapping[str, Any] = {}
        self.peer = ""
        self.is_patient = False
        self.has_greeted = False

    def close(self) -> None:
        """End the connection."""
        raise NotImplementedError
