"""Acknowledgement of each kind of write, against what a MongoDB 6.0 replica set answered.

Classes, codes and details were recorded from a set of three with one secondary that was held.
"""

from __future__ import annotations

from typing import Any

import mongomock
import pytest
from pymongo import DeleteOne, InsertOne, ReadPreference, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NotPrimaryError,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from simulating import lagging

from pytest_replicalag.errors import EndlessWaitError

HELD = "0,inf"


@pytest.fixture
def running() -> Any:
    client = mongomock.MongoClient()
    client.d.c.insert_many([{"_id": n, "x": 0} for n in (1, 2, 3)])
    with lagging(client, lag=HELD, read_preference="primary") as found:
        yield found


def of(running: Any, **concern: Any) -> Any:
    return running.client.d.get_collection("c", write_concern=WriteConcern(**concern))


def wce(code: int, name: str, message: str, *, timed_out: bool = False, **concern: Any) -> Any:
    told = {"wtimeout": 0, **concern, "provenance": "clientSupplied"}
    info = {"wtimeout": True} if timed_out else {}
    return {
        "code": code,
        "codeName": name,
        "errmsg": message,
        "errInfo": {**info, "writeConcern": told},
    }


def timed_out(**concern: Any) -> Any:
    message = "waiting for replication timed out"
    return wce(64, "WriteConcernFailed", message, timed_out=True, **concern)


WRITES: dict[str, Any] = {
    "insert_one": lambda c: c.insert_one({"_id": 9}),
    "update_one": lambda c: c.update_one({"_id": 1}, {"$inc": {"x": 1}}),
    "upsert": lambda c: c.update_one({"_id": 7}, {"$inc": {"x": 1}}, upsert=True),
    "replace_one": lambda c: c.replace_one({"_id": 1}, {"y": 1}),
    "delete_one": lambda c: c.delete_one({"_id": 1}),
    "find_one_and_update": lambda c: c.find_one_and_update({"_id": 1}, {"$inc": {"x": 1}}),
    "find_one_and_delete": lambda c: c.find_one_and_delete({"_id": 2}),
    "drop": lambda c: c.drop(),
    "rename": lambda c: c.rename("renamed"),
    "create_index": lambda c: c.create_index("x"),
    "$out": lambda c: c.aggregate([{"$out": "o"}]),
}
NO_OPS: dict[str, Any] = {
    "update_one": lambda c: c.update_one({"_id": 99}, {"$inc": {"x": 1}}),
    "delete_one": lambda c: c.delete_one({"_id": 99}),
    "find_one_and_update": lambda c: c.find_one_and_update({"_id": 99}, {"$inc": {"x": 1}}),
    "drop": lambda c: c.database.get_collection("no", write_concern=c.write_concern).drop(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_past_wtimeout_the_write_stays_and_wtimeouterror_is_raised(running, write):
    write_to = of(running, w=3, wtimeout=100)
    with pytest.raises(WTimeoutError) as caught:
        write(write_to)
    assert caught.value.details == timed_out(w=3, wtimeout=100)
    assert caught.value.code == 64
    assert str(running.control.now()) == "101ms"
    assert running.simulation.replica_set.oplog.last > 0


@pytest.mark.parametrize("write", NO_OPS.values(), ids=list(NO_OPS))
def test_a_write_that_changes_nothing_waits_too(running, write):
    WRITES["insert_one"](of(running, w=1))
    with pytest.raises(WTimeoutError) as caught:
        write(of(running, w=3, wtimeout=100))
    assert caught.value.details == timed_out(w=3, wtimeout=100)


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_more_members_than_there_are_is_error_100_after_the_write(running, write):
    with pytest.raises(WriteConcernError) as caught:
        write(of(running, w=5))
    assert not isinstance(caught.value, WTimeoutError)
    message = "Not enough data-bearing nodes"
    assert caught.value.details == wce(100, "UnsatisfiableWriteConcern", message, w=5)
    assert str(running.control.now()) == "1ms"
    assert running.simulation.replica_set.oplog.last > 0


def test_an_unknown_mode_is_error_79_after_the_write(running):
    with pytest.raises(WriteConcernError) as caught:
        of(running, w="nosuchmode").insert_one({"_id": 9})
    message = "No write concern mode named 'nosuchmode' found in replica set configuration"
    assert caught.value.details == wce(79, "UnknownReplWriteConcern", message, w="nosuchmode")
    assert running.client.d.c.count_documents({}) == 4


def test_w_51_is_error_9_before_the_write(running):
    with pytest.raises(OperationFailure) as caught:
        of(running, w=51).insert_one({"_id": 9})
    assert caught.value.code == 9
    assert running.client.d.c.count_documents({}) == 3


def test_a_duplicate_key_waits_but_is_raised_itself(running):
    of(running, w=1).update_one({"_id": 1}, {"$set": {"x": 1}})
    with pytest.raises(DuplicateKeyError):
        of(running, w=3, wtimeout=100).insert_one({"_id": 1})
    assert str(running.control.now()) == "102ms"


def test_insert_many_reports_one_write_concern_error(running):
    with pytest.raises(BulkWriteError) as caught:
        of(running, w=3, wtimeout=100).insert_many([{"_id": 11}, {"_id": 12}])
    assert caught.value.code == 65
    assert caught.value.details == {
        "writeErrors": [],
        "writeConcernErrors": [timed_out(w=3, wtimeout=100)],
        "nInserted": 2,
        "nUpserted": 0,
        "nMatched": 0,
        "nModified": 0,
        "nRemoved": 0,
        "upserted": [],
    }


INSERT, UPDATE, DELETE = InsertOne({}), UpdateOne({}, {"$set": {"y": 1}}), DeleteOne({"_id": 77})


@pytest.mark.parametrize(
    ("requests", "ordered", "commands"),
    [
        ([INSERT, UPDATE, DELETE], True, 3),
        ([INSERT, UPDATE, DELETE], False, 3),
        ([UPDATE, DELETE, UPDATE], True, 3),
        ([UPDATE, DELETE, UPDATE], False, 2),
        ([UPDATE, UPDATE, UPDATE], True, 1),
        ([InsertOne({"_id": 1}), UPDATE, DELETE], True, 1),
        ([InsertOne({"_id": 1}), UPDATE, DELETE], False, 3),
    ],
)
def test_bulk_write_waits_once_for_each_command_that_is_sent(running, requests, ordered, commands):
    WRITES["update_one"](of(running, w=1))
    with pytest.raises(BulkWriteError) as caught:
        of(running, w=3, wtimeout=100).bulk_write(requests, ordered=ordered)
    errors = caught.value.details["writeConcernErrors"]
    assert errors == [timed_out(w=3, wtimeout=100)] * commands
    assert str(running.control.now()) == f"{2 + 100 * commands}ms"


def test_a_command_of_a_bulk_write_is_waited_for_before_the_next_is_sent():
    with lagging(lag="inf,inf", read_preference="primary") as running:
        collection = of(running, w=3, wtimeout=100)
        with pytest.raises(BulkWriteError) as caught:
            collection.bulk_write([DeleteOne({"_id": "none"}), INSERT, UPDATE])
        assert caught.value.details["writeConcernErrors"] == [timed_out(w=3, wtimeout=100)] * 2
        assert caught.value.details["nInserted"] == 1
        oplog = running.simulation.replica_set.oplog
        assert [oplog.time_us(position) for position in (1, 2)] == [1_000, 101_000]


def test_errors_and_upserts_of_a_bulk_write_tell_the_index_of_the_request(running):
    upsert = UpdateOne({"_id": "u"}, {"$set": {"x": 1}}, upsert=True)
    with pytest.raises(BulkWriteError) as caught:
        of(running, w=1).bulk_write([InsertOne({"_id": "i"}), upsert, InsertOne({"_id": "i"})])
    (refused,) = caught.value.details["writeErrors"]
    assert (refused["index"], refused["code"]) == (2, 11000)
    assert caught.value.details["upserted"] == [{"index": 1, "_id": "u"}]
    assert caught.value.details["nInserted"] == 1


@pytest.mark.parametrize("requests", [[], [InsertOne({"_id": "i"}), {"_id": 5}]])
def test_a_bulk_write_that_the_library_refuses_writes_nothing(running, requests):
    with pytest.raises((InvalidOperation, AttributeError, TypeError)):
        of(running, w=1).bulk_write(requests)
    assert running.client.d.c.find_one({"_id": "i"}) is None


def test_a_bulk_write_without_requests_is_told_what_is_missing(running):
    with pytest.raises(TypeError, match="requests"):
        of(running, w=1).bulk_write()


def test_bulk_write_takes_its_requests_by_keyword(running):
    result = of(running, w=2).bulk_write(requests=[InsertOne({"_id": 9})])
    assert result.inserted_count == 1


def test_the_default_is_a_majority_and_says_so_in_its_error():
    with lagging(lag="inf,inf", read_preference="primary") as running:
        with pytest.raises(EndlessWaitError, match="w: majority"):
            running.client.d.c.insert_one({"_id": 1})
        assert running.client.d.c.count_documents({}) == 1


def test_a_write_concern_without_w_is_acknowledged_by_the_primary_alone():
    with lagging(lag="inf,inf", read_preference="primary") as running:
        of(running, j=True).insert_one({"_id": 1})
        of(running, wtimeout=1).insert_one({"_id": 2})
        assert str(running.control.now()) == "2ms"


def test_a_write_waits_until_so_many_members_have_it():
    with lagging(lag="30ms,80ms") as running:
        of(running, w=2).insert_one({})
        assert str(running.control.now()) == "31ms"
        of(running, w=3).insert_one({})
        assert str(running.control.now()) == "112ms"


def test_an_unacknowledged_write_returns_what_pymongo_returns_and_raises_nothing(running):
    unacknowledged = of(running, w=0)
    inserted = unacknowledged.insert_one({"_id": 9})
    assert (inserted.acknowledged, inserted.inserted_id) == (False, 9)
    for result in (
        unacknowledged.update_one({"_id": 1}, {"$set": {"x": 5}}),
        unacknowledged.replace_one({"_id": 2}, {"x": 5}),
        unacknowledged.delete_one({"_id": 3}),
        unacknowledged.insert_many([{"_id": 10}]),
        unacknowledged.bulk_write([InsertOne({"_id": 11})]),
    ):
        assert not result.acknowledged
    unacknowledged.insert_one({"_id": 1})  # a duplicate: nobody hears of it
    assert running.client.d.c.count_documents({"x": 5}) == 2
    assert running.client.d.c.count_documents({}) == 5


def test_linearizable_on_a_secondary_is_notprimaryerror(running):
    collection = running.client.d.get_collection(
        "c", read_preference=ReadPreference.SECONDARY, read_concern=ReadConcern("linearizable")
    )
    with pytest.raises(NotPrimaryError) as caught:
        collection.find_one({})
    assert caught.value.details["code"] == 10107


def test_max_time_ms_ends_a_wait_of_a_read_with_error_50(running):
    with running.client.start_session() as session:
        running.client.d.c.insert_one({"_id": 9}, session=session)
        held = running.client.d.c.with_options(read_preference=ReadPreference.SECONDARY)
        for read in (
            lambda: list(held.find({}, session=session, max_time_ms=20)),
            lambda: list(held.find({}, session=session).max_time_ms(20)),
            lambda: held.count_documents({}, session=session, maxTimeMS=20),
            lambda: list(held.aggregate([], session=session, maxTimeMS=20)),
        ):
            with pytest.raises(ExecutionTimeout) as caught:
                read()
            assert caught.value.code == 50
            assert caught.value.details["codeName"] == "MaxTimeMSExpired"
        with pytest.raises(EndlessWaitError, match=r"secondary-2 has lag inf"):
            held.find_one({}, session=session)
