"""Findings of a document in words, as all formats for people tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    MONOTONIC_READS,
    MONOTONIC_WRITES,
    READ_YOUR_WRITES,
    WRITES_FOLLOW_READS,
)

__all__ = [
    "GUARANTEES",
    "TITLES",
    "age_text",
    "ending",
    "file_of",
    "fixes",
    "has_line",
    "headline",
    "known_text",
    "long_text",
    "part_text",
    "place",
    "sentence",
    "times",
]

TITLES: Final = {"stale_read": "Stale read", "lost_write": "Lost write"}

GUARANTEES: Final = {
    READ_YOUR_WRITES: "a client sees what it has written itself; this read misses such a write",
    MONOTONIC_READS: (
        "what a client has read, it does not see undone; this one had read what it misses now"
    ),
    MONOTONIC_WRITES: (
        "who sees a session's second write sees its first one, too; this client had read the "
        "second, and misses the first"
    ),
    WRITES_FOLLOW_READS: (
        "who sees a write sees what its writer had read before; this client had read such a "
        "write, and misses what its writer had read"
    ),
}
"""What a guarantee promises, and how a stale read breaks it.

A client is a session; for what runs without one, the test.
"""

_KNOWN: Final = {
    MONOTONIC_READS: "had read it",
    MONOTONIC_WRITES: "was made later in the same session, and had been read",
    WRITES_FOLLOW_READS: "was made by who had read what is missed, and had been read",
}
"""What shows that each guarantee is broken, said of an earlier read, or of a later write."""


def known_text(guarantee: str) -> str:
    """What shows that a guarantee is broken, said of an earlier read, or of a later write."""
    return _KNOWN[guarantee]


def part_text(missing_part: int) -> str:
    """What is said of a write that a member had in part; nothing of another one."""
    if not missing_part:
        return ""
    changes = "change" if missing_part == 1 else f"{missing_part} changes"
    return f", in part: all but its last {changes} had arrived"


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
            f"it {ending(failover)}, did not have it."
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
    return [str(fix["text"]) for fix in finding["example"]["fixes"]]


def ending(failover: Mapping[str, Any]) -> str:
    """What became of an old primary, as a verb."""
    return "crashed" if failover["crashed"] else "stepped down"


def times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count} times"


def long_text(finding: Mapping[str, Any]) -> str:
    """All that can be said of it, on lines."""
    lines = [sentence(finding)]
    for write in finding["example"].get("missed", ()):
        age = age_text(write["age_us"])
        part = part_text(write["missing_part"])
        lines.append(
            f"Missed {write['text']}, {age} earlier, at {place(write['call_site'])}{part}."
        )
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
