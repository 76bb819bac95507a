"""What an update comes to for one document, in words that the library gets right.

The library checks no way through a document, knows no types of numbers, and finds positions in
arrays in its own way. So each operator's path is followed here first: what a server refuses is
refused, positional parts become plain indexes, and a result that the library would get wrong is
worked out and handed over as a `$set`. What then changes the document is the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import is_alike
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.identities import identity_of
from pytest_replicalag.engines.memory.commands.numbers import ABSENT, changed
from pytest_replicalag.engines.memory.commands.positions import Positions
from pytest_replicalag.engines.memory.documents import is_same
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Target", "target_of"]

_MOST_NULLS: Final = 1_500_000
_MAKING: Final = frozenset(
    {"$addToSet", "$bit", "$currentDate", "$inc", "$max", "$min", "$mul", "$push", "$set"}
)
_STRICT: Final = frozenset({"$pop", "$pull", "$pullAll"})


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be done to one document.

    Attributes:
        update: The update as the library takes it; empty if it changes nothing.
        retypes: Whether it gives a value only another type, or fields another order, which the
            library does not count as a change.
    """

    update: dict[str, dict[str, Any]]
    retypes: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads to.

    Attributes:
        path: The path.
        value: What is there, or `ABSENT`.
        missing: How many of its last parts are missing below an element that an array does not
            have, which the library cannot make; 0 if it can.
        in_array: Whether it is an element of an array.
    """

    path: str
    value: Any
    missing: int
    in_array: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def target_of(
    update: Mapping[str, Any],
    document: Mapping[str, Any],
    positions: Positions,
    compare: Callable[[Any, Any], bool],
    *,
    inserts: bool = False,
) -> Target:
    """What an update comes to for a document.

    Args:
        update: Its operators; checked.
        document: The stored document, or the one that an upsert begins with.
        positions: What positional parts of paths mean.
        compare: Whether a value comes before another in BSON's order.
        inserts: Whether the document is about to be inserted.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    found: dict[str, dict[str, Any]] = {}
    retypes = False
    changes = [
        (path, "$set" if name == "$setOnInsert" else name, argument)
        for name, fields in update.items()
        if inserts or name != "$setOnInsert"
        for path, argument in fields.items()
    ]
    for path, name, argument in sorted(changes, key=_in_order) if len(changes) > 1 else changes:
        for one in positions.resolve(path, document) if "$" in path else (path,):
            operator, where, value = _applied(name, one, argument, document, compare)
            if operator == "$set" and not inserts:
                retypes = retypes or _retypes(document, where, value)
            if operator is not None:
                _check_once(found, where, "$" in path)
                found.setdefault(operator, {})[where] = value
    return Target(found, retypes)


def _check_once(found: Mapping[str, Mapping[str, Any]], path: str, is_resolved: bool) -> None:
    """Refuse a path that positional paths have led to before."""
    if is_resolved and any(path in fields for fields in found.values()):
        message = f"Update created a conflict at '{path}'"
        raise operation_failure(40, "ConflictingUpdateOperators", message)


def _in_order(change: tuple[str, str, Any]) -> list[tuple[int, int, str]]:
    """A server makes fields in the order of their names, numbers as numbers."""
    path = change[0]
    if "." not in path and not path.isdecimal():
        return [(1, 0, path)]
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in path.split(".")]


def _applied(
    name: str,
    path: str,
    argument: Any,
    document: Mapping[str, Any],
    compare: Callable[[Any, Any], bool],
) -> tuple[str | None, str, Any]:
    """One operator at one path: operator, path and argument for the library; None for nothing."""
    if name == "$set" and "." not in path and path != "_id":
        return name, path, argument
    if name == "$rename":
        _check_rename(document, path, argument)
        return name, path, argument
    place = _find(document, path, name)
    if place is None:
        return None, path, None
    if name == "$unset" and place.in_array:  # the other elements stay where they are
        operator, value = ("$set", None) if place.value is not ABSENT else (None, None)
    elif name in _STRICT or name in ("$push", "$addToSet"):
        operator, value = _on_array(name, place, argument, document)
    else:
        operator, value = changed(name, place.value, argument, place.name, document, compare)
    _check_key(document, path, operator, value)
    if place.missing and operator == "$set":
        parts = path.split(".")
        made: Any = value
        for part in reversed(parts[-place.missing :]):
            made = {part: made}
        return operator, ".".join(parts[: -place.missing]), made
    if place.missing and operator is not None:
        raise not_supported(f"{name} below an element that an array does not have")
    return operator, path, value


def _check_key(document: Mapping[str, Any], path: str, operator: str | None, value: Any) -> None:
    """Refuse a change of the `_id`."""
    if path != "_id" and path[:4] != "_id.":
        return
    if "_id" not in document or operator is None:
        return
    if operator == "$set" and path == "_id" and is_same({"": document["_id"]}, {"": value}):
        return
    raise operation_failure(
        66,
        "ImmutableField",
        f"Performing an update on the path '{path}' would modify the immutable field '_id'",
    )


def _retypes(document: Mapping[str, Any], path: str, value: Any) -> bool:
    """Whether a value takes the place of one that is another, but not for Python."""
    if type(value) is str:
        return False
    old = value_at(document, path.split("."))
    return old is not ABSENT and bool(old == value) and not is_same({"": old}, {"": value})


# -- ways through a document -----------------------------------------------------------------------


def _find(document: Mapping[str, Any], path: str, name: str) -> _Place | None:
    """The place that a path leads to; None if it leads nowhere, and nothing is made there.

    Raises:
        OperationFailure: 28, the way leads through something else than documents and arrays.
    """
    parts = path.split(".")
    holder: Any = document
    for depth, part in enumerate(parts):
        if not isinstance(holder, Mapping) and not (isinstance(holder, list) and part.isdecimal()):
            if name not in _MAKING and name not in _STRICT:
                return None
            raise _not_viable(name, path, part, parts[depth - 1], holder)
        is_last = depth == len(parts) - 1
        value = _child(holder, part)
        in_array = isinstance(holder, list)
        if in_array and value is ABSENT and name in _MAKING:
            if int(part) - len(holder) >= _MOST_NULLS:
                message = f"can't backfill more than {_MOST_NULLS} elements"
                raise operation_failure(34, "CannotBackfillArray", message)
            return _Place(path, ABSENT, len(parts) - 1 - depth, in_array)
        if is_last:
            return _Place(path, value, 0, in_array)
        if value is ABSENT:
            return _Place(path, ABSENT, 0, in_array=False) if name in _MAKING else None
        holder = value
    return None


def _child(holder: Any, part: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(part, ABSENT)
    if isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
        return holder[int(part)]
    return ABSENT


def value_at(document: Any, parts: list[str]) -> Any:
    """The value at a path, or `ABSENT`; numbers are indexes."""
    for part in parts:
        document = _child(document, part)
        if document is ABSENT:
            break
    return document


def _not_viable(name: str, path: str, part: str, above: str, holder: Any) -> OperationFailure:
    where = f"{{{above}: {shown(holder)}}}"
    if name in _MAKING:
        message = f"Cannot create field '{part}' in element {where}"
    else:
        message = f"Cannot use the part ({part}) of ({path}) to traverse the element ({where})"
    return operation_failure(28, "PathNotViable", message)


def _check_rename(document: Mapping[str, Any], source: str, target: str) -> None:
    for side, path in (("source", source), ("destination", target)):
        parts, holder = path.split("."), document
        for depth in range(1, len(parts)):
            holder = _child(holder, parts[depth - 1])
            if isinstance(holder, list):
                raise _bad(
                    f"The {side} field cannot be an array element, '{path}' in doc with _id: "
                    f"{shown(document.get('_id'))} has an array field called '{parts[depth - 1]}'"
                )
            if holder is ABSENT:
                break
            if side == "source" and not isinstance(holder, Mapping):
                above = parts[depth - 1]
                raise operation_failure(
                    28,
                    "PathNotViable",
                    f"cannot use the part ({above} of {path}) to traverse the element "
                    f"({{{above}: {shown(holder)}}})",
                )
    if value_at(document, source.split(".")) is not ABSENT:
        _check_key(document, source, "$unset", None)
        _check_key(document, target, "$rename", None)
        _find(document, target, "$set")


# -- arrays ----------------------------------------------------------------------------------------


def _on_array(
    name: str, place: _Place, argument: Any, document: Mapping[str, Any]
) -> tuple[str | None, Any]:
    value = place.value
    if value is ABSENT:
        if name == "$addToSet":
            return "$set", _with_members([], argument)
        return (None if name in _STRICT else name), argument
    if isinstance(value, list):
        if name == "$addToSet":
            return "$set", _with_members(value, argument)
        return name, argument
    kind = type_name(value)
    if name == "$push":
        raise _bad(
            f"The field '{place.path}' must be an array but is of type {kind} in document "
            f"{identity_of(document)}"
        )
    if name == "$addToSet":
        raise _bad(
            f"Cannot apply $addToSet to non-array field. Field named '{place.name}' has non-array "
            f"type {kind}"
        )
    if name == "$pop":
        message = f"Path '{place.path}' contains an element of non-array type '{kind}'"
        raise operation_failure(14, "TypeMismatch", message)
    raise _bad("Cannot apply $pull to a non-array value")


def _with_members(array: list[Any], argument: Any) -> list[Any]:
    """An array with the members that it has not yet."""
    is_each = isinstance(argument, Mapping) and next(iter(argument), "") == "$each"
    found = list(array)
    for one in argument["$each"] if is_each else [argument]:
        if not any(is_alike(one, member) for member in found):
            found.append(one)
    return found


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)
