"""The real replica set behind the endpoints: who its members are, and whether they will do.

MongoDB manual, hello; replSetGetConfig; Chained Replication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pymongo
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from pytest_replicalag.engines.mongod.node import Node, check_address, credentials
from pytest_replicalag.errors import NodeError

__all__ = ["FAIL_POINT", "PATIENCE_MS", "RealSet", "look_at_set"]

FAIL_POINT: Final = "rsSyncApplyStop"
"""While it is on, a secondary applies nothing. MongoDB's own tests hold members by it."""

PATIENCE_MS: Final = 3_000

_NO_SUCH_COMMAND: Final = 59

_NO_LOGIN: Final = (
    "nobody can log in at a set that is to lag by the engine replicaset; start its members without "
    "--auth and --keyFile, and leave user and password out"
)


@dataclass(frozen=True, slots=True)
class RealSet:
    """A replica set that will do.

    Attributes:
        primary: Its primary.
        secondaries: The others, by host and port, in the order of its configuration.
    """

    primary: Node
    secondaries: tuple[tuple[str, int], ...]

    def address(self, number: int) -> tuple[str, int]:
        """Where a member of the simulated set really is; 0 for the primary.

        Raises:
            NodeError: The real set has no such member.
        """
        if number == 0:
            return self.primary.host, self.primary.port
        if number > len(self.secondaries):
            has = len(self.secondaries)
            raise NodeError(
                f"the replica set of {self.primary.host}:{self.primary.port} has "
                f"{has} {'secondary' if has == 1 else 'secondaries'} and no secondary-{number}; "
                f"write --replica-lag-secondaries={has}"
            )
        return self.secondaries[number - 1]


def look_at_set(uri: str, *, allow_remote: bool = False) -> RealSet:
    """The set that a connection string names.

    Args:
        uri: The connection string.
        allow_remote: Whether its members may be on other machines.

    Raises:
        NodeError: It cannot be reached, is on another machine, or will not do.
    """
    try:
        seeds = parse_uri(uri)["nodelist"]
    except PyMongoError as error:
        raise NodeError(f"{uri!r} is no connection string: {error}") from None
    if credentials(uri):
        raise NodeError(_NO_LOGIN)
    _check_addresses(seeds, allow_remote=allow_remote)
    host, port = seeds[0]
    with _client(host, port) as client:
        hello = _asked(client, f"{host}:{port}", "hello")
        name = hello.get("setName")
        if not name:
            raise NodeError(
                f"the mongod at {host}:{port} belongs to no replica set; the engine replicaset "
                "takes one of several members, and the engine mongod a single one"
            )
        config = _asked(client, f"{host}:{port}", "replSetGetConfig")["config"]
    primary = hello.get("primary")
    if primary is None:
        raise NodeError(f"the replica set {name!r} of {host}:{port} has no primary just now")
    addresses = [
        _address(member["host"])
        for member in config["members"]
        if not member.get("arbiterOnly") and not member.get("hidden")
    ]
    _check_addresses(addresses, allow_remote=allow_remote)
    secondaries = tuple(one for one in addresses if one != _address(primary))
    _check_config(name, config, len(secondaries))
    for one in secondaries:
        _check_fail_point(*one)
    return RealSet(_node(*_address(primary)), secondaries)


def _check_addresses(addresses: Any, *, allow_remote: bool) -> None:
    for host, _ in addresses:
        check_address(host, allow_remote=allow_remote)


def _check_config(name: str, config: Mapping[str, Any], secondaries: int) -> None:
    if not secondaries:
        raise NodeError(
            f"the replica set {name!r} has no secondary; --replica-lag-engine=mongod lets one node "
            "play all members"
        )
    if secondaries > 1 and config.get("settings", {}).get("chainingAllowed", True):
        raise NodeError(
            f"the members of the replica set {name!r} may replicate from each other, and one that "
            "is held back would hold back others; forbid it in mongosh:\n"
            "    cfg = rs.conf(); cfg.settings.chainingAllowed = false; rs.reconfig(cfg)"
        )


def _check_fail_point(host: str, port: int) -> None:
    command = {"configureFailPoint": FAIL_POINT, "mode": "off"}
    with _client(host, port) as client:
        try:
            client.admin.command(command)
        except OperationFailure as error:
            if error.code != _NO_SUCH_COMMAND:
                raise _refused(f"{host}:{port}", error) from None
            raise NodeError(
                f"the secondary at {host}:{port} cannot be held back, for it takes no fail points; "
                "start its mongod with --setParameter enableTestCommands=1 (never in production)"
            ) from None
        except PyMongoError as error:
            raise _not_up(f"{host}:{port}", error) from None


def _node(host: str, port: int) -> Node:
    with _client(host, port) as client:
        hello = _asked(client, f"{host}:{port}", "hello")
        version = _asked(client, f"{host}:{port}", "buildInfo")["version"]
    return Node(host, port, hello, version)


def _asked(client: Any, name: str, command: str) -> dict[str, Any]:
    try:
        reply: dict[str, Any] = client.admin.command(command)
    except OperationFailure as error:
        raise _refused(name, error) from None
    except PyMongoError as error:
        raise _not_up(name, error) from None
    return reply


def _refused(name: str, error: OperationFailure) -> NodeError:
    why = str(error.details and error.details.get("errmsg"))
    return NodeError(f"the mongod at {name} refuses: {why}; {_NO_LOGIN}")


def _not_up(name: str, error: PyMongoError) -> NodeError:
    why = str(error).partition(" (configured")[0].partition(", Timeout:")[0]
    return NodeError(f"the mongod at {name} is not up, or is none: {why}")


def _client(host: str, port: int | None) -> Any:
    return pymongo.MongoClient(
        host,
        port,
        directConnection=True,
        serverSelectionTimeoutMS=PATIENCE_MS,
        connectTimeoutMS=PATIENCE_MS,
        socketTimeoutMS=PATIENCE_MS,
    )


def _address(name: str) -> tuple[str, int]:
    host, _, port = name.rpartition(":")
    return host, int(port)
