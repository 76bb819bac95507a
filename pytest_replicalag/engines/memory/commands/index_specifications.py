"""What an index may be specified by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.memory.commands.operators import check_filter
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import NUMBER, SAFE_BOOL, type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_index"]

_FIELDS: Final = frozenset(
    {
        "2dsphereIndexVersion",
        "background",
        "bits",
        "collation",
        "default_language",
        "dropDups",
        "expireAfterSeconds",
        "hidden",
        "key",
        "language_override",
        "max",
        "min",
        "name",
        "ns",
        "partialFilterExpression",
        "prepareUnique",
        "sparse",
        "storageEngine",
        "textIndexVersion",
        "unique",
        "v",
        "weights",
        "wildcardProjection",
    }
)

_PLUGINS: Final = ("text", "2dsphere", "2d", "hashed")


def check_index(specification: Mapping[str, Any]) -> None:
    """Refuse an index that cannot be.

    Raises:
        OperationFailure: Error 9, 14, 67 or 197.
    """
    for field in ("key", "name"):
        if specification.get(field) is None:
            raise _parse_error(
                9,
                "FailedToParse",
                specification,
                f"The '{field}' field is a required property of an index specification",
            )
    for field, expected in (
        ("key", "object"),
        ("name", "string"),
        ("partialFilterExpression", "object"),
    ):
        found = type_name(specification.get(field))
        if field in specification and found != expected:
            article = "an" if expected == "object" else "a"
            raise _parse_error(
                14,
                "TypeMismatch",
                specification,
                f"The field '{field}' must be {article} {expected}, but got {found}",
            )
    for field in ("unique", "sparse"):
        if field in specification and type_name(specification[field]) not in SAFE_BOOL:
            raise _parse_error(
                14,
                "TypeMismatch",
                specification,
                f"The field '{field} has value {field}: {shown(specification[field])}, which is "
                "not convertible to bool",
            )
    if "\0" in specification["name"]:
        raise _cannot_create(specification, "Index names cannot contain a NUL byte.")
    _check_options(specification)
    _check_key(specification)
    _check_id_index(specification)
    _check_expiry(specification)


def _check_options(specification: Mapping[str, Any]) -> None:
    for field in specification:
        if field not in _FIELDS:
            raise _parse_error(
                197,
                "InvalidIndexSpecificationOption",
                specification,
                f"The field '{field}' is not valid for an index specification. Specification: "
                f"{shown(specification)}",
            )
    _check_partial(specification)


def _check_expiry(specification: Mapping[str, Any]) -> None:
    if "expireAfterSeconds" not in specification:
        return
    seconds, message = specification["expireAfterSeconds"], None
    if type_name(seconds) not in NUMBER:
        message = (
            "TTL index 'expireAfterSeconds' option must be numeric, but received a type of "
            f"'{type_name(seconds)}'"
        )
    elif seconds < 0:
        message = "TTL index 'expireAfterSeconds' option cannot be less than 0"
    elif len(specification["key"]) > 1:
        message = "TTL indexes are single-field indexes, compound indexes do not support TTL"
    if message is not None:
        told = f"{message}. Index spec: {shown(specification)}"
        raise operation_failure(67, "CannotCreateIndex", told)


_NOT_IN_PARTIAL: Final = ("$ne", "$nin", "$nor", "$not", "$regex", "$elemMatch", "$expr")


def _check_partial(specification: Mapping[str, Any]) -> None:
    """Refuse a partial filter that is none, or has what a server does not take there."""
    filter = specification.get("partialFilterExpression", {})
    try:
        check_filter(filter)
    except OperationFailure as error:
        if error.code != 2:  # noqa: PLR2004 - BadValue
            raise
        message = (error.details or {})["errmsg"]
        raise _parse_error(2, "BadValue", specification, message) from None
    for name in _names(filter):
        if name in _NOT_IN_PARTIAL:
            raise _cannot_create(
                {**specification, "v": 2}, f"Expression not supported in partial index: {name}"
            )


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inside in value.items():
            yield name
            yield from _names(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _names(inside)


def _check_key(specification: Mapping[str, Any]) -> None:
    if not specification["key"]:
        raise _cannot_create(specification, "Index keys cannot be empty.")
    for field, order in specification["key"].items():
        _check_field(specification, field)
        found = type_name(order)
        if found == "string" and order not in _PLUGINS:
            raise _cannot_create(specification, f"Unknown index plugin '{order}'")
        if found not in ("string", *NUMBER):
            raise _cannot_create(
                specification,
                f"Values in v:2 index key pattern cannot be of type {found}. Only numbers > 0, "
                "numbers < 0, and strings are allowed.",
            )
        if not order:
            raise _cannot_create(specification, "Values in the index key pattern cannot be 0.")


def _check_field(specification: Mapping[str, Any], field: str) -> None:
    if not field:
        raise _cannot_create(specification, "Index keys cannot be an empty field.")
    parts = field.split(".")
    if not all(parts):
        raise _cannot_create(specification, "Index keys cannot contain an empty field.")
    if field.endswith("$**"):
        raise not_supported("a wildcard index")
    if any(part[:1] == "$" and part not in ("$id", "$ref", "$db") for part in parts):
        raise _cannot_create(
            specification,
            "Index key contains an illegal field name: field name starts with '$'.",
        )


def _check_id_index(specification: Mapping[str, Any]) -> None:
    """Refuse an index of the `_id` that is not the one that there is, or another by its name."""
    key = specification["key"]
    told = {**specification, "v": 2}
    if list(key) == ["_id"]:
        if key["_id"] != 1:
            message = f"The field 'key' for an _id index must be {{_id: 1}}, but got {shown(key)}"
            raise operation_failure(2, "BadValue", message)
        for field in specification:
            if field not in ("key", "name", "ns", "v", "collation"):
                raise operation_failure(
                    197,
                    "InvalidIndexSpecificationOption",
                    f"The field '{field}' is not valid for an _id index specification. "
                    f"Specification: {shown(told)}",
                )
    elif specification["name"] == "_id_":
        raise operation_failure(
            2,
            "BadValue",
            "The index name '_id_' is reserved for the _id index, which must have key pattern "
            f"{{_id: 1}}, found key: {shown(key)}",
        )
    if not specification["name"]:
        raise _cannot_create(told, "index name cannot be empty")
    if specification.get("sparse") and "partialFilterExpression" in specification:
        raise _cannot_create(told, 'cannot mix "partialFilterExpression" and "sparse" options')


def _cannot_create(specification: Mapping[str, Any], message: str) -> OperationFailure:
    return _parse_error(67, "CannotCreateIndex", specification, message)


def _parse_error(
    code: int, name: str, specification: Mapping[str, Any], message: str
) -> OperationFailure:
    return operation_failure(
        code, name, f"Error in specification {shown(specification)} :: caused by :: {message}"
    )
