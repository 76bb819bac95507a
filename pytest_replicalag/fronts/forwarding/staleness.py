"""Whether a read at an earlier optime was stale: the node is asked the same once more, as of now.

What the read missed is in the node's own oplog, which tells of each document that has changed.
MongoDB manual, Replica Set Oplog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from bson import Timestamp
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.mongod import snapshots
from pytest_replicalag.engines.mongod.history import History
from pytest_replicalag.engines.mongod.replies import decoded, encoded
from pytest_replicalag.fronts.forwarding.absent import failure_of
from pytest_replicalag.fronts.forwarding.batches import all_documents
from pytest_replicalag.fronts.forwarding.describing import describe_read
from pytest_replicalag.fronts.forwarding.forwarded_set import ForwardedSet
from pytest_replicalag.fronts.forwarding.members_data import Asked, MembersData
from pytest_replicalag.fronts.forwarding.request import Forwarded
from pytest_replicalag.fronts.governor import ReadPlan
from pytest_replicalag.fronts.in_words import in_words
from pytest_replicalag.fronts.wire.protocol import BODY_AT
from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.records import PastRead, Read
from pytest_replicalag.replicaset.changes import SHOWN, Changes

__all__ = ["Staleness"]

_RANDOM: Final = ("$sample", "$rand", "$$NOW", "$$CLUSTER_TIME", "$function", "$accumulator")
"""What gives other results for the same data."""

_OF_NO_DOCUMENT: Final = frozenset(
    {
        *("create", "createIndexes", "startIndexBuild", "commitIndexBuild", "abortIndexBuild"),
        *("dropIndexes", "deleteIndexes", "collMod"),
    }
)
"""Changes of the catalog that no read of documents can tell."""

_Results = tuple[Any, Any]


class _Change(NamedTuple):
    """A change in the node's oplog.

    Attributes:
        time: Its optime.
        namespace: Database and collection; the database alone for one of the catalog.
        key: The `_id` of the document, as bytes; None for a change of the catalog.
    """

    time: Timestamp
    namespace: str
    key: bytes | None


class Staleness:
    """Finds stale reads and tells the simulation.

    Args:
        endpoint_set: The set as its endpoints show it.
        data: How members show what they have.
    """

    def __init__(self, endpoint_set: ForwardedSet, data: MembersData) -> None:
        self._data = data
        self._lock = endpoint_set.governor.lock

    def check(
        self,
        forwarded: Forwarded,
        history: History,
        plan: ReadPlan,
        preference: Any,
        level: str | None,
        reply: bytes,
        seen: PastRead | None,
    ) -> None:
        """Compare a read with the same read of the newest data.

        Args:
            forwarded: The read.
            history: The node's optimes.
            plan: Where it was answered.
            preference: Its read preference.
            level: Its read concern level.
            reply: What was answered.
            seen: What its client had read of the namespace before, as new as it ever was.

        Raises:
            NodeError: The node has gone.
        """
        request = forwarded.request
        running = request.running
        with self._lock:
            is_concerned = running.checks and history.has_changed(request.database, plan.position)
        operation, arguments = describe_read(request)
        if not is_concerned or any(word in str(arguments) for word in _RANDOM):
            return
        if failure_of(reply) is not None:
            return
        try:
            then, now = self._both(forwarded, history, plan, reply)
        except OperationFailure:
            return  # one of the two is refused, and the driver has been told so
        if _is_same(request, then, now):
            return
        missed = self._missed(forwarded, history, plan, then, now)
        read = Read(
            operation=operation,
            namespace=request.namespace,
            arguments=arguments,
            caller=request.by(),
            session=request.session_number,
            read_preference=in_words(preference),
            read_concern=level,
        )
        with self._lock:
            told = _shown(operation, then), _shown(operation, now)
            running.stale(read, plan, *told, missed, seen)

    def _both(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, reply: bytes
    ) -> _Results:
        """What the read found, and what it finds now, both to the end of their cursors."""
        command, body = forwarded.request.command, forwarded.message.body
        asked: Asked = forwarded.connection.upstream
        answer = decoded(reply[BODY_AT:])
        if answer.get("cursor", {}).get("id"):  # the driver's cursor is left to the driver
            with self._lock:
                time = history.timestamp(plan.position)
            asked, answer = self._data.read_again(forwarded, plan.member, time)
        then = _found(asked, command, _accepted(answer))
        primary = self._data.primary(forwarded)
        newest = decoded(primary.run(snapshots.read_now(body)))
        return then, _found(primary, command, _accepted(newest))

    def _missed(
        self, forwarded: Forwarded, history: History, plan: ReadPlan, then: Any, now: Any
    ) -> Changes:
        """The changes that made the difference, as far as that can be told."""
        with self._lock:
            after, until = history.timestamp(plan.position), history.newest
        request = forwarded.request
        changes = list(_changes(self._data.primary(forwarded), request, after, until))
        own = [change for change in changes if change.namespace == request.namespace]
        keys = _differing_keys(then, now)
        of_documents = [change for change in own if change.key in keys]
        found = of_documents or own or changes
        with self._lock:
            positions = [history.position_of(change.time) for change in found]
        if not positions:  # the node does not let its oplog be read
            last = request.running.replica_set.oplog.last
            return Changes(count=last - plan.position, oldest=plan.position + 1, newest=(last,))
        newest = tuple(sorted(set(positions))[-SHOWN:])
        return Changes(count=len(positions), oldest=min(positions), newest=newest)


def _accepted(reply: dict[str, Any]) -> dict[str, Any]:
    if not reply.get("ok"):
        raise OperationFailure(str(reply.get("errmsg")), reply.get("code"), reply)
    return reply


def _found(asked: Asked, command: Mapping[str, Any], reply: Mapping[str, Any]) -> Any:
    """What a read has found: documents, values or a number."""
    if "cursor" in reply:
        return all_documents(asked, reply, command)
    return reply["values"] if "values" in reply else reply.get("n")


def _is_same(request: Request, then: Any, now: Any) -> bool:
    """Whether both are the same; in any order where no order was asked for."""
    has_order = request.name == "find" or "$sort" in str(request.command.get("pipeline"))
    if isinstance(then, list) and not has_order:
        return sorted(map(_bytes, then)) == sorted(map(_bytes, now))
    return _bytes(then) == _bytes(now)


def _bytes(value: Any) -> bytes:
    return encoded({"": value})


def _shown(operation: str, found: Any) -> Any:
    """What a read has found, as the driver's method returns it."""
    if operation == "find_one":
        return found[0] if found else None
    if operation == "count_documents":
        return found[0]["n"] if found else 0
    if operation == "distinct":
        return sorted(found, key=repr)
    return found


def _differing_keys(then: Any, now: Any) -> set[bytes]:
    """The `_id`s of the documents that only one of two results has, as bytes."""
    if not isinstance(then, list) or not isinstance(now, list):
        return set()
    before, after = ({_bytes(document): document for document in found} for found in (then, now))
    differing = [before[key] for key in before.keys() - after.keys()]
    differing += [after[key] for key in after.keys() - before.keys()]
    return {
        _bytes(document["_id"])
        for document in differing
        if isinstance(document, Mapping) and "_id" in document
    }


def _changes(
    primary: Asked, request: Request, after: Timestamp, until: Timestamp
) -> Iterator[_Change]:
    """The changes of a database between two optimes, as the node's oplog tells them."""
    find = {
        "find": "oplog.rs",
        "filter": {"ts": {"$gt": after, "$lte": until}},
        "$db": "local",
    }
    try:
        entries = all_documents(primary, primary.command(find), find)
    except OperationFailure:
        return  # whoever is logged in may not read it
    for entry in entries:
        yield from _changes_of(entry, entry["ts"], request.database)


def _changes_of(entry: Mapping[str, Any], time: Timestamp, database: str) -> Iterable[_Change]:
    """The changes of a database that one entry stands for; a transaction's has many."""
    kind, change, namespace = entry.get("op"), entry.get("o", {}), entry.get("ns", "")
    if kind == "c" and "applyOps" in change:
        for part in change["applyOps"]:
            yield from _changes_of(part, time, database)
    elif namespace.partition(".")[0] != database:
        return
    elif kind in ("i", "u", "d"):
        key = entry.get("o2", change).get("_id", change.get("_id"))
        yield _Change(time, namespace, _bytes(key))
    elif kind == "c" and not _OF_NO_DOCUMENT & change.keys():
        collection = next(iter(change.values()), "")
        name = f"{database}.{collection}" if isinstance(collection, str) else database
        yield _Change(time, name, None)
