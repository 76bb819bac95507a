"""What `$`, `$[]` and `$[<identifier>]` in the path of an update mean for one document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.equality import filter_for_library
from pytest_replicalag.engines.memory.commands.errors import not_supported
from pytest_replicalag.engines.shown import shown
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["Positions"]

_TELL_NO_ELEMENT: Final = frozenset({"$ne", "$nin", "$not", "$exists", "$size"})


@dataclass(frozen=True, slots=True)
class Positions:
    """What tells which elements of an array are meant.

    Attributes:
        filter: The filter that found the document, as the command has it: it tells what `$` is.
        array_filters: By identifier.
        applies: Whether a filter matches a document.
    """

    filter: Any
    array_filters: Mapping[str, Any]
    applies: Callable[[Any, Any], bool]

    def resolve(self, path: str, document: Any) -> Iterator[str]:
        """The plain paths that a path means.

        Raises:
            OperationFailure: Error 2: there is no such element, or no array.
        """
        parts = path.split(".")
        if "$" in parts:
            parts[parts.index("$")] = str(self._matched(self.filter, document))
        return self._expanded([], parts, document)

    def _matched(self, filter: Any, document: Any) -> int:
        found = set(self._elements(filter, document))
        if not found:
            raise _bad("The positional operator did not find the match needed from the query.")
        if len(found) > 1:  # a server takes one of them
            raise not_supported("the positional operator with conditions on different elements")
        return found.pop()

    def _elements(self, filter: Any, document: Any) -> Iterator[int]:
        """For each condition on an array, the first element for which it holds."""
        for path, condition in filter.items():
            if path in ("$and", "$or", "$nor"):
                for one in condition:
                    found = list(self._elements(one, document))
                    if found and path != "$and":
                        raise not_supported(f"the positional operator with a condition in {path}")
                    yield from found
            if path[:1] == "$":
                continue
            if isinstance(condition, Mapping) and _TELL_NO_ELEMENT & condition.keys():
                continue
            wanted = filter_for_library({path: condition})
            above, array = _first_array(path.split("."), document)
            for number, element in enumerate(array or ()):
                alone: Any = [element]
                for part in reversed(above):
                    alone = {part: alone}
                if self.applies(wanted, alone):
                    yield number
                    break

    def _expanded(self, before: list[str], parts: list[str], value: Any) -> Iterator[str]:
        """The paths below `before` that `parts` mean; `value` is what is at `before`."""
        if not parts:
            yield ".".join(before)
            return
        part, rest = parts[0], parts[1:]
        if part[:2] != "$[":
            below = None
            if isinstance(value, Mapping):
                below = value.get(part, _NOTHING)
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                below = value[int(part)]
            yield from self._expanded([*before, part], rest, below)
            return
        if value is _NOTHING:
            raise _bad(
                f"The path '{'.'.join(before)}' must exist in the document in order to apply array "
                "updates."
            )
        if not isinstance(value, list):
            message = "Cannot apply array updates to non-array element "
            raise _bad(f"{message}{before[-1]}: {shown(value)}")
        name = part[2:-1]
        for number, element in enumerate(value):
            if not name or self.applies(self.array_filters[name], {name: element}):
                yield from self._expanded([*before, str(number)], rest, element)


_NOTHING: Final = object()


def _first_array(parts: list[str], document: Any) -> tuple[list[str], list[Any] | None]:
    """The first array on a path, and the path to it; None if there is none."""
    for depth, part in enumerate(parts, 1):
        if not isinstance(document, Mapping) or part not in document:
            break
        document = document[part]
        if isinstance(document, list):
            return parts[:depth], document
    return [], None


def _bad(message: str) -> OperationFailure:
    return operation_failure(2, "BadValue", message)
