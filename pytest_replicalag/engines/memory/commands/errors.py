"""The library's exceptions as the errors of a server: codes, names and messages.

mongomock raises many errors without a code, and Python's own ones. What means the same as an error
of the server becomes that; what else it cannot do becomes `CommandNotSupported`, which names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from pytest_replicalag.engines.memory.commands.values import invalid_expression
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["duplicate_key", "not_supported", "server_errors"]

_SEE: Final = "see “Commands and features” in the documentation of pytest-replicalag"

_CODES: Final = (
    (r"the \(immutable\) field '_id'", 66, "ImmutableField"),
    (r"would modify the immutable field '_id'", 66, "ImmutableField"),
    (r"failed validation", 121, "DocumentValidationFailure"),
    (r"Cannot create field|non-object|non-array type|must be an array", 28, "PathNotViable"),
    (r"Path collision", 31249, "Location31249"),
    (r"mix including and excluding|Cannot do (ex|in)clusion", 31254, "Location31254"),
    (r"No array filter found", 2, "BadValue"),
    (r"array filter", 9, "FailedToParse"),
    (r"not allowed to be used within an update", 72, "InvalidOptions"),
    (
        r"\$pop expects|Unrecognized clause|Invalid modifier|not allowed to be used",
        9,
        "FailedToParse",
    ),
    (r"already exists with different options", 85, "IndexOptionsConflict"),
    (r"index not found", 27, "IndexNotFound"),
    (r"needs an array|needs a number|must be a|must be an|unknown operator", 2, "BadValue"),
)
"""Texts of the library, and the server's code for each."""


def not_supported(what: str) -> OperationFailure:
    """Error 115: something that MongoDB has and the engine has not.

    Args:
        what: The feature, as the subject of a sentence.
    """
    message = f"{what} is not supported by the memory engine; {_SEE}"
    return operation_failure(115, "CommandNotSupported", message)


@contextmanager
def server_errors(collection: Any = None) -> Iterator[None]:
    """Let what the library raises inside come out as a server's error.

    Args:
        collection: The collection that is written, for errors that name it.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise _duplicate_key(error, collection) from None
    except OperationFailure as error:
        raise _with_code(error) from None
    except NotImplementedError as error:
        raise not_supported(_sentence(error)) from None
    except (PyMongoError, BSONError, ValueError) as error:
        raise operation_failure(*_code_of(str(error), 2, "BadValue"), str(error)) from None
    except re.error as error:
        raise invalid_expression(error) from None
    except RecursionError:
        raise operation_failure(15, "Overflow", "the document is nested too deep") from None
    except (TypeError, AttributeError, LookupError, ArithmeticError, AssertionError) as error:
        what = f"this operation ({type(error).__name__} inside the library: {error})"
        raise not_supported(what) from None


def _sentence(error: Exception) -> str:
    text = re.sub(r"\s*(is not|but has not been) (currently )?implemented.*", "", str(error))
    return text.rstrip(".") or "this operation"


def _with_code(error: OperationFailure) -> OperationFailure:
    """The same error, with what a server's reply has."""
    lacking = re.match(r"Unrecognized expression '(\$\w+)'", str(error))
    if lacking:  # what no server has either was refused before
        return not_supported(f"the operator {lacking[1]}")
    details = error.details
    if isinstance(details, Mapping) and "codeName" in details:
        return error
    message = str(error)
    code, name = _code_of(message, error.code or 2, "BadValue")
    if error.code is not None:
        code = error.code
    return operation_failure(code, name if code != 2 else "BadValue", message)  # noqa: PLR2004


def _code_of(message: str, code: int, name: str) -> tuple[int, str]:
    for pattern, known, known_name in _CODES:
        if re.search(pattern, message):
            return known, known_name
    return code, name


def _duplicate_key(error: DuplicateKeyError, collection: Any) -> OperationFailure:
    """Error 11000 with the message of a server."""
    if isinstance(error.details, Mapping) and "codeName" in error.details:
        return error
    told = error.details or {}
    if "keyPattern" not in told:  # mongomock does not say which index
        where = "" if collection is None else collection.full_name
        return operation_failure(
            11000, "DuplicateKey", f"E11000 duplicate key error collection: {where}"
        )
    pattern = dict(told["keyPattern"])
    value = {
        field: None if type(item).__name__ == "Sentinel" else item  # a field that is not there
        for field, item in dict(told.get("keyValue", {})).items()
    }
    return duplicate_key(collection, _index_name(collection, pattern), pattern, value)


def duplicate_key(
    collection: Any, name: str, pattern: Mapping[str, Any], value: Mapping[str, Any]
) -> OperationFailure:
    """Error 11000: a unique index has that key already.

    Args:
        collection: The collection, if it is known.
        name: The index's name.
        pattern: Its keys.
        value: The key.
    """
    where = "" if collection is None else collection.full_name
    message = (
        f"E11000 duplicate key error collection: {where} index: {name} dup key: {shown(value)}"
    )
    failure = operation_failure(11000, "DuplicateKey", message)
    failure.details.update({"keyPattern": pattern, "keyValue": value})  # type: ignore[union-attr]
    return failure


def _index_name(collection: Any, pattern: Mapping[str, Any]) -> str:
    if collection is not None:
        for name, index in collection._store.indexes.items():
            if dict(index["key"]) == pattern:
                return str(name)
    return (
        "_".join(f"{field}_{order}" for field, order in pattern.items())
        if (list(pattern) != ["_id"])
        else "_id_"
    )
