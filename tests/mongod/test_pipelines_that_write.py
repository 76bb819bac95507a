"""Pipelines that end in `$out` or `$merge` on the engine mongod: read on a member, written now."""

from __future__ import annotations

import pymongo
import pytest
from bson import Decimal128
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import DuplicateKeyError, ExecutionTimeout, OperationFailure, WTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Secondary

from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.engine_choice import MONGOD, EngineChoice, choose
from pytest_replicalag.fronts.forwarding import outputs

OLD = [{"_id": 7, "n": 1}]
NEW = [{"_id": 7, "n": 2}]
STAGES = [{"$merge": "copy"}, {"$out": "copy"}]


def held(collection):
    """The collection as the member that lags shows it."""
    return collection.with_options(read_preference=Secondary([{"member": "secondary-2"}]))


@pytest.fixture
def orders(client):
    """A collection with a document, to be changed once a member lags."""
    client.shop.orders.insert_many(OLD)
    return client.shop.orders


def changed(orders):
    orders.update_one({"_id": 7}, {"$set": {"n": 2}})
    return orders


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_lagging_member_has_is_written_and_is_a_stale_read(orders, lagging, stage):
    with lagging() as replica_lag:
        assert list(held(changed(orders)).aggregate([stage])) == []
        assert list(orders.database.copy.find()) == OLD
        [stale] = replica_lag.stale_reads
    assert stale.text == f"shop.orders.aggregate([{stage!s}])".replace("'", '"')
    assert stale.call_site.function.startswith("test_what_a_lagging_member_has")
    assert [write.operation for write in stale.missed] == ["update_one"]
    assert (stale.member, stale.guarantees) == ("secondary-2", ("read your writes",))


@pytest.mark.parametrize("stage", STAGES)
def test_the_primary_writes_what_it_has(orders, lagging, stage):
    with lagging() as replica_lag:
        for preference in (ReadPreference.PRIMARY, ReadPreference.PRIMARY_PREFERRED):
            changed(orders).with_options(read_preference=preference).aggregate([stage])
            assert list(orders.database.copy.find()) == NEW
        replica_lag.advance("1s")
        held(orders).aggregate([stage])
        assert not replica_lag.stale_reads


def test_documents_are_written_as_they_are(orders, lagging):
    document = {"_id": 8, "text": "$n", "$n": 1, "a.b": {"$c": [1, Decimal128("1.50")]}}
    orders.delete_many({})
    orders.insert_one(document)
    with lagging():
        orders.delete_one({"_id": 8})
        held(orders).aggregate([{"$out": "copy"}])
        assert list(orders.database.copy.find()) == [document]


def test_documents_are_joined_and_given_to_the_last_stage_with_its_options(orders, lagging):
    with lagging():
        orders.database.names.insert_one({"_id": 7, "name": "tea"})
        joined = {"from": "names", "localField": "_id", "foreignField": "_id", "as": "names"}
        update = [{"$set": {"n": "$$new.n", "size": {"$size": "$$new.names"}, "by": "$$by"}}]
        merge = {"into": "orders", "whenMatched": update}
        pipeline = [{"$lookup": joined}, {"$merge": merge}]
        held(changed(orders)).aggregate(pipeline, let={"by": "me"}, hint={"_id": 1})
        assert list(orders.find()) == [{"_id": 7, "n": 1, "size": 0, "by": "me"}]


def test_a_merge_of_nothing_waits_for_nobody(orders, lagging):
    with lagging("inf"):
        orders.database.new.insert_one({})
        impatient = orders.database.get_collection("new", write_concern=WriteConcern(3, wtimeout=1))
        held(impatient).aggregate([{"$merge": "copy"}])
        assert "copy" not in orders.database.list_collection_names()
        held(orders.database.new).aggregate([{"$out": "copy"}])
        assert "copy" in orders.database.list_collection_names()


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_secondary_fails_if_the_write_concern_is_not_met(orders, lagging, is_changed):
    with lagging("inf"):
        if is_changed:
            changed(orders)
        impatient = orders.with_options(write_concern=WriteConcern(3, wtimeout=50))
        with pytest.raises(OperationFailure) as failure:
            held(impatient).aggregate([{"$merge": "copy"}])
        assert failure.value.code == 64
        assert not isinstance(failure.value, WTimeoutError)
        assert failure.value.details["errmsg"] == (
            "PlanExecutor error during aggregation :: caused by :: waiting for replication timed "
            "out; Error details: { wtimeout: true, writeConcern: { w: 3, wtimeout: 50, "
            'provenance: "clientSupplied" } }'
        )
        assert list(orders.database.copy.find()) == OLD
        with pytest.raises(WTimeoutError):
            impatient.aggregate([{"$merge": "copy"}])


def test_errors_of_either_part_are_the_servers_own(orders, lagging):
    with lagging():
        changed(orders)
        orders.database.copy.insert_one({"_id": 7})
        failing = {"into": "copy", "whenMatched": "fail"}
        with pytest.raises(DuplicateKeyError, match="whenMatched: fail found an existing"):
            held(orders).aggregate([{"$merge": failing}])
        with pytest.raises(OperationFailure) as failure:
            held(orders).aggregate([{"$set": {"n": {"$toInt": "x"}}}, {"$merge": "copy"}])
        assert failure.value.code == 241
        linearizable = held(orders).with_options(read_concern=ReadConcern("linearizable"))
        with pytest.raises(OperationFailure, match=r"\$merge cannot be used") as failure:
            linearizable.aggregate([{"$merge": "copy"}])
        assert failure.value.code == 72


def test_sessions(client, orders, lagging):
    with lagging("inf"):
        with client.start_session() as session:
            changed(orders).find_one(session=session)
            with pytest.raises(ExecutionTimeout, match="Error waiting for optime"):
                held(orders).aggregate([{"$merge": "copy"}], session=session, maxTimeMS=50)
        with client.start_session() as session:
            held(orders).aggregate([{"$merge": "copy"}], session=session)
            with pytest.raises(ExecutionTimeout):
                held(orders.database.copy).find_one({}, session=session, max_time_ms=50)
        with client.start_session(snapshot=True) as session:
            held(orders).aggregate([{"$merge": "snapshot"}], session=session)
            assert held(orders).find_one({}, session=session) == OLD[0]
        assert list(orders.database.copy.find()) == list(orders.database.snapshot.find()) == OLD


@pytest.mark.parametrize("size", [1_048_520, 1_100_000])
def test_what_is_too_large_for_one_command_is_the_primarys_newest_data(orders, lagging, size):
    """More than one command holds, or more than one batch."""
    orders.delete_many({})
    orders.insert_many([{"_id": n, "n": 1, "text": "x" * size} for n in range(16)])
    with lagging():
        orders.update_many({}, {"$set": {"n": 2}})
        held(orders).aggregate([{"$limit": 15}, {"$out": "copy"}])
        assert orders.database.copy.count_documents({"n": 1}) == 15
        held(orders).aggregate([{"$out": "copy"}])
        assert orders.database.copy.count_documents({"n": 2}) == 16


def test_a_node_that_knows_no_documents_writes_its_newest_data(orders, lagging, node, monkeypatch):
    monkeypatch.setattr(outputs, "_KNOWS_DOCUMENTS", 99)
    own = Endpoints()
    choose(EngineChoice(engine=MONGOD, mongod=node.uri))
    try:
        uri = own.uri
    finally:
        choose(None)
    with lagging() as replica_lag, pymongo.MongoClient(uri) as client:
        held(changed(client.shop.orders)).aggregate([{"$out": "copy"}])
        assert list(orders.database.copy.find()) == NEW
        assert not replica_lag.stale_reads
    own.stop()
