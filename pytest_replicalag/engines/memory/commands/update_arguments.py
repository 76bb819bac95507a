"""What the arguments of update operators must be, told without a document.

The library finds out some of it when it applies an update, and some of it never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.operators import CONDITIONS, check_filter
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["ARGUMENTS"]

_CLAUSES: Final = ("$each", "$slice", "$sort", "$position")


def _any(_: str, __: Any) -> None:
    """Any argument will do."""


def _number(verb: str) -> Callable[[str, Any], None]:
    def check(field: str, argument: Any) -> None:
        if type_name(argument) not in NUMBER:
            message = f"Cannot {verb} with non-numeric argument: {{{field}: {shown(argument)}}}"
            raise operation_failure(14, "TypeMismatch", message)

    return check


def _date(_: str, argument: Any) -> None:
    if isinstance(argument, bool):
        return
    if not isinstance(argument, Mapping):
        raise _bad(
            f"{type_name(argument)} is not valid type for $currentDate. Please use a boolean "
            "('true') or a $type expression ({$type: 'timestamp/date'})."
        )
    for name, wanted in argument.items():
        if name != "$type":
            raise _bad(f"Unrecognized $currentDate option: {name}")
        if wanted not in ("date", "timestamp"):
            raise _bad(
                "The '$type' string field is required to be 'date' or 'timestamp': "
                "{$currentDate: {field : {$type: 'date'}}}"
            )


def _bits(_: str, argument: Any) -> None:
    if not isinstance(argument, Mapping):
        raise _bad(
            f"The $bit modifier is not compatible with a {type_name(argument)}. You must pass in "
            "an embedded document: {$bit: {field: {and/or/xor: #}}"
        )
    if not argument:
        raise _bad(
            "You must pass in at least one bitwise operation. The format is: "
            "{$bit: {field: {and/or/xor: #}}"
        )
    for name, number in argument.items():
        if name not in ("and", "or", "xor"):
            raise _bad(
                "The $bit modifier only supports 'and', 'or', and 'xor', not "
                f"'{name}' which is an unknown operator: {{{name}: {shown(number)}}}"
            )
        if type_name(number) not in ("int", "long"):
            raise _bad(
                "The $bit modifier field must be an Integer(32/64 bit); a "
                f"'{type_name(number)}' is not supported here: {{{name}: {shown(number)}}}"
            )


def _push(_: str, argument: Any) -> None:
    if not isinstance(argument, Mapping) or "$each" not in argument:
        return
    each = argument["$each"]
    if not isinstance(each, list):
        raise _bad(
            f"The argument to $each in $push must be an array but it was of type: {type_name(each)}"
        )
    for name in argument:
        if name not in _CLAUSES:
            raise _bad(f"Unrecognized clause in $push: {name}")
    for name, message in (
        ("$slice", "The value for $slice must be an integer value but was given type: "),
        ("$position", "The value for $position must be an integer value, not of type: "),
    ):
        if name in argument and not _is_whole(argument[name]):
            raise _bad(message + type_name(argument[name]))
    if "$sort" in argument:
        _sort(argument["$sort"])
        if isinstance(argument["$sort"], Mapping) and len(argument["$sort"]) > 1:
            raise not_supported("$sort of several fields in $push")


def _is_whole(value: Any) -> bool:
    return type_name(value) in ("int", "long") or (isinstance(value, float) and value.is_integer())


def _sort(sort: Any) -> None:
    if isinstance(sort, Mapping):
        if not sort:
            raise _bad("The sort pattern is empty when it should be a set of fields.")
        for field, direction in sort.items():
            if direction not in (1, -1) or isinstance(direction, bool):
                raise _bad("The sort element value must be either 1 or -1")
            if not all(field.split(".")):
                message = f"The $sort field is a dotted field but has an empty part: {field}"
                raise _bad(message if field else "The $sort field cannot be empty")
    elif type_name(sort) not in NUMBER:
        raise _bad(
            "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort "
            "embedded fields"
        )
    elif sort not in (1, -1):
        raise _bad("The $sort element value must be either 1 or -1")


def _add_to_set(_: str, argument: Any) -> None:
    if not isinstance(argument, Mapping) or next(iter(argument), "") != "$each":
        return
    each = argument["$each"]
    if not isinstance(each, list):
        message = "The argument to $each in $addToSet must be an array but it was of type "
        raise operation_failure(14, "TypeMismatch", message + type_name(each))
    if len(argument) > 1:
        raise _bad(f"Found unexpected fields after $each in $addToSet: {shown(argument)}")


def _pop(field: str, argument: Any) -> None:
    if type_name(argument) not in NUMBER:
        message = f"Expected a number in: {field}: {shown(argument)}"
        raise operation_failure(9, "FailedToParse", message)
    if argument not in (1, -1):
        message = f"$pop expects 1 or -1, found: {shown(argument)}"
        raise operation_failure(9, "FailedToParse", message)


def _pull(_: str, argument: Any) -> None:
    if isinstance(argument, Mapping):
        asks_elements = next(iter(argument), "") in CONDITIONS
        check_filter({"": argument} if asks_elements else argument)


def _pull_all(_: str, argument: Any) -> None:
    if not isinstance(argument, list):
        raise _bad(f"$pullAll requires an array argument but was given a {type_name(argument)}")


def _rename(field: str, target: Any) -> None:
    what = f"{field}: {shown(target)}"
    if not isinstance(target, str):
        raise _bad(f"The 'to' field for $rename must be a string: {what}")
    if field == target:
        raise _bad(f"The source and target field for $rename must differ: {what}")
    for side, path in (("source", field), ("destination", target)):
        if any(part == "$" or part[:2] == "$[" for part in path.split(".")):
            raise _bad(f"The {side} field for $rename may not be dynamic: {path}")
    if f"{target}.".startswith(f"{field}.") or f"{field}.".startswith(f"{target}."):
        raise _bad(f"The source and target field for $rename must not be on the same path: {what}")


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)


ARGUMENTS: Final[Mapping[str, Callable[[str, Any], None]]] = {
    "$set": _any,
    "$setOnInsert": _any,
    "$unset": _any,
    "$inc": _number("increment"),
    "$mul": _number("multiply"),
    "$min": _any,
    "$max": _any,
    "$currentDate": _date,
    "$bit": _bits,
    "$push": _push,
    "$addToSet": _add_to_set,
    "$pop": _pop,
    "$pull": _pull,
    "$pullAll": _pull_all,
    "$rename": _rename,
}
"""What refuses an operator's argument at a path, by the operator's name."""
