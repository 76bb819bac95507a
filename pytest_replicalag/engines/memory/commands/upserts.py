"""The document that an upsert begins with: what its filter says for certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import Regex

from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["seed"]


def seed(filter: Mapping[str, Any], *, only_key: bool) -> dict[str, Any]:
    """The fields that must be as the filter says; `_id` first.

    Args:
        filter: The filter.
        only_key: Whether only `_id` counts, for the update replaces the document.

    Raises:
        OperationFailure: 54, the filter contradicts itself.
    """
    found: dict[str, Any] = {}
    for path, value in _equalities(filter):
        if only_key and path.partition(".")[0] != "_id":
            continue
        if path in found:
            raise _not_single(f"path '{path}' is matched twice")
        for other in found:
            if path.startswith(f"{other}.") or other.startswith(f"{path}."):
                longer, shorter = (path, other) if len(path) > len(other) else (other, path)
                raise _not_single(f"both paths '{longer}' and '{shorter}' are matched")
        found[path] = value
    document: dict[str, Any] = {}
    for path in sorted(found, key=lambda path: (path.partition(".")[0] != "_id", path)):
        *parents, last = path.split(".")
        holder = document
        for name in parents:
            holder = holder.setdefault(name, {})
        holder[last] = found[path]
    return document


def _not_single(what: str) -> Exception:
    message = f"cannot infer query fields to set, {what}"
    return operation_failure(54, "NotSingleValueField", message)


def _equalities(filter: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, wanted in filter.items():
        if name == "$and" or (name == "$or" and len(wanted) == 1):
            for one in wanted:
                yield from _equalities(one)
        elif name[:1] == "$":
            continue
        elif not _has_operators(wanted):
            if not _is_expression(wanted):
                yield name, wanted
        else:
            for operator, argument in wanted.items():
                for value in _values(operator, argument):
                    yield name, value


def _has_operators(wanted: Any) -> bool:
    first = next(iter(wanted), "") if isinstance(wanted, Mapping) else ""
    return first[:1] == "$" and first not in ("$ref", "$id", "$db")


def _is_expression(wanted: Any) -> bool:
    return isinstance(wanted, Regex) or hasattr(wanted, "search")


def _values(operator: str, argument: Any) -> list[Any]:
    """The values that an operator says a field must have."""
    if operator == "$eq":
        return [argument]
    if operator == "$all":
        return [it for it in argument if not _is_expression(it) and not _has_operators(it)]
    if operator == "$in" and len(argument) == 1 and not _is_expression(argument[0]):
        return [argument[0]]
    return []
