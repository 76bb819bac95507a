"""`count` at an earlier optime: the node takes it in no snapshot, so something else counts."""

from __future__ import annotations

from typing import Any

from bson import Timestamp

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.replies import decoded, encoded
from pytest_replicalag.errors import HistoryGoneError
from pytest_replicalag.fronts.forwarding.absent import TOO_OLD, UNAVAILABLE, is_capped
from pytest_replicalag.fronts.forwarding.batches import all_documents
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.wire.protocol import op_msg

__all__ = ["count_at"]


def count_at(forwarded: Forwarded, time: Timestamp) -> bytes:
    """The reply to a `count` at an optime."""
    body = forwarded.message.body
    if snapshots.counts_by_finding(forwarded.request.command):
        counting = snapshots.as_find(body)
    else:
        counting = snapshots.as_aggregate(body)
    upstream = forwarded.connection.upstream
    reply = decoded(upstream.run(snapshots.read_at(counting, time)))
    if not reply.get("ok"):
        if reply.get("code") == TOO_OLD:
            raise HistoryGoneError(forwarded.connection.upstream.name)
        if reply.get("code") != UNAVAILABLE or is_capped(reply):
            return forwarded.exchange()  # the node words the refusal of a `count` itself
        return _counted(forwarded, reply, 0)
    documents = all_documents(upstream, reply, forwarded.request.command)
    if not snapshots.counts_by_finding(forwarded.request.command):
        return _counted(forwarded, reply, documents[0]["n"] if documents else 0)
    return _counted(forwarded, reply, len(documents))


def _counted(forwarded: Forwarded, reply: dict[str, Any], number: int) -> bytes:
    times: dict[str, Any] = {
        key: reply[key] for key in ("$clusterTime", "operationTime") if key in reply
    }
    body = encoded({"n": number, "ok": 1.0, **times})
    return op_msg(0, forwarded.message.request_id, body)
