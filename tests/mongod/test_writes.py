"""Writes on the engine mongod: made by the node, acknowledged by the simulated members."""

import pymongo
import pytest
from pymongo import InsertOne, ReadPreference, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)


@pytest.mark.parametrize(
    ("concern", "exception", "code"),
    [
        (WriteConcern(w=3, wtimeout=50), WTimeoutError, 64),
        (WriteConcern(w=5), WriteConcernError, 100),
        (WriteConcern(w="nosuchmode"), WriteConcernError, 79),
    ],
)
def test_a_failed_write_concern_does_not_undo_the_write(client, lagging, concern, exception, code):
    orders = client.shop.get_collection("orders", write_concern=concern)
    with lagging("inf"):
        with pytest.raises(exception) as error:
            orders.insert_one({"_id": 7})
        assert error.value.code == code
        assert orders.find_one() == {"_id": 7}


def test_waiting_takes_simulated_time(client, lagging):
    with lagging("200ms,300ms") as replica_lag:
        client.shop.orders.insert_one({"_id": 7})
        assert str(replica_lag.now()) == "201ms"
        client.shop.get_collection("orders", write_concern=WriteConcern(3)).insert_one({"_id": 8})
        assert str(replica_lag.now()) == "502ms"


def test_a_wait_that_never_ends_says_who_waits_for_what(client, lagging):
    with lagging("inf"), pytest.raises(OperationFailure, match="secondary-2 has lag inf"):
        client.shop.get_collection("orders", write_concern=WriteConcern(3)).insert_one({})


def test_unacknowledged_writes_are_logged(client, lagging):
    orders = client.shop.get_collection("orders", write_concern=WriteConcern(0))
    client.shop.create_collection("orders")
    with lagging():
        orders.insert_one({"_id": 7})
        while client.shop.orders.find_one() is None:
            pass  # nobody says when it is there
        old = client.shop.get_collection("orders", read_preference=ReadPreference.SECONDARY)
        assert old.find_one() is None


def test_errors_of_bulk_writes_come_with_those_of_the_write_concern(client, lagging):
    client.shop.orders.insert_one({"_id": 1})
    orders = client.shop.get_collection("orders", write_concern=WriteConcern(3, wtimeout=50))
    with lagging("inf"), pytest.raises(BulkWriteError) as error:
        orders.bulk_write([InsertOne({"_id": n}) for n in (1, 2)], ordered=False)
    assert error.value.details["nInserted"] == 1
    assert [one["code"] for one in error.value.details["writeErrors"]] == [11000]
    assert [one["code"] for one in error.value.details["writeConcernErrors"]] == [64]


def test_errors_of_the_server_are_its_own(client, lagging):
    with lagging():
        client.shop.orders.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError, match="E11000"):
            client.shop.orders.insert_one({"_id": 1})
        with pytest.raises(OperationFailure) as error:
            client.shop.orders.update_one({}, {"$set": {"$bad": 1}})
    assert error.value.code == 52


def test_only_the_primary_takes_writes(uri, lagging):
    host = uri.removeprefix("mongodb://").partition("/")[0].split(",")[1]
    with lagging(), pymongo.MongoClient(f"mongodb://{host}", directConnection=True) as pinned:
        with pytest.raises(NotPrimaryError) as error:
            pinned.shop.orders.insert_one({})
        assert error.value.details["code"] == 10107
        assert pinned.admin.command("hello")["secondary"]


def test_a_transaction_is_one_write(client, lagging):
    client.shop.orders.insert_one({"_id": 0})
    client.shop.stock.insert_one({"_id": "tea"})
    with lagging() as replica_lag, client.start_session() as session:
        with session.start_transaction():
            client.shop.orders.insert_one({"_id": 1}, session=session)
            client.shop.stock.delete_one({"_id": "tea"}, session=session)
            assert client.shop.orders.count_documents({}, session=session) == 2
        old = client.get_database("shop", read_preference=ReadPreference.SECONDARY)
        assert (old.orders.count_documents({}), old.stock.count_documents({})) == (1, 1)
        replica_lag.advance("1s")
        assert (old.orders.count_documents({}), old.stock.count_documents({})) == (2, 0)
        session.start_transaction()
        client.shop.orders.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
        assert client.shop.orders.count_documents({}) == 2


def test_transactions_conflict(client, lagging):
    client.shop.orders.insert_one({"_id": 0})
    with lagging(), client.start_session() as one, client.start_session() as other:
        one.start_transaction()
        other.start_transaction()
        client.shop.orders.update_one({"_id": 0}, {"$set": {"x": 1}}, session=one)
        with pytest.raises(OperationFailure) as error:
            client.shop.orders.update_one({"_id": 0}, {"$set": {"x": 2}}, session=other)
        assert error.value.code == 112
        assert error.value.has_error_label("TransientTransactionError")
        one.commit_transaction()


def test_out_writes_on_the_primary(client, lagging):
    client.shop.orders.insert_one({"_id": 0})
    with lagging():
        client.shop.orders.aggregate([{"$out": "copy"}])
        assert client.shop.copy.count_documents({}) == 1
        old = client.get_database("shop", read_preference=ReadPreference.SECONDARY)
        assert old.copy.count_documents({}) == 0


async def _asynchronously(uri):
    async with pymongo.AsyncMongoClient(uri, readPreference="secondary") as client:
        await client.shop.orders.insert_one({"_id": 7})
        return await client.shop.orders.find_one({"_id": 7})


def test_asynchronous_clients(client, uri, lagging):
    import asyncio

    with lagging() as replica_lag:
        assert asyncio.run(_asynchronously(uri)) is None
        [stale] = replica_lag.stale_reads
    assert stale.call_site.function == "_asynchronously"


def test_on_the_wall_clock_waits_are_real(client, lagging):
    with lagging("100ms,100ms", clock="wall") as replica_lag:
        client.shop.orders.insert_one({"_id": 7})
        assert str(replica_lag.now()) >= "100ms"


def test_change_streams_tell_what_a_majority_has(client, lagging):
    client.shop.create_collection("orders")
    with lagging("inf,1s") as replica_lag:
        orders = client.shop.get_collection("orders", write_concern=WriteConcern(1))
        with orders.watch(max_await_time_ms=20) as stream:
            orders.insert_one({"_id": 1})
            orders.insert_one({"_id": 2})
            assert stream.try_next() is None
            replica_lag.advance("1s")
            first = stream.try_next()
            assert first["documentKey"] == {"_id": 1}
        with orders.watch(resume_after=first["_id"], max_await_time_ms=20) as stream:
            assert stream.try_next()["documentKey"] == {"_id": 2}
        with orders.watch(max_await_time_ms=20) as stream:
            orders.drop()
            replica_lag.advance("1s")
            assert [event["operationType"] for event in stream] == ["drop", "invalidate"]


def test_the_set_is_the_simulated_one(client, lagging):
    with lagging("200ms", secondaries=2):
        hello = client.admin.command("hello")
        assert hello["setName"] == "replicalag"
        assert len(hello["hosts"]) == 3
        assert "topologyVersion" not in hello
        status = client.admin.command("replSetGetStatus")
        assert [member["stateStr"] for member in status["members"]] == [
            "PRIMARY",
            "SECONDARY",
            "SECONDARY",
        ]
        assert len(client.admin.command("replSetGetConfig")["config"]["members"]) == 3
        told = client.admin.command("serverStatus")
        assert told["repl"]["hosts"] == hello["hosts"]
        assert "wiredTiger" in told
