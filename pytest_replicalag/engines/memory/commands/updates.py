"""How the library is brought to apply an update as a server does.

What an update comes to for each document is told by `update_targets.py`; the library applies it. A
replacement and a pipeline are the library's as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from bson import ObjectId, Regex
from pymongo.errors import DuplicateKeyError, OperationFailure

from pytest_replicalag.engines.memory.commands.duplicates import collision
from pytest_replicalag.engines.memory.commands.equality import stages_for_library
from pytest_replicalag.engines.memory.commands.errors import server_errors
from pytest_replicalag.engines.memory.commands.identities import check_id
from pytest_replicalag.engines.memory.commands.positions import Positions
from pytest_replicalag.engines.memory.commands.update_checks import array_filters_of
from pytest_replicalag.engines.memory.commands.update_targets import target_of
from pytest_replicalag.engines.memory.commands.upserts import seed
from pytest_replicalag.engines.memory.commands.values import for_filter
from pytest_replicalag.engines.memory.documents import is_same
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["apply_update", "ensure_created", "insert", "telling_what_failed", "validates"]

_INVALID_DOCUMENT: Final = 121
_LOSING_IDS: Final = frozenset({"$project", "$replaceRoot", "$replaceWith", "$unset"})
"""Stages after which a document may have no `_id`; a server then gives it its own back."""


def ensure_created(collection: Any) -> None:
    """Create a collection that does not exist; a server keeps it when it becomes empty."""
    store = collection._store
    if not store.is_created:
        store.create_for_write()


def validates(collection: Any, command: Mapping[str, Any]) -> bool:
    """Whether documents have to pass the collection's validator; most have none."""
    options: Mapping[str, Any] = getattr(collection._store, "options", {})
    return not (command.get("bypassDocumentValidation") and options.get("validator"))


@contextmanager
def telling_what_failed(key: Any) -> Iterator[None]:
    """Let the error of a document that fails validation name it, as a server's does.

    Args:
        key: Its `_id`.
    """
    try:
        yield
    except OperationFailure as error:
        if error.code != _INVALID_DOCUMENT:
            raise
        message = "Document failed validation"
        failure = operation_failure(_INVALID_DOCUMENT, "DocumentValidationFailure", message)
        info = {"failingDocumentId": key, "details": {}}
        failure.details["errInfo"] = info  # type: ignore[index]
        raise failure from None


def apply_update(
    collection: Any,
    filter: Any,
    update: Any,
    *,
    upsert: bool,
    asked: Any,
    multi: bool = False,
    array_filters: Any = None,
    validates: bool = True,
) -> dict[str, Any]:
    """Update documents; returns what the library says of it.

    Args:
        collection: The library's collection.
        filter: The filter, as the library takes it.
        update: The update, as the command has it; checked.
        upsert: Whether to insert a document if none matches.
        asked: The filter, as the command has it.
        multi: Whether to update all that match.
        array_filters: The command's, or None.
        validates: Whether the collection's validator has a say.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    is_replacement = isinstance(update, Mapping) and next(iter(update), "")[:1] != "$"
    more: dict[str, Any] = {} if validates else {"validate": False}
    positions = Positions(
        asked,
        {} if is_replacement else array_filters_of(array_filters, update),
        collection._applies,
    )
    if upsert:
        ensure_created(collection)
    with server_errors(collection):
        documents = collection.find_by_key(filter)
        if documents is None:
            found = collection._iter_documents(filter)
            documents = list(found) if multi else list(islice(found, 1))
        if not documents and upsert:
            return _upsert(collection, asked, update, is_replacement, positions, more)
        total: dict[str, Any] = {
            "n": 0,
            "nModified": 0,
            "upserted": None,
            "updatedExisting": bool(documents),
        }
        for document in documents:
            with telling_what_failed(document["_id"]):
                total["nModified"] += _update_one(
                    collection, document, update, is_replacement, positions, more
                )
            total["n"] += 1
    return total


def _update_one(
    collection: Any,
    document: Mapping[str, Any],
    update: Any,
    is_replacement: bool,
    positions: Positions,
    more: dict[str, Any],
) -> int:
    """Update a document; returns how many were modified, 0 or 1."""
    key = document["_id"]
    retypes = False
    if isinstance(update, list):
        if not update:
            return 0
        update = stages_for_library(update)
        if any(_LOSING_IDS & stage.keys() for stage in update):
            own = {"_id": {"$literal": key}}
            update = [*update, {"$replaceWith": {"$mergeObjects": [own, "$$ROOT"]}}]
    elif is_replacement:
        _check_own_key(update, key)
        if "_id" not in update:  # a server compares what it is given: never the same
            collection._update({"_id": key}, update, **more)
            return 1
        retypes = document == update and not is_same(document, update)
    else:
        target = target_of(update, document, positions, collection._precedes)
        if not target.update:
            return 0
        update, retypes = _for_library(target.update), target.retypes
    modified: int = collection._update({"_id": key}, update, **more)["nModified"]
    if retypes and not modified and not isinstance(key, dict):
        # Equal for the library, which writes nothing; a server has an oplog entry of it.
        collection._store[key] = collection._store[key]
    return 1 if retypes else modified


def _for_library(update: Any) -> Any:
    """An update with regular expressions where it asks, and as they are where it stores."""
    if "$pull" in update:
        pulls = {path: _pulled(value) for path, value in update["$pull"].items()}
        return {**update, "$pull": pulls}
    return update


def _pulled(value: Any) -> Any:
    """What `$pull` asks for; the library takes a regular expression alone for a value."""
    found = for_filter(value)
    return {"$regex": found} if isinstance(value, Regex) else found


def insert(collection: Any, document: dict[str, Any], **more: Any) -> None:
    """Insert a document; one that cannot be stored tells what it collides in.

    Raises:
        OperationFailure: What a server answers.
    """
    try:
        collection._insert(document, **more)
    except DuplicateKeyError as error:
        raise collision(collection, document) or error from None


# -- upserts ---------------------------------------------------------------------------------------


def _upsert(
    collection: Any,
    filter: Any,
    update: Any,
    is_replacement: bool,
    positions: Positions,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Insert what a server makes of a filter that matches nothing, and of the update."""
    document = seed(filter, only_key=is_replacement)
    changes: Any = {}
    if is_replacement:
        if "_id" in document:
            _check_own_key(update, document["_id"])
        document = {**document, **update}
    elif isinstance(update, list):
        changes = stages_for_library(update)
    else:
        changes = target_of(update, document, positions, collection._precedes, inserts=True).update
        fields = changes.get("$set", {})
        if "_id" in fields:
            document["_id"] = fields["_id"]
            changes = {**changes, "$set": {**fields}}
            del changes["$set"]["_id"]
            changes = {name: inner for name, inner in changes.items() if inner}
    key = document.pop("_id") if "_id" in document else ObjectId()
    check_id(key)
    stored = collection._hashdict(key) if isinstance(key, dict) else key
    document = {"_id": key, **document}
    if not changes or stored in collection._store:  # the latter is refused as a duplicate
        insert(collection, document, **more)
        return {"n": 1, "nModified": 0, "upserted": key, "updatedExisting": False}
    changes = _for_library(changes)
    if key is None and isinstance(changes, Mapping):  # the library takes null for no `_id`
        changes = {**changes, "$setOnInsert": {"_id": None}}
    result: dict[str, Any] = collection._update(document, changes, upsert=True, **more)
    return result


def _check_own_key(replacement: Mapping[str, Any], key: Any) -> None:
    if replacement.get("_id", key) != key:
        raise _immutable(
            "After applying the update, the (immutable) field '_id' was found to have been altered "
            f"to _id: {shown(replacement['_id'])}"
        )


def _immutable(message: str) -> OperationFailure:
    return operation_failure(66, "ImmutableField", message)
