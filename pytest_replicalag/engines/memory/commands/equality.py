"""What a filter must equal, compared as a server does.

The library compares by Python's `==`, to which 1 and `True` are alike, documents whatever the order
of their fields, and a `Decimal128` is like no number. So values that these rules touch go into
filters wrapped; their own `==` is asked wherever the library compares a stored value with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from bson import Decimal128

from pytest_replicalag.engines.memory.commands.values import for_filter, for_pipeline

__all__ = ["filter_for_library", "is_alike", "stages_for_library"]

_Number = (int, float, Decimal128)


def is_alike(one: Any, other: Any) -> bool:
    """Whether two values are equal for a server."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, _Number) and isinstance(other, _Number):
        return _is_same_number(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return len(one) == len(other) and all(
            name == other_name and is_alike(value, other_value)
            for (name, value), (other_name, other_value) in zip(
                one.items(), other.items(), strict=True
            )
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_alike, one, other))
    return bool(one == other)


def _is_same_number(one: Any, other: Any) -> bool:
    if isinstance(one, Decimal128) or isinstance(other, Decimal128):
        one, other = map(_decimal, (one, other))
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN is like NaN


def _decimal(value: Any) -> Decimal:
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)


class _Equal:
    """A value of a filter that stored values must equal."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return is_alike(self._value, other._value if isinstance(other, _Equal) else other)

    def __hash__(self) -> int:
        return hash(repr(self._value))

    def __repr__(self) -> str:
        return repr(self._value)


def _wrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return _Equal(value) if isinstance(value, (*_Number, Mapping)) else for_filter(value)


def filter_for_library(filter: Any) -> Any:
    """A filter as the library takes it; checked before."""
    if not isinstance(filter, Mapping):
        return filter
    found: dict[str, Any] = {}
    for name, value in filter.items():
        if name[:1] != "$":
            value, others = _taken_apart(value)
            for operator, conditions in others.items():
                each = [filter_for_library({name: one}) for one in conditions]
                found.setdefault(operator, []).extend(each)
            if others and not value:
                continue
        if name in ("$and", "$or", "$nor"):
            found.setdefault(name, []).extend(filter_for_library(one) for one in value)
        elif name[:1] == "$":
            found[name] = for_pipeline(value)
        elif name == "_id" and not isinstance(value, Mapping):
            found[name] = for_filter(value)  # the store finds it by its key
        elif _may_meet_in_elements(name, value):
            each = [{name: _condition({operator: value[operator]})} for operator in value]
            found.setdefault("$and", []).extend(each)
        else:
            found[name] = _condition(value, is_id=name == "_id")
    return found


def _taken_apart(condition: Any) -> tuple[Any, dict[str, list[Any]]]:
    """A condition, and what must hold, or must not, beside it.

    The library asks `$not` and `$all` of what it finds at a path, and finds nothing in an empty
    array, nor a missing field that is at least null.
    """
    others: dict[str, list[Any]] = {}
    if not isinstance(condition, Mapping) or not _APART & condition.keys():
        return condition, others
    rest: dict[str, Any] = {}
    for name, value in condition.items():
        if name == "$not":
            others.setdefault("$nor", []).append(value)
        elif name == "$exists" and not value:
            others.setdefault("$nor", []).append({"$exists": True})
        elif name == "$all" and value:
            others.setdefault("$and", []).extend(value)
        elif name in ("$gte", "$lte") and value is None:
            others.setdefault("$and", []).append(None)
        else:
            rest[name] = value
    return rest, others


_APART: Final = frozenset({"$not", "$exists", "$all", "$gte", "$lte"})


def _may_meet_in_elements(name: str, condition: Any) -> bool:
    """Whether different elements of an array may meet different operators of a condition.

    To the library it has to be one element, if the path leads through an array of documents.
    """
    return (
        "." in name
        and isinstance(condition, Mapping)
        and len(condition) > 1
        and condition.keys() <= _INDEPENDENT
    )


_INDEPENDENT: Final = frozenset(
    {"$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$nin", "$exists", "$type", "$not", "$all"}
)


def _condition(condition: Any, *, is_id: bool = False) -> Any:
    if not (isinstance(condition, Mapping) and next(iter(condition), "")[:1] == "$"):
        return _wrapped(condition)
    found: dict[str, Any] = for_filter(
        {name: condition[name] for name in _KINDS if name in condition}
    )
    for name, value in condition.items():
        if name in _KINDS:
            continue
        if name in ("$eq", "$ne"):
            by_key = is_id and not isinstance(value, Mapping)  # the store finds it
            found[name] = value if by_key else _wrapped(value)
        elif name == "$all" and not value:
            found["$in"] = []  # matches nothing; the library takes it for everything
        elif name in ("$in", "$nin", "$all"):
            found[name] = [_member(one) for one in value]
        elif name == "$not":
            found[name] = _condition(value) if isinstance(value, Mapping) else for_filter(value)
        elif name == "$elemMatch":
            is_condition = next(iter(value), "")[:1] == "$" and next(iter(value)) not in (
                "$and", "$or", "$nor", "$expr",
            )  # fmt: skip
            found[name] = _condition(value) if is_condition else filter_for_library(value)
        else:
            found[name] = for_filter(value)
    return found


_KINDS = ("$type", "$size")


def _member(value: Any) -> Any:
    is_element_match = isinstance(value, Mapping) and "$elemMatch" in value
    return _condition(value) if is_element_match else _wrapped(value)


_NULL: Final = {"$literal": None}


def stages_for_library(stages: Any) -> Any:
    """A pipeline as the library takes it; checked before."""
    return [own for stage in stages for own in _stage(stage)]


def _stage(stage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages that a stage is for the library."""
    [(name, value)] = stage.items()
    if name == "$match":
        return [{name: filter_for_library(value)}]
    if name == "$count":  # the library counts what is not there, too
        return [{"$group": {"_id": _NULL, value: {"$sum": 1}}}, {"$project": {"_id": 0}}]
    if name == "$group" and value.get("_id", _NULL) is None:  # and it groups what is not there
        return [{name: {**for_pipeline(value), "_id": _NULL}}]
    if name == "$facet":
        return [{name: {key: stages_for_library(inner) for key, inner in value.items()}}]
    if name in ("$lookup", "$unionWith") and isinstance(value, Mapping) and "pipeline" in value:
        rest = {key: item for key, item in value.items() if key != "pipeline"}
        return [{name: {**for_pipeline(rest), "pipeline": stages_for_library(value["pipeline"])}}]
    if name in ("$set", "$addFields") and isinstance(value, Mapping):
        value = dict(_fields("", value))
    return [{name: for_pipeline(value)}]


def _fields(path: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields that a stage sets; those of a document in it are set in the one that there is."""
    for name, item in value.items():
        is_document = isinstance(item, Mapping) and item and next(iter(item))[:1] != "$"
        if is_document:
            yield from _fields(f"{path}{name}.", item)
        else:
            yield f"{path}{name}", item
