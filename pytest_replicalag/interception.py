"""While it is on, every client that is opened comes out wrapped, wherever that happens.

The constructors of the libraries' client classes are replaced, so it does not matter by which name,
through which subclass or by which other library a client is opened.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final

from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.uri_parser import parse_uri

from pytest_replicalag.call_sites import caller
from pytest_replicalag.clients import given_options
from pytest_replicalag.drivers import is_own, redirected
from pytest_replicalag.engine_choice import chosen
from pytest_replicalag.errors import NodeError
from pytest_replicalag.fronts.mongomock import client as front
from pytest_replicalag.simulation import governor

__all__ = ["Interception", "interception"]

_MOCKS: Final = ("mongomock", "mongomock_ng")

_POSITIONAL: Final = ("host", "port", "document_class", "tz_aware", "connect", "type_registry")
"""The parameters of a client of PyMongo, in their order."""


class Interception:
    """Whether clients are intercepted, and what became of them.

    Attributes:
        wrapped: How many clients came out wrapped.
        left_alone: Why others did not, each with the line that opened it.
    """

    def __init__(self) -> None:
        self.wrapped = 0
        self.left_alone: dict[str, str] = {}
        self._originals: list[tuple[type, Any]] = []

    def start(self) -> None:
        """Intercept from now on."""
        if self._originals:
            return
        self._replace(MongoClient, self._driver)
        self._replace(AsyncMongoClient, self._driver)
        for name in _MOCKS:
            if importlib.util.find_spec(name) is not None:
                self._replace(importlib.import_module(name).MongoClient, self._mock)

    def _replace(self, kind: Any, make: Callable[[Any, Callable[..., None]], Any]) -> None:
        original = kind.__init__
        self._originals.append((kind, original))
        kind.__init__ = functools.wraps(original)(make(kind, original))

    def stop(self) -> None:
        """Put the constructors back."""
        for kind, original in reversed(self._originals):
            kind.__init__ = original
        self._originals.clear()
        self.wrapped = 0
        self.left_alone = {}

    def _driver(self, kind: Any, original: Callable[..., None]) -> Any:  # noqa: ARG002
        def opened(client: Any, *args: Any, **kwargs: Any) -> None:
            given = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
            original(client, **self._redirected(given))

        return opened

    def _redirected(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if is_own() or _is_wrong(given):
            return given
        try:
            arguments = redirected(given, to_run=chosen().is_given)
        except (ConfigurationError, TypeError, ValueError):
            return given  # PyMongo itself says what is wrong with its arguments
        except NodeError as error:
            code, line = caller()
            self.left_alone.setdefault(f"{code.co_filename}:{line}", str(error))
            return given
        if arguments is None:
            return given
        self.wrapped += 1
        return arguments

    def _mock(self, kind: Any, original: Callable[..., None]) -> Any:
        def opened(client: Any, *args: Any, **kwargs: Any) -> None:
            original(client, *args, **kwargs)
            if not isinstance(client, front.RoutedClient) and isinstance(client, kind):
                host = args[0] if args else kwargs.get("host")
                front.route(client, governor, given_options(host, kwargs))
                self.wrapped += 1

        return opened


def _is_wrong(given: Mapping[str, Any]) -> bool:
    """Whether PyMongo will say what is wrong with the hosts that a client is given."""
    hosts = given.get("host")
    try:
        for name in [hosts] if isinstance(hosts, str) else hosts or ():
            if not name:
                return True
            if "://" in name and not name.startswith("mongodb+srv://"):  # that asks the DNS
                parse_uri(name, warn=True)
    except (PyMongoError, TypeError, ValueError):
        return True
    return False


interception = Interception()
"""That of this process."""
