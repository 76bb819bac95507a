"""Asks the primary of a real set for the plugin's own use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from pytest_replicalag.engines.mongod.replies import AS_STORED, decoded, encoded
from pytest_replicalag.engines.replicaset.real_set import PATIENCE_MS, RealSet
from pytest_replicalag.errors import NodeLostError

__all__ = ["PrimaryClient"]

_OF_THE_DRIVER: Final = frozenset({"$clusterTime", "$db", "$readPreference", "lsid", "txnNumber"})
"""What a driver adds to a command; this client adds its own."""


class PrimaryClient:
    """Runs commands on the primary.

    Args:
        real: The set.

    Attributes:
        name: The primary's host and port.
    """

    def __init__(self, real: RealSet) -> None:
        node = real.primary
        self.name = f"{node.host}:{node.port}"
        self._client: Any = pymongo.MongoClient(
            node.host,
            node.port,
            directConnection=True,
            serverSelectionTimeoutMS=PATIENCE_MS,
        )

    def command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command.

        Args:
            command: The command, with its database as `$db`.

        Raises:
            OperationFailure: The primary refuses it.
            NodeLostError: The primary has gone.
        """
        own = {key: value for key, value in command.items() if key not in _OF_THE_DRIVER}
        database = self._client[command["$db"]]
        try:
            reply: dict[str, Any] = database.command(own, codec_options=AS_STORED)
        except OperationFailure:
            raise
        except PyMongoError as error:
            raise NodeLostError(f"the primary at {self.name} has gone: {error}") from None
        return reply

    def run(self, body: bytes) -> bytes:
        """The body of the reply to a command, as bytes; also of a refusal.

        Raises:
            NodeLostError: The primary has gone.
        """
        try:
            return encoded(self.command(decoded(body)))
        except OperationFailure as error:
            return encoded(dict(error.details or {"ok": 0.0, "errmsg": str(error)}))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
