"""What things were like before recent writes.

A chain holds, for one thing, the images that later writes replaced: image `i` was the truth until
the write at position `untils[i]`. A chain is as long as the writes to that one thing, so reading
it at a position is a binary search, whatever else was written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from pytest_replicalag.replicaset.changes import NO_CHANGES, SHOWN, Changes

__all__ = ["ABSENT", "Chain", "VersionedMap"]

ABSENT: Final = object()
"""The image of a thing that did not exist."""


class Chain:
    """The replaced images of one thing, oldest first."""

    __slots__ = ("images", "untils")

    def __init__(self, position: int, image: Any) -> None:
        self.untils = [position]
        self.images = [image]

    def at(self, position: int, live: Any) -> Any:
        """The image at `position`; `live` if no later write has replaced it."""
        index = bisect_right(self.untils, position)
        return live if index == len(self.untils) else self.images[index]

    def since(self, position: int) -> Changes:
        """The writes after `position`; looks at no more than the newest few."""
        first = bisect_right(self.untils, position)
        count = len(self.untils) - first
        if not count:
            return NO_CHANGES
        newest = tuple(self.untils[-min(count, SHOWN) :])
        return Changes(count=count, oldest=self.untils[first], newest=newest)

    def forget(self, horizon: int) -> None:
        """Forget what nobody can read once all members have applied `horizon`."""
        gone = bisect_right(self.untils, horizon)
        del self.untils[:gone]
        del self.images[:gone]


class VersionedMap:
    """Chains by key.

    Args:
        restore: Puts an image of a key back in its place, where that may be asked for.
    """

    __slots__ = ("_restore", "chains", "newest")

    def __init__(self, restore: Callable[[Hashable, Any], None] | None = None) -> None:
        self.chains: dict[Hashable, Chain] = {}
        self.newest = 0
        self._restore = restore

    def undo(self, key: Hashable, kept: int) -> None:
        """Take back the newest write to `key`, as if it had not been made.

        Args:
            key: The key.
            kept: The newest position that stays; all later writes are taken back, one by one.
        """
        chain = self.chains[key]
        chain.untils.pop()
        image = chain.images.pop()
        if not chain.untils:
            del self.chains[key]
        self.newest = min(self.newest, kept)
        assert self._restore is not None
        self._restore(key, image)

    def replaced(self, key: Hashable, image: Any, position: int) -> None:
        """Remember that the write at `position` replaced `image`."""
        chain = self.chains.get(key)
        if chain is None:
            self.chains[key] = Chain(position, image)
        else:
            chain.untils.append(position)
            chain.images.append(image)
        self.newest = position

    def at(self, key: Hashable, position: int, live: Any) -> Any:
        """The image of `key` at `position`; `live` if no later write has replaced it."""
        chain = self.chains.get(key)
        return live if chain is None else chain.at(position, live)

    def changed_at(self, key: Hashable) -> int:
        """The position of the newest change of `key`; 0 if none is remembered."""
        chain = self.chains.get(key)
        return 0 if chain is None else chain.untils[-1]

    def changed_since(self, position: int) -> Iterator[Hashable]:
        """The keys that writes after `position` changed."""
        if self.newest > position:
            for key, chain in self.chains.items():
                if chain.untils[-1] > position:
                    yield key
