"""Attempts to log in: there are no users, and every refusal says what to do instead.

Driver specification, Authentication.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo.errors import OperationFailure

from pytest_replicalag.fronts.wire.request import Reply, Request
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["continue_conversation", "log_in"]

_KNOWN: Final = ("SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509")
"""What a server without settings has switched on."""

_REQUIRED: Final = {
    "authenticate": ("mechanism",),
    "saslContinue": ("conversationId", "payload"),
    "saslStart": ("mechanism", "payload"),
}

_INSTEAD: Final = (
    "the simulated replica set of pytest-replicalag has no users; connect without user name, "
    "password and authMechanism"
)


def log_in(request: Request) -> Reply:
    """Refuse `saslStart` and `authenticate`.

    Raises:
        OperationFailure: Error 18; 334 for a mechanism that a server has not switched on.
    """
    _check_fields(request)
    mechanism: Any = request.command["mechanism"]
    if mechanism not in _KNOWN:
        raise operation_failure(
            334,
            "MechanismUnavailable",
            f"Received authentication for mechanism {mechanism} which is not enabled: {_INSTEAD}",
        )
    raise operation_failure(18, "AuthenticationFailed", f"Authentication failed: {_INSTEAD}")


def continue_conversation(request: Request) -> Reply:
    """Refuse `saslContinue`.

    Raises:
        OperationFailure: Error 17: no conversation has begun.
    """
    _check_fields(request)
    raise operation_failure(17, "ProtocolError", f"No SASL session state found: {_INSTEAD}")


def _check_fields(request: Request) -> None:
    for field in _REQUIRED[request.name]:
        if field not in request.command:
            raise _missing(f"{request.name}.{field}")


def _missing(path: str) -> OperationFailure:
    return operation_failure(
        40414, "Location40414", f"BSON field '{path}' is missing but a required field"
    )
