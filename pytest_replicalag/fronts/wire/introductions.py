"""What a driver may say in its first `hello`, and in later ones.

Driver specification, MongoDB Handshake; Server Discovery and Monitoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import Int64
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.types import NUMBER, type_name, wrong_type
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_awaiting", "check_metadata", "metadata_sent_again"]

_REQUIRED: Final = (("driver", ("name", "version")), ("os", ("type",)))
_LONGEST_NAME: Final = 128
_IN: Final = "in the client metadata document"


def check_metadata(client: Any) -> None:
    """Refuse what is no description of a client.

    Raises:
        OperationFailure: Error 14, 183 or 184.
    """
    if not isinstance(client, dict):
        raise _mismatch("The client metadata document must be a document")
    application = client.get("application", {})
    _check_document("application", application)
    if "name" in application:
        _check_string("application.name", application["name"])
        if len(application["name"].encode()) > _LONGEST_NAME:
            raise operation_failure(
                184,
                "ClientMetadataAppNameTooLarge",
                f"The 'application.name' field must be less then or equal to {_LONGEST_NAME} bytes "
                f"{_IN}",
            )
    for part, fields in _REQUIRED:
        if part not in client:
            raise _missing(f"Missing required sub-document '{part}' {_IN}")
        _check_document(part, client[part])
        for field in fields:
            if field not in client[part]:
                raise _missing(f"Missing required field '{part}.{field}' {_IN}")
            _check_string(f"{part}.{field}", client[part][field])


def metadata_sent_again() -> OperationFailure:
    """Error 186: a client has described itself before, or could have."""
    return operation_failure(
        186,
        "ClientMetadataCannotBeMutated",
        "The client metadata document may only be sent in the first hello",
    )


def check_awaiting(name: str, command: Mapping[str, Any]) -> None:
    """Refuse half of what a driver sends that waits for news of the set.

    No reply has a `topologyVersion`, so one that is sent is another server's, and is answered at
    once.

    Args:
        name: The command's name.
        command: The command.

    Raises:
        OperationFailure: Error 14, 31368, 31372 or 51024.
    """
    version, wait_ms = command.get("topologyVersion"), command.get("maxAwaitTimeMS")
    if version is None and wait_ms is None:
        return
    if version is not None and not isinstance(version, dict):
        raise wrong_type(f"{name}.topologyVersion", version, ("object",))
    if wait_ms is not None and type_name(wait_ms) not in NUMBER:
        raise wrong_type(f"{name}.maxAwaitTimeMS", wait_ms, NUMBER)
    if version is None:
        message = "A request with 'maxAwaitTimeMS' must include a 'topologyVersion'"
        raise operation_failure(31368, "Location31368", message)
    if wait_ms is None:
        message = "A request with a 'topologyVersion' must include 'maxAwaitTimeMS'"
        raise operation_failure(31368, "Location31368", message)
    counter = version.get("counter", Int64(0))
    if not isinstance(counter, Int64):
        raise wrong_type(f"{name}.topologyVersion.counter", counter, ("long",))
    if counter < 0:
        message = "topologyVersion must have a non-negative counter"
        raise operation_failure(31372, "Location31372", message)


def _check_document(path: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise _mismatch(f"The '{path}' field is required to be a BSON document {_IN}")


def _check_string(path: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _mismatch(f"The '{path}' field must be a string {_IN}")


def _mismatch(message: str) -> OperationFailure:
    return operation_failure(14, "TypeMismatch", message)


def _missing(message: str) -> OperationFailure:
    return operation_failure(183, "ClientMetadataMissingField", message)
