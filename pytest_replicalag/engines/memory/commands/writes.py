"""Commands that write documents: the library applies each statement, the reply is a server's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bson import Int64, ObjectId, encode
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported, server_errors
from pytest_replicalag.engines.memory.commands.find_and_modify import find_and_modify
from pytest_replicalag.engines.memory.commands.hints import check_hint
from pytest_replicalag.engines.memory.commands.identities import check_id, with_own_id
from pytest_replicalag.engines.memory.commands.reads import (
    filter_of,
    read_to_write,
    stages_of,
)
from pytest_replicalag.engines.memory.commands.update_checks import check_kind, check_update
from pytest_replicalag.engines.memory.commands.updates import (
    apply_update,
    ensure_created,
    insert,
    telling_what_failed,
    validates,
)
from pytest_replicalag.engines.memory.commands.variables import (
    Variables,
    in_pipeline,
    variables_of,
)
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.engines.types import NUMBER, is_deeper, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Statement", "write", "write_out"]

_MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_MAX_LEVELS: Final = 181
"""Of nesting in a stored document, the document itself counted."""


_IN_ORDER: Final = ("n", "writeErrors", "upserted", "nModified")
"""The fields of a reply."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the statements of a command have in common.

    Attributes:
        collection: The library's collection.
        reply: What the command replies so far.
        validates: Whether the collection's validator has a say.
        variables: Those of `let`.
    """

    collection: Any
    reply: dict[str, Any]
    validates: bool
    variables: Variables


_Statement = Callable[[_Batch, Mapping[str, Any], int], None]


class Statement(NamedTuple):
    """A statement that has changed something.

    Attributes:
        place: In the command, from 0.
        n: How many documents it matched, inserted or deleted.
        modified: How many it modified.
        upserted: What the reply says of the document that it inserted, if it did.
    """

    place: int
    n: int
    modified: int
    upserted: Mapping[str, Any] | None


def write(
    name: str, command: Mapping[str, Any], client: Any, done: list[Statement] | None = None
) -> dict[str, Any]:
    """Run a command that writes documents; returns the fields of its reply.

    Args:
        name: The command's name.
        command: The command.
        client: The library's client with the data.
        done: Takes the statements that have changed something, for who wants to know.

    Raises:
        OperationFailure: The command as a whole failed.
    """
    collection = _own_collection(name, command, client)
    if name in ("findAndModify", "findandmodify"):
        return find_and_modify(collection, command)
    if name == "aggregate":
        return write_out(command, client, read_to_write(command).run(collection))
    if name == "delete":
        _check_limits(command["deletes"])
    if name == "update":
        for statement in command["updates"]:
            check_kind(statement["u"])
    statements, apply = _STATEMENTS[name]
    reply: dict[str, Any] = {"n": 0, "nModified": 0} if name == "update" else {"n": 0}
    batch = _Batch(collection, reply, validates(collection, command), variables_of(command))

    def apply_one(statement: Any, index: int) -> None:
        apply(batch, statement, index)

    def apply_and_tell(statement: Any, index: int) -> None:
        assert done is not None
        before = (reply["n"], reply.get("nModified", 0), len(reply.get("upserted", ())))
        apply_one(statement, index)
        n, modified = reply["n"] - before[0], reply.get("nModified", 0) - before[1]
        upserted = reply.get("upserted", ())[before[2] :]
        if modified or upserted or (n and name != "update"):
            done.append(Statement(index, n, modified, dict(upserted[0]) if upserted else None))

    _batch(
        command[statements],
        apply_one if done is None else apply_and_tell,
        reply,
        ordered=command.get("ordered", True),
    )
    return {field: reply[field] for field in _IN_ORDER if field in reply}


def collection_of(client: Any, database: str, name: str) -> Any:
    """A collection of the library's client."""
    collection = client.get_database(database).collection(name, client._codec_options)
    collection.heeds_partial_filters = True
    return collection


def _own_collection(name: str, command: Mapping[str, Any], client: Any) -> Any:
    """The collection that a command is sent to."""
    own = command[name] if isinstance(command[name], str) else "$cmd.aggregate"
    return collection_of(client, command["$db"], own)


def write_out(command: Mapping[str, Any], client: Any, found: list[Any]) -> dict[str, Any]:
    """Let the last stage of a pipeline write; returns the fields of the reply.

    Args:
        command: An `aggregate` that ends in `$out` or `$merge`.
        client: The library's client with the data.
        found: The documents that the stages before it have found.

    Raises:
        OperationFailure: It cannot write them.
    """
    last = stages_of(command["pipeline"], variables_of(command))[-1]
    own = _own_collection("aggregate", command, client)
    target = collection_of(client, *_target_of(last, command["$db"]))
    documents = [
        document if "_id" in document else {"_id": ObjectId(), **document} for document in found
    ]
    if "$out" in last:
        _replace(target, documents)
    elif documents:
        ensure_created(target)
        _run_stage(target, documents, own.database, last)
    return {"cursor": {"firstBatch": [], "id": Int64(0), "ns": own.full_name}}


def _replace(target: Any, documents: list[Any]) -> None:
    """Let documents be all that a collection has; it keeps its indexes."""
    indexes = dict(target._store.indexes)
    if any(index.get("unique") for index in indexes.values()):
        raise not_supported("$out into a collection with a unique index")
    _run_stage(target, documents, target.database, {"$out": target.name})
    if not target._store._is_force_created:  # so that it stays when its documents are deleted
        target._store.create()
    for name, index in indexes.items():
        if name not in target._store.indexes:  # the library drops them with the documents
            target._store.create_index(name, index)


def _run_stage(target: Any, documents: list[Any], database: Any, stage: dict[str, Any]) -> None:
    library = library_of(database.client)
    assert library is not None
    with server_errors(target):
        library.run_stages(documents, database, [stage])


def _target_of(stage: Mapping[str, Any], database: str) -> tuple[str, str]:
    """The database and the collection that a pipeline writes to."""
    target = stage["$out"] if "$out" in stage else stage["$merge"]
    if isinstance(target, Mapping) and "into" in target:
        target = target["into"]
    if isinstance(target, Mapping):
        database, own = target.get("db", database), database
        if "$out" in stage and database != own:
            raise not_supported("$out to another database")
        target = target["coll"]
    return database, target


def _batch(
    statements: list[Any],
    apply: Callable[[Any, int], None],
    reply: dict[str, Any],
    *,
    ordered: bool,
) -> None:
    """Apply statements one by one; the reply tells which failed."""
    errors = []
    for index, statement in enumerate(statements):
        try:
            apply(statement, index)
        except OperationFailure as error:  # noqa: PERF203 - each statement may fail by itself
            if is_fatal(error):
                raise
            errors.append(_write_error(index, error))
            if ordered:
                break
    if errors:
        reply["writeErrors"] = errors


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


def _insert(batch: _Batch, document: Any, _: int) -> None:
    collection = batch.collection
    size = len(encode(document))
    document = with_own_id(document)
    if size > _MAX_DOCUMENT_BYTES:
        raise operation_failure(
            2,
            "BadValue",
            f"object to insert too large. size in bytes: {size}, max size: {_MAX_DOCUMENT_BYTES}",
        )
    if is_deeper(document, _MAX_LEVELS, size):
        message = "cannot insert document because it exceeds 180 levels of nesting"
        raise operation_failure(15, "Overflow", message)
    check_id(document["_id"])
    _check_names(document)
    ensure_created(collection)
    with server_errors(collection), telling_what_failed(document["_id"]):
        insert(collection, document, **({} if batch.validates else {"validate": False}))
    batch.reply["n"] += 1


def _check_names(document: Mapping[str, Any]) -> None:
    """Refuse what a server stores since 5.0, and the library does not."""
    for name in document:
        if name[:1] == "$":
            raise not_supported(f"a document with the field {name}")


# -- update --------------------------------------------------------------------------------------


def _update(batch: _Batch, statement: Mapping[str, Any], index: int) -> None:
    collection, reply = batch.collection, batch.reply
    update, multi = statement["u"], bool(statement.get("multi"))
    check_update(update, multi=multi)
    if isinstance(update, list):
        update = in_pipeline(update, batch.variables)
    filter = filter_of(statement, "q", batch.variables)
    check_hint(collection, statement.get("hint"))
    result = apply_update(
        collection,
        filter,
        update,
        upsert=bool(statement.get("upsert")),
        asked=statement["q"],
        multi=multi,
        array_filters=statement.get("arrayFilters"),
        validates=batch.validates,
    )
    reply["n"] += result["n"]
    reply["nModified"] += result["nModified"]
    if result["upserted"] is not None or (not result["updatedExisting"] and result["n"]):
        reply.setdefault("upserted", []).append({"index": index, "_id": result["upserted"]})


# -- delete --------------------------------------------------------------------------------------


def _delete(batch: _Batch, statement: Mapping[str, Any], _: int) -> None:
    collection = batch.collection
    filter = filter_of(statement, "q", batch.variables)
    check_hint(collection, statement.get("hint"))
    with server_errors(collection):
        result = collection._delete(filter, multi=statement["limit"] != 1)
    batch.reply["n"] += result["n"]


def _check_limits(statements: list[dict[str, Any]]) -> None:
    """Refuse a whole command if a statement's limit is neither 0 nor 1; no number is 0."""
    for statement in statements:
        limit = statement["limit"]
        if type_name(limit) in NUMBER and limit not in (0, 1):
            raise operation_failure(
                9,
                "FailedToParse",
                f"The limit field in delete objects must be 0 or 1. Got {limit}",
            )


_STATEMENTS: Final[Mapping[str, tuple[str, _Statement]]] = {
    "insert": ("documents", _insert),
    "update": ("updates", _update),
    "delete": ("deletes", _delete),
}
