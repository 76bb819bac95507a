"""PyMongo, synchronous."""

import pymongo
import pytest
from pymongo import InsertOne, ReadPreference, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_preferences import Secondary

APP = """
import pymongo


def finds_its_order(uri, number):
    with pymongo.MongoClient(uri) as client:
        place_order(client.shop, number)
        return find_order(client.shop, number) is not None


def place_order(db, number):
    db.orders.insert_one({"_id": number, "status": "placed"})  # write


def find_order(db, number):
    return db.orders.find_one({"_id": number})  # read
"""


@pytest.fixture
def client(uri):
    with pymongo.MongoClient(uri) as client:
        yield client


@pytest.fixture
def orders(client, database):
    return client[database].orders


def test_members(client):
    hello = client.admin.command("hello")
    assert hello["setName"] == "replicalag"
    for name in ("secondary-1", "secondary-2"):  # each is known once it has been selected
        one = Secondary(tag_sets=[{"member": name}])
        assert client.admin.command("hello", read_preference=one)["secondary"]
    assert {f"{host}:{port}" for host, port in client.nodes} == set(hello["hosts"])
    assert len(client.secondaries) == 2
    assert client.primary not in client.secondaries


def test_documents(orders):
    orders.insert_one({"_id": 7, "items": ["tea"]})
    orders.insert_many([{"_id": 8, "items": []}, {"_id": 9, "items": []}])
    assert orders.update_one({"_id": 7}, {"$push": {"items": "cup"}}).modified_count == 1
    assert orders.update_many({"items": []}, {"$set": {"empty": True}}).matched_count == 2
    assert orders.replace_one({"_id": 10}, {"items": ["pot"]}, upsert=True).upserted_id == 10
    assert orders.delete_one({"_id": 9}).deleted_count == 1
    changed = orders.find_one_and_update(
        {"_id": 8}, {"$unset": {"empty": ""}}, return_document=pymongo.ReturnDocument.AFTER
    )
    assert changed == {"_id": 8, "items": []}
    assert orders.find_one({"_id": 7}) == {"_id": 7, "items": ["tea", "cup"]}
    assert [order["_id"] for order in orders.find().sort("_id", -1)] == [10, 8, 7]
    assert sorted(orders.distinct("items")) == ["cup", "pot", "tea"]
    assert (orders.count_documents({}), orders.estimated_document_count()) == (3, 3)


def test_cursors_come_in_batches(orders):
    orders.insert_many([{"_id": number} for number in range(250)])
    cursor = orders.find({"_id": {"$gte": 10}}).sort("_id").batch_size(100)
    assert [order["_id"] for order in cursor] == list(range(10, 250))
    groups = orders.aggregate([{"$group": {"_id": {"$mod": ["$_id", 3]}, "n": {"$sum": 1}}}])
    assert {group["_id"]: group["n"] for group in groups} == {0: 84, 1: 83, 2: 83}


def test_bulk_writes(orders):
    requests = [InsertOne({"_id": 1}), UpdateOne({"_id": 1}, {"$set": {"n": 1}}), InsertOne({})]
    result = orders.bulk_write(requests)
    assert (result.inserted_count, result.modified_count) == (2, 1)
    with pytest.raises(BulkWriteError) as caught:
        orders.bulk_write([InsertOne({"_id": 1}), InsertOne({"_id": 2})], ordered=False)
    assert caught.value.details["nInserted"] == 1
    assert [error["code"] for error in caught.value.details["writeErrors"]] == [11000]


def test_unique_indexes(orders):
    assert orders.create_index("number", unique=True) == "number_1"
    orders.insert_one({"number": 7})
    with pytest.raises(DuplicateKeyError):
        orders.insert_one({"number": 7})
    assert sorted(orders.index_information()) == ["_id_", "number_1"]


def test_names(client, orders, database):
    orders.insert_one({})
    assert client[database].list_collection_names() == ["orders"]
    assert database in client.list_database_names()
    orders.rename("old_orders")
    assert client[database].list_collection_names() == ["old_orders"]
    client.drop_database(database)
    assert database not in client.list_database_names()


def test_secondaries_have_what_was_written_without_lag(client, orders, database):
    options = {"read_preference": ReadPreference.SECONDARY}
    from_secondaries = client[database].get_collection("orders", **options)
    with client.start_session(causal_consistency=True) as session:
        orders.insert_one({"_id": 7}, session=session)
        assert from_secondaries.find_one({"_id": 7}, session=session) == {"_id": 7}


def test_transactions(client, orders):
    orders.insert_one({"_id": 1})
    with client.start_session() as session:
        session.with_transaction(lambda session: orders.insert_one({"_id": 2}, session=session))
        session.start_transaction()
        orders.insert_one({"_id": 3}, session=session)
        assert orders.count_documents({}, session=session) == 3
        assert orders.count_documents({}) == 2
        session.abort_transaction()
    assert orders.count_documents({}) == 2


def test_change_streams(orders):
    with orders.watch(max_await_time_ms=100) as stream:
        orders.insert_one({"_id": 7})
        change = next(stream)
    assert (change["operationType"], change["fullDocument"]) == ("insert", {"_id": 7})


def test_a_stale_read_is_reported_with_the_applications_lines(application):
    [found] = application.reports(APP)
    assert found.read == 'shop.orders.find_one({"_id": 7}) returned None'
    assert found.read_at == f"{application.site('read')} in find_order"
    [missed] = found.missed
    assert missed.startswith('insert_one({"_id": 7, "status": "placed"}), ')
    assert found.missed_at == (f"{application.site('write')} in place_order",)
    assert found.served_by.endswith("read preference secondaryPreferred")
