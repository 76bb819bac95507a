"""Commands on databases and collections, and the table of those on indexes as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import Int64, encode

from pytest_replicalag.engines.memory.change_log import IMAGES
from pytest_replicalag.engines.memory.commands.equality import filter_for_library
from pytest_replicalag.engines.memory.commands.errors import server_errors
from pytest_replicalag.engines.memory.commands.indexes import (
    create_indexes,
    drop_indexes,
    list_indexes,
)
from pytest_replicalag.engines.memory.commands.operators import check_filter
from pytest_replicalag.engines.memory.commands.writes import collection_of
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["catalog"]

_OF_THE_SERVER: Final = ("admin", "config", "local")
"""Databases that each server has."""

_INDEX_SIZE: Final = 4096
_VALIDATION: Final = ("validator", "validationLevel", "validationAction")


def catalog(name: str, command: Mapping[str, Any], client: Any) -> Any:
    """Run a command on databases, collections or indexes.

    Args:
        name: The command's name.
        command: The command.
        client: The library's client with the data.

    Returns:
        A list of documents for `listCollections` and `listIndexes`, else the reply's fields.

    Raises:
        OperationFailure: It failed.
    """
    return _COMMANDS[name](command, client)


# -- collections ---------------------------------------------------------------------------------


def _create(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    name = command["create"]
    collection = collection_of(client, command["$db"], name)
    if collection._store.is_created:
        raise operation_failure(
            48,
            "NamespaceExists",
            f"Collection {command['$db']}.{name} already exists.",
        )
    options = {key: command[key] for key in (*_VALIDATION, IMAGES) if key in command}
    with server_errors(collection):
        collection._store.create(**options)
    return {}


def _drop(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    collection = collection_of(client, command["$db"], command["drop"])
    if not collection._store.is_created:
        raise operation_failure(26, "NamespaceNotFound", "ns not found")
    indexes = len(collection._store.indexes) + 1
    with server_errors(collection):
        collection.database.drop_collection(command["drop"])
    return {"nIndexesWas": indexes, "ns": f"{command['$db']}.{command['drop']}"}


def _drop_database(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    name = command["$db"]
    if name in _OF_THE_SERVER:
        raise operation_failure(
            20, "IllegalOperation", f"Dropping the '{name}' database is prohibited."
        )
    if name not in client.list_database_names():
        return {}
    client.drop_database(name)
    return {}


def _rename(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    database, _, name = str(command["renameCollection"]).partition(".")
    to_database, _, to = str(command["to"]).partition(".")
    if database != to_database:
        raise operation_failure(
            115,
            "CommandNotSupported",
            "renaming a collection into another database is not supported by the memory engine",
        )
    if name == to:
        raise operation_failure(20, "IllegalOperation", "Can't rename a collection to itself")
    collection = collection_of(client, database, name)
    if not collection._store.is_created:
        raise operation_failure(
            26, "NamespaceNotFound", f"Source collection {database}.{name} does not exist"
        )
    target = collection_of(client, database, to)
    if target._store.is_created and not command.get("dropTarget"):
        raise operation_failure(48, "NamespaceExists", "target namespace exists")
    with server_errors(collection):
        collection.database.rename_collection(
            name, to, **({"dropTarget": True} if command.get("dropTarget") else {})
        )
    return {}


def _coll_mod(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    collection = collection_of(client, command["$db"], command["collMod"])
    if not collection._store.is_created:
        raise operation_failure(26, "NamespaceNotFound", "ns does not exist")
    options = {key: command[key] for key in _VALIDATION if key in command}
    if options:
        with server_errors(collection), collection._store.changing_metadata():
            collection.database.command({"collMod": command["collMod"], **options})
    if IMAGES in command:
        collection._store.keep_images(command[IMAGES])
    return {}


def _list_collections(command: Mapping[str, Any], client: Any) -> list[Any]:
    database = client.get_database(command["$db"])
    names_only = bool(command.get("nameOnly"))
    documents = []
    for name in database._store.list_created_collection_names():
        document: dict[str, Any] = {"name": name, "type": "collection"}
        if not names_only:
            store = database._store[name]
            document |= {
                "options": dict(getattr(store, "options", {})),
                "info": {"readOnly": False, "uuid": store.uuid},
                "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"},
            }
        documents.append(document)
    return _filtered(client, documents, command.get("filter"))


def _filtered(client: Any, documents: list[Any], filter: Any) -> list[Any]:
    """The documents that match, by the library's own matching."""
    if not filter:
        return documents
    library = library_of(client)
    assert library is not None
    check_filter(filter)
    filter = filter_for_library(filter)
    with server_errors():
        return [document for document in documents if library.filter_applies(filter, document)]


def _list_databases(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    documents: list[Any] = []
    for name in sorted({*client.list_database_names(), *_OF_THE_SERVER}):
        size = sum(_size(store) for store in _stores(client, name))
        documents.append({"name": name, "sizeOnDisk": Int64(size), "empty": False})
    documents = _filtered(client, documents, command.get("filter"))
    if command.get("nameOnly"):
        return {"databases": [{"name": document["name"]} for document in documents]}
    total = sum(document["sizeOnDisk"] for document in documents)
    return {
        "databases": documents,
        "totalSize": Int64(total),
        "totalSizeMb": Int64(total // 1024 // 1024),
    }


# -- sizes ---------------------------------------------------------------------------------------


def _stores(client: Any, database: str) -> list[Any]:
    stores = client.get_database(database)._store
    return [stores[name] for name in stores.list_created_collection_names()]


def _size(store: Any) -> int:
    return sum(len(encode(document)) for document in store.documents)


def _coll_stats(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    name = command.get("collStats", command.get("collstats"))
    store = collection_of(client, command["$db"], name)._store
    count, scale = len(store), command.get("scale") or 1
    size = _size(store)
    indexes = ["_id_", *store.indexes] if store.is_created else []
    return {
        "ns": f"{command['$db']}.{name}",
        "size": int(size // scale),
        "count": count,
        **({"avgObjSize": size // count} if count else {}),
        "numOrphanDocs": 0,
        "storageSize": int(size // scale),
        "freeStorageSize": 0,
        "capped": False,
        "nindexes": len(indexes),
        "indexDetails": {},
        "indexBuilds": [],
        "totalIndexSize": int(_INDEX_SIZE * len(indexes) // scale),
        "totalSize": int((size + _INDEX_SIZE * len(indexes)) // scale),
        "indexSizes": {index: int(_INDEX_SIZE // scale) for index in indexes},
        "scaleFactor": scale,
    }


def _db_stats(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    stores, scale = _stores(client, command["$db"]), command.get("scale") or 1
    objects, size = sum(map(len, stores)), sum(map(_size, stores))
    indexes = sum(len(store.indexes) + 1 for store in stores)
    return {
        "db": command["$db"],
        "collections": len(stores),
        "views": 0,
        "objects": objects,
        "avgObjSize": size / objects if objects else 0,
        "dataSize": size / scale,
        "storageSize": size / scale,
        "indexes": indexes,
        "indexSize": _INDEX_SIZE * indexes / scale,
        "totalSize": (size + _INDEX_SIZE * indexes) / scale,
        "scaleFactor": scale,
    }


def _data_size(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    database, _, name = str(command["dataSize"]).partition(".")
    store = collection_of(client, database, name)._store
    return {"estimate": False, "size": _size(store), "numObjects": len(store), "millis": 0}


def _validate(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    name = command["validate"]
    store = collection_of(client, command["$db"], name)._store
    if not store.is_created:
        raise operation_failure(
            26,
            "NamespaceNotFound",
            f"Collection '{command['$db']}.{name}' does not exist to validate.",
        )
    indexes = ["_id_", *store.indexes]
    return {
        "ns": f"{command['$db']}.{name}",
        "uuid": store.uuid,
        "nInvalidDocuments": 0,
        "nNonCompliantDocuments": 0,
        "nrecords": len(store),
        "nIndexes": len(indexes),
        "keysPerIndex": dict.fromkeys(indexes, len(store)),
        "indexDetails": {index: {"valid": True} for index in indexes},
        "valid": True,
        "repaired": False,
        "warnings": [],
        "errors": [],
        "extraIndexEntries": [],
        "missingIndexEntries": [],
        "corruptRecords": [],
    }


_COMMANDS: Final[Mapping[str, Callable[[Mapping[str, Any], Any], Any]]] = {
    "create": _create,
    "drop": _drop,
    "dropDatabase": _drop_database,
    "renameCollection": _rename,
    "collMod": _coll_mod,
    "createIndexes": create_indexes,
    "dropIndexes": drop_indexes,
    "listCollections": _list_collections,
    "listDatabases": _list_databases,
    "listIndexes": list_indexes,
    "collStats": _coll_stats,
    "collstats": _coll_stats,
    "dbStats": _db_stats,
    "dbstats": _db_stats,
    "dataSize": _data_size,
    "validate": _validate,
}
