"""Which fields each command may have, and what becomes of each.

The reference page of commands is made from this table. A field that is not in it does not exist on
a server either; one that is refused is named in the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_replicalag.engines.memory.change_log import IMAGES
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.names import check_names
from pytest_replicalag.engines.memory.commands.types import (
    NUMBER,
    SAFE_BOOL,
    type_name,
    whole,
    wrong_type,
)
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
        types: The types that a field may have, by the server's names.
        not_negative: Numbers that must not be negative.
        parts: Fields that are documents, or lists of them, with fields of their own; None where
            any field may be.
    """

    required: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_negative: tuple[str, ...] = ()
    parts: Mapping[str, CommandFields | None] = field(default_factory=dict)


_DOCUMENT: Final = ("object",)
_ARRAY: Final = ("array",)
_STRING: Final = ("string",)
_BOOL: Final = ("bool",)
_EITHER: Final = ("object", "array")

_STATISTICS = CommandFields(
    supported=("scale",), ignored=("freeStorage",), types={"scale": NUMBER}, not_negative=("scale",)
)

_CURSOR = CommandFields(
    supported=("batchSize",), types={"batchSize": NUMBER}, not_negative=("batchSize",)
)

_UPDATE = CommandFields(
    required=("q", "u"),
    supported=("q", "u", "multi", "upsert", "arrayFilters"),
    ignored=("hint",),
    refused=("collation", "c", "sort"),
    types={"q": _DOCUMENT, "multi": _BOOL, "upsert": _BOOL, "arrayFilters": _ARRAY},
)

_DELETE = CommandFields(
    required=("q", "limit"),
    supported=("q", "limit"),
    ignored=("hint",),
    refused=("collation",),
    types={"q": _DOCUMENT},
)

_VALIDATION: Final = {
    "validator": _DOCUMENT,
    "validationLevel": _STRING,
    "validationAction": _STRING,
}

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
        "let",
    ),
    ignored=("hint",),
    refused=("collation",),
    types={
        "query": _DOCUMENT,
        "sort": _DOCUMENT,
        "fields": _DOCUMENT,
        "arrayFilters": _ARRAY,
        "remove": SAFE_BOOL,
        "new": SAFE_BOOL,
        "upsert": SAFE_BOOL,
    },
)

COMMANDS: Final[Mapping[str, CommandFields]] = {
    "find": CommandFields(
        supported=(
            "filter",
            "sort",
            "projection",
            "skip",
            "limit",
            "batchSize",
            "singleBatch",
            "let",
        ),
        ignored=("hint", "noCursorTimeout", "allowDiskUse", "allowPartialResults", "oplogReplay"),
        refused=(
            "collation",
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
            "skip": NUMBER,
            "limit": NUMBER,
            "batchSize": NUMBER,
            "singleBatch": _BOOL,
        },
        not_negative=("skip", "limit", "batchSize"),
    ),
    "aggregate": CommandFields(
        required=("pipeline",),
        supported=("pipeline", "cursor", "let"),
        ignored=("hint", "allowDiskUse", "bypassDocumentValidation"),
        refused=("collation", "explain"),
        types={"pipeline": _ARRAY, "cursor": _DOCUMENT},
        parts={"pipeline": None, "cursor": _CURSOR},
    ),
    "count": CommandFields(
        supported=("query", "skip", "limit"),
        ignored=("hint", "fields"),
        refused=("collation",),
        types={"query": _DOCUMENT, "skip": NUMBER, "limit": NUMBER},
        not_negative=("skip",),
    ),
    "distinct": CommandFields(
        required=("key",),
        supported=("key", "query"),
        ignored=("hint",),
        refused=("collation",),
        types={"key": _STRING, "query": _DOCUMENT},
    ),
    "insert": CommandFields(
        required=("documents",),
        supported=("documents", "ordered", "bypassDocumentValidation"),
        ignored=("stmtId", "stmtIds"),
        types={"documents": _ARRAY, "ordered": _BOOL},
        parts={"documents": None},
    ),
    "update": CommandFields(
        required=("updates",),
        supported=("updates", "ordered", "bypassDocumentValidation", "let"),
        ignored=("stmtId", "stmtIds"),
        types={"updates": _ARRAY, "ordered": _BOOL},
        parts={"updates": _UPDATE},
    ),
    "delete": CommandFields(
        required=("deletes",),
        supported=("deletes", "ordered", "let"),
        ignored=("stmtId", "stmtIds"),
        types={"deletes": _ARRAY, "ordered": _BOOL},
        parts={"deletes": _DELETE},
    ),
    "findAndModify": _FIND_AND_MODIFY,
    "findandmodify": _FIND_AND_MODIFY,
    "create": CommandFields(
        supported=(*_VALIDATION, IMAGES),
        types={**_VALIDATION, IMAGES: _DOCUMENT},
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
            "encryptedFields",
        ),
    ),
    "createIndexes": CommandFields(
        required=("indexes",),
        supported=("indexes",),
        ignored=("commitQuorum", "ignoreUnknownIndexOptions"),
        types={"indexes": _ARRAY},
        parts={"indexes": None},
    ),
    "dropIndexes": CommandFields(
        required=("index",), supported=("index",), types={"index": ("string", "object", "array")}
    ),
    "drop": CommandFields(),
    "dropDatabase": CommandFields(),
    "renameCollection": CommandFields(
        required=("to",),
        supported=("to", "dropTarget"),
        types={"to": _STRING, "dropTarget": SAFE_BOOL},
    ),
    "collMod": CommandFields(
        supported=(*_VALIDATION, IMAGES),
        types={**_VALIDATION, IMAGES: _DOCUMENT},
        refused=(
            "index",
            "viewOn",
            "pipeline",
            "cappedSize",
            "expireAfterSeconds",
            "timeseries",
        ),
    ),
    "listCollections": CommandFields(
        supported=("filter", "nameOnly", "cursor"),
        ignored=("authorizedCollections",),
        types={"filter": _DOCUMENT, "nameOnly": _BOOL, "cursor": _DOCUMENT},
        parts={"cursor": _CURSOR},
    ),
    "listIndexes": CommandFields(
        supported=("cursor",), types={"cursor": _DOCUMENT}, parts={"cursor": _CURSOR}
    ),
    "listDatabases": CommandFields(
        supported=("filter", "nameOnly"),
        ignored=("authorizedDatabases",),
        types={"filter": _DOCUMENT, "nameOnly": _BOOL},
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

_LARGEST_BATCH: Final = 100_000
_BATCHES: Final = (".documents", ".updates", ".deletes")


def check_fields(name: str, command: dict[str, Any]) -> None:
    """Refuse what the server, or the engine, does not take.

    What passes has the types that the commands count on: nulls, which are as if they were not
    there, are gone, and numbers are whole ones.

    Args:
        name: The command's name.
        command: The command; changed in place.

    Raises:
        OperationFailure: A name is bad (73), a field is unknown (40415), missing (40414), of a
            wrong type (14), out of range (16, 51024) or not supported (115).
    """
    check_names(name, command)
    _check(name, command, COMMANDS[name], name)


def _check(
    path: str, document: dict[str, Any], known: CommandFields, name: str | None = None
) -> None:
    """Check the fields of a command, or of a part of one.

    Args:
        path: What comes before a field's name in an error.
        document: What has the fields.
        known: Its fields.
        name: Of the command, whose own field and generic ones are not looked at.
    """
    nulls = []
    for field_name, value in document.items():
        if field_name in known.supported:
            if value is None:
                nulls.append(field_name)
            elif field_name in known.types:
                document[field_name] = _checked(f"{path}.{field_name}", field_name, value, known)
        elif field_name in known.ignored or (
            name is not None and (field_name == name or field_name in GENERIC)
        ):
            continue
        else:
            _refuse(path, field_name, document, known)
    for field_name in nulls:
        del document[field_name]
    for field_name in known.required:
        if field_name not in document:
            raise operation_failure(
                40414,
                "Location40414",
                f"BSON field '{path}.{field_name}' is missing but a required field",
            )


def _refuse(path: str, name: str, document: Mapping[str, Any], known: CommandFields) -> None:
    """Refuse a field that does nothing here, unless it says nothing either."""
    if name not in known.refused:
        raise operation_failure(
            40415, "Location40415", f"BSON field '{path}.{name}' is an unknown field."
        )
    for refused in known.refused:  # in the table's order: `capped`, not the `size` before it
        value = document.get(refused)
        if value and not _is_simple(refused, value):
            raise not_supported(f"the option {refused} of {path}")


def _is_simple(name: str, value: Any) -> bool:
    """Whether it is the collation that compares as no collation does."""
    return name == "collation" and isinstance(value, Mapping) and value.get("locale") == "simple"


def _checked(path: str, name: str, value: Any, known: CommandFields) -> Any:
    """A field's value, if it may be; numbers are made whole."""
    expected = known.types[name]
    if type_name(value) not in expected:
        raise wrong_type(path, value, expected)
    if expected is NUMBER:
        value = whole(value)
        if value < 0 and name in known.not_negative:
            raise operation_failure(
                51024,
                "Location51024",
                f"BSON field '{name}' value must be >= 0, actual value '{value}'",
            )
    elif name in known.parts:
        _check_parts(path, value, known.parts[name])
    return value


def _check_parts(path: str, value: Any, known: CommandFields | None) -> None:
    if isinstance(value, dict):
        if known is not None:
            _check(path, value, known)
        return
    is_batch = path.endswith(_BATCHES)
    if is_batch and not 1 <= len(value) <= _LARGEST_BATCH:
        raise operation_failure(
            16,
            "InvalidLength",
            f"Write batch sizes must be between 1 and {_LARGEST_BATCH}. Got {len(value)} "
            "operations.",
        )
    for number, part in enumerate(value):
        if not isinstance(part, dict):
            if path.endswith(".pipeline"):
                message = "Each element of the 'pipeline' array must be an object"
                raise operation_failure(14, "TypeMismatch", message)
            raise wrong_type(f"{path}.{number}", part, _DOCUMENT)
        if known is not None:
            _check(path, part, known)
