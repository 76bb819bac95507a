"""Change streams on a real replica set and on the simulated one: the same events and errors."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("mirakuru", reason="the real replica set runs in: tox run -e replica-set")

from deployments import SECONDARIES, Deployment, InProcess, OnTheWire, observed
from test_scenarios import Scenario, seeded

SCENARIOS: list[Scenario] = []

VARYING = ("_id", "clusterTime", "wallTime")


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_the_simulated_set_streams_what_the_real_one_streams(
    run, real_set, wire_client, mongod_client
):
    real = told_by(real_set, run)
    assert told_by(InProcess(), run) == real
    assert told_by(OnTheWire(wire_client), run) == real
    assert told_by(OnTheWire(mongod_client), run) == real


def told_by(deployment: Any, run: Scenario) -> list[Any]:
    with deployment.scenario() as d:
        return list(run(d))


def take(stream: Any, count: int) -> list[Any]:
    """The next `count` events, for which a real set may need a moment."""
    found: list[Any] = []
    patience = 10
    while len(found) < count and stream.alive and patience:
        event = stream.try_next()
        if event is None:
            patience -= 1
        else:
            found.append(event)
    return found


def told(d: Deployment, events: list[Any]) -> list[Any]:
    """Events without what differs in each run; fields in their order."""
    return [
        _comparable(d, {k: v for k, v in event.items() if k not in VARYING}) for event in events
    ]


def _comparable(d: Deployment, value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _comparable(d, item)) for key, item in value.items() if key != "lsid"]
    if isinstance(value, list):
        return [_comparable(d, item) for item in value]
    return "the database" if value == d.database.name else value


def watch(target: Any, *pipeline: Any, **options: Any) -> Any:
    return target.watch(list(pipeline), max_await_time_ms=500, **options)


def opens(target: Any, *pipeline: Any, **options: Any) -> bool:
    """Open a stream for what the server says to that."""
    with watch(target, *pipeline, **options) as stream:
        return bool(stream.alive)


@scenario
def changes_of_documents(d):
    c = seeded(d)
    with watch(c) as stream:
        c.insert_one({"_id": "new", "sub": {"x": 1}, "list": [1, 2, 3]})
        c.update_one({"_id": "new"}, {"$set": {"sub.x": 2, "y": 1}, "$unset": {"nothing": 1}})
        c.update_one({"_id": "new"}, {"$push": {"list": 4}, "$unset": {"y": 1}})
        c.update_one({"_id": "new"}, {"$pull": {"list": 1}})
        c.update_one({"_id": "new"}, {"$set": {"sub": {"x": 2}}})
        c.update_one({"_id": "new"}, [{"$set": {"list": [2], "sub.z": 1}}])
        c.update_many({}, {"$inc": {"x": 1}})
        c.find_one_and_update({"_id": 1}, {"$set": {"x": 7}})
        c.replace_one({"_id": 1}, {"z": 1})
        c.update_one({"_id": "up"}, {"$set": {"x": 1}}, upsert=True)
        c.delete_many({"_id": {"$in": [0, 1]}})
        events = take(stream, 14)
        yield told(d, events)
        tokens = [event["_id"]["_data"] for event in events]
        yield tokens == sorted(set(tokens))
        yield stream.resume_token == events[-1]["_id"]


@scenario
def changes_of_collections_end_streams(d):
    c = seeded(d)
    with watch(d.database) as whole, watch(c) as stream, watch(d.collection("to")) as other:
        c.insert_one({"_id": "a"})
        c.rename("to")
        yield told(d, take(stream, 3)), stream.alive, stream.try_next()
        yield told(d, take(other, 2)), other.alive
        d.collection("to").drop()
        yield told(d, take(whole, 3)), whole.alive


@scenario
def changes_show_a_dropped_database(d):
    c = seeded(d)
    with watch(d.database) as stream:
        c.insert_one({"_id": "a"})
        d.client.drop_database(d.database.name)
        yield told(d, take(stream, 4))
        yield stream.alive


@scenario
def changes_are_late_on_a_held_secondary(d):
    c = seeded(d)
    streams = [watch(d.collection(member=name)) for name in ("primary", *SECONDARIES)]
    d.hold("secondary-2")
    c.insert_one({"_id": "new"})
    d.settle()
    yield [told(d, take(stream, 1)) for stream in streams[:2]]
    yield [streams[2].try_next() for _ in range(4)]
    d.release()
    yield told(d, take(streams[2], 1))
    for stream in streams:
        stream.close()


@scenario
def changes_wait_for_a_majority(d):
    seeded(d)
    with watch(d.collection(member="primary")) as stream:
        d.hold(*SECONDARIES)
        d.collection(w=1).insert_one({"_id": "w1"})
        yield stream.try_next()
        d.release()
        yield told(d, take(stream, 1))


@scenario
def changes_after_a_token(d):
    c = seeded(d)
    with watch(c) as stream:
        opened = stream.resume_token
        c.insert_many([{"_id": n} for n in "abc"])
        events = take(stream, 3)
    for token in (opened, events[0]["_id"], events[2]["_id"]):
        for option in ("resume_after", "start_after"):
            with watch(c, **{option: token}) as again:
                c.update_one({"_id": 0}, {"$inc": {"x": 1}})
                yield told(d, take(again, 1))
    with watch(c, start_at_operation_time=events[1]["clusterTime"]) as again:
        yield told(d, take(again, 2))


@scenario
def changes_after_an_invalidation(d):
    c = seeded(d)
    with watch(c) as stream:
        c.drop()
        drop, invalidate = take(stream, 2)
    c.insert_one({"_id": "again"})
    kind, code, details = observed(lambda: opens(c, resume_after=invalidate["_id"]))
    yield kind, code, details
    with watch(c, start_after=invalidate["_id"]) as again:
        yield told(d, take(again, 1))
    with watch(c, resume_after=drop["_id"]) as again:
        yield told(d, take(again, 1)), again.alive


@scenario
def changes_of_a_transaction(d):
    c = seeded(d)
    with watch(d.database) as stream, d.client.start_session() as session:
        with session.start_transaction():
            c.insert_one({"_id": "a"}, session=session)
            c.update_one({"_id": "a"}, {"$set": {"n": 1}}, session=session)
            d.collection("other").insert_one({"_id": "b"}, session=session)
            c.delete_one({"_id": "a"}, session=session)
        events = take(stream, 4)
        yield [[pair for pair in event if pair[0] != "txnNumber"] for event in told(d, events)]
        yield [list(event)[:3] for event in events]
        yield len({event["clusterTime"] for event in events})
        yield len({event["txnNumber"] for event in events})
        yield [event["lsid"]["id"] == session.session_id["id"] for event in events]
        yield [event["lsid"]["uid"] for event in events]


@scenario
def changes_with_the_whole_document(d):
    d.database.create_collection("i", changeStreamPreAndPostImages={"enabled": True})
    i, c = d.collection("i"), seeded(d)
    with (
        watch(c, full_document="updateLookup") as looked_up,
        watch(
            i, full_document="required", full_document_before_change="whenAvailable"
        ) as with_images,
        watch(c, full_document="whenAvailable") as without,
        watch(c, full_document="required") as failing,
    ):
        for collection in (c, i):
            collection.insert_one({"_id": "a"})
            collection.update_one({"_id": "a"}, {"$set": {"n": 1}})
            collection.update_one({"_id": "a"}, {"$set": {"n": 2}})
            collection.delete_one({"_id": "a"})
        yield told(d, take(with_images, 4))
        yield told(d, take(looked_up, 4))
        yield told(d, take(without, 4))
        kind, code, details = observed(lambda: take(failing, 4))
        yield kind, code, details["codeName"]


@scenario
def changes_through_stages(d):
    c = seeded(d)
    inserts = {"$match": {"operationType": "insert", "fullDocument.x": {"$gte": 2}}}
    with (
        watch(c, inserts, {"$project": {"fullDocument": 1}}) as stream,
        watch(c, {"$project": {"_id": 0}}) as failing,
    ):
        c.insert_many([{"_id": f"n{n}", "x": n} for n in range(4)])
        c.delete_one({"_id": "n3"})
        yield told(d, take(stream, 2))
        kind, code, details = observed(lambda: take(failing, 1))
        yield kind, code, details["codeName"]


@scenario
def changes_that_cannot_be_watched(d):
    c = seeded(d)
    for stage in ("$group", "$limit", "$lookup", "$out", "$nosuch", "$count", "$sortByCount"):
        operand = {"$limit": 1, "$out": "x", "$count": "x", "$sortByCount": "$x"}.get(
            stage, {"_id": 1} if stage == "$group" else {}
        )
        if stage == "$lookup":
            operand = {"from": "x", "localField": "a", "foreignField": "b", "as": "c"}
        yield observed(lambda: opens(c, {stage: operand}))  # noqa: B023
    for options in (
        {"full_document": "bogus"},
        {"full_document_before_change": "bogus"},
        {"resume_after": {"_data": "zz"}},
        {"resume_after": {}},
        {"start_after": {"_data": ""}},
    ):
        yield observed(lambda: opens(c, **options))  # noqa: B023
    yield observed(lambda: opens(d.client.admin))
    yield observed(lambda: opens(d.client.config.things))
    yield observed(lambda: opens(d.collection(level="local")))
    yield observed(lambda: opens(d.collection(level="majority")))
    for first in (True, False):
        with d.client.start_session() as session:
            session.start_transaction()
            if not first:
                c.find_one(session=session)
            yield observed(lambda: opens(c, session=session))
            kind, code, details = observed(session.commit_transaction)
            yield kind, code, details["codeName"]
