"""A database's store with history: which collection had which name.

Part of the live stores; see `store`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pytest_replicalag.engines.memory.versions import ABSENT, VersionedMap

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.change_log import ChangeLog
    from pytest_replicalag.engines.memory.store import ServerHistory

__all__ = ["DatabaseHistory"]


class DatabaseHistory:
    """Mixed into a library's `DatabaseStore`.

    Attributes:
        name: The database's name.
        names: Which collection had a name before a rename.
    """

    _collections: dict[str, Any]

    def begin_history(self, server: ServerHistory, name: str) -> None:
        """Start with the collections there are."""
        self._server = server
        self.name = name
        self.names = VersionedMap(self._restore_name)
        for collection in self._collections.values():
            collection.__class__ = server.classes.collection
            collection.begin_history(server, name)

    def has(self, name: str) -> bool:
        """Whether a collection exists; a look at it does not make it."""
        collection = self._collections.get(name)
        return collection is not None and collection.exists

    def forget_history(self) -> None:
        """The past is over: every member has everything."""
        self.names = VersionedMap(self._restore_name)
        for collection in self._collections.values():
            collection.forget_history()

    def _restore_name(self, name: Hashable, collection: Any) -> None:
        """Let a name be that of the collection that had it before."""
        assert isinstance(name, str)
        if collection is ABSENT:
            self._collections.pop(name, None)
        else:
            collection.name = name
            self._collections[name] = collection

    def rolled_back(self, position: int) -> None:
        """Everything after `position` has been undone."""
        for collection in self._collections.values():
            collection.rolled_back(position)

    @property
    def change_log(self) -> ChangeLog | None:
        """Where changes are kept, if a change stream needs them."""
        return self._server.change_log

    def __getitem__(self, name: str) -> Any:
        try:
            return self._collections[name]
        except KeyError:
            collection = self._server.classes.collection(name)
            collection.begin_history(self._server, self.name)
            self._collections[name] = collection
            return collection

    def rename(self, name: str, new_name: str) -> None:
        """Give a collection another name."""
        collection = self[name]
        replaced = self._collections.get(new_name, ABSENT)
        journal = self._server.journal
        if journal is not None:
            journal.replaced(self.names, name, collection)
            journal.also_replaced(self.names, new_name, replaced)
            log = self._server.change_log
            if log is not None:
                log.renamed(collection, new_name)
        del self._collections[name]
        collection.name = new_name
        self._collections[new_name] = collection
