"""Pipelines that end in `$out` or `$merge`: read on a member, written on the primary.

What is told here of errors and times was seen on a replica set of three members of MongoDB 6.0.5.
"""

from __future__ import annotations

import threading
from datetime import timedelta

import pymongo
import pytest
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import ExecutionTimeout, OperationFailure, WTimeoutError
from pymongo.read_preferences import Secondary

pytest.importorskip("mongomock_ng", reason="mongomock has no $merge")

OLD = [{"_id": 7, "n": 1}]
NEW = [{"_id": 7, "n": 2}]
STAGES = [{"$merge": "copy"}, {"$out": "copy"}]


def held(collection):
    """The collection as the member that never applies anything shows it."""
    return collection.with_options(read_preference=Secondary([{"member": "secondary-2"}]))


def documents(collection):
    return list(collection.with_options(read_preference=ReadPreference.PRIMARY).find())


@pytest.fixture
def orders(shop):
    """A collection with a document that has changed since one member fell behind."""
    orders = shop.client.shop.orders
    orders.insert_many(OLD)
    shop.control.catch_up()
    orders.update_one({}, {"$set": {"n": 2}})
    return orders


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_lagging_member_has_is_written_and_is_a_stale_read(shop, orders, stage):
    assert list(held(orders).aggregate([stage])) == []
    assert documents(orders.database.copy) == OLD
    [stale] = shop.stale
    assert stale.text == f"shop.orders.aggregate([{stage!s}])".replace("'", '"')
    assert stale.call_site.function.startswith("test_what_a_lagging_member_has")
    assert [write.operation for write in stale.missed] == ["update_one"]
    assert (stale.member, stale.guarantees) == ("secondary-2", ("read your writes",))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "preference", [ReadPreference.PRIMARY, ReadPreference.PRIMARY_PREFERRED], ids=lambda p: p.name
)
def test_the_primary_writes_what_it_has_a_round_trip_later(shop, orders, stage, preference):
    before = shop.control.now()
    orders.with_options(read_preference=preference).aggregate([stage])
    assert shop.control.now() - before == timedelta(milliseconds=1)
    assert documents(orders.database.copy) == NEW
    assert not shop.stale


def test_a_secondary_hands_over_another_round_trip_later(shop, orders):
    before = shop.control.now()
    held(orders).aggregate([{"$out": "copy"}])
    assert shop.control.now() - before == timedelta(milliseconds=2)


def test_old_documents_are_merged_into_the_newest_ones(shop, orders):
    orders.insert_one({"_id": 8})
    held(orders).aggregate([{"$set": {"seen": 1}}, {"$merge": "orders"}])
    assert documents(orders) == [{"_id": 7, "n": 1, "seen": 1}, {"_id": 8}]
    held(orders).aggregate([{"$out": "orders"}])
    assert documents(orders) == OLD


def test_others_lag_behind_what_is_written(shop, orders):
    held(orders).aggregate([{"$merge": "copy"}])
    assert held(orders.database.copy).find_one() is None
    assert [stale.missed[0].operation for stale in shop.stale] == ["update_one", "aggregate"]


def test_a_member_that_has_all_is_not_stale(shop, orders):
    shop.control.catch_up()
    held(orders).aggregate([{"$merge": "copy"}])
    assert documents(orders.database.copy) == NEW
    assert not shop.stale


def test_a_merge_of_nothing_makes_no_collection_and_waits_for_nobody(shop, orders):
    orders.database.new.insert_one({})
    impatient = held(orders.database.new).with_options(write_concern=WriteConcern(3, wtimeout=1))
    impatient.aggregate([{"$merge": "copy"}])
    assert "copy" not in orders.database.list_collection_names()
    held(orders.database.new).aggregate([{"$out": "copy"}])
    assert "copy" in orders.database.list_collection_names()


@pytest.mark.parametrize("member", ["primary", "secondary-2"])
def test_a_secondary_fails_if_the_write_concern_is_not_met(shop, orders, member):
    preference = ReadPreference.PRIMARY if member == "primary" else Secondary([{"member": member}])
    impatient = orders.with_options(
        read_preference=preference, write_concern=WriteConcern(3, wtimeout=50)
    )
    with pytest.raises(OperationFailure) as failure:
        impatient.aggregate([{"$merge": "copy"}])
    assert failure.value.code == 64
    assert isinstance(failure.value, WTimeoutError) is (member == "primary")
    if member != "primary":
        assert failure.value.details["errmsg"] == (
            "PlanExecutor error during aggregation :: caused by :: waiting for replication timed "
            "out; Error details: { wtimeout: true, writeConcern: { w: 3, wtimeout: 50, "
            'provenance: "clientSupplied" } }'
        )
    assert documents(orders.database.copy) == (NEW if member == "primary" else OLD)


def test_a_time_limit_ends_the_wait_of_a_secondary(shop, orders):
    shop.control.pause()
    with pytest.raises(ExecutionTimeout) as failure:
        held(orders).aggregate([{"$merge": "copy"}], maxTimeMS=50)
    assert failure.value.details["errmsg"] == (
        "PlanExecutor error during aggregation :: caused by :: operation exceeded time limit"
    )
    assert documents(orders.database.copy) == OLD


def test_a_causal_session_waits_for_its_member(shop, orders):
    with shop.client.start_session() as session:
        orders.update_one({}, {"$set": {"n": 3}}, session=session)
        with pytest.raises(ExecutionTimeout, match="Error waiting for optime"):
            held(orders).aggregate([{"$merge": "copy"}], session=session, maxTimeMS=50)
    assert documents(orders.database.copy) == []


def test_a_causal_session_waits_for_what_was_written(shop, orders):
    with shop.client.start_session() as session:
        held(orders).aggregate([{"$merge": "copy"}], session=session)
        with pytest.raises(ExecutionTimeout):
            held(orders.database.copy).find_one({}, session=session, max_time_ms=50)


def test_a_snapshot_session_writes_what_it_sees(shop, orders):
    with shop.client.start_session(snapshot=True) as session:
        held(orders).aggregate([{"$merge": "copy"}], session=session)
        shop.control.catch_up()
        assert held(orders).find_one({}, session=session) == OLD[0]
        held(orders).aggregate([{"$merge": "again"}], session=session)
    assert documents(orders.database.copy) == documents(orders.database.again) == OLD


def test_a_direct_connection_writes_what_its_member_has(shop, orders):
    with pymongo.MongoClient("127.0.0.1", shop.port(2), directConnection=True) as pinned:
        pinned.shop.orders.aggregate([{"$merge": "copy"}])
    assert documents(orders.database.copy) == OLD
    assert len(shop.stale) == 1


def test_no_transaction_has_a_pipeline_that_writes(shop, orders):
    with shop.client.start_session() as session:
        session.start_transaction(read_preference=ReadPreference.PRIMARY)
        with pytest.raises(OperationFailure) as failure:
            held(orders).aggregate([{"$merge": "copy"}], session=session)
    assert failure.value.code == 263


def test_it_waits_for_a_transaction_that_is_in_its_way(shop, orders):
    orders.database.copy.insert_one({"_id": 7})
    merge = threading.Thread(target=lambda: held(orders).aggregate([{"$merge": "copy"}]))
    with shop.client.start_session() as session, session.start_transaction():
        orders.database.copy.update_one({}, {"$set": {"own": 1}}, session=session)
        with pytest.raises(ExecutionTimeout):
            held(orders).aggregate([{"$merge": "copy"}], maxTimeMS=50)
        merge.start()
    merge.join()
    assert documents(orders.database.copy) == [{"_id": 7, "own": 1, "n": 1}]


@pytest.mark.slow
def test_on_the_wall_clock_it_waits_really(wired):
    with wired(lag="500ms", clock="wall") as shop:
        orders = shop.client.shop.orders
        with shop.client.start_session() as session:
            orders.insert_one({"_id": 7}, session=session)
            held(orders).aggregate([{"$merge": "copy"}], session=session)
        assert documents(orders.database.copy) == [{"_id": 7}]
        assert not shop.stale
