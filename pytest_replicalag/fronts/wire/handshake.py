"""How the set presents itself to drivers: `hello`, and what else they ask about the server.

Driver specification, Server Discovery and Monitoring; MongoDB Handshake. `topologyVersion` is left
out, so that drivers poll instead of streaming.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import sys
from datetime import datetime, timezone
from typing import Any, Final

from pytest_replicalag.fronts.wire.endpoint_set import EndpointSet
from pytest_replicalag.fronts.wire.protocol import MAX_MESSAGE_BYTES
from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.fronts.wire.sessions import TIMEOUT_MINUTES

__all__ = ["VERSION", "Handshake"]

VERSION: Final = "6.0.5"
"""The MongoDB server that is the judge of what the simulation does."""

_MAX_WIRE_VERSION: Final = 17
_MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_MAX_WRITES: Final = 100_000

_PARAMETERS: Final = {
    "featureCompatibilityVersion": {"version": "6.0"},
    "authenticationMechanisms": [],
    "enableTestCommands": True,
    "logLevel": 0,
    "maxTransactionLockRequestTimeoutMillis": 5,
    "requireApiVersion": False,
    "transactionLifetimeLimitSeconds": 60,
    "ttlMonitorEnabled": True,
}


class Handshake:
    """Answers what drivers ask about the server.

    Args:
        simulated_set: The set as its endpoints show it.
    """

    def __init__(self, simulated_set: EndpointSet) -> None:
        self._set = simulated_set

    def hello(self, request: Request) -> Reply:
        """Who this member is, and who else there is."""
        if isinstance(request.command.get("client"), dict):
            request.connection.client = request.command["client"]
        reply: dict[str, Any] = {}
        if request.command.get("helloOk"):
            reply["helloOk"] = True
        is_primary = request.member.is_primary
        name = "isWritablePrimary" if request.name == "hello" else "ismaster"
        return {
            **reply,
            **self._members(request, name),
            **({"electionId": self._set.election_id(request.running)} if is_primary else {}),
            "lastWrite": self._last_write(request),
            "maxBsonObjectSize": _MAX_DOCUMENT_BYTES,
            "maxMessageSizeBytes": MAX_MESSAGE_BYTES,
            "maxWriteBatchSize": _MAX_WRITES,
            "localTime": datetime.now(timezone.utc),
            "logicalSessionTimeoutMinutes": TIMEOUT_MINUTES,
            "connectionId": request.connection.number,
            "minWireVersion": 0,
            "maxWireVersion": _MAX_WIRE_VERSION,
            "readOnly": False,
        }

    def _members(self, request: Request, name: str) -> dict[str, Any]:
        hosts = self._set.hosts(request.running)
        member = request.member
        endpoint = request.connection.endpoint
        if endpoint >= len(hosts):  # the running test's set is smaller than an earlier one
            return {
                name: False,
                "secondary": False,
                "info": "Does not have a valid replica set config",
                "isreplicaset": True,
            }
        if member.is_primary:
            self._set.told_primary(endpoint)
        return {
            "hosts": hosts,
            "setName": self._set.name,
            "setVersion": self._set.version,
            name: member.is_primary,
            "secondary": not member.is_primary,
            "primary": self._set.host(request.running, request.running.replica_set.primary),
            "tags": dict(member.tags),
            "me": self._set.host(request.running, member),
        }

    def _last_write(self, request: Request) -> dict[str, Any]:
        running, simulated = request.running, self._set
        applied = running.replica_set.applied(request.member)
        majority = min(applied, running.replica_set.commit_point())
        return {
            "opTime": simulated.optime(running, applied),
            "lastWriteDate": simulated.last_write_date(running, applied),
            "majorityOpTime": simulated.optime(running, majority),
            "majorityWriteDate": simulated.last_write_date(running, majority),
        }

    def ping(self, request: Request) -> Reply:
        """Nothing but `ok`."""
        return {}

    def build_info(self, request: Request) -> Reply:
        """Which server this stands in for."""
        return {
            "version": VERSION,
            "gitVersion": "simulated by pytest-replicalag",
            "modules": [],
            "allocator": "system",
            "javascriptEngine": "none",
            "sysInfo": "deprecated",
            "versionArray": [*map(int, VERSION.split(".")), 0],
            "openssl": {"running": "disabled", "compiled": "disabled"},
            "buildEnvironment": {},
            "bits": 64,
            "debug": False,
            "maxBsonObjectSize": _MAX_DOCUMENT_BYTES,
            "storageEngines": ["wiredTiger"],
        }

    def get_parameter(self, request: Request) -> Reply:
        """Server parameters: all of the few there are, or those that are asked for."""
        asked = request.command["getParameter"]
        if asked == "*" or (isinstance(asked, dict) and asked.get("allParameters")):
            return dict(_PARAMETERS)
        found: dict[str, Any] = {
            name: value for name, value in _PARAMETERS.items() if name in request.command
        }
        if not found:  # an error without a code, as a server's
            return {"ok": 0.0, "errmsg": "no option found to get"}
        if isinstance(asked, dict) and asked.get("showDetails"):
            settable = {"settableAtRuntime": True, "settableAtStartup": True}
            return {name: {"value": value, **settable} for name, value in found.items()}
        return found

    def get_command_line(self, request: Request) -> Reply:
        """How the server was started."""
        port = self._set.ports[request.connection.endpoint]
        return {
            "argv": ["mongod", "--replSet", self._set.name, "--port", str(port)],
            "parsed": {
                "net": {"bindIp": "127.0.0.1", "port": port},
                "replication": {"replSet": self._set.name},
            },
        }

    def host_info(self, request: Request) -> Reply:
        """The machine."""
        return {
            "system": {
                "currentTime": datetime.now(timezone.utc),
                "hostname": socket.gethostname(),
                "cpuAddrSize": 64,
                "numCores": os.cpu_count(),
                "cpuArch": platform.machine(),
            },
            "os": {"type": platform.system(), "name": sys.platform, "version": platform.release()},
            "extra": {},
        }

    def whats_my_uri(self, request: Request) -> Reply:
        """The driver's end of the connection."""
        return {"you": request.connection.peer}

    def connection_status(self, request: Request) -> Reply:
        """Nobody is logged in, for there are no users."""
        information: dict[str, Any] = {"authenticatedUsers": [], "authenticatedUserRoles": []}
        if request.command.get("showPrivileges"):
            information["authenticatedUserPrivileges"] = []
        return {"authInfo": information}

    def nonce(self, request: Request) -> Reply:
        """A random number."""
        return {"nonce": secrets.token_hex(8)}

    def no_users(self, request: Request) -> Reply:
        """There are no users."""
        return {"users": []}

    def no_roles(self, request: Request) -> Reply:
        """There are no roles of users' own."""
        return {"roles": []}
