"""Which fields each command may have, and what becomes of each.

The reference page of commands is made from this table. A field that is not in it does not exist on
a server either; one that is refused is named in the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_replicalag.engines.memory.change_log import IMAGES
from pytest_replicalag.engines.types import NUMBER, SAFE_BOOL

__all__ = ["COMMANDS", "CommandFields"]


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
    parts={"arrayFilters": None},
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
    parts={"arrayFilters": None},
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
