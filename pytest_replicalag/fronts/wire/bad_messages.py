"""What a server answers to a message whose sections are wrong."""

from __future__ import annotations

from pytest_replicalag.fronts.wire.protocol import Message
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["check_message"]


def check_message(message: Message) -> None:
    """Refuse a message that is wrong.

    Raises:
        OperationFailure: It is.
    """
    error = message.error
    if error is not None:
        raise operation_failure(error.code, error.code_name, str(error))
