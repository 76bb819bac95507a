"""Findings of a document in words, as all formats for people tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.durations import Duration

__all__ = [
    "GUARANTEES",
    "TITLES",
    "age_text",
    "file_of",
    "fixes",
    "has_line",
    "headline",
    "long_text",
    "place",
    "sentence",
]

TITLES: Final = {"stale_read": "Stale read", "lost_write": "Lost write"}


GUARANTEES: Final = {
    "read your writes": "its own client had made a write that it misses",
    "monotonic reads": "its own client had read before what it misses",
    "monotonic writes": (
        "its client had seen a later write of the session that made the one that it misses"
    ),
    "writes follow reads": (
        "its client had seen a write that was made after reading what it misses"
    ),
}
"""What a broken guarantee means, said of the stale read."""


def place(site: Mapping[str, Any] | None) -> str:
    """A call site, such as `app/orders.py:7`."""
    if site is None:
        return "no code"
    return str(site["client"]) if site["client"] else f"{site['path']}:{site['line']}"


def file_of(site: Mapping[str, Any] | None) -> str:
    """The file of a call site; what is known of a client in another process."""
    return "no code" if site is None else str(site["client"] or site["path"])


def has_line(finding: Mapping[str, Any]) -> bool:
    """Whether the line of code is known that makes a finding."""
    site = finding["example"]["call_site"]
    return site is not None and bool(site["path"])


def headline(finding: Mapping[str, Any], *, with_places: bool = True) -> str:
    """A finding on one line, without its own place.

    Args:
        finding: As a document has it.
        with_places: Whether the places of missed writes are told.
    """
    example = finding["example"]
    call = f"{example['namespace']}.{example['operation']}"
    if finding["kind"] == "lost_write":
        return f"{call} acknowledged with {example['write_concern']}, rolled back"
    writes = dict.fromkeys(_missed(write, with_places=with_places) for write in example["missed"])
    return f"{call} missed {' and '.join(writes) or 'a write'}"


def sentence(finding: Mapping[str, Any]) -> str:
    """What happened, in a sentence or two."""
    example = finding["example"]
    if finding["kind"] == "lost_write":
        failover = example["failover"]
        return (
            f"{example['text']} was acknowledged with {example['write_concern']} by "
            f"{failover['former']} and rolled back: {failover['elected']}, which was elected when "
            f"it crashed, did not have it."
        )
    told = (
        f"{example['text']} returned {example['result']} from {example['member']}, "
        f"{_behind(example)}; the primary had {example['fresh_result']}."
    )
    if finding["guarantees"]:
        told += f" Breaks {', '.join(finding['guarantees'])}."
    return told


def fixes(finding: Mapping[str, Any]) -> list[str]:
    """What would mend it, the simplest first."""
    return [str(fix) for fix in finding["example"]["fixes"]]


def long_text(finding: Mapping[str, Any]) -> str:
    """All that can be said of it, on lines."""
    lines = [sentence(finding)]
    for write in finding["example"].get("missed", ()):
        age = age_text(write["age_us"])
        lines.append(f"Missed {write['text']}, {age} earlier, at {place(write['call_site'])}.")
    options = " Or ".join(f"{fix}." for fix in fixes(finding))
    return "\n".join([*lines, f"To mend it: {options}"])


def age_text(age_us: int | None) -> str:
    """A length of time in words."""
    return "for ever" if age_us is None else Duration.of_us(age_us).text


def _missed(write: Mapping[str, Any], *, with_places: bool) -> str:
    if write["call_site"] is None:
        return str(write["operation"])
    return (
        f"{write['operation']} at {place(write['call_site'])}"
        if with_places
        else str(write["operation"])
    )


def _behind(example: Mapping[str, Any]) -> str:
    if example["is_paused"]:
        return "whose replication was paused"
    if example["behind_us"] is None:
        return "which never catches up"
    return f"{age_text(example['behind_us'])} behind"
