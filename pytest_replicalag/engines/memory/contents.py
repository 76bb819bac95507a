"""What a collection's store consists of, as the undo log keeps it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pytest_replicalag.engines.memory.versions import VersionedMap

__all__ = ["INCARNATION", "METADATA", "Incarnation", "Metadata", "Record"]

METADATA: Final = object()
"""The key, among a collection's documents, under which its indexes and options have versions."""

INCARNATION: Final = object()
"""The key under which the contents that a drop replaced are kept."""


class Record(NamedTuple):
    """A document and its place in natural order.

    A `NamedTuple`, for one is made for each document that is replaced.

    Attributes:
        number: Grows with each insert, as a storage engine's record id does.
        document: Never changed while a journal is attached.
    """

    number: int
    document: Any


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a collection has besides documents."""

    indexes: dict[str, Any] = field(default_factory=dict)
    is_force_created: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """The contents of a collection that was dropped, with their own history."""

    documents: dict[Hashable, Any]
    numbers: dict[Hashable, int]
    versions: VersionedMap
    metadata: Metadata
    uuid: Any
    next_number: int
    came_after: int
