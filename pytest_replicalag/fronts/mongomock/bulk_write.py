"""An ordered bulk write as a driver runs it: one command after the other.

Each run of requests of one kind is a command, and the next is sent when the write concern of the
one before it is met. PyMongo, `Collection.bulk_write`; driver specifications, CRUD, Bulk API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pymongo.errors import BulkWriteError, OperationFailure

from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.fronts.governor import Governor, Running
from pytest_replicalag.fronts.kept import kept
from pytest_replicalag.fronts.mongomock.beside import beside
from pytest_replicalag.fronts.mongomock.session import ClientSession
from pytest_replicalag.fronts.reading import Target
from pytest_replicalag.records import Write

__all__ = ["COUNTS", "OrderedBulkWrite", "command_name", "is_ordered"]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
COUNTS: Final = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")
"""What the result of a bulk write counts."""


def is_ordered(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a bulk write that is called so stops at its first error."""
    return bool(args[1] if len(args) > 1 else kwargs.get("ordered", True))


def command_name(request: Any) -> str:
    """Which command takes a request: `insert`, `update` or `delete`."""
    kind = type(request).__name__
    return "insert" if kind == "InsertOne" else kind[:6].replace("Replac", "Update").lower()


class _Command(NamedTuple):
    """A command: the index of its first request, and its requests."""

    start: int
    requests: list[Any]


class _Reply(NamedTuple):
    """What a command has done.

    Attributes:
        start: The index of its first request.
        told: Counts, `upserted` and `writeErrors`, with the indexes of the command.
        result_class: The library's class of results; None if a request failed.
        failure: What the whole command failed with, or None.
    """

    start: int
    told: Mapping[str, Any] = _NOTHING
    result_class: type[Any] | None = None
    failure: OperationFailure | None = None


class OrderedBulkWrite:
    """Runs the ordered bulk writes of a wrapped client.

    One is one operation, so in process it takes one round trip.

    Args:
        governor: Knows the running simulation.
        engine: Holds the client's data.
    """

    def __init__(self, governor: Governor, engine: MemoryEngine) -> None:
        self._governor = governor
        self._engine = engine

    def run(
        self,
        running: Running,
        target: Target,
        session: ClientSession | None,
        concern: dict[str, Any],
        apply: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run one.

        Args:
            running: The running simulation.
            target: The collection.
            session: Its explicit session, or None.
            concern: The write concern; it asks for acknowledgement.
            apply: The library's method, bound to the live data.
            args: What it is called with; a report shows these.
            kwargs: The same.

        Raises:
            BulkWriteError: It failed in part, or had a write concern error.
            PyMongoError: What else `apply` raises; what the commands before did stays.
        """
        options = {**kwargs}
        if not args and "requests" not in options:
            return apply(**options)  # which says what is missing
        requests, *others = args or (options.pop("requests"),)
        requests = list(requests)
        number = 0 if session is None else session.number
        begin = partial(running.write, "bulk_write", target.namespace, (requests,), number)
        write: Write | None = None
        replies: list[_Reply] = []
        errors: list[dict[str, Any]] = []
        for command in _commands_of(requests):
            with self._governor.lock:
                self._engine.attach(running.journal)
                self._engine.expire()
                write = running.journal.write = write or begin()
                send = partial(self._bound(target, apply), command.requests, *others, **options)
                try:
                    reply = _sent(command, send)
                finally:
                    running.journal.write = None
                    write.arguments = kept((requests,))  # the library has added identities
                position = running.replica_set.oplog.last
                if session is not None:
                    session.has_written(running, position)
            if reply.failure is not None:
                raise reply.failure
            replies.append(reply)
            error = running.acknowledge("bulk_write", position, concern)
            if error is not None:
                errors.append(error)
            if reply.result_class is None:
                break
        if write is not None and not errors:
            write.acknowledged = concern
        return _result(replies, errors)

    def _bound(self, target: Target, apply: Callable[..., Any]) -> Callable[..., Any]:
        """The library's method, which may have to wait for a transaction."""
        if not self._engine.server.had_transactions:
            return apply
        return beside(self._governor, self._engine, "bulk_write", target, apply)


def _sent(command: _Command, send: Callable[[], Any]) -> _Reply:
    """The reply to a command."""
    try:
        result = send()
    except BulkWriteError as error:
        return _Reply(command.start, error.details or {})
    except OperationFailure as error:
        return _Reply(command.start, failure=error)
    return _Reply(command.start, result.bulk_api_result, type(result))


def _commands_of(requests: list[Any]) -> list[_Command]:
    """The commands that a driver sends.

    What the library refuses as a whole, because there is no request in it or something else, is
    one command.
    """
    if not requests or not all(hasattr(request, "_add_to_bulk") for request in requests):
        return [_Command(0, requests)]
    commands, start = [], 0
    for _, run in groupby(requests, command_name):
        commands.append(_Command(start, list(run)))
        start += len(commands[-1].requests)
    return commands


def _result(replies: Sequence[_Reply], errors: list[dict[str, Any]]) -> Any:
    """What a bulk write returns.

    Args:
        replies: What its commands have done, in order.
        errors: The write concern errors.

    Raises:
        BulkWriteError: It failed in part, or had a write concern error.
    """
    whole: dict[str, Any] = {
        **{name: sum(reply.told.get(name, 0) for reply in replies) for name in COUNTS},
        "upserted": _numbered(replies, "upserted"),
        "writeErrors": _numbered(replies, "writeErrors"),
        "writeConcernErrors": errors,
    }
    result_class = replies[-1].result_class
    if result_class is None or errors:
        raise BulkWriteError(whole)
    return result_class(whole, True)


def _numbered(replies: Sequence[_Reply], field: str) -> list[dict[str, Any]]:
    """The entries of a field, with the indexes of the bulk write's own requests."""
    return [
        {**entry, "index": entry["index"] + reply.start}
        for reply in replies
        for entry in reply.told.get(field, ())
    ]
