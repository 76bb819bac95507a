"""Changes that a member has not applied, told by their positions in the oplog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["NO_CHANGES", "SHOWN", "Changes"]

SHOWN: Final = 3
"""How many of the newest changes are named one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of one or more things after some position.

    Attributes:
        count: How many.
        oldest: The position of the first; 0 if there is none.
        newest: The positions of the last few, oldest first.
    """

    count: int = 0
    oldest: int = 0
    newest: tuple[int, ...] = ()

    def __add__(self, other: Changes) -> Changes:
        """The changes of both."""
        if not self.count or not other.count:
            return other if not self.count else self
        return Changes(
            count=self.count + other.count,
            oldest=min(self.oldest, other.oldest),
            newest=tuple(sorted({*self.newest, *other.newest})[-SHOWN:]),
        )


NO_CHANGES: Final = Changes()
