"""The node behind the endpoints: where it is, and whether it will do.

MongoDB manual, hello; Convert a Standalone to a Replica Set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

import pymongo
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from pytest_replicalag.engines.mongod.program import OLDEST
from pytest_replicalag.errors import NodeError

__all__ = ["Node", "check_address", "credentials", "look_at", "reach"]


_PATIENCE_MS: Final = 3_000

_UNAUTHORIZED: Final = frozenset({13, 18})


@dataclass(frozen=True, slots=True)
class Node:
    """A node that will do.

    Attributes:
        host: Its host.
        port: Its port.
        hello: What it says of itself.
        version: Its version, such as `6.0.5`.
    """

    host: str
    port: int
    hello: Mapping[str, Any]
    version: str


def check_address(host: str, *, allow_remote: bool) -> None:
    """Refuse a node on another machine, unless that is allowed.

    Raises:
        NodeError: It is on another machine.
    """
    if allow_remote or host == "localhost" or _is_loopback(host):
        return
    raise NodeError(
        f"{host} is not this machine, and a test tool must not write to a database elsewhere by "
        "accident; if it is a database for tests, such as a service container in CI, say "
        "replica_lag_allow_remote = true in the ini file"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def reach(uri: str, *, allow_remote: bool = False) -> Node:
    """The node that a connection string names.

    Args:
        uri: The connection string.
        allow_remote: Whether it may be on another machine.

    Raises:
        NodeError: It cannot be reached, is on another machine, or will not do.
    """
    try:
        nodes = parse_uri(uri)["nodelist"]
    except PyMongoError as error:
        raise NodeError(f"{uri!r} is no connection string: {error}") from None
    for host, _ in nodes:
        check_address(host, allow_remote=allow_remote)
    host, port = nodes[0]
    return look_at(host, port, credentials(uri))


def look_at(host: str, port: int | None, login: Mapping[str, Any]) -> Node:
    """The node at an address.

    Args:
        host: Its host.
        port: Its port.
        login: Who logs in, as `pymongo.MongoClient` takes it.

    Raises:
        NodeError: It cannot be reached, or will not do.
    """
    if port is None:
        raise NodeError(f"{host} is a Unix socket; name the node's host and port instead")
    client: Any = pymongo.MongoClient(
        host,
        port,
        **login,
        directConnection=True,
        serverSelectionTimeoutMS=_PATIENCE_MS,
        connectTimeoutMS=_PATIENCE_MS,
        socketTimeoutMS=_PATIENCE_MS,
    )
    with client:
        return _checked(client, host, port)


def credentials(uri: str) -> dict[str, Any]:
    """What a connection string says of who logs in."""
    parsed = parse_uri(uri, warn=True)
    if parsed["username"] is None:
        return {}
    options = parsed["options"]
    return {
        "username": parsed["username"],
        "password": parsed["password"],
        "authSource": options.get("authsource") or parsed["database"] or "admin",
        **({"authMechanism": options["authmechanism"]} if "authmechanism" in options else {}),
    }


def _checked(client: Any, host: str, port: int) -> Node:
    """The node that a client is connected to, if it will do.

    Raises:
        NodeError: It will not.
    """
    name = f"{host}:{port}"
    try:
        hello = client.admin.command("hello")
        version = client.admin.command("buildInfo")
    except OperationFailure as error:
        raise _refused(name, error) from None
    except PyMongoError as error:
        raise NodeError(
            f"the mongod at {name} is not up, or is none: {_short(error)}; start it, or let the "
            "run start one: --replica-lag-mongod=/usr/bin/mongod"
        ) from None
    if "setName" not in hello:
        raise _standalone(name, port, hello)
    if tuple(version["versionArray"][:2]) < OLDEST:
        raise NodeError(
            f"the mongod at {name} is MongoDB {version['version']}, which cannot read its past; "
            "MongoDB 5.0 and newer can"
        )
    if len(hello.get("hosts", ())) + len(hello.get("passives", ())) != 1:
        hosts = ", ".join(hello.get("hosts", ()))
        raise NodeError(
            f"the mongod at {name} belongs to the replica set {hello['setName']!r} of {hosts}; the "
            "simulation takes a set of one, whose node plays all members; to let this set's own "
            "members lag, write --replica-lag-engine=replicaset"
        )
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code in _UNAUTHORIZED:
            raise _refused(name, error) from None
    except PyMongoError as error:
        raise NodeError(f"the mongod at {name} does not answer: {_short(error)}") from None
    return Node(host, port, hello, version["version"])


def _refused(name: str, error: OperationFailure) -> NodeError:
    return NodeError(
        f"the mongod at {name} refuses: {error.details and error.details.get('errmsg')}; if it "
        "demands authentication, give user and password in the connection string, such as "
        f"mongodb://user:password@{name}/?authSource=admin"
    )


def _standalone(name: str, port: int, hello: Mapping[str, Any]) -> NodeError:
    if hello.get("msg") == "isdbgrid":
        return NodeError(
            f"{name} is a mongos; name a mongod that is a replica set of one member instead"
        )
    return NodeError(
        f"the mongod at {name} is a standalone node, which keeps no oplog; make it a replica set "
        "of one member: start it as\n"
        f"    mongod --replSet rs0 --port {port}  (with its other options)\n"
        "and once, run\n"
        f"    mongosh --port {port} --eval 'rs.initiate()'"
    )


def _short(error: Exception) -> str:
    return str(error).partition(", Timeout:")[0].partition(" (configured")[0]
