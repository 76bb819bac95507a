"""What a find returns of each document: what a server, or the engine, refuses to return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import Decimal128
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.operators import EXPRESSIONS, check_filter
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["is_plain", "projected", "projection_of"]


def projection_of(projection: Any) -> Any:
    """A projection as the library takes it; None without one.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    if not projection:
        return None
    found: dict[str, Any] = {}
    for path, value in projection.items():
        _check_path(path)
        _check_collision(path, found)
        found[path] = _specified(path, value)
    _check_kinds(found)
    return found


def _check_path(path: str) -> None:
    if path.endswith(".$"):
        raise not_supported("the positional operator in a projection")
    if not path:
        raise _located(40352, "FieldPath cannot be constructed with empty string")
    if path.endswith("."):
        raise _located(40353, "FieldPath must not end with a '.'.")
    for part in path.split("."):
        if not part:
            raise _located(15998, "FieldPath field names may not be empty strings.")
        if part[:1] == "$":
            raise _located(
                16410,
                "FieldPath field names may not start with '$'. Consider using $getField or "
                "$setField.",
            )


def _check_collision(path: str, others: Mapping[str, Any]) -> None:
    for other in others:
        if path.startswith(f"{other}."):
            rest = path.partition(".")[2]
            raise _located(31249, f"Path collision at {path} remaining portion {rest}")
        if other.startswith(f"{path}."):
            raise _located(31250, f"Path collision at {path}")


def _specified(path: str, value: Any) -> Any:
    """What the projection says of a path; 0 and 1 for whatever number or boolean."""
    if isinstance(value, Decimal128):
        return int(bool(value.to_decimal()))
    if isinstance(value, (bool, int, float)):
        return int(bool(value))
    if isinstance(value, str) and value[:1] == "$":
        if path == "_id" or "." in path:
            raise not_supported(f"the expression of {path} in a projection")
        return value
    if not isinstance(value, Mapping):
        raise not_supported(f"a {type_name(value)} in a projection")
    if not value:
        raise _located(
            51270, "An empty sub-projection is not a valid value. Found empty object at path"
        )
    [name, *others] = value
    if others or name not in ("$slice", "$elemMatch"):
        if name[:1] == "$" and not others and name not in EXPRESSIONS and name != "$meta":
            raise _located(31325, f"Unknown expression {name}")
        raise not_supported(f"the expression of {path} in a projection")
    if name == "$elemMatch":
        _check_element(path, value[name])
    return value


def _check_element(path: str, condition: Any) -> None:
    if "." in path:
        raise _located(31275, "Cannot use $elemMatch projection on a nested field.")
    if not isinstance(condition, Mapping):
        found = type_name(condition)
        raise _located(31274, f"elemMatch: Invalid argument, object required, but got {found}")
    check_filter(condition)


def _check_kinds(projection: Mapping[str, Any]) -> None:
    """Refuse including and excluding in one, and what the library takes for including."""
    fields = {path: value for path, value in projection.items() if path != "_id"}
    kinds = [path for path, value in fields.items() if not isinstance(value, Mapping)]
    includes = bool(kinds) and bool(fields[kinds[0]])
    for path in kinds:
        value = fields[path]
        if isinstance(value, str):
            if not includes:
                told = f"{path}: {shown(value)}"
                message = f"Cannot use an expression {told} in an exclusion projection"
                raise _located(31310, message)
        elif bool(value) != includes:
            message = (
                f"Cannot do exclusion on field {path} in inclusion projection"
                if includes
                else f"Cannot do inclusion on field {path} in exclusion projection"
            )
            raise _located(31254 if includes else 31253, message)
    if not includes and any(
        isinstance(value, Mapping) and "$slice" in value for value in fields.values()
    ):
        raise not_supported("$slice in a projection that includes no other field")


# -- including and excluding -----------------------------------------------------------------------


def is_plain(projection: Mapping[str, Any]) -> bool:
    """Whether it only includes, or excludes, fields.

    The library drops values from excluded paths, cannot look into arrays of other things than
    documents, and has an order of fields of its own.
    """
    return all(value in (0, 1) for value in projection.values())


def projected(document: Mapping[str, Any], projection: Mapping[str, Any]) -> dict[str, Any]:
    """What a plain projection leaves of a document; parts of it are the document's own."""
    paths = [path for path in projection if path != "_id"]
    includes = bool(projection[paths[0] if paths else "_id"])
    if includes == bool(projection.get("_id", 1)):
        paths.append("_id")
    tree: dict[str, Any] = {}
    for path in paths:
        *above, last = path.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = None
    found: dict[str, Any] = (_included if includes else _excluded)(document, tree)
    return found


def _included(value: Any, tree: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_included(one, tree) for one in value if isinstance(one, (Mapping, list))]
    found = {}
    for name, item in value.items():
        if name not in tree:
            continue
        below = tree[name]
        if below is None:
            found[name] = item
        elif isinstance(item, (Mapping, list)):
            found[name] = _included(item, below)
    return found


def _excluded(value: Any, tree: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_excluded(one, tree) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {}
    for name, item in value.items():
        below = tree.get(name, _KEPT)
        if below is not None:
            found[name] = item if below is _KEPT else _excluded(item, below)
    return found


_KEPT: Final = object()


def _located(code: int, message: str) -> OperationFailure:
    return operation_failure(code, f"Location{code}", message)
