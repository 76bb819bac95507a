"""`let`: variables of a command, put in place of their names: a filter of the library has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Variables", "in_filter", "in_pipeline", "variables_of"]

Variables = Mapping[str, Any]
"""Their values by their names."""


def variables_of(command: Mapping[str, Any]) -> Variables:
    """The variables of a command.

    Raises:
        OperationFailure: A name or a value that a server refuses; or a value that would have to be
            computed (115).
    """
    return {name: _value(name, value) for name, value in (command.get("let") or {}).items()}


def _value(name: str, value: Any) -> Any:
    if not name[:1].islower():
        raise operation_failure(
            9,
            "FailedToParse",
            f"Invalid 'let' parameter :: caused by :: '{name}' starts with an invalid character "
            "for a user variable name",
        )
    if isinstance(value, Mapping) and list(value) in (["$literal"], ["$const"]):
        return next(iter(value.values()))
    _check_constant(value)
    return value


def _check_constant(value: Any) -> None:
    if isinstance(value, Mapping):
        if any(key[:1] == "$" for key in value):
            raise not_supported("an expression in let")
        for inside in value.values():
            _check_constant(inside)
    elif isinstance(value, list):
        for inside in value:
            _check_constant(inside)
    elif isinstance(value, str) and value[:2] == "$$":
        raise not_supported("a variable in let")
    elif isinstance(value, str) and value[:1] == "$":
        raise operation_failure(
            4890500,
            "Location4890500",
            "Command let Expression tried to access a field, but this is not allowed because "
            "Command let Expressions run before the query examines any documents.",
        )


def in_filter(filter: Any, variables: Variables) -> Any:
    """A filter with values in place of variables, which only `$expr` can have."""
    if isinstance(filter, Mapping):
        return {
            name: in_pipeline(value, variables) if name == "$expr" else in_filter(value, variables)
            for name, value in filter.items()
        }
    if isinstance(filter, list):
        return [in_filter(one, variables) for one in filter]
    return filter


def in_pipeline(value: Any, variables: Variables) -> Any:
    """A pipeline, or an expression, with values in place of variables.

    Raises:
        OperationFailure: Error 115: something in it gives the same name to a variable of its own.
    """
    if isinstance(value, str):
        return _replaced(value, variables) if value[:2] == "$$" else value
    if isinstance(value, list):
        return [in_pipeline(one, variables) for one in value]
    if not isinstance(value, Mapping):
        return value
    own = {value.get("as")} if isinstance(value.get("as"), str) else set()
    for names in (value.get("vars"), value.get("let")):
        own |= set(names) if isinstance(names, Mapping) else set()
    if own & variables.keys():
        raise not_supported("a variable of the same name as one of let")
    return {
        name: in_filter(inside, variables)
        if name == "$match"
        else inside
        if name in ("$literal", "$const")
        else in_pipeline(inside, variables)
        for name, inside in value.items()
    }


def _replaced(text: str, variables: Variables) -> Any:
    name, *path = text[2:].split(".")
    if name not in variables:
        return text
    value = variables[name]
    for part in path:
        if not isinstance(value, Mapping):
            raise not_supported(f"the path {text} into a variable of let")
        if part not in value:
            return "$$REMOVE"
        value = value[part]
    return {"$literal": value}
