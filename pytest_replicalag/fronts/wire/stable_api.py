"""The stable API: what a client gets that declares API version 1, and no more.

MongoDB manual, Stable API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.engines.types import wrong_type
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_stable_api"]

_COMMANDS: Final = frozenset(
    {
        "abortTransaction", "aggregate", "authenticate", "collMod", "commitTransaction", "count",
        "create", "createIndexes", "delete", "drop", "dropDatabase", "dropIndexes", "endSessions",
        "explain", "find", "findAndModify", "getMore", "hello", "insert", "killCursors",
        "listCollections", "listDatabases", "listIndexes", "ping", "refreshSessions",
        "saslContinue", "saslStart", "update",
    }
)  # fmt: skip
"""The commands of API version 1."""

_STAGES_OUTSIDE: Final = frozenset(
    {"$currentOp", "$indexStats", "$listLocalSessions", "$listSessions", "$planCacheStats"}
)


def check_stable_api(name: str, command: Mapping[str, Any]) -> None:
    """Refuse what is not in the version that a command declares.

    Raises:
        OperationFailure: Error 14, 322 or 323; 4886600 if it declares none and asks for strictness.
    """
    version = command.get("apiVersion")
    for field in ("apiStrict", "apiDeprecationErrors"):
        value = command.get(field)
        if value is None:
            continue
        if not isinstance(value, bool):
            raise wrong_type(f"APIParametersFromClient.{field}", value, ("bool",))
        if version is None:
            raise operation_failure(
                4886600,
                "Location4886600",
                "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion",
            )
    if version is None:
        return
    if not isinstance(version, str):
        raise wrong_type("APIParametersFromClient.apiVersion", version, ("string",))
    if version != "1":
        raise operation_failure(322, "APIVersionError", f"Cannot accept API version {version}")
    if command.get("apiStrict"):
        _check_strictly(name, command)


def _check_strictly(name: str, command: Mapping[str, Any]) -> None:
    if name not in _COMMANDS:
        raise operation_failure(
            323,
            "APIStrictError",
            f"Provided apiStrict:true, but the command {name} is not in API Version 1. Information "
            "on supported commands and migrations in API Version 1 can be found at "
            "https://dochub.mongodb.org/core/manual-versioned-api",
        )
    stages = command.get("pipeline") if name == "aggregate" else None
    for stage in stages if isinstance(stages, list) else ():
        outside = _STAGES_OUTSIDE.intersection(stage) if isinstance(stage, Mapping) else ()
        for stage_name in outside:
            raise operation_failure(
                323,
                "APIStrictError",
                f"{stage_name} is not allowed with 'apiStrict: true' in API Version 1",
            )
