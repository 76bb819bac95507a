"""Which method of a driver a command stands for, and what that was called with, for reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["describe"]

_Described = tuple[str, tuple[Any, ...]]

_COUNT_STAGES: Final = ("$match", "$skip", "$limit", "$group")


def describe(name: str, command: Mapping[str, Any]) -> _Described:
    """The method's name and its arguments, such as `("find_one", ({"_id": 7},))`.

    Args:
        name: The command's name.
        command: The command.
    """
    tell = _TELLING.get(name)
    if tell is not None:
        return tell(command)
    return _METHODS.get(name, name), ()


def _find(command: Mapping[str, Any]) -> _Described:
    filter = command.get("filter") or {}
    projection = command.get("projection")
    told = (filter, projection) if projection else (filter,) if filter else ()
    limit = command.get("limit")
    is_one = limit in (1, -1) and (command.get("singleBatch") or limit == -1)
    if is_one:
        return "find_one", told
    return "find", told


def _aggregate(command: Mapping[str, Any]) -> _Described:
    pipeline = command.get("pipeline") or []
    if _is_count(pipeline):
        return "count_documents", (pipeline[0]["$match"],)
    return "aggregate", (pipeline,)


def _is_count(pipeline: Any) -> bool:
    """Whether it is what drivers send for `count_documents`."""
    if not isinstance(pipeline, list) or not all(isinstance(s, Mapping) for s in pipeline):
        return False
    names = [next(iter(stage), "") for stage in pipeline]
    return (
        names[:1] == ["$match"]
        and names[-1:] == ["$group"]
        and all(name in _COUNT_STAGES for name in names)
        and pipeline[-1]["$group"] == {"_id": 1, "n": {"$sum": 1}}
    )


def _distinct(command: Mapping[str, Any]) -> _Described:
    query = command.get("query")
    return "distinct", (command["key"], query) if query else (command["key"],)


def _insert(command: Mapping[str, Any]) -> _Described:
    documents = command["documents"]
    if len(documents) == 1:
        return "insert_one", (dict(documents[0]),)
    return "insert_many", ([dict(document) for document in documents],)


def _update(command: Mapping[str, Any]) -> _Described:
    statements = command["updates"]
    if len(statements) != 1:
        return "bulk_write", tuple(statement["q"] for statement in statements)
    [statement] = statements
    update = statement["u"]
    is_replacement = isinstance(update, Mapping) and not any(key[:1] == "$" for key in update)
    method = "replace_one" if is_replacement else "update_one"
    return "update_many" if statement.get("multi") else method, (statement["q"], update)


def _delete(command: Mapping[str, Any]) -> _Described:
    statements = command["deletes"]
    if len(statements) != 1:
        return "bulk_write", tuple(statement["q"] for statement in statements)
    [statement] = statements
    return "delete_one" if statement["limit"] else "delete_many", (statement["q"],)


def _find_and_modify(command: Mapping[str, Any]) -> _Described:
    query = command.get("query") or {}
    if command.get("remove"):
        return "find_one_and_delete", (query,)
    update = command.get("update")
    is_replacement = isinstance(update, Mapping) and not any(key[:1] == "$" for key in update)
    method = "find_one_and_replace" if is_replacement else "find_one_and_update"
    return method, (query, update)


def _create_indexes(command: Mapping[str, Any]) -> _Described:
    keys = [index.get("key") for index in command["indexes"]]
    return ("create_index", (keys[0],)) if len(keys) == 1 else ("create_indexes", (keys,))


def _rename(command: Mapping[str, Any]) -> _Described:
    """Within a database, drivers take the collection's name alone."""
    database = str(command["renameCollection"]).partition(".")[0]
    to = command.get("to")
    return "rename", (to.removeprefix(f"{database}.") if isinstance(to, str) else to,)


_TELLING: Final[Mapping[str, Callable[[Mapping[str, Any]], _Described]]] = {
    "find": _find,
    "aggregate": _aggregate,
    "distinct": _distinct,
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "findAndModify": _find_and_modify,
    "findandmodify": _find_and_modify,
    "createIndexes": _create_indexes,
    "create": lambda command: ("create_collection", (command["create"],)),
    "dropIndexes": lambda command: ("drop_index", (command.get("index"),)),
    "renameCollection": _rename,
}

_METHODS: Final = {
    "count": "estimated_document_count",
    "dropDatabase": "drop_database",
    "collMod": "command",
}
