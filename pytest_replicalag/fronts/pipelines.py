"""What an aggregation pipeline reads besides its own collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["JOINING", "joined", "joined_by", "stages"]

JOINING: Final = ("$lookup", "$graphLookup", "$unionWith")
"""Stages that read another collection."""


def stages(pipeline: Any) -> Iterator[str]:
    """The names of a pipeline's stages, and of those of the pipelines in them."""
    for stage in pipeline if isinstance(pipeline, (list, tuple)) else ():
        for name, value in stage.items() if isinstance(stage, Mapping) else ():
            yield name
            if not isinstance(value, Mapping):
                continue
            for inner in value.values() if name == "$facet" else [value.get("pipeline")]:
                yield from stages(inner)


def joined(part: Any) -> Iterator[str]:
    """The collections that a pipeline reads besides its own."""
    if isinstance(part, (list, tuple)):
        for item in part:
            yield from joined(item)
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if key in JOINING and (name := joined_by(value)) is not None:
                yield name
            yield from joined(value)


def joined_by(stage: Any) -> str | None:
    """The collection that a stage joins."""
    if isinstance(stage, str):
        return stage
    name = stage.get("from", stage.get("coll")) if isinstance(stage, Mapping) else None
    return name if isinstance(name, str) else None
