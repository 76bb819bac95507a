"""What a server answers to a message whose sections are wrong."""

from __future__ import annotations

from pymongo.errors import OperationFailure

from pytest_replicalag.fronts.wire.protocol import BadMessageError
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["refusal_of"]


def refusal_of(error: BadMessageError) -> OperationFailure:
    """The refusal of a message that has this error."""
    return operation_failure(error.code, error.code_name, str(error))
