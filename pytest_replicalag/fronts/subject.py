"""What a read reads, and which writes can change what it returns."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pytest_replicalag.records import Commit, Creation, Write
from pytest_replicalag.replicaset.oplog import NO_OP

__all__ = ["Subject"]

_OF_ONE_COLLECTION: Final = frozenset(
    {
        *("insert_one", "insert_many", "replace_one", "update_one", "update_many"),
        *("delete_one", "delete_many", "bulk_write", "save", "insert", "update", "remove"),
        *("find_one_and_delete", "find_one_and_replace", "find_one_and_update"),
        *("create_index", "create_indexes", "drop_index", "drop_indexes", "findAndModify"),
    }
)
"""Operations that change the collection they are called on, and nothing else."""


class Subject(NamedTuple):
    """What a read reads.

    Attributes:
        namespace: Database and collection, such as `shop.orders`; a database alone for all of it.
        reads_others: Whether it may read other collections of the database, too.
    """

    namespace: str
    reads_others: bool = False

    def is_changed_by(self, write: Any) -> bool:
        """Whether a write can change what the read returns; True where it is not known."""
        if write is NO_OP or isinstance(write, Creation):
            return False  # no document comes or goes
        if isinstance(write, Commit):
            return any(map(self.is_changed_by, write.writes))
        if not isinstance(write, Write):
            return True  # the TTL monitor's
        if write.operation in _OF_ONE_COLLECTION:
            if not self.reads_others:
                return write.namespace == self.namespace
            return _database(write.namespace) == _database(self.namespace)
        # A rename concerns two collections, a bulk write of the client any.
        return True


def _database(namespace: str) -> str:
    return namespace.partition(".")[0]
