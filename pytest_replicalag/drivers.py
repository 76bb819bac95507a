"""Clients of real drivers, connected to simulated members in front of the server that they name.

MongoDB manual, Connection Strings; driver specification, URI Options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from pymongo import AsyncMongoClient, MongoClient
from pymongo.uri_parser import split_hosts

from pytest_replicalag.errors import NodeError
from pytest_replicalag.replicaset.replica_set import SET_NAME

__all__ = ["is_driver_client", "is_own", "redirected", "wrap_driver"]

_OF_DEPLOYMENT: Final = frozenset(
    {"replicaset", "directconnection", "loadbalanced", "srvservicename"}
)
"""Options that say what the server is like; the simulated set is otherwise."""

_LOGIN: Final = ("username", "password", "authSource", "authMechanism", "authMechanismProperties")

_MOTOR: Final = "motor"

_own: ContextVar[bool] = ContextVar("replica_lag_own_client", default=False)
"""Whether the client that is being opened is one of the plugin's own."""


def is_own() -> bool:
    """Whether the client that is being opened is one that the plugin opens itself."""
    return _own.get()


@contextmanager
def opening_own() -> Iterator[None]:
    """Open clients of the plugin's own inside."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)


def is_driver_client(client: object) -> bool:
    """Whether it is a client of PyMongo or Motor."""
    return isinstance(client, (MongoClient, AsyncMongoClient)) or _delegate(client) is not None


def _delegate(client: object) -> Any:
    """PyMongo's client inside of Motor's."""
    if type(client).__module__.partition(".")[0] != _MOTOR:
        return None
    inner = getattr(client, "delegate", None)
    return inner if isinstance(inner, MongoClient) else None


def wrap_driver(client: Any) -> Any:
    """A client of the same class and options, connected to the simulated set.

    Args:
        client: Of PyMongo or Motor; one that is connected to endpoints is returned as it is.

    Raises:
        NodeError: The server that it names cannot play a set.
    """
    delegate = _delegate(client)
    bare = client if delegate is None else delegate
    arguments = redirected(bare._init_kwargs)
    if arguments is None:
        return client
    with opening_own():
        if delegate is None:
            wrapped = type(client)(**arguments)
            _close_together(bare, wrapped)
            return wrapped
        arguments.pop("driver", None)  # Motor says itself that it is Motor
        wrapped = type(client)(io_loop=client.io_loop, **arguments)
        _close_together(bare, wrapped.delegate)
        return wrapped


def _close_together(bare: Any, wrapped: Any) -> None:
    """Let whoever closes one of two clients close both.

    A fixture closes the client that it has opened; who wraps one, the wrapped one.
    """
    closes = [bare.close, wrapped.close]

    def close() -> None:
        for close_one in closes:
            close_one()

    async def close_async() -> None:
        for close_one in closes:
            await close_one()

    both = close_async if isinstance(bare, AsyncMongoClient) else close
    bare.close = wrapped.close = both


def redirected(given: Mapping[str, Any], *, to_run: bool = False) -> dict[str, Any] | None:
    """The arguments of a client that is to be connected to the simulated set.

    Args:
        given: The arguments that it was, or would be, opened with.
        to_run: Whether it is to be the set of the run, whichever server the client names.

    Returns:
        The same with other hosts; None if they are endpoints already.

    Raises:
        NodeError: The server that they name cannot play a set.
    """
    from pytest_replicalag.endpoints import endpoints  # who wraps no driver needs none of it

    hosts = given.get("host")
    first = hosts[0] if isinstance(hosts, (list, tuple)) and hosts else hosts
    uri = first if isinstance(first, str) and "://" in first else None
    seeds = _seeds(hosts, given.get("port"))
    if all(endpoints.listens_at(*seed) for seed in seeds):
        return None
    _check(uri, given)
    login = {name: given[name] for name in _LOGIN if given.get(name) is not None}
    with opening_own():
        simulated = endpoints.hosts if to_run else endpoints.in_front_of(seeds, uri, login)
    arguments = {name: value for name, value in given.items() if name.lower() not in _OF_DEPLOYMENT}
    arguments["port"] = None
    if uri is None:
        return {**arguments, "host": simulated, "replicaSet": SET_NAME, **_reading(given)}
    return {**arguments, "host": _with_hosts(uri, simulated), **_reading(given, uri)}


def _seeds(hosts: Any, port: Any) -> list[tuple[str, int]]:
    """The servers that a client names."""
    named = hosts if isinstance(hosts, (list, tuple)) else [hosts or MongoClient.HOST]
    found: list[tuple[str, int]] = []
    for name in named:
        if str(name).startswith("mongodb+srv://"):
            raise NodeError(f"{_shown(name)} is not this machine: it is looked up in the DNS")
        authority = _parts(name)[1] if "://" in name else name
        found += split_hosts(authority, port or MongoClient.PORT)  # type: ignore[arg-type]
    return found


def _parts(uri: str) -> tuple[str, str, str, list[str]]:
    """User and password, hosts, database and options of a connection string."""
    rest = uri.partition("://")[2]
    place, _, query = rest.partition("?")
    authority, _, database = place.partition("/")
    login, _, hosts = authority.rpartition("@")
    return login, hosts, database, [option for option in re.split("[&;]", query) if option]


def _shown(uri: str) -> str:
    """A connection string without its password."""
    login, hosts, *_ = _parts(uri)
    scheme = uri.partition("://")[0]
    return f"{scheme}://{login.partition(':')[0] + '@' if login else ''}{hosts}"


def _with_hosts(uri: str, hosts: list[str]) -> str:
    """A connection string for other hosts, with the other options that it has."""
    login, _, database, options = _parts(uri)
    kept = [option for option in options if option.partition("=")[0].lower() not in _OF_DEPLOYMENT]
    query = "&".join([*kept, f"replicaSet={SET_NAME}"])
    return f"mongodb://{login + '@' if login else ''}{','.join(hosts)}/{database}?{query}"


def _names(given: Mapping[str, Any], uri: str | None) -> set[str]:
    """The options that are given, in small letters."""
    in_uri = () if uri is None else (option.partition("=")[0] for option in _parts(uri)[3])
    return {name.lower() for name in (*given, *in_uri)}


def _check(uri: str | None, given: Mapping[str, Any]) -> None:
    """Refuse what the endpoints do not speak.

    Raises:
        NodeError: The client wants TLS.
    """
    wants_tls = any(given.get(name) for name in ("tls", "ssl"))
    in_uri = [] if uri is None else _parts(uri)[3]
    if wants_tls or any(option.lower() in ("tls=true", "ssl=true") for option in in_uri):
        raise NodeError("the endpoints do not speak TLS; open the client without it for the tests")


def _reading(given: Mapping[str, Any], uri: str | None = None) -> dict[str, Any]:
    """The read preference of the settings, for a client that was opened without one."""
    from pytest_replicalag.endpoints import endpoints

    mode = endpoints.read_preference
    named = {"readpreference", "read_preference"} & _names(given, uri)
    return {} if named or mode == "primary" else {"readPreference": mode}
