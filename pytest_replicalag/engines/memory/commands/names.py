"""The names of databases and collections that there can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.types import type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_database", "check_names"]

_LONGEST_DATABASE: Final = 63
_NOT_IN_DATABASES: Final = frozenset('/\\ "\0')

_ON_DATABASES: Final = frozenset(
    {"dbStats", "dbstats", "dropDatabase", "listCollections", "listDatabases"}
)
_ON_NAMESPACES: Final = frozenset({"dataSize", "renameCollection"})
"""Commands whose value is a database's and a collection's name in one."""

_OTHERWISE_WRONG: Final = frozenset({"collStats", "collstats", "count", "distinct", "validate"})
"""Commands that answer a collection name that is no text with another code than the rest."""

_MAKING: Final = frozenset({"create", "insert"})
"""Commands that make a collection, and say otherwise what is wrong with its name."""

_SYSTEM: Final = frozenset({"system.js", "system.views", "system.profile", "system.users"})

_WITHOUT_COLLECTION: Final = (
    "$changeStream",
    "$currentOp",
    "$documents",
    "$listLocalSessions",
    "$listSessions",
)
"""First stages of a pipeline that runs on a database."""


def check_database(name: str) -> None:
    """Refuse a database name that cannot be.

    Raises:
        OperationFailure: Error 73.
    """
    if "." in name:
        raise _invalid(f"'.' is an invalid character in the database name: {name}")
    if not 0 < len(name.encode()) <= _LONGEST_DATABASE or _NOT_IN_DATABASES.intersection(name):
        raise _invalid(f"Invalid database name: '{name}'")


def check_names(name: str, command: Mapping[str, Any]) -> None:
    """Refuse a command on a collection whose name cannot be.

    Args:
        name: The command's name.
        command: The command.

    Raises:
        OperationFailure: Error 73; 2 or 9 if it is no text.
    """
    value = command[name]
    if name in _ON_DATABASES:
        return
    is_text = type_name(value) == "string"
    if name == "aggregate" and not is_text:
        _check_collectionless(value, command.get("pipeline"))
        return
    if name == "aggregate":
        _check_not_collectionless(command.get("pipeline"))
    if not is_text:
        message = f"collection name has invalid type {type_name(value)}"
        raise _invalid(message) if name in _OTHERWISE_WRONG else _bad_value(message)
    if name in _ON_NAMESPACES:
        _check_namespace(value, f"Invalid namespace specified '{value}'")
        if type_name(command.get("to")) == "string":
            _check_namespace(command["to"], f"Invalid target namespace: {command['to']}")
        return
    _check_collection(command["$db"], value, makes=name in _MAKING)


def _check_collectionless(value: Any, pipeline: Any) -> None:
    if type_name(value) not in ("int", "long", "double") or value != 1:
        raise operation_failure(
            9,
            "FailedToParse",
            "Invalid command format: the 'aggregate' field must specify a collection name or 1",
        )
    if not isinstance(pipeline, list):
        return
    if not pipeline:
        raise _invalid("{aggregate: 1} is not valid for an empty pipeline.")
    stage = next(iter(pipeline[0]), "") if isinstance(pipeline[0], dict) else ""
    if stage not in _WITHOUT_COLLECTION:
        raise _invalid(f"{{aggregate: 1}} is not valid for '{stage}'; a collection is required.")


def _check_not_collectionless(pipeline: Any) -> None:
    stage = pipeline[0] if isinstance(pipeline, list) and pipeline else None
    if isinstance(stage, dict) and "$documents" in stage:
        raise _invalid("'$documents' can only be run with {aggregate: 1}")


def _check_collection(database: str, name: str, *, makes: bool) -> None:
    if not name or "\0" in name:
        raise _invalid(f"Invalid namespace specified '{database}.{name}'")
    if name.startswith("."):
        raise _invalid(f"Collection names cannot start with '.': {name}")
    if "$" in name:
        raise _invalid(
            f"Invalid collection name: {name}"
            if makes
            else f"Invalid collection name specified '{database}.{name}"
        )
    if makes and name.startswith("system.") and name not in _SYSTEM:
        raise _invalid(f"Invalid system namespace: {database}.{name}")


def _check_namespace(namespace: str, message: str) -> None:
    database, _, collection = namespace.partition(".")
    if not database or not collection or "$" in collection or "\0" in collection:
        raise _invalid(message)
    check_database(database)


def _invalid(message: str) -> OperationFailure:
    return operation_failure(73, "InvalidNamespace", message)


def _bad_value(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)
