"""Whether a document is as its JSON Schema says: as much of JSON Schema as the schemas here use.

A library would be one more thing to install for everybody who only runs tests. Of properties that
a schema does not have, nothing is said: a newer version may have written them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["KEYWORDS", "problem_in"]

_SHOWN: Final = 40
"""How much of a value is shown that is not as it should be."""

_TYPES: Final[Mapping[str, type]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def _is_of_type(value: Any, said: str | list[str]) -> bool:
    if isinstance(said, list):
        return any(_is_of_type(value, each) for each in said)
    return type(value) is _TYPES[said]  # not isinstance: for Python, true is an integer


def _is_same(value: Any, said: Any) -> bool:
    return type(value) is type(said) and bool(value == said)


def _is_one_of(value: Any, said: list[Any]) -> bool:
    return any(_is_same(value, each) for each in said)


_RULES: Final[Mapping[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "type": (_is_of_type, "must be of type {}"),
    "const": (_is_same, "must be {}"),
    "enum": (_is_one_of, "must be one of {}"),
    "minimum": (lambda value, said: type(value) is not int or value >= said, "must be {} or more"),
    "maximum": (lambda value, said: type(value) is not int or value <= said, "must be {} or less"),
    "pattern": (
        lambda value, said: type(value) is not str or re.search(said, value) is not None,
        "must match {}",
    ),
    "minLength": (lambda value, said: type(value) is not str or len(value) >= said, "is too short"),
    "minItems": (lambda value, said: type(value) is not list or len(value) >= said, "is too short"),
}
"""What a keyword asks of a value by itself, and how that is told."""

KEYWORDS: Final = frozenset(
    {*_RULES, "$ref", "if", "then", "else", "items", "properties", "required"}
    | {"additionalProperties"}
)
"""The keywords that are understood."""


def problem_in(document: Any, schema: Mapping[str, Any]) -> str:
    """The first thing that is wrong with a document, on one line; empty if nothing is.

    Args:
        document: What was read from JSON.
        schema: Its JSON Schema.
    """
    problem = _Checker(schema.get("$defs", {})).problem(document, schema)
    if problem is None:
        return ""
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.place)
    return f"{place.lstrip('.') or 'it'} {problem.text}"


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong.

    Attributes:
        text: It, said of the value.
        place: Where the value stands, seen from the value that is checked: names and numbers.
    """

    text: str
    place: tuple[str | int, ...] = ()

    def inside(self, step: str | int) -> _Problem:
        """The same, seen from the object or array around."""
        shown = json.dumps(step) if isinstance(step, str) and not step.isidentifier() else step
        return _Problem(self.text, (shown, *self.place))


@dataclass(frozen=True, slots=True)
class _Checker:
    """Compares values with schemas.

    Attributes:
        definitions: What a schema may refer to, by name.
    """

    definitions: Mapping[str, Mapping[str, Any]]

    def problem(self, value: Any, schema: Mapping[str, Any]) -> _Problem | None:
        """What is wrong with a value, or None."""
        for keyword, said in schema.items():
            rule = _RULES.get(keyword)
            if rule is not None and not rule[0](value, said):
                return _Problem(f"{rule[1].format(_words(said))}: {_shown(value)}")
        if "$ref" in schema:
            definition = self.definitions[schema["$ref"].rpartition("/")[2]]
            if (found := self.problem(value, definition)) is not None:
                return found
        if (found := self._inside(value, schema)) is not None or "if" not in schema:
            return found
        is_so = self.problem(value, schema["if"]) is None
        return self.problem(value, schema["then" if is_so else "else"])

    def _inside(self, value: Any, schema: Mapping[str, Any]) -> _Problem | None:
        """What is wrong with what an object or an array has."""
        if type(value) is dict:
            return self._in_object(value, schema)
        if type(value) is list and "items" in schema:
            for number, item in enumerate(value):
                if (found := self.problem(item, schema["items"])) is not None:
                    return found.inside(number)
        return None

    def _in_object(self, value: dict[str, Any], schema: Mapping[str, Any]) -> _Problem | None:
        for name in schema.get("required", ()):
            if name not in value:
                return _Problem(f"has no {name!r}")
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            said = properties.get(name, others)
            if said and (found := self.problem(inner, said)) is not None:
                return found.inside(name)
        return None


def _words(said: Any) -> str:
    """What a keyword asks for, in words."""
    alternatives = said if isinstance(said, list) else [said]
    return " or ".join(each if isinstance(each, str) else json.dumps(each) for each in alternatives)


def _shown(value: Any) -> str:
    """A value on one line, shortened; no object and no array, for they may be large."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
