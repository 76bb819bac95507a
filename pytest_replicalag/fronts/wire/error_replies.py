"""The reply to a command that has failed, whatever failed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from pytest_replicalag.errors import EndlessWaitError, ReplicaLagError

__all__ = ["error_reply"]

_log = logging.getLogger(__name__)


def error_reply(error: Exception) -> dict[str, Any]:
    """The reply to a command that has failed."""
    details = getattr(error, "details", None)
    if isinstance(error, PyMongoError) and isinstance(details, Mapping) and "code" in details:
        labels = {"errorLabels": details["errorLabels"]} if "errorLabels" in details else {}
        return {**labels, "ok": 0.0, **details}
    if isinstance(error, OperationFailure):
        return _refusal(error.code or 2, "BadValue", str(error))
    if isinstance(error, EndlessWaitError):
        return _refusal(96, "OperationFailed", str(error))
    if isinstance(error, (ReplicaLagError, NotImplementedError)):
        return _refusal(115, "CommandNotSupported", str(error))
    if isinstance(error, RecursionError):
        return _refusal(15, "Overflow", "the command is nested too deep for the memory engine")
    _log.error("a command failed inside pytest-replicalag", exc_info=error)
    message = (
        f"{type(error).__name__}: {error} (an error inside pytest-replicalag; please report it)"
    )
    return _refusal(1, "InternalError", message)


def _refusal(code: int, code_name: str, message: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": code_name}
