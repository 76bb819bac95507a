"""What an update meets in a document that it will change: values it cannot change, and positions.

The library passes over what it cannot change, where a server refuses the update; and it looks for
the element that `$` stands for in its own way. Here the element is found by the library's own
matching, and `$` becomes its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bson import Decimal128
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import filter_for_library
from pytest_replicalag.engines.memory.commands.errors import not_supported, shown
from pytest_replicalag.engines.memory.commands.types import type_name
from pytest_replicalag.engines.memory.library import Library
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_document", "has_position", "looks_at_documents", "with_position"]

_QUIET: Final = ("$unset", "$pull", "$pullAll", "$pop", "$rename")
"""Operators that leave a path alone which is not there."""

_BY_VALUE: Final = ("$inc", "$push", "$addToSet", *_QUIET[1:])
"""Operators that ask for a kind of value."""

_NOT_IN_ARRAYS: Final = ("$unset", "$max", "$min", "$bit")
_LARGEST: Final = 2**63
_MISSING: Final = object()


def looks_at_documents(update: Mapping[str, Any]) -> bool:
    """Whether `check_document` could find anything."""
    return any(
        name in _BY_VALUE or any("." in path for path in fields) for name, fields in update.items()
    )


def check_document(document: Mapping[str, Any], update: Mapping[str, Any]) -> None:
    """Refuse an update that a document does not allow.

    Raises:
        OperationFailure: What a server answers; 115 where the library would do nothing.
    """
    for name, fields in update.items():
        if name == "$setOnInsert":
            continue
        for path, operand in fields.items():
            parent, last = _parent(document, path, name)
            if parent is not _MISSING:
                _check_value(document, parent, last, name, operand)


def _parent(document: Any, path: str, operator: str) -> tuple[Any, str]:
    """What holds the last part of a path, and that part; `_MISSING` if nothing does yet."""
    node, parts = document, path.split(".")
    for number, part in enumerate(parts):
        if part[:1] == "$":
            _check_array(node, ".".join(parts[:number]), parts[number - 1])
            return _MISSING, part
        if not isinstance(node, dict) and not (isinstance(node, list) and part.isdigit()):
            if operator in _QUIET:
                return _MISSING, part
            raise operation_failure(
                28,
                "PathNotViable",
                f"Cannot create field '{part}' in element {{{parts[number - 1]}: {shown(node)}}}",
            )
        if number == len(parts) - 1:
            return node, part
        node = _child(node, part)
        if node is _MISSING and parts[number + 1][:1] != "$":
            break
    return _MISSING, parts[-1]


def _check_array(node: Any, path: str, name: str) -> None:
    if node is _MISSING:
        message = f"The path '{path}' must exist in the document in order to apply array updates."
        raise _bad(message)
    if not isinstance(node, list):
        raise _bad(f"Cannot apply array updates to non-array element {name}: {shown(node)}")


def _child(node: Any, part: str) -> Any:
    if isinstance(node, dict):
        return node.get(part, _MISSING)
    return node[int(part)] if int(part) < len(node) else _MISSING


def _check_value(
    document: Mapping[str, Any], parent: Any, last: str, operator: str, operand: Any
) -> None:
    if isinstance(parent, list) and operator in _NOT_IN_ARRAYS:
        raise not_supported(f"{operator} of an element of an array")
    if isinstance(parent, list) and operator == "$rename":
        raise _bad("The source field cannot be an array element")
    value = _child(parent, last)
    if value is _MISSING:
        return
    if operator == "$inc":
        _check_sum(document, last, value, operand)
    elif operator in ("$push", "$addToSet", "$pop", "$pull", "$pullAll"):
        _check_is_array(document, last, value, operator)


def _check_sum(document: Mapping[str, Any], name: str, value: Any, amount: Any) -> None:
    if isinstance(value, Decimal128) or isinstance(amount, Decimal128):
        raise not_supported("$inc of or by a decimal")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise operation_failure(
            14,
            "TypeMismatch",
            f"Cannot apply $inc to a value of non-numeric type. {{_id: {shown(document['_id'])}}} "
            f"has the field '{name}' of non-numeric type {type_name(value)}",
        )
    if isinstance(value, int) and isinstance(amount, int):
        total = int(value) + int(amount)
        if not -_LARGEST <= total < _LARGEST:
            raise _bad(
                f"Failed to apply $inc operations to current value ((NumberLong){value}) for "
                f"document {{_id: {shown(document['_id'])}}}"
            )


def _check_is_array(document: Mapping[str, Any], name: str, value: Any, operator: str) -> None:
    if isinstance(value, list):
        return
    kind = type_name(value)
    if operator == "$pop":
        message = f"Path '{name}' contains an element of non-array type '{kind}'"
        raise operation_failure(14, "TypeMismatch", message)
    if operator == "$push":
        raise _bad(
            f"The field '{name}' must be an array but is of type {kind} in document "
            f"{{_id: {shown(document['_id'])}}}"
        )
    if operator == "$addToSet":
        raise _bad(
            f"Cannot apply $addToSet to non-array field. Field named '{name}' has non-array type "
            f"{kind}"
        )
    raise _bad("Cannot apply $pull to a non-array value")


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)


# -- positions -----------------------------------------------------------------------------------


def has_position(update: Mapping[str, Any]) -> bool:
    """Whether a path has the positional operator `$`."""
    return any("$" in path.split(".") for fields in update.values() for path in fields)


def with_position(
    library: Library, filter: Mapping[str, Any], document: Any, update: Mapping[str, Any]
) -> dict[str, Any]:
    """An update with the number of an element in place of `$`.

    Args:
        library: Its matching tells which element it is.
        filter: The filter, as the command has it.
        document: One that it matches.
        update: The update.

    Raises:
        OperationFailure: Error 2: the filter has no match in that array; 115: it has several
            conditions on it, of which a server takes one.
    """
    found: dict[str, Any] = {}
    for name, fields in update.items():
        found[name] = own = {}
        for path, operand in fields.items():
            parts = path.split(".")
            if "$" in parts:
                place = parts.index("$")
                array = ".".join(parts[:place])
                parts[place] = str(_position(library, filter, document, array))
            own[".".join(parts)] = operand
    return found


def _position(library: Library, filter: Mapping[str, Any], document: Any, path: str) -> int:
    conditions = list(_conditions(filter, path))
    if len(conditions) > 1:
        raise not_supported("the positional operator with several conditions on its array")
    elements: Any = document
    for part in path.split("."):
        elements = elements.get(part) if isinstance(elements, Mapping) else None
    if conditions and isinstance(elements, list):
        [(rest, condition)] = conditions
        wanted = filter_for_library({f"element{rest}": condition})
        for number, element in enumerate(elements):
            if library.filter_applies(wanted, {"element": [element]}):
                return number
    raise _bad("The positional operator did not find the match needed from the query.")


def _conditions(filter: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The conditions on an array: the rest of each one's path, and what it asks."""
    for name, condition in filter.items():
        if name == "$and":
            for one in condition:
                yield from _conditions(one, path)
        elif name in ("$or", "$nor") and path in str(condition):
            raise not_supported(f"the positional operator with a condition in {name}")
        elif name == path or name.startswith(f"{path}."):
            yield name[len(path) :], condition
