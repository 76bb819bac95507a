"""Which of the sessions that drivers use are explicit ones, and what their transactions wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.records import Write

__all__ = ["Sessions"]


class Sessions:
    """The sessions of the running test; the caller holds the lock.

    Args:
        endpoint_set: The set as its endpoints show it.
    """

    def __init__(self, endpoint_set: EndpointSet) -> None:
        self._numbers: dict[bytes, int] = {}
        self._writes: dict[bytes, tuple[int, list[Write]]] = {}
        endpoint_set.when_it_changes(self._numbers.clear)
        endpoint_set.when_it_changes(self._writes.clear)

    def enter(self, request: Request) -> None:
        """Give a command the number of its session, if the application has started that."""
        key = _key(request.command)
        if key is None:
            return
        sent = request.command.get("readConcern")
        is_explicit = request.is_session_explicit
        if is_explicit is None:
            # Drivers send these in sessions that the application has started only.
            is_explicit = request.in_transaction or (
                isinstance(sent, Mapping)
                and bool({"afterClusterTime", "atClusterTime"} & sent.keys())
            )
        if is_explicit:
            if key not in self._numbers:
                self._numbers[key] = request.running.new_session()
            request.session_number = self._numbers[key]

    def wrote(self, request: Request, write: Write) -> None:
        """Note a write of a session's transaction, for the log."""
        key, number = _key(request.command), request.command.get("txnNumber", 0)
        if key is None:
            return
        if key not in self._writes or self._writes[key][0] != number:
            self._writes[key] = (number, [])
        self._writes[key][1].append(write)

    def written(self, request: Request) -> list[Write]:
        """What the transaction that a command ends has written."""
        key, number = _key(request.command), request.command.get("txnNumber", 0)
        if key is None or key not in self._writes or self._writes[key][0] != number:
            return []
        return self._writes.pop(key)[1]


def _key(command: Mapping[str, Any]) -> bytes | None:
    lsid = command.get("lsid")
    key = lsid.get("id") if isinstance(lsid, Mapping) else None
    return bytes(key) if isinstance(key, bytes) else None
