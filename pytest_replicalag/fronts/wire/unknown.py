"""Commands that are not answered: those that a server has, and those that none has."""

from __future__ import annotations

from typing import Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["unknown_command"]

_OF_A_SERVER: Final = frozenset(
    {
        "applyOps", "cloneCollectionAsCapped", "compact", "connPoolStats", "convertToCapped",
        "createRole", "createUser", "currentOp", "dbHash", "dropAllUsersFromDatabase",
        "driverOIDTest", "dropConnections", "dropRole", "dropUser", "explain", "features",
        "fsync", "fsyncUnlock", "getClusterParameter", "getDefaultRWConcern", "getLog",
        "grantRolesToUser", "killOp", "listCommands", "lockInfo", "logRotate", "mapReduce",
        "planCacheClear", "profile", "reIndex", "replSetFreeze", "replSetInitiate",
        "replSetMaintenance", "replSetReconfig", "replSetStepUp",
        "replSetSyncFrom", "setClusterParameter", "setDefaultRWConcern",
        "setFeatureCompatibilityVersion", "setIndexCommitQuorum", "setParameter",
        "setUserWriteBlockMode", "shutdown", "top", "updateUser",
    }
)  # fmt: skip
"""What a MongoDB 6.0 server has and the simulated set has not."""


def unknown_command(name: str) -> OperationFailure:
    """Error 115 for a command that a server has, else 59."""
    if name in _OF_A_SERVER:
        return not_supported(f"the command {name}")
    return operation_failure(59, "CommandNotFound", f"no such command: '{name}'")
