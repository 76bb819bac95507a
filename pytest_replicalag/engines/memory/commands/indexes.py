"""Commands on indexes, which forbid equal values or let documents expire; none is read by."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from pytest_replicalag.engines.memory.commands.duplicates import collision_in
from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors
from pytest_replicalag.engines.memory.commands.index_specifications import check_index
from pytest_replicalag.engines.memory.commands.updates import ensure_created
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.engines.memory.commands.writes import collection_of
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["create_indexes", "drop_indexes", "list_indexes"]

_EFFECTIVE: Final = ("unique", "sparse", "partialFilterExpression", "expireAfterSeconds")
"""What the library makes of an index."""

_TOLD: Final = (
    "background",
    "hidden",
    "weights",
    "default_language",
    "language_override",
    "textIndexVersion",
    "2dsphereIndexVersion",
    "wildcardProjection",
    "bits",
    "min",
    "max",
    "storageEngine",
)
"""What is kept with it, and told; it changes no result."""

_DISTINGUISHING: Final = ("unique", "sparse", "partialFilterExpression")
"""Indexes of the same keys that differ in these may stand side by side."""

_TEXT_DEFAULTS: Final = {
    "default_language": "english",
    "language_override": "language",
    "textIndexVersion": 3,
}


def create_indexes(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    """Create indexes, and the collection if there is none.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    name = command["createIndexes"]
    collection = collection_of(client, command["$db"], name)
    specifications = command["indexes"]
    if not specifications:
        raise operation_failure(2, "BadValue", "Must specify at least one index to create")
    for specification in specifications:
        check_index(specification)
    _check_distinct(specifications)
    was_created = bool(collection._store.is_created)
    ensure_created(collection)
    before = len(collection._store.indexes) + 1
    for specification in specifications:
        _create_index(collection, specification)
    after = len(collection._store.indexes) + 1
    reply: dict[str, Any] = {"numIndexesBefore": before, "numIndexesAfter": after}
    if after == before:
        return {**reply, "note": "all indexes already exist"}
    return {
        **reply,
        "createdCollectionAutomatically": not was_created,
        "commitQuorum": command.get("commitQuorum", "votingMembers"),
    }


def _check_distinct(specifications: list[Any]) -> None:
    """Refuse to build the same index twice."""
    names = [specification["name"] for specification in specifications]
    if len(set(names)) < len(names):
        message = "Cannot build two identical indexes. Try again without duplicate indexes."
        raise operation_failure(96, "OperationFailed", message)


def _create_index(collection: Any, specification: Mapping[str, Any]) -> None:
    key, name = specification["key"], specification["name"]
    if list(key) == ["_id"]:
        return
    if specification.get("collation", {}).get("locale", "simple") != "simple":
        raise not_supported("the index option collation")
    options = {
        option: for_filter(specification[option])
        for option in (*_EFFECTIVE, *_TOLD)
        if _is_said(specification, option)
    }
    if "text" in key.values():
        weights = {field: 1 for field, order in key.items() if order == "text"}
        options = {"weights": weights, **_TEXT_DEFAULTS, **options}
    if "2dsphere" in key.values():
        options = {**options, "2dsphereIndexVersion": options.get("2dsphereIndexVersion", 3)}
    if _is_there(collection, specification, options):
        return
    effective: dict[str, Any] = {
        option: options[option] for option in _EFFECTIVE if option in options
    }
    with server_errors(collection):
        try:
            collection.create_index(list(key.items()), name=name, **effective)
        except DuplicateKeyError as error:
            raise _failed_build(collection, name, {**effective, "key": list(key.items())}) or (
                error
            ) from None
    told = {option: options[option] for option in _TOLD if option in options}
    index = collection._store.indexes[name]
    index.update(told)
    for option in effective:  # in the order in which a server tells them
        index[option] = index.pop(option)


def _is_said(specification: Mapping[str, Any], option: str) -> bool:
    """Whether an option says something; a server keeps `background` also where it is false."""
    value = specification.get(option)
    if value is False:
        return option == "background"
    return value is not None  # 0 seconds are an expiry, too


def _failed_build(collection: Any, name: str, index: Mapping[str, Any]) -> Any:
    """The error of a unique index that cannot be built, if a document tells of it."""
    for document in collection._store.documents:
        found = collision_in(collection, name, index, document)
        if found is not None:
            details = found.details or {}
            where = f"{collection.full_name} ( {uuid.uuid4()} )"
            message = f"Index build failed: {uuid.uuid4()}: Collection {where} :: caused by :: "
            message += details["errmsg"]
            return OperationFailure(message, found.code, {**details, "errmsg": message})
    return None


def _is_there(
    collection: Any, specification: Mapping[str, Any], options: Mapping[str, Any]
) -> bool:
    """Whether there is that index already.

    Raises:
        OperationFailure: Error 85 or 86: there is another one with its name or its keys.
    """
    wanted_name, keys = specification["name"], list(specification["key"].items())
    for name, index in collection._store.indexes.items():
        has_same_keys = list(index["key"]) == keys
        others = {option: value for option, value in index.items() if option != "key"}
        if name == wanted_name and has_same_keys and others == options:
            return True
        if name == wanted_name:
            raise operation_failure(
                86,
                "IndexKeySpecsConflict",
                "An existing index has the same name as the requested index. When index names are "
                "not specified, they are auto generated and can cause conflicts. Please refer to "
                f"our documentation. Requested index: {_shown(name, keys, options)}, existing "
                f"index: {_shown(name, index['key'], others)}",
            )
        if has_same_keys and all(
            others.get(option) == options.get(option) for option in _DISTINGUISHING
        ):
            raise operation_failure(
                85,
                "IndexOptionsConflict",
                f"Index already exists with a different name: {name}"
                if others == options
                else "An equivalent index already exists with a different name and options. "
                f"Requested index: {_shown(wanted_name, keys, options)}, existing index: "
                f"{_shown(name, index['key'], others)}",
            )
    return False


def _shown(name: str, keys: Any, options: Mapping[str, Any]) -> str:
    return shown({"v": 2, "key": dict(keys), "name": name, **options})


def drop_indexes(command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    """Drop one index, some, or all but that of `_id`.

    Raises:
        OperationFailure: There is no such collection or index.
    """
    collection = collection_of(client, command["$db"], command["dropIndexes"])
    store = collection._store
    if not store.is_created:
        raise operation_failure(
            26, "NamespaceNotFound", f"ns not found {command['$db']}.{command['dropIndexes']}"
        )
    before = len(store.indexes) + 1
    wanted = command.get("index")
    if wanted == "*":
        collection.drop_indexes()
        return {"nIndexesWas": before, "msg": "non-_id indexes dropped for collection"}
    names = [_index_name(store.indexes, one) for one in _each(wanted)]
    for one in dict.fromkeys(names):
        collection.drop_index(one)
    return {"nIndexesWas": before}


def _each(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _index_name(indexes: Mapping[str, Any], wanted: Any) -> str:
    """The name of an index that is named, or told by its keys."""
    if isinstance(wanted, Mapping):
        keys = list(wanted.items())
        if keys == [("_id", 1)]:
            raise operation_failure(72, "InvalidOptions", "cannot drop _id index")
        found = [name for name, index in indexes.items() if list(index["key"]) == keys]
        if not found:
            message = f"can't find index with key: {shown(wanted)}"
            raise operation_failure(27, "IndexNotFound", message)
        wanted = found[0]
    if wanted == "_id_":
        raise operation_failure(72, "InvalidOptions", "cannot drop _id index")
    if wanted not in indexes:
        raise operation_failure(27, "IndexNotFound", f"index not found with name [{wanted}]")
    return str(wanted)


def list_indexes(command: Mapping[str, Any], client: Any) -> list[Any]:
    """The indexes of a collection.

    Raises:
        OperationFailure: Error 26: there is no such collection.
    """
    name = command["listIndexes"]
    collection = collection_of(client, command["$db"], name)
    if not collection._store.is_created:
        raise operation_failure(
            26, "NamespaceNotFound", f"ns does not exist: {command['$db']}.{name}"
        )
    documents: list[Any] = [{"v": 2, "key": {"_id": 1}, "name": "_id_"}]
    for index_name, index in collection._store.indexes.items():
        options = {key: value for key, value in index.items() if key != "key"}
        key: Mapping[str, Any] = dict(index["key"])
        if "text" in key.values():
            key = {"_fts": "text", "_ftsx": 1} | {f: o for f, o in key.items() if o != "text"}
        documents.append({"v": 2, "key": key, "name": index_name, **options})
    return documents
