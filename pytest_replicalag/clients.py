"""`wrap` and `MongoClient`: how code under test gets a client of the simulated replica set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import mongomock
from pymongo.client_options import ClientOptions
from pymongo.common import validate
from pymongo.uri_parser import parse_uri

from pytest_replicalag.drivers import is_driver_client, wrap_driver
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.fronts.mongomock import client as front
from pytest_replicalag.fronts.mongomock.options import Options, Retries
from pytest_replicalag.simulation import governor

__all__ = ["MongoClient", "given_options", "wrap"]

_Client = TypeVar("_Client")

_READ_PREFERENCE: Final = frozenset(
    {"read_preference", "readpreference", "readpreferencetags", "maxstalenessseconds"}
)
_WRITE_CONCERN: Final = frozenset({"w", "wtimeoutms", "journal", "fsync"})
_READ_CONCERN: Final = frozenset({"readconcernlevel"})
_RETRIES: Final = frozenset({"retrywrites", "retryreads"})
_KEPT: Final = _READ_PREFERENCE | _WRITE_CONCERN | _READ_CONCERN | _RETRIES
_SYNONYMS: Final = {"j": "journal", "wtimeout": "wtimeoutms"}


def wrap(client: _Client) -> _Client:
    """A client of the simulated replica set, over the data of `client`.

    It is of the same class, and the running test's simulation governs it, whatever scope it was
    made in. Without a running simulation it behaves as the bare client does. Wrap a client once
    and use the wrapped one: writes through the bare client are not seen by the simulation.

    A real driver's client is opened once more with the same options, connected to simulated
    members in front of the server that it names, which must be a replica set of one member.

    Args:
        client: A `mongomock.MongoClient` or `mongomock_ng.MongoClient`; a wrapped one is returned
            as it is, and the same bare one always gives the same wrapped one. Or a
            `pymongo.MongoClient`, a `pymongo.AsyncMongoClient` or a client of Motor.

    Raises:
        NotWrappableError: It is no such client.
        NodeError: The server that the client names cannot play a set.

    Example:
        >>> import mongomock
        >>> client = wrap(mongomock.MongoClient())
        >>> isinstance(client, mongomock.MongoClient)
        True
    """
    wrapped: _Client = (
        wrap_driver(client) if is_driver_client(client) else front.wrap(client, governor)
    )
    return wrapped


_mongomock = library_of(mongomock.MongoClient.__new__(mongomock.MongoClient))
assert _mongomock is not None
_RoutedClient: Any = front.client_class(_mongomock)


class MongoClient(_RoutedClient):  # type: ignore[misc]
    """A drop-in for `mongomock.MongoClient`, wrapped from the start, that keeps its options.

    mongomock forgets most of what a URI says. This keeps `readPreference`, `readPreferenceTags`,
    `maxStalenessSeconds`, `w`, `wtimeoutMS`, `journal`, `readConcernLevel`, `retryWrites`,
    `retryReads` and `tz_aware`, from the URI and from keywords. What mongomock has no notion of,
    such as `uuidRepresentation`, it does not learn by that.

    Args:
        host: As for `pymongo.MongoClient`: a host, a list of them, or a URI.
        port: The port.
        kwargs: Whatever `mongomock.MongoClient` takes, and the options above, in pymongo's
            spelling; they win over the URI's.

    Raises:
        ConfigurationError: An option's value is not valid.
    """

    def __init__(self, host: Any = None, port: Any = None, **kwargs: Any) -> None:
        in_uri = _options_in(host)
        if "tz_aware" in in_uri:
            kwargs.setdefault("tz_aware", in_uri["tz_aware"])
        super().__init__(host, port, **kwargs)
        front.adopt(self, governor, given_options(host, kwargs))


def _options_in(host: Any) -> dict[str, Any]:
    """The options of the connection string among hosts, if there is one, in small letters."""
    first = host[0] if isinstance(host, (list, tuple)) and host else host
    if not isinstance(first, str) or "://" not in first:
        return {}
    options = parse_uri(first, validate=True, warn=True)["options"]
    return {key.lower(): value for key, value in options.items()}


def given_options(host: Any, kwargs: Mapping[str, Any]) -> Options:
    """The options of a URI and of keywords, as pymongo understands them."""
    given = _options_in(host)
    for key, value in kwargs.items():
        name = _SYNONYMS.get(key.lower(), key.lower())
        if name in _KEPT and value is not None:
            given[name] = value if name == "read_preference" else validate(key, value)[1]
    given = {_SYNONYMS.get(key, key): value for key, value in given.items()}
    parsed = ClientOptions(
        "", "", None, {key: value for key, value in given.items() if key in _KEPT}
    )
    return Options(
        read_preference=parsed.read_preference if _READ_PREFERENCE & given.keys() else None,
        write_concern=parsed.write_concern if _WRITE_CONCERN & given.keys() else None,
        read_concern=parsed.read_concern if _READ_CONCERN & given.keys() else None,
        retries=Retries(writes=parsed.retry_writes, reads=parsed.retry_reads),
    )
