"""Cursors, aggregations, GridFS and what else reads, on a member that misses writes."""

from __future__ import annotations

import datetime
from typing import Any

import mongomock
import pytest
from bson import DBRef
from bson.codec_options import CodecOptions
from gridfs import GridFS
from pymongo import ReadPreference
from simulating import HAS_PIPELINE_UPDATES, lagging

from pytest_replicalag.clients import wrap


@pytest.fixture
def running() -> Any:
    client = mongomock.MongoClient()
    client.shop.orders.insert_many([{"_id": n, "item": n} for n in range(3)])
    client.shop.items.insert_many([{"_id": n, "name": f"item {n}"} for n in range(3)])
    with lagging(client) as found:
        yield found


def test_a_cursor_is_evaluated_when_it_is_first_iterated_and_keeps_what_it_got(running):
    orders = running.client.shop.orders
    cursor = orders.find()
    orders.delete_one({"_id": 0})
    running.control.catch_up()
    assert next(cursor)["_id"] == 1
    orders.delete_one({"_id": 2})
    running.control.catch_up()
    assert [document["_id"] for document in cursor] == [2]
    assert [document["_id"] for document in cursor.clone()] == [1]


def test_a_cursor_charges_one_round_trip_however_many_documents_it_yields(running):
    before = running.control.now()
    assert len(list(running.client.shop.orders.find())) == 3
    assert str(running.control.now() - before) == "0:00:00.001000"


def test_a_cursor_that_is_never_iterated_costs_nothing(running):
    running.client.shop.orders.find({"_id": 1})
    assert str(running.control.now()) == "0ms"
    assert running.simulation.reads == 0


def test_a_lookup_reads_both_collections_at_one_optime(running):
    running.client.shop.orders.update_one({"_id": 1}, {"$set": {"item": 2}})
    running.client.shop.items.update_one({"_id": 1}, {"$set": {"name": "new"}})
    lookup = {"from": "items", "localField": "item", "foreignField": "_id", "as": "found"}
    pipeline = [{"$match": {"_id": 1}}, {"$lookup": lookup}]
    [order] = running.client.shop.orders.aggregate(pipeline)
    assert order == {"_id": 1, "item": 1, "found": [{"_id": 1, "name": "item 1"}]}
    [stale] = running.stale
    assert stale.missed_count == 2


def test_a_lookup_of_a_collection_that_changed_is_stale_though_its_own_did_not(running):
    running.client.shop.items.update_one({"_id": 1}, {"$set": {"name": "new"}})
    lookup = {"from": "items", "localField": "item", "foreignField": "_id", "as": "found"}
    list(running.client.shop.orders.aggregate([{"$lookup": lookup}]))
    [stale] = running.stale
    assert stale.missed[0].namespace == "shop.items"
    assert stale.missed[0].text.startswith("shop.items.update_one(")


def test_out_runs_on_the_primary_whatever_the_read_preference(running):
    running.client.shop.orders.insert_one({"_id": 9})
    running.client.shop.orders.aggregate([{"$match": {"_id": 9}}, {"$out": "copy"}])
    copy = running.client.shop.get_collection("copy", read_preference=ReadPreference.PRIMARY)
    assert list(copy.find()) == [{"_id": 9}]
    assert list(running.client.shop.copy.find()) == []
    assert running.simulation.reads == 2


def test_a_random_sample_is_never_called_stale(running):
    running.client.shop.orders.insert_one({"_id": 9})
    list(running.client.shop.orders.aggregate([{"$sample": {"size": 1}}]))
    assert running.stale == []


def test_metadata_is_read_from_the_primary(running):
    database = running.client.shop
    database.new.create_index("x")
    assert "new" in database.list_collection_names()
    assert "x_1" in database.new.index_information()
    assert {index["name"] for index in database.new.list_indexes()} == {"_id_", "x_1"}
    running.client.fresh.things.insert_one({})
    assert "fresh" in running.client.list_database_names()
    assert running.stale == []


def test_a_dbref_is_followed_on_a_secondary(running):
    database = running.client.shop
    database.items.insert_one({"_id": 9})
    assert database.dereference(DBRef("items", 9)) is None
    assert database.dereference(DBRef("items", 1))["name"] == "item 1"


def test_codec_options_are_honoured_for_data_of_an_earlier_optime(running):
    database = running.client.shop
    when = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    database.dates.insert_one({"_id": 1, "at": when})
    running.control.catch_up()
    database.dates.update_one({"_id": 1}, {"$set": {"n": 1}})
    aware = database.get_collection("dates", codec_options=CodecOptions(tz_aware=True))
    assert aware.find_one({"_id": 1}) == {"_id": 1, "at": when}
    assert aware.find_one({"at": when}) == {"_id": 1, "at": when}
    assert database.dates.find_one({"_id": 1}) == {"_id": 1, "at": when.replace(tzinfo=None)}


def test_a_client_that_is_tz_aware_stays_so_when_it_is_wrapped():
    client = wrap(mongomock.MongoClient(tz_aware=True))
    with lagging(client) as running:
        when = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
        client.shop.dates.insert_one({"_id": 1, "at": when})
        running.control.catch_up()
        client.shop.dates.delete_one({"_id": 1})
        assert client.shop.dates.find_one() == {"_id": 1, "at": when}


@pytest.mark.skipif(
    not HAS_PIPELINE_UPDATES, reason="mongomock 4.2's GridFS integration breaks on this pymongo"
)
@pytest.mark.parametrize("is_lagging", [True, False])
def test_gridfs_works_on_a_wrapped_client(is_lagging):
    from mongomock.gridfs import enable_gridfs_integration

    enable_gridfs_integration()
    with lagging(lag="0,50ms" if is_lagging else "0") as running:
        files = GridFS(running.client.shop)
        key = files.put(b"content" * 100, filename="name")
        if is_lagging:
            running.control.advance("50ms")
        assert files.get(key).read() == b"content" * 100
        assert files.exists(key)
        files.delete(key)
        assert files.exists(key) == is_lagging
