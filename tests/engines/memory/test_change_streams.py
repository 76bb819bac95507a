"""Change streams on the engine: the events and errors that MongoDB 6.0.5 shows."""

from __future__ import annotations

import copy
import hashlib
from typing import Any
from unittest import mock

import mongomock
import pytest
from bson import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure
from simulating import HAS_PIPELINE_UPDATES, replica_set_of

from pytest_replicalag.engines.memory import change_log
from pytest_replicalag.engines.memory.change_log import TransactionIdentity
from pytest_replicalag.engines.memory.engine import MemoryEngine
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.engines.memory.library import library_of

DOCUMENT: dict[str, Any] = {
    "_id": 1,
    "a": {"b": 1, "c": {"d": 1}},
    "arr": [1, 2, 3, 4, 5],
    "objs": [{"x": 1, "y": 1}, {"x": 2}],
    "n": 1,
    "s": "t",
    "z": 0,
}
VARYING = ("_id", "clusterTime", "wallTime")


def engine_of(client: Any, lags: str = "0") -> MemoryEngine:
    engine = MemoryEngine(library_of(client), client)
    engine.attach(Journal(replica_set_of(lags)))
    engine.keep_changes()
    return engine


def libraries() -> list[Any]:
    try:
        import mongomock_ng
    except ImportError:
        return [mongomock]
    return [mongomock, mongomock_ng]


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def engine(request):
    return engine_of(request.param.MongoClient())


@pytest.fixture
def db(engine):
    engine.live_client.t.create_collection("c")
    return engine.live_client.t


def watch(engine: MemoryEngine, collection: str | None = "c", *pipeline: Any, **stage: Any) -> Any:
    return engine.watch("t", collection, stage, list(pipeline))


def events(stream: Any, limit: int = 100) -> list[Any]:
    """All that it shows, in batches of one and as many as there may be."""
    found = []
    for size in (1, limit):
        found += stream.next_batch(stream.log.position, size)
    return found


def told(stream: Any) -> list[Any]:
    """The same without what differs in each run."""
    return [
        {key: value for key, value in event.items() if key not in VARYING}
        for event in events(stream)
    ]


def refused(act: Any) -> tuple[Any, ...]:
    with pytest.raises(OperationFailure) as caught:
        act()
    details: Any = caught.value.details
    return caught.value.code, details["codeName"], details["errmsg"]


NS = {"ns": {"db": "t", "coll": "c"}}
KEY = {"documentKey": {"_id": 1}}


def test_the_fields_of_events_and_their_order(engine, db):
    stream = watch(engine)
    db.c.insert_one({"_id": 1})
    db.c.update_one({"_id": 1}, {"$set": {"a": 1}})
    db.c.replace_one({"_id": 1}, {"b": 1})
    db.c.delete_one({"_id": 1})
    common = ["_id", "operationType", "clusterTime", "wallTime"]
    shown = events(stream)
    assert [list(event) for event in shown] == [
        [*common, "fullDocument", "ns", "documentKey"],
        [*common, "ns", "documentKey", "updateDescription"],
        [*common, "fullDocument", "ns", "documentKey"],
        [*common, "ns", "documentKey"],
    ]
    assert [event["operationType"] for event in shown] == ["insert", "update", "replace", "delete"]
    assert shown[0]["fullDocument"] == {"_id": 1}
    assert shown[2]["fullDocument"] == {"_id": 1, "b": 1}
    times = [event["clusterTime"] for event in shown]
    assert times == sorted(set(times))
    tokens = [event["_id"]["_data"] for event in shown]
    assert tokens == sorted(set(tokens))


UPDATES: list[tuple[Any, dict[str, Any], list[str], dict[str, Any]]] = [
    # update, updatedFields, removedFields, truncatedArrays as size by field
    ({"$set": {"a": {"b": 2, "c": {"d": 1}}}}, {"a": {"b": 2, "c": {"d": 1}}}, [], {}),
    ({"$set": {"a.b": 2}}, {"a.b": 2}, [], {}),
    ({"$set": {"a.c.d": 5, "n": 2}}, {"n": 2, "a.c.d": 5}, [], {}),
    ({"$unset": {"n": 1, "a.b": 1}}, {}, ["n", "a.b"], {}),
    ({"$set": {"arr.1": 9}}, {"arr.1": 9}, [], {}),
    ({"$set": {"arr.8": 9}}, {"arr.8": 9}, [], {}),
    ({"$set": {"arr.1": 9, "arr.3": 8}}, {"arr.1": 9, "arr.3": 8}, [], {}),
    ({"$push": {"arr": 6}}, {"arr.5": 6}, [], {}),
    ({"$push": {"arr": {"$each": [6, 7]}}}, {"arr.5": 6, "arr.6": 7}, [], {}),
    ({"$push": {"arr": {"$each": [0], "$position": 0}}}, {"arr": [0, 1, 2, 3, 4, 5]}, [], {}),
    ({"$push": {"arr": {"$each": [6], "$slice": -5}}}, {"arr": [2, 3, 4, 5, 6]}, [], {}),
    ({"$push": {"arr": {"$each": [], "$slice": 3}}}, {"arr": [1, 2, 3]}, [], {}),
    ({"$push": {"arr": {"$each": [9, 8], "$sort": 1}}}, {"arr": [1, 2, 3, 4, 5, 8, 9]}, [], {}),
    ({"$push": {"new": 1}}, {"new": [1]}, [], {}),
    ({"$push": {"a.new": 1}}, {"a.new": [1]}, [], {}),
    ({"$pop": {"arr": 1}}, {"arr": [1, 2, 3, 4]}, [], {}),
    ({"$pull": {"arr": 5}}, {"arr": [1, 2, 3, 4]}, [], {}),
    ({"$addToSet": {"arr": 6}}, {"arr": [1, 2, 3, 4, 5, 6]}, [], {}),
    ({"$pull": {"objs": {"x": 2}}}, {"objs": [{"x": 1, "y": 1}]}, [], {}),
    ({"$inc": {"n": 1}}, {"n": 2}, [], {}),
    ({"$rename": {"n": "m"}}, {"m": 1}, ["n"], {}),
    ({"$set": {"n": 1.0}}, {"n": 1.0}, [], {}),
    ({"$set": {"objs.0.y": 2}}, {"objs.0.y": 2}, [], {}),
    ({"$set": {"objs.1.q.r": 2}}, {"objs.1.q": {"r": 2}}, [], {}),
    ({"$unset": {"objs.0.x": 1}}, {}, ["objs.0.x"], {}),
    ({"$set": {"new.deep.er": 1}}, {"new": {"deep": {"er": 1}}}, [], {}),
    ({"$set": {"arr": [1, 2]}}, {"arr": [1, 2]}, [], {}),
    (
        {"$set": {"z": 1, "b": 2, "a.x": 1, "arr.0": 3}},
        {"z": 1, "b": 2, "a.x": 1, "arr.0": 3},
        [],
        {},
    ),
    (
        {"$set": {"zz": 1, "n": 2, "a.z": 1, "a.b": 3, "b": 2}, "$unset": {"s": 1}},
        {"n": 2, "b": 2, "zz": 1, "a.b": 3, "a.z": 1},
        ["s"],
        {},
    ),
]
PIPELINES: list[tuple[Any, dict[str, Any], list[str], dict[str, Any]]] = [
    ([{"$set": {"a.b": 2}}], {"a.b": 2}, [], {}),
    ([{"$set": {"a.c.d": {"e": 1}}}], {"a": {"b": 1, "c": {"d": {"e": 1}}}}, [], {}),
    ([{"$project": {"n": 0}}], {}, ["n"], {}),
    ([{"$set": {"arr": [1, 2]}}], {}, [], {"arr": 2}),
    ([{"$set": {"arr": [1, 2, 9, 4, 5, 6]}}], {"arr.2": 9, "arr.5": 6}, [], {}),
    ([{"$set": {"objs": [{"x": 1, "y": 1}]}}], {}, [], {"objs": 1}),
    ([{"$set": {"s": [1, {"w": 1}]}}], {"s": [1, {"w": 1}]}, [], {}),
]


@pytest.mark.parametrize(("update", "updated", "removed", "truncated"), UPDATES, ids=str)
def test_updates_by_operators(engine, db, update, updated, removed, truncated):
    db.c.insert_one(copy.deepcopy(DOCUMENT))
    stream = watch(engine)
    db.c.update_one({"_id": 1}, update)
    [event] = told(stream)
    assert event == {
        "operationType": "update",
        **NS,
        **KEY,
        "updateDescription": {
            "updatedFields": updated,
            "removedFields": removed,
            "truncatedArrays": truncated or [],
        },
    }
    assert list(event["updateDescription"]["updatedFields"]) == list(updated)


@pytest.mark.skipif(not HAS_PIPELINE_UPDATES, reason="mongomock 4.2 has no pipeline updates")
@pytest.mark.parametrize(("update", "updated", "removed", "truncated"), PIPELINES, ids=str)
def test_updates_by_pipelines(engine, db, update, updated, removed, truncated):
    db.c.insert_one(copy.deepcopy(DOCUMENT))
    stream = watch(engine)
    db.c.update_one({"_id": 1}, update)
    [event] = told(stream)
    sizes = [{"field": name, "newSize": size} for name, size in truncated.items()]
    assert event["updateDescription"] == {
        "updatedFields": updated,
        "removedFields": removed,
        "truncatedArrays": sizes,
    }


def test_a_pipeline_that_changes_nearly_all_is_a_replacement(engine, db):
    if not HAS_PIPELINE_UPDATES:
        pytest.skip("mongomock 4.2 has no pipeline updates")
    db.c.insert_one(copy.deepcopy(DOCUMENT))
    stream = watch(engine)
    db.c.update_one({"_id": 1}, [{"$replaceRoot": {"newRoot": {"_id": 1, "q": 1}}}])
    assert told(stream) == [
        {"operationType": "replace", "fullDocument": {"_id": 1, "q": 1}, **NS, **KEY}
    ]


def test_an_element_that_a_selector_changed(engine, db):
    db.c.insert_one(copy.deepcopy(DOCUMENT))
    stream = watch(engine)
    db.c.update_one({"_id": 1, "objs.x": 2}, {"$set": {"objs.$.x": 7}})
    [event] = told(stream)
    assert event["updateDescription"]["updatedFields"] == {"objs.1.x": 7}


def test_a_selector_that_changed_several_elements_tells_the_array():
    mongomock_ng = pytest.importorskip("mongomock_ng")
    engine = engine_of(mongomock_ng.MongoClient())
    collection = engine.live_client.t.c
    collection.insert_one(copy.deepcopy(DOCUMENT))
    stream = watch(engine)
    collection.update_one({"_id": 1}, {"$set": {"objs.$[].x": 9}})
    [event] = told(stream)
    updated = event["updateDescription"]["updatedFields"]
    assert updated == {"objs": [{"x": 9, "y": 1}, {"x": 9}]}


def test_what_changes_nothing_has_no_event(engine, db):
    db.c.insert_one({"_id": 1, "n": 1})
    stream = watch(engine)
    db.c.update_one({"_id": 1}, {"$set": {"n": 1}})
    db.c.delete_one({"_id": 2})
    assert told(stream) == []
    assert stream.next_position is None


def test_an_event_does_not_change_with_the_document(engine, db):
    stream = watch(engine)
    document = {"_id": 1, "tags": [1]}
    db.c.insert_one(document)
    update = {"$set": {"sub": {"x": 1}}}
    db.c.update_one({"_id": 1}, update)
    document["tags"].append(2)
    update["$set"]["sub"]["x"] = 2
    first, second = events(stream)
    assert first["fullDocument"] == {"_id": 1, "tags": [1]}
    assert second["updateDescription"]["updatedFields"] == {"sub": {"x": 1}}
    first["fullDocument"]["tags"].append(3)
    assert db.c.find_one({"_id": 1})["tags"] == [1]


def test_a_drop_ends_a_stream_on_the_collection(engine, db):
    stream = watch(engine)
    db.c.insert_one({"_id": 1})
    db.c.drop()
    shown = told(stream)
    assert [event["operationType"] for event in shown] == ["insert", "drop", "invalidate"]
    assert shown[1:] == [{"operationType": "drop", **NS}, {"operationType": "invalidate"}]
    assert stream.is_closed
    db.c.insert_one({"_id": 2})
    assert events(stream) == []
    assert stream.next_position is None


def test_a_collection_that_deletes_have_emptied_is_dropped_too(engine, db):
    stream = watch(engine, "emptied")
    db.emptied.insert_one({"_id": 1})
    db.emptied.delete_one({"_id": 1})
    db.emptied.drop()
    db.emptied.drop()
    kinds = [event["operationType"] for event in events(stream)]
    assert kinds == ["insert", "delete", "drop", "invalidate"]


def test_a_rename_ends_streams_on_both_names(engine, db):
    db.x.insert_one({"_id": 1})
    old, new, whole = watch(engine, "x"), watch(engine, "c"), watch(engine, None)
    db.x.rename("c", dropTarget=True)
    rename = {
        "to": {"db": "t", "coll": "c"},
        "operationType": "rename",
        "ns": {"db": "t", "coll": "x"},
    }
    assert told(old) == told(new) == [rename, {"operationType": "invalidate"}]
    assert told(whole) == [rename]
    assert not whole.is_closed


def test_a_dropped_database(engine, db):
    on_collection, on_database = watch(engine), watch(engine, None)
    on_all = engine.watch(None, None, {"allChangesForCluster": True}, [])
    db.c.insert_one({"_id": 1})
    db.d.insert_one({"_id": 1})
    engine.live_client.drop_database("t")
    engine.live_client.drop_database("t")
    kinds = [event["operationType"] for event in events(on_collection)]
    assert kinds == ["insert", "drop", "invalidate"]
    shown = told(on_database)
    assert [event["operationType"] for event in shown] == [
        *["insert", "insert", "drop", "drop"],
        *["dropDatabase", "invalidate"],
    ]
    assert shown[-2] == {"operationType": "dropDatabase", "ns": {"db": "t"}}
    assert told(on_all) == shown[:-1]
    assert not on_all.is_closed


def test_expanded_events(engine, db):
    stream = watch(engine, None, showExpandedEvents=True)
    db.e.insert_one({"_id": 1})
    db.e.create_index([("a", 1), ("b", -1)], unique=True)
    db.e.drop_indexes()
    db.create_collection("f", changeStreamPreAndPostImages={"enabled": True})
    db.e.rename("g")
    shown = told(stream)
    uuid = shown[0]["collectionUUID"]
    spec = {"v": 2, "unique": True, "key": {"a": 1, "b": -1}, "name": "a_1_b_-1"}
    id_index = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
    of_e = {"collectionUUID": uuid, "ns": {"db": "t", "coll": "e"}}
    assert [event for event in shown if event["ns"]["coll"] == "e"] == [
        {"operationType": "create", **of_e, "operationDescription": {"idIndex": id_index}},
        {"operationType": "insert", **of_e, "fullDocument": {"_id": 1}, **KEY},
        {"operationType": "createIndexes", **of_e, "operationDescription": {"indexes": [spec]}},
        {"operationType": "dropIndexes", **of_e, "operationDescription": {"indexes": [spec]}},
        {
            "to": {"db": "t", "coll": "g"},
            "operationType": "rename",
            **of_e,
            "operationDescription": {"to": {"db": "t", "coll": "g"}},
        },
    ]
    assert [event["operationType"] for event in shown if event["ns"]["coll"] == "f"] == [
        "create",
        "modify",
    ]


def test_full_document_looks_the_document_up_as_it_is_now(engine, db):
    stream = watch(engine, None, fullDocument="updateLookup")
    for name in ("kept", "gone", "dropped", "old"):
        db[name].insert_one({"_id": 1, "n": 0})
        db[name].update_one({"_id": 1}, {"$set": {"n": 1}})
    db.kept.update_one({"_id": 1}, {"$set": {"n": 2}})
    db.gone.delete_one({"_id": 1})
    db.dropped.drop()
    db.dropped.insert_one({"_id": 1, "n": "another"})
    db.old.rename("new")
    found = {
        event["ns"]["coll"]: event["fullDocument"]
        for event in told(stream)
        if event["operationType"] == "update"
    }
    assert found == {
        "kept": {"_id": 1, "n": 2},
        "gone": None,
        "dropped": None,
        "old": {"_id": 1, "n": 1},
    }


def test_a_look_up_sees_no_more_than_the_stream():
    engine = engine_of(mongomock.MongoClient(), "inf,inf")
    collection = engine.live_client.t.c
    collection.insert_one({"_id": 1})
    stream = watch(engine, fullDocument="updateLookup")
    collection.update_one({"_id": 1}, {"$set": {"n": 1}})
    seen = engine.change_log.position
    collection.update_one({"_id": 1}, {"$set": {"n": 2}})
    [event] = stream.next_batch(seen, 10)
    assert event["fullDocument"] == {"_id": 1, "n": 1}


def test_images(engine, db):
    db.create_collection("i", changeStreamPreAndPostImages={"enabled": True})
    stream = watch(engine, "i", fullDocument="required", fullDocumentBeforeChange="required")
    db.i.insert_one({"_id": 1})
    db.i.update_one({"_id": 1}, {"$set": {"a": 1}})
    db.i.replace_one({"_id": 1}, {"z": 1})
    db.i.delete_one({"_id": 1})
    shown = told(stream)
    assert [event.get("fullDocument") for event in shown] == [
        {"_id": 1},
        {"_id": 1, "a": 1},
        {"_id": 1, "z": 1},
        None,
    ]
    assert [event.get("fullDocumentBeforeChange") for event in shown] == [
        None,
        {"_id": 1},
        {"_id": 1, "a": 1},
        {"_id": 1, "z": 1},
    ]


def test_images_that_are_not_kept(engine, db):
    images = {"fullDocument": "whenAvailable", "fullDocumentBeforeChange": "whenAvailable"}
    lenient = watch(engine, **images)
    post = watch(engine, fullDocument="required")
    pre = watch(engine, fullDocumentBeforeChange="required")
    db.c.insert_one({"_id": 1})
    db.c.update_one({"_id": 1}, {"$set": {"a": 1}})
    event = told(lenient)[1]
    assert event["fullDocument"] is None
    assert event["fullDocumentBeforeChange"] is None
    code, name, message = refused(lambda: events(post))
    assert (code, name) == (47, "NoMatchingDocument")
    assert 'post-image was not found for event: {operationType: "update"' in message
    assert refused(lambda: events(pre))[0] == 47


# -- how far it shows, and from where it goes on ---------------------------------------------


def test_it_shows_what_has_been_applied(engine, db):
    stream = watch(engine)
    db.c.insert_one({"_id": 1})
    first = engine.change_log.position
    db.other.insert_one({"_id": "elsewhere"})
    db.c.insert_one({"_id": 2})
    assert stream.next_position == first
    assert stream.next_batch(first - 1, 10) == []
    assert [event["documentKey"] for event in stream.next_batch(first, 10)] == [{"_id": 1}]
    assert stream.next_position == engine.change_log.position
    assert stream.next_batch(first + 1, 10) == []
    assert [event["documentKey"] for event in stream.next_batch(first + 2, 10)] == [{"_id": 2}]


def test_it_starts_with_what_its_member_has_not_applied(engine, db):
    db.c.insert_one({"_id": 1})
    applied = engine.change_log.position
    db.c.insert_one({"_id": 2})
    stream = engine.watch("t", "c", {}, [], applied)
    assert [event["documentKey"] for event in events(stream)] == [{"_id": 2}]


@pytest.mark.parametrize("option", ["resumeAfter", "startAfter"])
def test_it_goes_on_after_any_token(engine, db, option):
    stream = watch(engine)
    tokens = [stream.resume_token]
    for n in range(3):
        db.c.insert_one({"_id": n})
        tokens.append(events(stream)[0]["_id"])
        assert stream.resume_token == tokens[-1]
        db.other.insert_one({"_id": n})
        assert events(stream) == []
        tokens.append(stream.resume_token)
    assert tokens == sorted(tokens, key=lambda token: token["_data"])
    left = [3, 2, 2, 1, 1, 0, 0]
    for token, count in zip(tokens, left, strict=True):
        assert len(events(watch(engine, **{option: token}))) == count


def test_it_starts_at_an_operation_time(engine, db):
    for n in range(3):
        db.c.insert_one({"_id": n})
    times = [event["clusterTime"] for event in events(watch(engine, startAtOperationTime=EARLY))]
    for number, time in enumerate(times):
        stream = watch(engine, startAtOperationTime=time)
        assert [event["documentKey"]["_id"] for event in events(stream)] == list(range(number, 3))
    later = Timestamp(times[-1].time + 1, 1)
    stream = watch(engine, startAtOperationTime=later)
    db.c.insert_one({"_id": "before"})
    assert events(stream) == []
    engine.server.journal.replica_set.clock.advance(2_000_000)
    db.c.insert_one({"_id": "after"})
    assert [event["documentKey"]["_id"] for event in events(stream)] == ["after"]


EARLY = Timestamp(1, 1)


def test_it_survives_the_end_of_a_simulation(engine, db):
    stream = watch(engine)
    db.c.insert_one({"_id": "old"})
    token = stream.resume_token
    engine.attach(Journal(replica_set_of("inf")))
    assert stream.next_position == 0
    db.c.insert_one({"_id": "new"})
    assert [event["documentKey"]["_id"] for event in stream.next_batch(0, 10)] == ["old"]
    assert stream.next_position == 1
    assert [event["documentKey"]["_id"] for event in stream.next_batch(1, 10)] == ["new"]
    resumed = watch(engine, resumeAfter=token)
    assert [event["documentKey"]["_id"] for event in events(resumed)] == ["old", "new"]
    at = watch(engine, startAtOperationTime=EARLY)
    assert [event["documentKey"]["_id"] for event in events(at)] == ["new"]


def test_an_operation_time_of_an_earlier_simulation_where_times_go_on(engine, db):
    db.c.insert_one({"_id": "old"})
    replica_set = replica_set_of("0")
    replica_set.oplog.epoch_seconds = 50
    engine.attach(Journal(replica_set))
    db.c.insert_one({"_id": "new"})
    stream = watch(engine, startAtOperationTime=EARLY)
    assert [event["documentKey"]["_id"] for event in events(stream)] == ["old", "new"]


def test_a_dropped_collection_can_be_followed_on(engine, db):
    stream = watch(engine)
    db.c.drop()
    db.c.insert_one({"_id": "again"})
    drop, invalidate = events(stream)
    for option in ("resumeAfter", "startAfter"):
        resumed = watch(engine, **{option: drop["_id"]})
        assert [event["operationType"] for event in events(resumed)] == ["invalidate"]
    code, name, _ = refused(lambda: watch(engine, resumeAfter=invalidate["_id"]))
    assert (code, name) == (260, "InvalidResumeToken")
    follower = watch(engine, startAfter=invalidate["_id"])
    assert [event["documentKey"]["_id"] for event in events(follower)] == ["again"]


def test_changes_that_fall_out_of_the_window(engine, db):
    stream = watch(engine)
    with mock.patch.object(change_log, "WINDOW", 5):
        for n in range(4):
            db.c.insert_one({"_id": n})
        [first, *_] = events(watch(engine, startAtOperationTime=EARLY))
        for n in range(4, 20):
            db.c.insert_one({"_id": n})
    code, name, _ = refused(lambda: events(stream))
    assert (code, name) == (286, "ChangeStreamHistoryLost")
    for stage in ({"resumeAfter": first["_id"]}, {"startAtOperationTime": first["clusterTime"]}):
        with pytest.raises(OperationFailure) as caught:
            watch(engine, **stage)
        assert caught.value.code == 286
        assert caught.value.has_error_label("NonResumableChangeStreamError")


def test_what_was_before_changes_were_kept_is_lost():
    client = mongomock.MongoClient()
    engine = MemoryEngine(library_of(client), client)
    engine.attach(Journal(replica_set_of("0")))
    engine.live_client.t.c.insert_one({"_id": 1})
    assert refused(lambda: watch(engine, startAtOperationTime=EARLY))[0] == 286
    assert events(watch(engine)) == []


# -- transactions ----------------------------------------------------------------------------


def test_a_transaction_shows_each_write_at_one_time(engine, db):
    db.c.insert_one({"_id": 0, "n": 0})
    stream, elsewhere = watch(engine), watch(engine, "new")
    transaction = engine.begin(engine.server.journal)
    transaction.identity = TransactionIdentity({"id": "session"}, 7)
    view = transaction.client.t
    view.c.insert_one({"_id": 1})
    view.c.update_one({"_id": 1}, {"$set": {"a": {"b": 1}}})
    view.c.update_one({"_id": 1}, {"$set": {"a": {"b": 2}}})
    view.new.insert_one({"_id": 2})
    view.c.replace_one({"_id": 0}, {"m": 0})
    view.c.delete_one({"_id": 1})
    assert stream.next_position is None
    position = transaction.commit()
    assert stream.next_position == position
    shown = events(stream)
    session = {"id": "session", "uid": hashlib.sha256(b"").digest()}
    assert all(event["txnNumber"] == 7 and event["lsid"] == session for event in shown)
    assert list(shown[0])[:3] == ["txnNumber", "lsid", "_id"]
    assert len({event["clusterTime"] for event in shown}) == 1
    assert [event["operationType"] for event in shown] == [
        *["insert", "update", "update", "replace", "delete"]
    ]
    assert [event.get("fullDocument") for event in shown[::3]] == [{"_id": 1}, {"_id": 0, "m": 0}]
    assert shown[2]["updateDescription"]["updatedFields"] == {"a": {"b": 2}}
    tokens = [event["_id"]["_data"] for event in shown]
    assert tokens == sorted(set(tokens))
    [event] = events(elsewhere)
    assert event["fullDocument"] == {"_id": 2}
    for number, event in enumerate(shown):
        resumed = watch(engine, resumeAfter=event["_id"])
        assert len(events(resumed)) == len(shown) - number - 1


def test_a_transaction_that_undoes_itself_is_shown(engine, db):
    stream = watch(engine)
    transaction = engine.begin(engine.server.journal)
    transaction.client.t.c.insert_one({"_id": 1})
    transaction.client.t.c.delete_one({"_id": 1})
    transaction.commit()
    db.c.insert_one({"_id": 2})
    kinds = [event["operationType"] for event in events(stream)]
    assert kinds == ["insert", "delete", "insert"]


def test_an_aborted_transaction_is_not_shown(engine, db):
    stream = watch(engine)
    transaction = engine.begin(engine.server.journal)
    transaction.client.t.c.insert_one({"_id": 1})
    transaction.abort()
    assert events(stream) == []


def test_a_write_beside_a_transaction_tells_its_update(engine, db):
    db.c.insert_one({"_id": 1})
    stream = watch(engine)
    transaction = engine.begin(engine.server.journal)
    update = {"$set": {"a": {"b": 1}, "z": 1}}
    engine.write_beside(lambda client: client.t.c.update_one({"_id": 1}, update))
    engine.write_beside(lambda client: client.t.c.update_one({"_id": 1}, {"$set": {"a": {"b": 2}}}))
    engine.write_beside(lambda client: client.t.c.replace_one({"_id": 1}, {"a": 5}))
    transaction.abort()
    shown = told(stream)
    assert [event["operationType"] for event in shown] == ["update", "update", "replace"]
    assert shown[1]["updateDescription"]["updatedFields"] == {"a": {"b": 2}}
    assert "txnNumber" not in shown[0]


def test_a_transaction_that_began_before_changes_were_kept():
    client = mongomock.MongoClient()
    engine = MemoryEngine(library_of(client), client)
    engine.attach(Journal(replica_set_of("0")))
    transaction = engine.begin(engine.server.journal)
    transaction.client.t.c.insert_one({"_id": 1})
    stream = watch(engine)
    transaction.commit()
    assert [event["fullDocument"] for event in events(stream)] == [{"_id": 1}]


# -- what is refused -------------------------------------------------------------------------

TOKEN = "8200000001000000022B022C0100296E2E0000000204"
REFUSED: list[tuple[Any, Any, dict[str, Any], int, str]] = [
    ("t", "c", {"foo": 1}, 40415, "BSON field '$changeStream.foo' is an unknown field."),
    (
        *("t", "c", {"fullDocument": "x"}, 2),
        "Enumeration value 'x' for field '$changeStream.fullDocument' is not a valid value.",
    ),
    (
        *("t", "c", {"fullDocument": 1}, 14),
        "BSON field '$changeStream.fullDocument' is the wrong type 'int', expected type 'string'",
    ),
    (
        *("t", "c", {"resumeAfter": "x"}, 14),
        "BSON field '$changeStream.resumeAfter' is the wrong type 'string', expected type 'object'",
    ),
    (
        *("t", "c", {"showExpandedEvents": 1}, 14),
        "Field 'showExpandedEvents' should be a boolean value, but found: int",
    ),
    ("admin", None, {}, 73, "$changeStream may not be opened on the internal admin database"),
    ("local", "c", {}, 73, "$changeStream may not be opened on the internal local database"),
    (
        *("t", "system.js", {}, 73),
        "$changeStream may not be opened on the internal t.system.js collection",
    ),
    (
        *("t", None, {"allChangesForCluster": True}, 72),
        (
            "A $changeStream with 'allChangesForCluster:true' may only be opened on the 'admin' "
            "database, and with no collection name; found t.$cmd.aggregate"
        ),
    ),
    (
        *("t", "c", {"resumeAfter": {}}, 40647),
        "Bad resume token: _data of missing or of wrong type. Expected string, got {}",
    ),
    ("t", "c", {"resumeAfter": {"_data": ""}}, 40649, "invalid empty resume token"),
    (
        *("t", "c", {"startAfter": {"_data": "zz"}}, 9),
        "resume token string was not a valid hex string",
    ),
    (
        *("t", "c", {"resumeAfter": {"_data": "FFFF"}}, 50811),
        "KeyString format error: Unknown type: 255",
    ),
    (
        *("t", "c", {"resumeAfter": {"_data": TOKEN}, "startAfter": {"_data": TOKEN}}, 50865),
        "Do not specify both 'resumeAfter' and 'startAfter' in a $changeStream stage",
    ),
    (
        *("t", "c", {"resumeAfter": {"_data": TOKEN}, "startAtOperationTime": EARLY}, 40674),
        "Only one type of resume option is allowed, but multiple were found",
    ),
]


@pytest.mark.parametrize(("database", "collection", "stage", "code", "message"), REFUSED)
def test_stages_that_are_refused(engine, database, collection, stage, code, message):
    found = refused(lambda: engine.watch(database, collection, stage, []))
    assert (found[0], found[2]) == (code, message)


def test_a_token_of_no_change(engine, db):
    db.c.insert_one({"_id": 1})
    [event] = events(watch(engine, startAtOperationTime=EARLY))
    wrong = event["_id"]["_data"].replace("2C010029", "2C01002B02")
    with pytest.raises(OperationFailure) as caught:
        watch(engine, resumeAfter={"_data": wrong})
    assert caught.value.code == 280
    assert caught.value.has_error_label("NonResumableChangeStreamError")
    details: Any = caught.value.details
    assert details["errmsg"] == (
        "PlanExecutor error during aggregation :: caused by :: cannot resume stream; the resume "
        f'token was not found. {{_data: "{wrong}"}}'
    )


PIPELINES_REFUSED: list[tuple[Any, int, str]] = [
    ({"$group": {"_id": 1}}, 20, "$group is not permitted in a $changeStream pipeline"),
    ({"$count": "n"}, 20, "$group is not permitted in a $changeStream pipeline"),
    ({"$out": "x"}, 20, "$out is not permitted in a $changeStream pipeline"),
    ({"$nosuch": {}}, 40324, "Unrecognized pipeline stage name: '$nosuch'"),
    (
        *({"$changeStream": {}}, 40602),
        "$_internalChangeStreamOplogMatch is only valid as the first stage in a pipeline",
    ),
    ({}, 40323, "A pipeline stage specification object must contain exactly one field."),
    (1, 14, "Each element of the 'pipeline' array must be an object"),
]


@pytest.mark.parametrize(("stage", "code", "message"), PIPELINES_REFUSED)
def test_later_stages_that_are_refused(engine, stage, code, message):
    found = refused(lambda: watch(engine, "c", stage))
    assert (found[0], found[2]) == (code, message)


@pytest.mark.parametrize(
    "stage",
    [
        {"$project": {"_id": 0}},
        {"$unset": "_id"},
        {"$set": {"_id": 1}},
        {"$replaceRoot": {"newRoot": "$fullDocument"}},
    ],
)
def test_a_stage_must_keep_the_token(engine, db, stage):
    stream = watch(engine, "c", stage)
    db.c.insert_one({"_id": 1})
    code, name, message = refused(lambda: events(stream))
    assert (code, name) == (280, "ChangeStreamFatalError")
    assert "was modified by the pipeline" in message
    assert f'Expected: {{ _id: {{ _data: "{TOKEN[:10]}' in message


def test_later_stages(engine, db):
    inserts = {"$match": {"operationType": "insert", "fullDocument.n": {"$gt": 1}}}
    stream = watch(engine, "c", inserts, {"$project": {"fullDocument": 1}}, {"$set": {"x": 1}})
    for n in range(4):
        db.c.insert_one({"_id": n, "n": n})
        db.c.delete_one({"_id": 0})
    assert [list(event) for event in stream.next_batch(99, 1)] == [["_id", "fullDocument", "x"]]
    assert [event["fullDocument"] for event in stream.next_batch(99, 9)] == [{"_id": 3, "n": 3}]


def test_stages_that_mongomock_knows_by_older_names(engine, db):
    stream = watch(
        engine,
        "c",
        {"$unset": ["wallTime", "ns.db"]},
        {"$replaceWith": {"_id": "$_id", "of": "$ns"}},
    )
    db.c.insert_one({"_id": 1})
    [event] = events(stream)
    assert event == {"_id": stream.resume_token, "of": {"coll": "c"}}


# -- the events are the whole truth ----------------------------------------------------------

VALUES = st.one_of(
    st.integers(0, 3),
    st.sampled_from(["", "x"]),
    st.just(None),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from("pq"), st.integers(0, 2), max_size=2),
)
FIELDS = st.sampled_from(["a", "b", "c", "a.p", "b.q", "c.0", "c.2"])
KEYS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("insert"), KEYS, st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)),
    st.tuples(st.just("replace"), KEYS, st.dictionaries(st.sampled_from("abc"), VALUES)),
    st.tuples(st.just("$set"), KEYS, st.dictionaries(FIELDS, VALUES, min_size=1, max_size=3)),
    st.tuples(st.just("$unset"), KEYS, st.dictionaries(FIELDS, st.just(1), min_size=1, max_size=2)),
    st.tuples(st.just("$push"), KEYS, st.dictionaries(FIELDS, VALUES, min_size=1, max_size=2)),
    st.tuples(st.just("$pop"), KEYS, st.dictionaries(FIELDS, st.just(1), min_size=1, max_size=1)),
    st.tuples(st.just("pipeline"), KEYS, st.dictionaries(st.sampled_from("abc"), VALUES)),
    st.tuples(st.just("delete"), KEYS, st.none()),
    st.tuples(st.just("drop"), st.none(), st.none()),
)


def run(collection: Any, step: Any) -> None:
    kind, key, value = step
    try:
        if kind == "insert":
            collection.insert_one({"_id": key, **value})
        elif kind == "replace":
            collection.replace_one({"_id": key}, value, upsert=True)
        elif kind == "delete":
            collection.delete_one({"_id": key})
        elif kind == "drop":
            collection.drop()
        elif kind == "pipeline":
            literal = {name: {"$literal": item} for name, item in value.items()}
            collection.update_one({"_id": key}, [{"$set": literal}])
        else:
            collection.update_one({"_id": key}, {kind: value})
    except Exception:
        return  # what the library refuses has no event, whatever it raises


def apply(documents: dict[Any, Any], event: dict[str, Any]) -> None:
    """What a consumer does that keeps a copy up to date."""
    kind = event["operationType"]
    if kind == "drop":
        documents.clear()
        return
    key = event["documentKey"]["_id"]
    if kind == "delete":
        del documents[key]
    elif kind in ("insert", "replace"):
        assert (key in documents) == (kind == "replace")
        documents[key] = event["fullDocument"]
    else:
        change(documents[key], event["updateDescription"])


def change(document: Any, description: dict[str, Any]) -> None:
    for path in description["removedFields"]:
        holder, name = reach(document, path)
        del holder[name]
    for array in description["truncatedArrays"]:
        holder, name = reach(document, array["field"])
        del holder[name][array["newSize"] :]
    for path, value in description["updatedFields"].items():
        holder, name = reach(document, path)
        if isinstance(holder, list):
            holder.extend([None] * (name + 1 - len(holder)))
        holder[name] = value


def reach(document: Any, path: str) -> tuple[Any, Any]:
    *parents, last = path.split(".")
    for name in parents:
        document = document[int(name) if isinstance(document, list) else name]
    return document, int(last) if isinstance(document, list) else last


@given(st.lists(STEPS, max_size=25), st.sampled_from(libraries()))
@settings(deadline=None, max_examples=150, derandomize=True, database=None)
def test_a_copy_that_follows_the_events_is_equal(steps, library):
    engine = engine_of(library.MongoClient())
    collection = engine.live_client.t.c
    stream = watch(engine, None)
    documents: dict[Any, Any] = {}
    for step in steps:
        run(collection, step)
        for event in stream.next_batch(engine.change_log.position, 1_000):
            apply(documents, event)
        assert documents == {document["_id"]: document for document in collection.find()}
