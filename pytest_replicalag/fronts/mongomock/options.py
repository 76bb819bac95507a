"""Read preference, write concern and read concern, as far as they were given.

What a client, database or collection was not given is inherited, and in the end comes from the
plugin's settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

__all__ = ["NOTHING_GIVEN", "Options", "Retries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What a client sends once more if it fails because another primary was elected.

    Attributes:
        writes: Whether it retries writes (`retryWrites`).
        reads: Whether it retries reads (`retryReads`).
    """

    writes: bool = True
    reads: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was given explicitly here or above; None where nothing was.

    Attributes:
        read_preference: pymongo's or the library's.
        write_concern: pymongo's or the library's.
        read_concern: pymongo's or the library's.
        retries: What the client sends once more.
    """

    read_preference: Any = None
    write_concern: Any = None
    read_concern: Any = None
    retries: Retries = Retries()

    def given(self, **options: Any) -> Options:
        """These options with those that are not None in place of the inherited ones."""
        return replace(self, **{key: value for key, value in options.items() if value is not None})


NOTHING_GIVEN = Options()
