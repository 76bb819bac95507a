"""Pipelines that end in `$out` or `$merge`: read on a member, written on the primary.

A secondary reads its own data and hands what it finds to the primary, as was seen on a server of
MongoDB 6.0. So the stages before the last one are asked as a read, and the last one is given their
documents. MongoDB manual, $documents.
"""

from __future__ import annotations

from typing import Any, Final

from bson import Int64
from bson.raw_bson import RawBSONDocument

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.node import Node
from pytest_replicalag.engines.mongod.replies import encoded
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import MembersData
from pytest_replicalag.fronts.forwarding.reads import Planned, Reads
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.forwarding.writes import Writes
from pytest_replicalag.fronts.wire.kinds import writing_stage
from pytest_replicalag.fronts.wire.protocol import BODY_AT, op_msg
from pytest_replicalag.fronts.wire.read_preferences import ReadPreferences, check_secondary_ok

__all__ = ["Outputs"]

_KNOWS_DOCUMENTS: Final = 14
"""The wire version of MongoDB 5.1, the first that has `$documents`."""

_ALL: Final = (1 << 31) - 1
"""More documents than one batch can hold."""


class Outputs:
    """Answers pipelines that write what they find.

    Args:
        endpoint_set: The set as its endpoints show it.
        node: The node behind the endpoints.
        preferences: Who serves which read.
        data: How members show what they have.
        reads: For what they read.
        writes: For what they write.
    """

    def __init__(
        self,
        endpoint_set: ForwardedSet,
        node: Node,
        preferences: ReadPreferences,
        data: MembersData,
        reads: Reads,
        writes: Writes,
    ) -> None:
        self._set = endpoint_set
        self._lock = endpoint_set.governor.lock
        self._preferences = preferences
        self._data = data
        self._reads = reads
        self._writes = writes
        self._knows_documents = node.hello["maxWireVersion"] >= _KNOWS_DOCUMENTS
        self._largest: int = node.hello["maxBsonObjectSize"]

    def aggregate(self, forwarded: Forwarded) -> bytes | None:
        """Answer a pipeline that ends in `$out` or `$merge`.

        Raises:
            PyMongoError: A secondary was asked for the primary's data, there is no such write
                concern, or a wait ended too late.
            EndlessWaitError: A wait could never end.
            NodeError: The node has gone.
        """
        request = forwarded.request
        with self._lock:
            preference = self._preferences.preference(request)
        check_secondary_ok(request.member, preference)
        if request.in_transaction or preference.mode == 0 or self._is_for_primary(forwarded):
            return self._writes.write_on_primary(forwarded)
        self._writes.concern(forwarded)
        with self._lock:
            history = self._set.history(request.running, self._data.primary(forwarded))
        self._data.follow(forwarded, history)
        with self._lock:
            member = self._reads.choose(request)
            if not member.is_primary:
                request.running.replica_set.clock.round_trip()
        if member.is_primary:
            return self._writes.write_on_primary(forwarded)
        planned = self._reads.plan(forwarded, history, member)
        if planned.is_old or self._data.are_nodes:
            return self._hand_over(forwarded, history, planned)
        return self._writes.write_on_primary(forwarded)

    def _is_for_primary(self, forwarded: Forwarded) -> bool:
        """Whether no member reads anything for it: it reads no data, or cannot be handed over."""
        request = forwarded.request
        sent = request.command.get("readConcern")
        return (
            not self._knows_documents
            or snapshots.is_of_now(request.name, request.command)
            or (isinstance(sent, dict) and sent.get("level") == "linearizable")
        )

    def _hand_over(self, forwarded: Forwarded, history: History, planned: Planned) -> bytes | None:
        """Ask the member for its documents, and let the last stage write them."""
        reply = self._reads.ask(_reading(forwarded), history, planned)
        if failure_of(reply) is not None:
            return forwarded.returned(planned.with_time(reply))
        cursor: Any = RawBSONDocument(reply[BODY_AT:])["cursor"]
        if not cursor["firstBatch"] and writing_stage(forwarded.request) == "$merge":
            return forwarded.returned(planned.with_time(reply))  # there is nothing to write
        body = _writing(forwarded, cursor["firstBatch"])
        if cursor["id"] or len(body) > self._largest:
            self._close(forwarded, cursor)
            return self._writes.write_on_primary(forwarded)
        written = self._writes.write_on_primary(forwarded.asking(body))
        return None if written is None else _of_all(forwarded, cursor, written)

    def _close(self, forwarded: Forwarded, cursor: Any) -> None:
        """Close the cursor of a result that is too large, if it is open."""
        if not cursor["id"]:
            return
        command = {
            "killCursors": forwarded.request.collection,
            "cursors": [Int64(cursor["id"])],
            "$db": forwarded.request.database,
        }
        if "lsid" in forwarded.request.command:
            command["lsid"] = forwarded.request.command["lsid"]
        self._data.exchange(forwarded.asking(encoded(command), command))


def _reading(forwarded: Forwarded) -> Forwarded:
    """A pipeline without its last stage; what it finds comes in one batch."""
    body = forwarded.message.body
    fields: dict[str, Any] = {
        "pipeline": RawBSONDocument(body)["pipeline"][:-1],
        "cursor": {"batchSize": _ALL},
        "writeConcern": None,
        "bypassDocumentValidation": None,
    }
    return forwarded.asking(snapshots.with_fields(body, **fields))


def _writing(forwarded: Forwarded, documents: list[Any]) -> bytes:
    """The last stage of a pipeline, given the documents of those before it."""
    body = forwarded.message.body
    fields: dict[str, Any] = {
        "aggregate": 1,
        "pipeline": [
            {"$documents": {"$literal": documents}},
            RawBSONDocument(body)["pipeline"][-1],
        ],
        "readConcern": None,
        "hint": None,
    }
    return snapshots.with_fields(body, **fields)


def _of_all(forwarded: Forwarded, cursor: Any, reply: bytes) -> bytes:
    """The reply to the last stage, as one to the whole pipeline, whose read had that cursor."""
    document: dict[str, Any] = {**RawBSONDocument(reply[BODY_AT:])}
    if "cursor" not in document:
        return reply
    document["cursor"] = {**cursor, "firstBatch": []}
    return op_msg(0, forwarded.message.request_id, encoded(document))
