"""Which primary a client knows: it hears of an election only when it turns to the old one.

Drivers hear of most elections by themselves, a little later. Here the next operation always comes
before that, as on a bad day. What a driver may send again, it does, to the new primary; all else
fails with the error that it has got.
Driver specification, Server Discovery and Monitoring; Retryable Writes; Retryable Reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import AutoReconnect

from pytest_replicalag.call_sites import caller
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.replicaset import server_errors

__all__ = ["KnownPrimary", "is_retryable"]

_RETRYABLE_METHODS: Final = frozenset(
    {
        *("insert_one", "insert_many", "replace_one", "update_one", "delete_one", "bulk_write"),
        *("find_one_and_delete", "find_one_and_replace", "find_one_and_update"),
    }
)
_OF_MANY: Final = ("UpdateMany", "DeleteMany")


class KnownPrimary:
    """What one client knows.

    Args:
        governor: Knows the running simulation.
    """

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        # A client that is opened after an election knows its outcome.
        self._running = governor.running
        self._elections = 0 if self._running is None else _elections(self._running)

    def turn_to(self, running: Running, operation: str, *, retries: bool) -> None:
        """Turn to the primary that the client knows; from now on it knows the newest one.

        Args:
            running: The running simulation, in which there may be elections.
            operation: The method's name.
            retries: Whether the driver sends the operation again.

        Raises:
            NotPrimaryError: It is the primary no more, and the driver does not.
            AutoReconnect: It has crashed, and the driver does not.
        """
        with self._governor.lock:
            running.failovers.before(operation, caller())
            known = self._elections if running is self._running else 0
            self._running, self._elections = running, _elections(running)
            if retries or known == self._elections:
                return
            election = running.replica_set.elections[known]
        if not election.crashed:
            raise server_errors.not_writable_primary()
        host, port = running.replica_set.member(election.former).address
        raise AutoReconnect(f"{host}:{port}: connection closed")


def _elections(running: Running) -> int:
    return len(running.replica_set.elections)


def is_retryable(
    operation: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], concern: Mapping[str, Any]
) -> bool:
    """Whether a driver sends a write again: only one that is acknowledged, of single documents.

    Args:
        operation: The method's name.
        args: What it was called with.
        kwargs: The same.
        concern: The write concern as a client sends it.
    """
    if operation not in _RETRYABLE_METHODS or concern.get("w") == 0:
        return False
    if operation != "bulk_write":
        return True
    requests = args[0] if args else kwargs["requests"]
    return not any(type(request).__name__ in _OF_MANY for request in requests)
