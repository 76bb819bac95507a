"""Where the state machine's operations run, and what is different there by nature."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pymongo
from comparing import plain, told
from naive import DATABASES
from pymongo.errors import (
    BulkWriteError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.monitoring import CommandListener

from pytest_replicalag.clients import wrap
from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.errors import EndlessWaitError

LIBRARIES = ("mongomock_ng", "mongomock")


class InProcess:
    """A wrapped client of a library.

    Attributes:
        library: The library that holds the data, and that the reference is made of.
        name: What counts are shown under.
        is_wire: Whether commands are sent to a server. Then a driver may send several for one
            operation, each a round trip with an acknowledgement of its own; a collection that
            comes with its first document is an entry of its own; every answer tells its session a
            time, errors too; and errors are in a server's words.
        is_real: Whether data are on a real node, and the reference is one, too.
    """

    is_wire = False
    is_real = False

    def __init__(self, library: str) -> None:
        self.name = self.library = library
        self.module = importlib.import_module(library)

    def bare(self) -> Any:
        """The client of the reference; it has no data yet."""
        return self.module.MongoClient()

    def scratch(self, position: int) -> Any:
        """A client like it, to hold the data of an optime."""
        return self.module.MongoClient()

    def forget(self, client: Any) -> None:
        """Such a client is not needed any more."""

    def position_of(self, time: Any) -> int:
        """The position in the oplog that a session's time stands for."""
        position: int = time.inc
        return position

    def has_snapshot(self, session: Any) -> bool:
        """Whether a snapshot session has its time by now."""
        return session._snapshot_at is not None

    def told_of(self, position: int) -> int:
        """What a session waits for whose time is that of a position."""
        return position

    def is_time_of(self, time: Any, position: int) -> bool:
        """Whether a session's time stands for a position in the oplog."""
        return self.position_of(time) == position

    def empty(self) -> Any:
        """A client that writes old data, at rest; there are none yet."""
        self._client = self.module.MongoClient()
        return self._client

    def open(self) -> Any:
        """The client under test, for the running simulation."""
        self.client = wrap(self._client)
        return self.client

    def close(self) -> None:
        """Close the client under test, at rest."""

    @property
    def engine(self) -> Any:
        """What holds the data."""
        return self.client._front.engine

    def plain(self, result: Any) -> str:
        """A result in a form in which it is alike here and in the reference."""
        return plain(result)

    def told(self, error: Exception | None) -> str:
        """An error in a form in which it is alike here and in the reference."""
        return told(error)

    def is_answered(self, failure: Exception | None) -> bool:
        """Whether a write that fails so in the reference gets as far as to the server."""
        return failure is None or isinstance(failure, OperationFailure)

    def is_endless(self, error: Exception | None) -> bool:
        """Whether an operation failed for a wait that never ends."""
        return isinstance(error, EndlessWaitError)


class Clock(CommandListener):
    """Notes after each command the time, how the reply tells of the wait, and the optime."""

    def __init__(self) -> None:
        self.control: Any = None
        self.ended: list[tuple[int, bool, int]] = []

    def _note(self, code: Any) -> None:
        if self.control is not None:
            optime = self.control.primary.optime.ts.inc
            self.ended.append((self.control.now().us, code == 64, optime))

    def started(self, event: Any) -> None:
        pass

    def succeeded(self, event: Any) -> None:
        self._note(event.reply.get("writeConcernError", {}).get("code"))

    def failed(self, event: Any) -> None:
        self._note(None)


class OnTheWire(InProcess):
    """PyMongo, connected to the endpoints of the members.

    Every rule runs. What is left out of one, where it is drawn or run:
    - `w: 0`, which arrives when it may, so that it is `w: 1` here;
    - an `_id` of `True`, which the libraries take for 1;
    - an update that fails half done in a library, and not at all on a server;
    - operators for the `_id` of what is replaced, which the libraries refuse;
    - a count at a snapshot, and `$out` to a unique index, which the endpoints refuse;
    - whether a document replaced by its like counts as modified, and the documents of `$out`,
      where a library says other than a server.
    """

    is_wire = True

    def __init__(self) -> None:
        super().__init__(next(n for n in LIBRARIES if importlib.util.find_spec(n) is not None))
        self.name = "pymongo"
        self._endpoints = Endpoints()
        self._resting: Any = None
        self.client = None

    def empty(self) -> Any:
        if self._resting is None:
            self._resting = pymongo.MongoClient(self.uri())
        for database in DATABASES:
            self._resting.drop_database(database)
        return self._resting

    def open(self) -> Any:
        self.clock = Clock()
        self.client = pymongo.MongoClient(
            self.uri(), retryReads=False, event_listeners=[self.clock]
        )
        return self.client

    def has_snapshot(self, session: Any) -> bool:
        return session._snapshot_time is not None

    def uri(self) -> str:
        """Where the members listen."""
        return self._endpoints.uri

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None

    def stop(self) -> None:
        """Stop the endpoints."""
        if self._resting is not None:
            self._resting.close()
            self._resting = None
        self._endpoints.stop()

    @property
    def engine(self) -> Any:
        assert self._endpoints._memory._front is not None
        simulated_set = self._endpoints._memory._front.simulated_set
        simulated_set.running()  # it follows the running simulation when the next command comes
        return simulated_set.engine

    def plain(self, result: Any) -> str:
        if isinstance(result, dict) and result.get("ok") == 1.0:
            return "None"  # a command's own reply, where the library gives none
        return plain(_as_served(result))

    def told(self, error: Exception | None) -> str:
        if error is None:
            return ""
        if isinstance(error, BulkWriteError):
            failed = [found["index"] for found in error.details["writeErrors"]]
            return f"BulkWriteError {failed} {error.details.get('nInserted')}"
        code = getattr(error, "code", None)
        return f"code {code}" if code in (246, 11000) else "refused"

    def is_answered(self, failure: Exception | None) -> bool:
        return True  # what a library refuses in its own words, a server does

    def is_endless(self, error: Exception | None) -> bool:
        is_command = not isinstance(error, (BulkWriteError, ExecutionTimeout, WriteConcernError))
        return is_command and isinstance(error, PyMongoError) and getattr(error, "code", 0) == 96


def _as_served(value: Any) -> Any:
    """What a library returns, as a server has it.

    Projected fields may come in another order, and a `$count` of nothing returns no document.
    """
    if isinstance(value, dict):
        return {key: _as_served(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_as_served(item) for item in value if item != {"total": 0}]
    return value
