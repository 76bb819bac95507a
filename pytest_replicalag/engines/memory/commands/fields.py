"""Which fields each command may have, and what becomes of each.

The reference page of commands is made from this table. A field that is not in it does not exist on
a server either; one that is refused is named in the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["COMMANDS", "GENERIC", "CommandFields", "check_fields"]

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
"""Fields that any command may have; the front deals with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFields:
    """The fields of one command, besides its name and the generic ones.

    Attributes:
        required: Those without which it is an error.
        supported: Those that do what they do on a server.
        ignored: Those that change no result, such as hints, and are taken and left alone.
        refused: Those that would change a result and are not supported, if they are set.
        types: The type that a field must have.
    """

    required: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    types: Mapping[str, tuple[type, ...]] = field(default_factory=dict)


_DOCUMENT: Final = (dict,)
_ARRAY: Final = (list,)
_NUMBER: Final = (int, float)

_STATISTICS = CommandFields(supported=("scale",), ignored=("freeStorage",))

_FIND_AND_MODIFY = CommandFields(
    supported=(
        "query",
        "sort",
        "remove",
        "update",
        "new",
        "fields",
        "upsert",
        "arrayFilters",
        "bypassDocumentValidation",
    ),
    ignored=("hint",),
    refused=("collation", "let"),
    types={"query": _DOCUMENT, "sort": _DOCUMENT, "fields": _DOCUMENT, "update": (dict, list)},
)

COMMANDS: Final[Mapping[str, CommandFields]] = {
    "find": CommandFields(
        supported=("filter", "sort", "projection", "skip", "limit", "batchSize", "singleBatch"),
        ignored=("hint", "noCursorTimeout", "allowDiskUse", "allowPartialResults", "oplogReplay"),
        refused=(
            "collation",
            "let",
            "max",
            "min",
            "returnKey",
            "showRecordId",
            "tailable",
            "awaitData",
        ),
        types={
            "filter": _DOCUMENT,
            "sort": _DOCUMENT,
            "projection": _DOCUMENT,
            "skip": _NUMBER,
            "limit": _NUMBER,
            "batchSize": _NUMBER,
        },
    ),
    "aggregate": CommandFields(
        required=("pipeline",),
        supported=("pipeline", "cursor"),
        ignored=("hint", "allowDiskUse", "bypassDocumentValidation"),
        refused=("collation", "let", "explain"),
        types={"pipeline": _ARRAY, "cursor": _DOCUMENT},
    ),
    "count": CommandFields(
        supported=("query", "skip", "limit"),
        ignored=("hint", "fields"),
        refused=("collation",),
        types={"query": _DOCUMENT, "skip": _NUMBER, "limit": _NUMBER},
    ),
    "distinct": CommandFields(
        required=("key",),
        supported=("key", "query"),
        ignored=("hint",),
        refused=("collation",),
        types={"key": (str,), "query": _DOCUMENT},
    ),
    "insert": CommandFields(
        required=("documents",),
        supported=("documents", "ordered", "bypassDocumentValidation"),
        ignored=("stmtId", "stmtIds"),
        types={"documents": _ARRAY, "ordered": (bool,)},
    ),
    "update": CommandFields(
        required=("updates",),
        supported=("updates", "ordered", "bypassDocumentValidation"),
        ignored=("stmtId", "stmtIds"),
        refused=("let",),
        types={"updates": _ARRAY, "ordered": (bool,)},
    ),
    "delete": CommandFields(
        required=("deletes",),
        supported=("deletes", "ordered"),
        ignored=("stmtId", "stmtIds"),
        refused=("let",),
        types={"deletes": _ARRAY, "ordered": (bool,)},
    ),
    "findAndModify": _FIND_AND_MODIFY,
    "findandmodify": _FIND_AND_MODIFY,
    "create": CommandFields(
        supported=("validator", "validationLevel", "validationAction"),
        ignored=("autoIndexId", "idIndex", "storageEngine", "indexOptionDefaults", "flags"),
        refused=(
            "capped",
            "size",
            "max",
            "viewOn",
            "pipeline",
            "collation",
            "timeseries",
            "expireAfterSeconds",
            "clusteredIndex",
            "changeStreamPreAndPostImages",
            "encryptedFields",
        ),
    ),
    "createIndexes": CommandFields(
        required=("indexes",),
        supported=("indexes",),
        ignored=("commitQuorum", "ignoreUnknownIndexOptions"),
        types={"indexes": _ARRAY},
    ),
    "dropIndexes": CommandFields(required=("index",), supported=("index",)),
    "drop": CommandFields(),
    "dropDatabase": CommandFields(),
    "renameCollection": CommandFields(required=("to",), supported=("to", "dropTarget")),
    "collMod": CommandFields(
        supported=("validator", "validationLevel", "validationAction"),
        refused=(
            "index",
            "viewOn",
            "pipeline",
            "cappedSize",
            "expireAfterSeconds",
            "timeseries",
            "changeStreamPreAndPostImages",
        ),
    ),
    "listCollections": CommandFields(
        supported=("filter", "nameOnly", "cursor"),
        ignored=("authorizedCollections",),
        types={"filter": _DOCUMENT, "cursor": _DOCUMENT},
    ),
    "listIndexes": CommandFields(supported=("cursor",), types={"cursor": _DOCUMENT}),
    "listDatabases": CommandFields(
        supported=("filter", "nameOnly"),
        ignored=("authorizedDatabases",),
        types={"filter": _DOCUMENT},
    ),
    "collStats": _STATISTICS,
    "collstats": _STATISTICS,
    "dbStats": _STATISTICS,
    "dbstats": _STATISTICS,
    "dataSize": CommandFields(ignored=("estimate",), refused=("keyPattern", "min", "max")),
    "validate": CommandFields(
        ignored=("full", "repair", "metadata", "scandata", "background", "checkBSONConformance")
    ),
}

_TYPE_NAMES: Final = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "int",
    float: "double",
    type(None): "null",
}


def check_fields(name: str, command: Mapping[str, Any]) -> None:
    """Refuse what the server, or the engine, does not take.

    Args:
        name: The command's name.
        command: The command.

    Raises:
        OperationFailure: A field is unknown (40415), missing (40414), of a wrong type (14) or not
            supported (115).
    """
    known = COMMANDS[name]
    for field_name, value in command.items():
        if field_name == name or field_name in GENERIC or field_name in known.ignored:
            continue
        if field_name in known.supported:
            _check_type(name, field_name, value, known.types.get(field_name))
        elif field_name in known.refused:
            if value and not _is_simple(field_name, value):
                raise not_supported(f"the option {field_name} of {name}")
        else:
            raise operation_failure(
                40415,
                "Location40415",
                f"BSON field '{name}.{field_name}' is an unknown field.",
            )
    for field_name in known.required:
        if field_name not in command:
            raise operation_failure(
                40414,
                "Location40414",
                f"BSON field '{name}.{field_name}' is missing but a required field",
            )


def _is_simple(name: str, value: Any) -> bool:
    """Whether it is the collation that compares as no collation does."""
    return name == "collation" and isinstance(value, Mapping) and value.get("locale") == "simple"


def _check_type(command: str, name: str, value: Any, expected: tuple[type, ...] | None) -> None:
    if expected is None or value is None:
        return
    if isinstance(value, expected) and not (isinstance(value, bool) and bool not in expected):
        return
    given = next((word for kind, word in _TYPE_NAMES.items() if type(value) is kind), "object")
    wanted = (
        f"type '{_TYPE_NAMES[expected[0]]}'"
        if len(expected) == 1
        else f"types '[{', '.join(_TYPE_NAMES[kind] for kind in expected)}]'"
    )
    raise operation_failure(
        14,
        "TypeMismatch",
        f"BSON field '{command}.{name}' is the wrong type '{given}', expected {wanted}",
    )
