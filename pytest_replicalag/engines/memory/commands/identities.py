"""The `_id` of documents: which there can be, and that it comes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from pytest_replicalag.engines.shown import shown
from pytest_replicalag.engines.types import type_name
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_id", "identity_of", "with_own_id"]


def with_own_id(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a document, with a new `_id` if it has none."""
    if next(iter(document), None) == "_id":
        return dict(document)
    rest = {key: value for key, value in document.items() if key != "_id"}
    return {"_id": document["_id"] if "_id" in document else ObjectId(), **rest}


def identity_of(document: Mapping[str, Any]) -> str:
    """A document's `_id` as an error tells it."""
    return f"{{_id: {shown(document['_id'])}}}" if "_id" in document else "{no id}"


def check_id(value: Any) -> None:
    """Refuse an `_id` that cannot be.

    Raises:
        OperationFailure: Error 52 or 53.
    """
    kind = type_name(value)
    if kind in ("array", "regex"):
        raise operation_failure(53, "InvalidIdField", f"The '_id' value cannot be of type {kind}")
    if isinstance(value, Mapping):
        for name in value:
            if name[:1] == "$":
                raise operation_failure(
                    52,
                    "DollarPrefixedFieldName",
                    f"_id fields may not contain '$'-prefixed fields: {name} is not valid for "
                    "storage.",
                )
