"""Answers a read at the position of the member that serves it, and judges whether it is stale.

Both fronts come here; what differs between them is how a read is asked and how it waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_replicalag.call_sites import Caller, Client
from pytest_replicalag.engines.memory.comparison import Comparable
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.fronts.governor import ReadPlan, Running
from pytest_replicalag.fronts.kept import kept
from pytest_replicalag.fronts.pipelines import joined
from pytest_replicalag.records import Read
from pytest_replicalag.replicaset import server_errors

__all__ = ["Asked", "Target", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The database or collection that an operation is about.

    Attributes:
        database: The database's name.
        collection: The collection's name; empty for the database itself.
        codec_options: The library's codec options.
        namespace: Database and collection, such as `shop.orders`.
        live: The primary's collection or database, to run the library's own methods on.
    """

    database: str
    collection: str = ""
    codec_options: Any = None
    namespace: str
    live: Any


class Asked(NamedTuple):
    """How a read was asked; what is costly is told when there is something to report.

    Attributes:
        read_preference: Its read preference in words.
        level: Its read concern level, or None.
        session: The number of its explicit session; 0 without one.
        client: Tells clients apart.
        by: Where it was called.
    """

    read_preference: Callable[[], str]
    level: str | None
    session: int
    client: object
    by: Callable[[], Caller | Client]


def answer(
    engine: MemoryEngine,
    comparable: Comparable,
    target: Target,
    running: Running,
    plan: ReadPlan,
    asked: Asked,
) -> Any:
    """What a read returns; the caller holds the lock, and has attached the engine.

    Args:
        engine: Holds the data.
        comparable: The operation: how to run it, and how to tell whether it is stale.
        target: What it reads.
        running: The running simulation.
        plan: Where it is answered.
        asked: How it was asked.

    Raises:
        OperationFailure: Error 246: a snapshot is older than the collection.
    """
    position = plan.position
    seen = running.has_read(
        (asked.session, asked.client, target.namespace),
        plan,
        lambda: (comparable.operation, kept(comparable.arguments), asked.by()),
    )
    newest = running.replica_set.oplog.last
    unchanged = position >= newest or not (
        comparable.reads_others or engine.has_changed(target.database, target.collection, position)
    )
    if unchanged:
        return comparable.run(target.live)
    if asked.level == "snapshot" and not _in_snapshot(engine, target, running, plan):
        applied = running.replica_set.applied(plan.member)
        return comparable.at(engine, target, applied).result
    if asked.level in ("majority", "snapshot"):
        _check_joined(engine, comparable, target, running, plan)
    then = comparable.at(engine, target, position)
    is_judged = running.checks and plan.is_judged and comparable.is_deterministic
    if not is_judged or not then.past.changed():
        return then.result
    now = comparable.now(engine, target, newest, then)
    if comparable.is_fresh(then, now):
        return then.result
    read = Read(
        operation=comparable.operation,
        namespace=target.namespace,
        arguments=comparable.arguments,
        caller=asked.by(),
        session=asked.session,
        read_preference=asked.read_preference(),
        read_concern=asked.level,
    )
    results = comparable.results(then, now)
    running.stale(read, plan, *results, comparable.missed(then, now, position), seen)
    return then.result


def _in_snapshot(engine: MemoryEngine, target: Target, running: Running, plan: ReadPlan) -> bool:
    """Whether a snapshot has the collection that is read; if it is gone, there is nothing.

    A server looks the collection up among those that the member has by now. The library
    forgets a collection that has become empty, which is not gone for a server.

    Raises:
        OperationFailure: Error 246: it was created, or got its name, after the snapshot.
    """
    position, applied = plan.position, running.replica_set.applied(plan.member)
    if applied <= position:
        return True
    then = engine.past(position).versions(target.database, target.collection)
    is_replaced = bool(then.replaced.count) and then.replaced.oldest <= applied
    if not engine.existed(target.database, target.collection, applied):
        return not is_replaced
    if not is_replaced and engine.existed(target.database, target.collection, position):
        return True
    oplog = running.replica_set.oplog
    came = then.replaced.oldest if is_replaced else position + 1
    raise server_errors.snapshot_unavailable(oplog.timestamp(position), oplog.timestamp(came))


def _check_joined(
    engine: MemoryEngine, comparable: Comparable, target: Target, running: Running, plan: ReadPlan
) -> None:
    """Raise what a server raises for a join with a collection that the member has, not the read.

    It reads a majority's data, or a snapshot.

    Raises:
        OperationFailure: Error 246.
    """
    if comparable.operation != "aggregate":
        return
    position, applied = plan.position, running.replica_set.applied(plan.member)
    for name in joined(comparable.arguments[0]):
        came = engine.came_between(target.database, name, position, applied)
        if came:
            oplog = running.replica_set.oplog
            times = oplog.timestamp(position), oplog.timestamp(came)
            raise server_errors.snapshot_unavailable(*times)
