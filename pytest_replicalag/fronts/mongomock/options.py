"""Read preference, write concern and read concern, as far as they were given.

What a client, database or collection was not given is inherited, and in the end comes from the
plugin's settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

__all__ = ["NOTHING_GIVEN", "Options", "in_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was given explicitly here or above; None where nothing was.

    Attributes:
        read_preference: pymongo's or the library's.
        write_concern: pymongo's or the library's.
        read_concern: pymongo's or the library's.
    """

    read_preference: Any = None
    write_concern: Any = None
    read_concern: Any = None

    def given(self, **options: Any) -> Options:
        """These options with those that are not None in place of the inherited ones."""
        return replace(self, **{key: value for key, value in options.items() if value is not None})


NOTHING_GIVEN = Options()

_MODES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")


def in_words(read_preference: Any) -> str:
    """A read preference as the manual writes it, such as `secondary, tags {"dc": "ny"}`."""
    words = [_MODES[read_preference.mode]]
    if tag_sets := [dict(tags) for tags in read_preference.tag_sets or () if tags]:
        words.append(f"tags {', '.join(map(str, tag_sets))}")
    if read_preference.max_staleness != -1:
        words.append(f"max staleness {read_preference.max_staleness} s")
    return ", ".join(words)
