"""Refuses commands with fields that a server, or the engine, does not take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.engines.generic_fields import GENERIC
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.fields import COMMANDS, CommandFields
from pytest_replicalag.engines.memory.commands.names import check_names
from pytest_replicalag.engines.types import NUMBER, type_name, whole, wrong_type
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_fields"]

_LARGEST_BATCH: Final = 100_000
_BATCHES: Final = (".documents", ".updates", ".deletes")


_SAID: Final = {"find": "FindCommandRequest"}
"""What a server calls a command in its errors, if not by its name."""

_WORDS: Final = {
    "FindCommandRequest.filter": "Expected field filterto be of type object",
    "FindCommandRequest.projection": "Expected field projectionto be of type object",
    "FindCommandRequest.sort": "Expected field sortto be of type object",
    "aggregate.cursor": "cursor field must be missing or an object",
    "aggregate.pipeline": "'pipeline' option must be specified as an array",
}
"""What a server says of a wrong type where it has words of its own."""


def check_fields(name: str, command: dict[str, Any]) -> None:
    """Refuse what the server, or the engine, does not take.

    What passes has the types that the commands count on: nulls, which are as if they were not
    there, are gone, and numbers are whole ones.

    Args:
        name: The command's name.
        command: The command; changed in place.

    Raises:
        OperationFailure: A name is bad (73), a field is unknown (40415), missing (40414), of a
            wrong type (14), out of range (16, 51024) or not supported (115).
    """
    check_names(name, command)
    _check(_SAID.get(name, name), command, COMMANDS[name], name)
    if name == "aggregate" and "cursor" not in command:
        message = "The 'cursor' option is required, except for aggregate with the explain argument"
        raise operation_failure(9, "FailedToParse", message)


def _check(
    path: str, document: dict[str, Any], known: CommandFields, name: str | None = None
) -> None:
    """Check the fields of a command, or of a part of one.

    Args:
        path: What comes before a field's name in an error.
        document: What has the fields.
        known: Its fields.
        name: Of the command, whose own field and generic ones are not looked at.
    """
    nulls = []
    for field_name, value in document.items():
        if field_name in known.supported:
            if value is None and f"{path}.{field_name}" not in _WORDS:
                nulls.append(field_name)
            elif field_name in known.types:
                document[field_name] = _checked(f"{path}.{field_name}", field_name, value, known)
        elif field_name in known.ignored or (
            name is not None and (field_name == name or field_name in GENERIC)
        ):
            continue
        else:
            _refuse(path, field_name, document, known)
    for field_name in nulls:
        del document[field_name]
    for field_name in known.required:
        if field_name not in document:
            raise operation_failure(
                40414,
                "Location40414",
                f"BSON field '{path}.{field_name}' is missing but a required field",
            )


def _refuse(path: str, name: str, document: Mapping[str, Any], known: CommandFields) -> None:
    """Refuse a field that does nothing here, unless it says nothing either."""
    if name not in known.refused:
        raise operation_failure(
            40415, "Location40415", f"BSON field '{path}.{name}' is an unknown field."
        )
    for refused in known.refused:  # in the table's order: `capped`, not the `size` before it
        value = document.get(refused)
        if value and not _is_simple(refused, value):
            raise not_supported(
                f"the option {refused} of {'find' if path == _SAID['find'] else path}"
            )


def _is_simple(name: str, value: Any) -> bool:
    """Whether it is the collation that compares as no collation does."""
    return name == "collation" and isinstance(value, Mapping) and value.get("locale") == "simple"


def _checked(path: str, name: str, value: Any, known: CommandFields) -> Any:
    """A field's value, if it may be; numbers are made whole."""
    expected = known.types[name]
    if type_name(value) not in expected:
        if path in _WORDS:
            raise operation_failure(14, "TypeMismatch", _WORDS[path])
        raise wrong_type(path, value, expected)
    if expected is NUMBER:
        value = whole(value)
        if value < 0 and name in known.not_negative:
            raise operation_failure(
                51024,
                "Location51024",
                f"BSON field '{name}' value must be >= 0, actual value '{value}'",
            )
    elif name in known.parts:
        _check_parts("cursor" if path == "aggregate.cursor" else path, value, known.parts[name])
    return value


def _check_parts(path: str, value: Any, known: CommandFields | None) -> None:
    if isinstance(value, dict):
        if known is not None:
            _check(path, value, known)
        return
    is_batch = path.endswith(_BATCHES)
    if is_batch and not 1 <= len(value) <= _LARGEST_BATCH:
        raise operation_failure(
            16,
            "InvalidLength",
            f"Write batch sizes must be between 1 and {_LARGEST_BATCH}. Got {len(value)} "
            "operations.",
        )
    for number, part in enumerate(value):
        if not isinstance(part, dict):
            if path.endswith(".pipeline"):
                message = "Each element of the 'pipeline' array must be an object"
                raise operation_failure(14, "TypeMismatch", message)
            raise wrong_type(f"{path}.{number}", part, ("object",))
        if known is not None:
            _check(path, part, known)
