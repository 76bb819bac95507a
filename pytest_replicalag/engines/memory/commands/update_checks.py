"""What a server refuses of an update before it looks at a document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import filter_for_library
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.operators import check_filter, check_pipeline
from pytest_replicalag.engines.memory.commands.update_arguments import ARGUMENTS
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import type_name, wrong_type
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["array_filters_of", "check_kind", "check_update"]

_STAGES: Final = ("$addFields", "$set", "$project", "$unset", "$replaceRoot", "$replaceWith")
_NAME: Final = re.compile(r"[a-z][a-zA-Z0-9]*$")


def check_kind(update: Any) -> None:
    """Refuse what is no update at all, or a pipeline that is none: the whole command fails.

    Raises:
        OperationFailure: What a server answers.
    """
    if isinstance(update, list):
        check_pipeline(update)
    elif not isinstance(update, Mapping):
        raise _failed("Update argument must be either an object or an array")


def check_update(update: Any, *, multi: bool) -> None:
    """Refuse an update that a server refuses, of the right kind.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    if isinstance(update, list):
        for stage in update:
            name = next(iter(stage))
            if name not in _STAGES:
                message = f"{name} is not allowed to be used within an update"
                raise operation_failure(72, "InvalidOptions", message)
        return
    names = list(update)
    dollar = next((name for name in names if name[:1] == "$"), None)
    if dollar is None:
        if multi:
            raise _failed("multi update is not supported for replacement-style update")
        return
    if names[0][:1] != "$":
        raise _dollar_prefixed(dollar)
    for name, fields in update.items():
        _check_operator(name, fields)
    _check_conflicts(update)


def _check_operator(name: str, fields: Any) -> None:
    check = ARGUMENTS.get(name)
    if check is None:
        raise _failed(
            f"Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update "
            "specified as an array"
        )
    if not isinstance(fields, Mapping):
        raise _failed(
            f"Modifiers operate on fields but we found type {type_name(fields)} instead. For "
            f"example: {{$mod: {{<field>: ...}}}} not {{{name}: {shown(fields)}}}"
        )
    for path, argument in fields.items():
        _check_path(path)
        check(path, argument)
        if name == "$rename":
            _check_path(argument)


def _check_path(path: str) -> None:
    parts = path.split(".")
    if not all(parts):
        raise operation_failure(
            56,
            "EmptyFieldName",
            f"The update path '{path}' contains an empty field name, which is not allowed."
            if path
            else "An empty update path is not valid.",
        )
    if "$" not in path:
        return
    if parts[0] == "$":
        raise _bad(
            f"Cannot have positional (i.e. '$') element in the first position in path '{path}'"
        )
    if parts[0][:2] == "$[":
        raise _bad(
            "Cannot have array filter identifier (i.e. '$[<id>]') element in the first position "
            f"in path '{path}'"
        )
    if parts.count("$") > 1:
        raise _bad(f"Too many positional (i.e. '$') elements found in path '{path}'")
    if parts[0][:1] == "$":
        raise _dollar_prefixed(parts[0])
    for part in parts:
        if part[:1] == "$" and part != "$" and part[:2] != "$[":
            raise not_supported("updating an embedded field whose name begins with $")


def _check_conflicts(update: Mapping[str, Any]) -> None:
    """Refuse paths of which one is in the other."""
    whole: set[str] = set()
    beginnings: dict[str, set[bool]] = {}
    for path in _paths(update):
        parts = path.split(".")
        upwards = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        conflict = next((one for one in upwards if one in whole), None)
        if conflict is None and path in beginnings:
            conflict = path
        # An array is updated either by filters or by names, not both.
        for above, part in zip(upwards, parts[1:], strict=False):
            kinds = beginnings.setdefault(above, set())
            kinds.add(part[:2] == "$[")
            if len(kinds) > 1 and conflict is None:
                conflict = above
        if conflict is not None:
            raise operation_failure(
                40,
                "ConflictingUpdateOperators",
                f"Updating the path '{path}' would create a conflict at '{conflict}'",
            )
        whole.add(path)


def _paths(update: Mapping[str, Any]) -> Iterator[str]:
    for name, fields in update.items():
        for path, value in fields.items():
            yield path
            if name == "$rename":
                yield value


# -- array filters ---------------------------------------------------------------------------------


def array_filters_of(filters: Any, update: Any) -> dict[str, Any]:
    """The array filters of an update by identifier, as the library takes filters.

    Args:
        filters: The command's `arrayFilters`, or None.
        update: The update, which has to use each.

    Raises:
        OperationFailure: What a server answers, or 115.
    """
    if isinstance(update, list):
        if filters:
            raise _failed("arrayFilters may not be specified for pipeline-style updates")
        return {}
    used = _identifiers(update)
    if not filters and not used:
        return {}
    found: dict[str, Any] = {}
    for place, filter in enumerate(filters or ()):
        name = _identifier_of(filter, place)
        if name in found:
            raise _failed(f"Found multiple array filters with the same top-level field name {name}")
        found[name] = filter_for_library(filter)
    for name in found:
        if name not in used:
            raise _failed(
                f"The array filter for identifier '{name}' was not used in the update "
                f"{shown(update)}"
            )
    for name, path in used.items():
        if name not in found:
            raise _bad(f"No array filter found for identifier '{name}' in path '{path}'")
    return found


def _identifier_of(filter: Any, place: int) -> str:
    if not isinstance(filter, Mapping):
        raise wrong_type(f"update.updates.arrayFilters.{place}", filter, ("object",))
    check_filter(filter)
    names = list(dict.fromkeys(_first_parts(filter)))
    if not names:
        raise _failed("Cannot use an expression without a top-level field name in arrayFilters")
    prefix = "Error parsing array filter :: caused by :: "
    if len(names) > 1:
        expected = "Expected a single top-level field name, found "
        raise _failed(f"{prefix}{expected}'{names[0]}' and '{names[1]}'")
    if not _NAME.match(names[0]):
        raise _bad(
            f"{prefix}The top-level field name must be an alphanumeric string beginning with "
            f"a lowercase letter, found '{names[0]}'"
        )
    return names[0]


def _first_parts(filter: Mapping[str, Any]) -> Iterator[str]:
    """The first parts of the paths in an array filter."""
    for field, wanted in filter.items():
        if field in ("$and", "$or", "$nor"):
            for one in wanted:
                yield from _first_parts(one)
        elif field == "$expr":
            raise not_supported("$expr in arrayFilters")
        else:
            yield field.partition(".")[0]


def _identifiers(update: Mapping[str, Any]) -> dict[str, str]:
    """The identifiers that an update uses, each with the first path that has it."""
    found: dict[str, str] = {}
    for name, fields in update.items():
        if name[:1] != "$":
            continue
        for path in fields:
            for part in path.split(".") if "$[" in path else ():
                if part[:2] == "$[" and part != "$[]":
                    found.setdefault(part[2:-1], path)
    return found


# -- errors ----------------------------------------------------------------------------------------


def _dollar_prefixed(name: str) -> OperationFailure:
    return operation_failure(
        52,
        "DollarPrefixedFieldName",
        f"The dollar ($) prefixed field '{name}' in '{name}' is not allowed in the context of "
        "an update's replacement document. Consider using an aggregation pipeline with "
        "$replaceWith.",
    )


def _failed(message: str) -> OperationFailure:
    return operation_failure(9, "FailedToParse", message)


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)
