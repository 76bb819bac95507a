"""The fields that any command may have."""

from __future__ import annotations

from typing import Final

__all__ = ["GENERIC"]

GENERIC: Final = frozenset(
    {
        "$clusterTime",
        "$db",
        "$readPreference",
        "apiDeprecationErrors",
        "apiStrict",
        "apiVersion",
        "autocommit",
        "comment",
        "lsid",
        "maxTimeMS",
        "maxTimeMSOpOnly",
        "readConcern",
        "startTransaction",
        "txnNumber",
        "writeConcern",
    }
)
"""The front deals with them, whatever the engine."""
