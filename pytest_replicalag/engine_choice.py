"""Where the endpoints of a run keep their data: set when the run begins, read when they start."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEMORY", "MONGOD", "REPLICASET", "EngineChoice", "choose", "chosen"]

MEMORY = "memory"
MONGOD = "mongod"
REPLICASET = "replicaset"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """What a run says of the engine behind its endpoints.

    Attributes:
        engine: `memory`, `mongod` or `replicaset`.
        mongod: The connection string of the node or set, or the path of the program to start; None
            to find one.
        allow_remote: Whether the node may be on another machine.
        is_given: Whether anybody has said an engine.
    """

    engine: str = MEMORY
    mongod: str | None = None
    allow_remote: bool = False
    is_given: bool = False


_choices = [EngineChoice()]


def choose(choice: EngineChoice | None) -> None:
    """Let a choice hold from now on; None to go back to the one before.

    A run of pytest inside another one has its own.
    """
    if choice is not None:
        _choices.append(choice)
    elif len(_choices) > 1:
        _choices.pop()


def chosen() -> EngineChoice:
    """The choice that holds."""
    return _choices[-1]
