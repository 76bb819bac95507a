"""Read preferences in words, for reports."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["in_words"]

_MODES: Final = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")


def in_words(read_preference: Any) -> str:
    """A read preference as the manual writes it, such as `secondary, tags {"dc": "ny"}`."""
    words = [_MODES[read_preference.mode]]
    if tag_sets := [dict(tags) for tags in read_preference.tag_sets or () if tags]:
        words.append(f"tags {', '.join(map(str, tag_sets))}")
    if read_preference.max_staleness != -1:
        words.append(f"max staleness {read_preference.max_staleness} s")
    return ", ".join(words)
