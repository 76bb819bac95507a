"""What a write replies besides its result, in the order of a server's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import NotPrimaryError

from pytest_replicalag.engines.shown import shown
from pytest_replicalag.fronts.wire.kinds import ENDINGS
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.fronts.wire.retryable_writes import RETRYABLE_WRITES, STATEMENTS
from pytest_replicalag.replicaset import server_errors
from pytest_replicalag.replicaset.error_labels import RETRYABLE_WRITE, TRANSIENT_TRANSACTION

__all__ = ["hand_over_failed", "not_primary", "unacknowledged", "write_reply"]

_MAX_TIME_EXPIRED: Final = 50

_IN_ORDER: Final = ("writeErrors", "retriedStmtIds", "upserted", "nModified")


def write_reply(
    name: str, reply: dict[str, Any], election_id: ObjectId, optime: Mapping[str, Any]
) -> dict[str, Any]:
    """The reply of a command of statements as a server's; other commands' stay as they are.

    Args:
        name: The command's name.
        reply: What its statements did.
        election_id: The primary's.
        optime: Of its newest write.
    """
    if name not in STATEMENTS:
        return reply
    ordered = {"n": reply["n"], "electionId": election_id, "opTime": optime}
    for field in _IN_ORDER:
        if field in reply:
            ordered[field] = reply[field]
    return ordered


def unacknowledged(name: str, reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply that tells of no statement, if one was asked for; a refusal is told."""
    if name not in STATEMENTS or "code" in reply:
        return reply
    return {"n": 0, "nModified": 0} if name == "update" else {"n": 0}


def hand_over_failed(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply of a secondary to whom the primary tells that a write concern was not met.

    It fails with it, as was seen on a server; to a client, the primary would tell it beside the
    result.

    Args:
        error: The write concern error.
    """
    message = f"PlanExecutor error during aggregation :: caused by :: {error['errmsg']}"
    if error["code"] != _MAX_TIME_EXPIRED:
        message += f"; Error details: {shown(error['errInfo'])}"
    return {
        "ok": 0.0,
        "errmsg": message,
        "code": error["code"],
        "codeName": error["codeName"],
    }


def not_primary(request: Request) -> NotPrimaryError:
    """Error 10107, with the label that tells the driver what to send again, if anything."""
    error = server_errors.not_writable_primary()
    assert isinstance(error.details, dict)
    if request.in_transaction and request.name not in ENDINGS:
        error.details["errorLabels"] = [TRANSIENT_TRANSACTION]
    elif request.in_transaction or (
        "txnNumber" in request.command and request.name in RETRYABLE_WRITES
    ):
        error.details["errorLabels"] = [RETRYABLE_WRITE]
    return error
