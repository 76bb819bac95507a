"""Pipelines that end in `$out` or `$merge`, on a real replica set and on the simulated one.

In process they read the primary, and mongomock has no `$merge`; so these are a driver's alone.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("mirakuru", reason="the real replica set runs in: tox run -e replica-set")

from deployments import Deployment, OnTheWire, observed
from test_scenarios import Scenario, seeded, told

SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@pytest.fixture(params=["wire_client", "mongod_client", "replica_set_client"])
def simulated_client(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_a_pipeline_writes_as_on_the_real_set(run, real_set, simulated_client):
    with real_set.scenario() as deployment:
        real = list(run(deployment))
    with OnTheWire(simulated_client).scenario() as deployment:
        assert list(run(deployment)) == real


def _documents(d: Deployment, name: str) -> list[Any]:
    """The documents of a collection on the primary."""
    return list(d.collection(name).find(sort=[("_id", 1)]))


def _newer_than_held(d: Deployment) -> Any:
    """A collection that has changed since a secondary was held."""
    c = seeded(d)
    d.hold("secondary-2")
    c.update_one({"_id": 1}, {"$set": {"x": 10}})
    c.insert_one({"_id": 9})
    c.delete_one({"_id": 0})
    d.settle()
    return c


@scenario
def a_pipeline_writes_what_the_member_has(d):
    _newer_than_held(d)
    for level in (None, "local", "available", "majority"):
        held = d.collection(member="secondary-2", level=level)
        for stage in ({"$merge": f"merged-{level}"}, {"$out": f"out-{level}"}):
            [(_, name)] = stage.items()
            yield observed(lambda: held.aggregate([stage]))  # noqa: B023
            yield _documents(d, name)
    fresh = d.collection(member="secondary-1")
    fresh.aggregate([{"$out": "fresh"}])
    yield _documents(d, "fresh")


@scenario
def a_pipeline_writes_old_documents_into_newer_ones(d):
    c = _newer_than_held(d)
    d.collection("t").insert_many([{"_id": 1, "t": "new"}, {"_id": 7}])
    held = d.collection(member="secondary-2")
    held.aggregate([{"$match": {"x": {"$gte": 1}}}, {"$merge": "t"}])
    yield _documents(d, "t")
    kept = {"into": "t", "whenMatched": "keepExisting", "whenNotMatched": "insert"}
    held.aggregate([{"$set": {"y": 1}}, {"$merge": kept}])
    yield _documents(d, "t")
    held.aggregate([{"$set": {"y": 1}}, {"$merge": "c"}])
    yield _documents(d, "c")
    c.insert_one({"_id": 10})
    held.aggregate([{"$out": "c"}])
    yield _documents(d, "c")


@scenario
def a_pipeline_finds_nothing_to_write(d):
    _newer_than_held(d)
    d.collection("new").insert_one({"_id": 1})
    for held in (d.collection(member="secondary-2"), d.collection("new", member="secondary-2")):
        yield observed(lambda: held.aggregate([{"$match": {"x": 77}}, {"$merge": "none"}]))  # noqa: B023
        yield "none" in d.database.list_collection_names()
    held.aggregate([{"$out": "none"}])
    yield "none" in d.database.list_collection_names()


@scenario
def a_pipeline_that_writes_waits_for_its_write_concern(d):
    _newer_than_held(d)
    for w in (2, 3, 4, "nosuchmode"):
        held = d.collection(member="secondary-2", w=w, wtimeout=50)
        yield observed(lambda: held.aggregate([{"$merge": f"w-{w}"}]))  # noqa: B023
    yield _documents(d, "w-3")


@scenario
def a_pipeline_that_writes_in_a_session(d):
    c = _newer_than_held(d)
    held = d.collection(member="secondary-2")
    with d.client.start_session() as session:
        c.find_one(session=session)
        stages = [{"$merge": "m"}]
        yield told(lambda: held.aggregate(stages, session=session, maxTimeMS=50))
    yield _documents(d, "m")
    with d.client.start_session() as session:
        yield observed(lambda: held.aggregate(stages, session=session))
        yield list(d.collection("m").find(session=session, sort=[("_id", 1)]))
        there = d.collection("m", member="secondary-2")
        yield told(lambda: there.find_one({}, session=session, max_time_ms=50))
    with d.client.start_session(snapshot=True) as session:
        yield observed(lambda: held.find_one({"_id": 1}, session=session))
        d.catch_up("secondary-2")
        yield observed(lambda: held.aggregate([{"$out": "s"}], session=session))
    yield _documents(d, "s")
