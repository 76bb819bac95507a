"""Whether a document is as its JSON Schema says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import fastjsonschema
from fastjsonschema import JsonSchemaValueException

from pytest_replicalag.report.document import schema

__all__ = ["problem_in"]


def problem_in(document: Any, kind: str) -> str:
    """The first thing that is wrong with a document, on one line; empty if nothing is.

    Args:
        document: What was read from JSON.
        kind: What it is meant to be: a `report`, or a `baseline`.
    """
    try:
        _check(kind)(document)
    except JsonSchemaValueException as error:
        return _on_one_line(error.message.removeprefix("data").lstrip(" ."))
    return ""


@cache
def _check(kind: str) -> Callable[[Any], Any]:
    check: Callable[[Any], Any] = fastjsonschema.compile(_lenient(schema(kind)))
    return check


def _lenient(said: Any) -> Any:
    """A schema without its word on properties that it does not know.

    A newer version may have written them.
    """
    if not isinstance(said, Mapping):
        return said
    return {
        name: _lenient(inner)
        for name, inner in said.items()
        if (name, inner) != ("additionalProperties", False)
    }


def _on_one_line(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
