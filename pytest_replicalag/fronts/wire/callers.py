"""Finds the application's line of code behind a command that a driver in this process sends.

A pymongo command listener runs on the stack of the application's own call, just before the command
is sent; it notes the call site under the command's connection and request id, and the endpoint
picks it up when the command arrives. It also sees what no command says: whether the session is an
explicit one, and whether the client is connected directly to one member.
Driver specification, Command Logging and Monitoring.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from itertools import zip_longest
from types import FrameType
from typing import Any, Final, NamedTuple

from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

from pytest_replicalag.call_sites import Caller, Client, caller, is_driver, is_project
from pytest_replicalag.fronts.governor import Governor

__all__ = ["CALLER", "Call", "Callers", "client_of"]

CALLER: ContextVar[Caller | None] = ContextVar("replica_lag_caller", default=None)
"""Where a driver was called that goes on in another thread, as Motor does."""

_KEPT: Final = 10_000
"""Calls whose command never arrived are forgotten, the oldest first."""

_MOTOR: Final = "motor.frameworks.asyncio"
_ORIGINAL: Final = "_replica_lag_original"

_LOOK_AT: Final = 40
"""How many of the driver's frames are searched for the client and the session."""


class Call(NamedTuple):
    """A command as the driver sends it. A plain tuple, for one is made for every command.

    Attributes:
        caller: The application's line.
        is_direct: Whether the client is connected to one member only; None if it cannot be told.
        is_session_explicit: Whether the application started the command's session.
    """

    caller: Caller
    is_direct: bool | None
    is_session_explicit: bool


class Callers(monitoring.CommandListener):
    """Listens to the commands of every client of this process that is opened from now on.

    Args:
        governor: Knows whether a test lags; while none does, lines are not looked for.

    Attributes:
        ports: Of the endpoints; what is sent to other servers is not noted.
    """

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self.ports: set[int] = set()
        self._calls: OrderedDict[tuple[int, int], Call] = OrderedDict()
        self._direct: dict[int, bool] = {}

    def register(self) -> None:
        """Listen from now on, to clients that are opened from now on."""
        monitoring.register(self)

    def follow_motor(self) -> None:
        """Note where Motor was called, which goes on in a thread of its executor."""
        motor: Any = sys.modules.get(_MOTOR)
        if motor is not None and not hasattr(motor.run_on_executor, _ORIGINAL):
            motor.run_on_executor = _noting_caller(motor.run_on_executor)

    def unregister(self) -> None:
        """Listen no more. pymongo has no way to say so; clients copy the list when they open."""
        self.ports.clear()
        listeners = monitoring._LISTENERS.command_listeners
        if self in listeners:
            listeners.remove(self)
        motor: Any = sys.modules.get(_MOTOR)
        if motor is not None:
            motor.run_on_executor = getattr(motor.run_on_executor, _ORIGINAL, motor.run_on_executor)

    # -- what pymongo calls --------------------------------------------------------------------

    def started(self, event: CommandStartedEvent) -> None:
        """Note where a command comes from."""
        connection = event.server_connection_id
        # Another server of the same process numbers its connections alike.
        if connection is None or event.connection_id[1] not in self.ports:
            return
        is_direct = self._direct.get(connection)
        if is_direct is not None and self._governor.running is None:
            return  # no test lags, so nobody will ask
        client, session = _driver_state(sys._getframe(1))
        if is_direct is None and client is not None:
            is_direct = _is_direct(client)
            if is_direct is not None:
                self._direct[connection] = is_direct
        found = caller(on_stack_only=True)
        if not is_project(found[0].co_filename):
            self.follow_motor()  # if it was imported only now, what comes next has its lines
            found = CALLER.get() or caller()
        call = Call(
            caller=found,
            is_direct=is_direct,
            is_session_explicit=session is not None and not _is_implicit(session),
        )
        self._calls[connection, event.request_id] = call
        if len(self._calls) > _KEPT:
            self._calls.popitem(last=False)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""

    # -- what endpoints ask --------------------------------------------------------------------

    def take(self, connection: int, request_id: int) -> Call | None:
        """The call behind a command; None if it comes from another process."""
        return self._calls.pop((connection, request_id), None)

    def is_direct(self, connection: int) -> bool | None:
        """Whether a connection is a direct one; None if it is not known, or of another process."""
        return self._direct.get(connection)

    def forget(self, connection: int) -> None:
        """A connection is gone."""
        self._direct.pop(connection, None)


def _noting_caller(run_on_executor: Callable[..., Any]) -> Callable[..., Any]:
    """Motor's function that hands work to a thread; it takes the context variables along."""

    def noting(*args: Any, **kwargs: Any) -> Any:
        found = caller(on_stack_only=True)
        if not is_project(found[0].co_filename):
            return run_on_executor(*args, **kwargs)
        token = CALLER.set(found)
        try:
            return run_on_executor(*args, **kwargs)
        finally:
            CALLER.reset(token)

    setattr(noting, _ORIGINAL, run_on_executor)
    return noting


def _driver_state(frame: FrameType | None) -> tuple[Any, Any]:
    """The client and the session that the driver's frames on the stack work with."""
    client = session = None
    for _ in range(_LOOK_AT):
        if frame is None or (client is not None and session is not None):
            break
        # A frame that is asked for its variables copies them all; few have what is looked for.
        variables = frame.f_code.co_varnames
        is_worth_it = "client" in variables or "session" in variables
        if is_worth_it and is_driver(frame.f_globals.get("__name__", "")):
            names = frame.f_locals
            client = (
                client if client is not None else _of(names.get("client"), "topology_description")
            )
            session = session if session is not None else _of(names.get("session"), "session_id")
        frame = frame.f_back
    return client, session


def _of(value: Any, attribute: str) -> Any:
    return value if value is not None and hasattr(type(value), attribute) else None


def _is_direct(client: Any) -> bool | None:
    try:
        return bool(client.topology_description.topology_type_name == "Single")
    except Exception:  # a closed client, perhaps; nothing hangs on the answer
        return None


def _is_implicit(session: Any) -> bool:
    return bool(getattr(session, "_implicit", False))


def client_of(handshake: Mapping[str, Any], comment: Any) -> Client:
    """What is known of a client in another process.

    Args:
        handshake: The field `client` of its `hello`.
        comment: The field `comment` of its command, if it has one.
    """
    driver = handshake.get("driver", {})
    application = handshake.get("application", {})
    return Client(
        driver=_in_words(str(driver.get("name", "")), str(driver.get("version", ""))),
        application=str(application.get("name", "")),
        comment="" if comment is None else str(comment),
    )


def _in_words(names: str, versions: str) -> str:
    """A driver and what is built on it: `nodejs|mongoose`, `6.2.0|8.3.1` in words.

    Parts without a version tell how a driver is built (`PyMongo|c`), which helps nobody here.
    MongoDB Handshake specification, Supporting Wrapping Libraries.
    """
    parts = zip_longest(names.split("|"), versions.split("|"), fillvalue="")
    told = [f"{name} {version}".strip() for name, version in parts]
    first, *wrapping = told
    named = [part for part in wrapping if " " in part]
    return " with ".join(filter(None, [first, *named]))
