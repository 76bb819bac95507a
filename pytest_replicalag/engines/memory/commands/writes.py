"""Commands that write documents: the library applies each statement, the reply is a server's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bson import ObjectId, encode
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors
from pytest_replicalag.engines.memory.commands.reads import run_pipeline, sort_of
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["write"]

_MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_Statement = Callable[[Any, Mapping[str, Any], int, dict[str, Any]], None]


def write(name: str, command: Mapping[str, Any], client: Any) -> dict[str, Any]:
    """Run a command that writes documents; returns the fields of its reply.

    Args:
        name: The command's name.
        command: The command.
        client: The library's client with the data.

    Raises:
        OperationFailure: The command as a whole failed.
    """
    collection = collection_of(client, command["$db"], command[name])
    if name in ("findAndModify", "findandmodify"):
        return _find_and_modify(collection, command)
    if name == "aggregate":
        ensure_created(collection.database[_target_of(command)])
        run_pipeline(collection, for_filter(command["pipeline"]))
        return {"cursor": {"firstBatch": [], "id": 0, "ns": collection.full_name}}
    statements, apply = _STATEMENTS[name]
    return _batch(collection, command[statements], apply, ordered=command.get("ordered", True))


def collection_of(client: Any, database: str, name: str) -> Any:
    """A collection of the library's client."""
    return client.get_database(database).collection(name, client._codec_options)


def ensure_created(collection: Any) -> None:
    """Create a collection that does not exist; a server keeps it when it becomes empty."""
    store = collection._store
    if not store.is_created:
        store.create()


def _target_of(command: Mapping[str, Any]) -> str:
    """The collection that a pipeline writes to."""
    stage: Any = command["pipeline"][-1]
    target = stage["$out"] if "$out" in stage else stage["$merge"]
    if isinstance(target, Mapping):
        target = target.get("coll") or target.get("into")
    if not isinstance(target, str):
        raise not_supported("writing a pipeline's result to another database")
    return target


def _batch(
    collection: Any, statements: list[Any], apply: _Statement, *, ordered: bool
) -> dict[str, Any]:
    """Apply statements one by one; the reply tells which failed."""
    reply: dict[str, Any] = {"n": 0}
    errors = []
    for index, statement in enumerate(statements):
        try:
            apply(collection, statement, index, reply)
        except OperationFailure as error:  # noqa: PERF203 - each statement may fail by itself
            if is_fatal(error):
                raise
            errors.append(_write_error(index, error))
            if ordered:
                break
    if errors:
        reply["writeErrors"] = errors
    return reply


def is_fatal(error: OperationFailure) -> bool:
    """Whether it ends the command, not the statement: transactions do, and what is unsupported."""
    details = error.details or {}
    return "errorLabels" in details or error.code in (112, 115, 246, 251)


def _write_error(index: int, error: OperationFailure) -> dict[str, Any]:
    details: Mapping[str, Any] = error.details or {}
    extra = {key: details[key] for key in ("keyPattern", "keyValue", "errInfo") if key in details}
    return {
        "index": index,
        "code": error.code,
        "errmsg": details.get("errmsg", str(error)),
        **extra,
    }


# -- insert --------------------------------------------------------------------------------------


def _insert(collection: Any, document: Any, _: int, reply: dict[str, Any]) -> None:
    document = _with_id_first(document)
    size = len(encode(document))
    if size > _MAX_DOCUMENT_BYTES:
        raise operation_failure(
            10334,
            "BSONObjectTooLarge",
            f"BSONObj size: {size} (0x{size:X}) is invalid. "
            "Size must be between 0 and 16793600(16MB)",
        )
    _check_id(document["_id"])
    ensure_created(collection)
    with server_errors(collection):
        collection._insert(document)
    reply["n"] += 1


def _with_id_first(document: Mapping[str, Any]) -> dict[str, Any]:
    if next(iter(document), None) == "_id":
        return dict(document)
    rest = {key: value for key, value in document.items() if key != "_id"}
    return {"_id": document.get("_id", ObjectId()) if "_id" in document else ObjectId(), **rest}


def _check_id(value: Any) -> None:
    if isinstance(value, list):
        raise operation_failure(53, "InvalidIdField", "The '_id' value cannot be of type array")
    if isinstance(value, Mapping) and any(key[:1] == "$" for key in value):
        raise operation_failure(
            52,
            "DollarPrefixedFieldName",
            f"_id fields may not contain '$'-prefixed fields: {next(iter(value))} is not valid for "
            "storage.",
        )


# -- update --------------------------------------------------------------------------------------


def _update(
    collection: Any, statement: Mapping[str, Any], index: int, reply: dict[str, Any]
) -> None:
    update, multi = statement["u"], bool(statement.get("multi"))
    check_update(update, multi=multi)
    for field in ("collation", "hint", "sort", "c"):
        _refuse(statement, field, "update")
    result = apply_update(
        collection,
        statement["q"],
        update,
        upsert=bool(statement.get("upsert")),
        multi=multi,
        array_filters=statement.get("arrayFilters"),
    )
    reply["n"] += result["n"]
    reply["nModified"] = reply.get("nModified", 0) + result["nModified"]
    if result["upserted"] is not None or (not result["updatedExisting"] and result["n"]):
        reply.setdefault("upserted", []).append({"index": index, "_id": result["upserted"]})


def _refuse(statement: Mapping[str, Any], field: str, command: str) -> None:
    if statement.get(field):
        raise not_supported(f"the option {field} of {command}")


def check_update(update: Any, *, multi: bool) -> None:
    """Refuse an update that is none.

    Raises:
        OperationFailure: Error 9.
    """
    if not isinstance(update, Mapping):
        return
    has_operators = [key[:1] == "$" for key in update]
    if any(has_operators) and not all(has_operators):
        name = next(key for key in update if key[:1] != "$" or not has_operators[0])
        message = (
            f"Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update "
            "specified as an array"
            if has_operators[0]
            else f"The dollar ($) prefixed field '{name}' in '{name}' is not allowed in the "
            "context of an update's replacement document. Consider using an aggregation pipeline "
            "with $replaceWith."
        )
        raise operation_failure(9 if has_operators[0] else 52, "FailedToParse", message)
    if multi and not any(has_operators):
        raise operation_failure(
            9, "FailedToParse", "multi update is not supported for replacement-style update"
        )
    for name, fields in update.items():
        if name[:1] == "$" and not isinstance(fields, Mapping):
            raise operation_failure(
                9,
                "FailedToParse",
                f"Modifiers operate on fields but we found type {_type_name(fields)} instead. For "
                f"example: {{$mod: {{<field>: ...}}}} not {{{name}: {fields}}}",
            )


def _type_name(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "double", list: "array"}
    return names.get(type(value), "null" if value is None else "object")


def apply_update(
    collection: Any,
    filter: Any,
    update: Any,
    *,
    upsert: bool,
    multi: bool = False,
    array_filters: Any = None,
) -> dict[str, Any]:
    """Update documents; returns what the library says of it."""
    if upsert:
        ensure_created(collection)
    filter = for_filter(filter)
    with server_errors(collection):
        result: dict[str, Any] = collection._update(
            filter, update, upsert=upsert, multi=multi, array_filters=array_filters
        )
    return result


# -- delete --------------------------------------------------------------------------------------


def _delete(collection: Any, statement: Mapping[str, Any], _: int, reply: dict[str, Any]) -> None:
    for field in ("collation", "hint"):
        _refuse(statement, field, "delete")
    limit = statement["limit"]
    if limit not in (0, 1):
        raise operation_failure(
            9,
            "FailedToParse",
            f"The limit field in delete objects must be 0 or 1. Got {limit}",
        )
    with server_errors(collection):
        result = collection._delete(for_filter(statement["q"]), multi=not limit)
    reply["n"] += result["n"]


_STATEMENTS: Final[Mapping[str, tuple[str, _Statement]]] = {
    "insert": ("documents", _insert),
    "update": ("updates", _update),
    "delete": ("deletes", _delete),
}


# -- findAndModify -------------------------------------------------------------------------------


def _find_and_modify(collection: Any, command: Mapping[str, Any]) -> dict[str, Any]:
    update, remove = command.get("update"), bool(command.get("remove"))
    if remove and update is not None:
        raise operation_failure(9, "FailedToParse", "Cannot specify both an update and remove=true")
    if remove and command.get("upsert"):
        raise operation_failure(
            9, "FailedToParse", "Cannot specify both upsert=true and remove=true"
        )
    if remove and command.get("new"):
        raise operation_failure(
            9,
            "FailedToParse",
            "Cannot specify both new=true and remove=true; "
            "'remove' always returns the deleted document",
        )
    if not remove and update is None:
        raise operation_failure(
            9, "FailedToParse", "Either an update or remove=true must be specified"
        )
    for field in ("collation", "hint", "let"):
        _refuse(command, field, "findAndModify")
    query = for_filter(command.get("query") or {})
    projection = command.get("fields") or None
    found = _first(collection, query, command.get("sort"))
    if remove:
        return _find_and_remove(collection, found, projection)
    check_update(update, multi=False)
    return _find_and_update(collection, command, query, found, projection)


def _first(collection: Any, query: Any, sort: Any, projection: Any = None) -> Any:
    with server_errors(collection):
        cursor = collection.find(query, projection, sort=sort_of(sort), limit=1)
        return next(iter(cursor), None)


def _find_and_remove(collection: Any, found: Any, projection: Any) -> dict[str, Any]:
    value = None
    if found is not None:
        value = _projected(collection, found, projection)
        with server_errors(collection):
            collection._delete({"_id": found["_id"]})
    return {"lastErrorObject": {"n": 0 if found is None else 1}, "value": value}


def _find_and_update(
    collection: Any, command: Mapping[str, Any], query: Any, found: Any, projection: Any
) -> dict[str, Any]:
    value = None if found is None else _projected(collection, found, projection)
    if found is None and not command.get("upsert"):
        return {"lastErrorObject": {"n": 0, "updatedExisting": False}, "value": None}
    if found is not None:
        query = {**query, "_id": found["_id"]}
    result = apply_update(
        collection,
        query,
        command["update"],
        upsert=bool(command.get("upsert")),
        array_filters=command.get("arrayFilters"),
    )
    last: dict[str, Any] = {"n": 1, "updatedExisting": found is not None}
    key = result["upserted"]
    if found is not None:
        key = found["_id"]
    else:
        last["upserted"] = key
    if command.get("new"):
        value = _first(collection, {"_id": key}, None, projection)
    return {"lastErrorObject": last, "value": value}


def _projected(collection: Any, found: Any, projection: Any) -> Any:
    if projection is None:
        return found
    return _first(collection, {"_id": found["_id"]}, None, projection)
