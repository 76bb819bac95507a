"""What an engine cannot do, and which steps of a program show it: the same words as in the docs.

An operation that meets a limit of an engine is not compared on that engine, nor what comes after it
in the same session; nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from steps import Causal, Read, Snapshot, Transaction, Write

IN_PROCESS = "memory, in process"
"""The memory engine through the in-process front."""

MONGOD = "mongod"

SCENARIOS_OF_WHAT_IS_GONE = (
    "a_dropped_collection_lives_on_a_held_secondary",
    "a_renamed_collection_keeps_its_name_on_a_held_secondary",
)
"""Written scenarios stand for themselves: by their names."""


@dataclass(frozen=True)
class Limit:
    """Something that an engine cannot do.

    Attributes:
        engine: Which one.
        words: What the reference says of it, word for word.
        meets: Whether an operation meets it.
    """

    engine: str
    words: str
    meets: Callable[[Any], bool]


def _replaces(operation: Any) -> bool:
    if not isinstance(operation, Write):
        return False
    if operation.method == "bulk_write":
        return any(name == "replace_one" for name, *_ in operation.arguments[0])
    return operation.method in ("replace_one", "find_one_and_replace")


def _counts_by_stage(operation: Any) -> bool:
    return (
        isinstance(operation, Read)
        and operation.method == "aggregate"
        and "$count" in operation.arguments[0][-1]
    )


LIMITS = (
    Limit(
        IN_PROCESS,
        "A replacement by what is there already is not counted as a modification; a server counts "
        "it.",
        _replaces,
    ),
    Limit(IN_PROCESS, "The stage `$count` tells of nothing with a document.", _counts_by_stage),
    Limit(
        MONGOD,
        "A collection that is dropped or renamed is so on every member at once: the node cannot "
        "read the past of what is gone.",
        lambda operation: operation in SCENARIOS_OF_WHAT_IS_GONE,
    ),
)


def meets_limit(engine: str, operation: Any) -> bool:
    """Whether an operation meets a limit of an engine."""
    return any(limit.meets(operation) for limit in LIMITS if limit.engine == engine)


def operations(step: Any) -> Iterator[Any]:
    """The operations that a step is made of."""
    if isinstance(step, (Causal, Snapshot, Transaction)):
        yield from step.steps
        if isinstance(step, Transaction) and step.meanwhile is not None:
            yield step.meanwhile
    else:
        yield step
