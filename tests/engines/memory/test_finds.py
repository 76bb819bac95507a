"""Finds of the server's commands: straight to the document where that gives what a filter gives."""

from __future__ import annotations

import uuid
from typing import Any

import mongomock
import pytest
from bson import Binary, Int64, ObjectId
from simulating import lags_of

from pytest_replicalag.engines.memory import commands
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.replicaset.clock import VirtualClock
from pytest_replicalag.replicaset.replica_set import ReplicaSet

UUID = uuid.UUID(int=7)
IDS: list[Any] = [
    ObjectId("0" * 24),
    "text",
    1,
    2.5,
    Int64(1 << 40),
    Binary(UUID.bytes, 4),
    b"bytes",
    None,
    {"a": 1, "b": 2},
]
NOT_THERE: list[Any] = [7, "TEXT", Int64(7), Binary(UUID.bytes, 3), {"b": 2, "a": 1}, b"byte"]


def libraries() -> list[Any]:
    try:
        import mongomock_ng
    except ImportError:
        return [mongomock]
    return [mongomock, mongomock_ng]


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def engine(request):
    client = request.param.MongoClient()
    library = library_of(client)
    assert library is not None
    engine = MemoryEngine(library, client)
    engine.attach(Journal(ReplicaSet(VirtualClock(), lags_of("inf"), 0, "test")))
    documents = [{"_id": key, "n": number, "list": [1]} for number, key in enumerate(IDS)]
    commands.write(
        "insert", {"insert": "c", "documents": documents, "$db": "d"}, engine.live_client
    )
    return engine


def find(engine: MemoryEngine, past: int | None = None, **command: Any) -> list[Any]:
    read = commands.read("find", {"find": "c", "$db": "d", **command}, engine.library)
    if past is None:
        return read.run(engine.live("d", "c", None))
    return read.run(engine.past(past).collection("d", "c", None, copies=True))


@pytest.mark.parametrize("key", IDS + NOT_THERE, ids=repr)
def test_an_id_finds_what_a_longer_filter_finds(engine, key):
    expected = find(engine, filter={"$and": [{"_id": key}]})
    assert find(engine, filter={"_id": key}) == expected
    assert find(engine, filter={"_id": {"$eq": key}}) == expected
    # Python takes documents for equal whatever the order of their fields; a server does not.
    assert len(expected) == (repr(key) in map(repr, IDS))


@pytest.mark.parametrize("key", [True, 1.0, Int64(1)], ids=repr)
def test_an_equal_id_of_another_type_is_left_to_the_library(engine, key):
    assert find(engine, filter={"_id": key}) == find(engine, filter={"$and": [{"_id": key}]})


def test_found_documents_stay_as_they_were(engine):
    found = find(engine) + find(engine, filter={"_id": 1}) + find(engine, sort={"n": -1})
    before = repr(found)
    change = {"$set": {"n": 0}, "$push": {"list": 2}}
    update = {"q": {"n": {"$lt": 8}}, "u": change, "multi": True}
    command = {"update": "c", "updates": [update], "$db": "d"}
    assert commands.write("update", command, engine.live_client)["nModified"] == 8
    assert repr(found) == before
    assert find(engine, filter={"_id": 1})[0]["list"] == [1, 2]


def test_an_aggregation_does_not_change_what_finds_hand_out(engine):
    found = find(engine, filter={"_id": 1})
    pipeline = [{"$match": {"_id": 1}}, {"$addFields": {"list": []}}]
    command = {"aggregate": "c", "pipeline": pipeline, "cursor": {}, "$db": "d"}
    read = commands.read("aggregate", command, engine.library)
    assert [document["list"] for document in read.run(engine.live("d", "c", None))] == [[]]
    assert found == find(engine, filter={"_id": 1})
    assert found[0]["list"] == [1]


def test_a_find_in_the_past_goes_straight_to_the_document_too(engine):
    then = engine.server.journal.replica_set.oplog.last
    statement = {"q": {"_id": 1}, "u": {"$set": {"n": "new"}}}
    command = {"update": "c", "updates": [statement], "$db": "d"}
    commands.write("update", command, engine.live_client)
    assert [document["n"] for document in find(engine, past=then, filter={"_id": 1})] == [2]
    assert find(engine, past=then, filter={"_id": 7}) == []


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"limit": 2}, [0, 1]),
        ({"limit": 2, "skip": 3}, [0, 1, 2, 3, 4]),  # the read's window skips
        ({"limit": 2, "sort": {"n": -1}}, [8, 7]),
        ({"limit": -1, "filter": {"n": {"$gt": 4}}}, [5]),
    ],
)
def test_a_find_looks_for_no_more_than_its_limit(engine, options, numbers):
    assert [document["n"] for document in find(engine, **options)] == numbers


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"$match": {}}], 9),
        ([{"$match": {"n": {"$gte": 4}}}], 5),
        ([{"$match": {"_id": 1}}], 1),
        ([{"$match": {"n": -1}}], 0),
        ([{"$match": {}}, {"$skip": 2}], 7),
        ([{"$match": {}}, {"$skip": 2}, {"$limit": 3}], 3),
        ([{"$match": {}}, {"$skip": 9}, {"$limit": 3}], 0),
        ([{"$match": {}}, {"$limit": 3}, {"$skip": 2}], 1),
    ],
    ids=str,
)
def test_documents_are_counted_as_the_pipeline_counts_them(engine, stages, expected):
    pipeline = [*stages, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
    command = {"aggregate": "c", "pipeline": pipeline, "cursor": {}, "$db": "d"}
    counted = commands.read("aggregate", command, engine.library)
    # One more stage, which changes nothing, makes it a pipeline like any other.
    command["pipeline"] = [*pipeline, {"$match": {}}]
    piped = commands.read("aggregate", command, engine.library)
    found = counted.run(engine.live("d", "c", None))
    assert found == ([{"_id": 1, "n": expected}] if expected else [])
    assert found == piped.run(engine.live("d", "c", None))
