"""Sessions: accepted everywhere, causally consistent, snapshots, and what is refused."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest
from bson import Timestamp
from pymongo import InsertOne, ReadPreference, ReplaceOne, UpdateOne
from pymongo.errors import ConfigurationError, InvalidOperation, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from simulating import lagging

from pytest_replicalag.clients import wrap

OPERATIONS: dict[str, Any] = {
    "insert_one": lambda c, s: c.insert_one({}, session=s),
    "insert_many": lambda c, s: c.insert_many([{}], session=s),
    "update_one": lambda c, s: c.update_one({}, {"$set": {"n": 1}}, session=s),
    "update_many": lambda c, s: c.update_many({}, {"$set": {"n": 1}}, session=s),
    "replace_one": lambda c, s: c.replace_one({}, {"n": 2}, session=s),
    "delete_one": lambda c, s: c.delete_one({}, session=s),
    "delete_many": lambda c, s: c.delete_many({}, session=s),
    "find_one_and_update": lambda c, s: c.find_one_and_update({}, {"$set": {"n": 1}}, session=s),
    "find_one_and_replace": lambda c, s: c.find_one_and_replace({}, {"n": 1}, session=s),
    "find_one_and_delete": lambda c, s: c.find_one_and_delete({}, session=s),
    "bulk_write": lambda c, s: c.bulk_write(
        [InsertOne({"_id": "b"}), UpdateOne({"_id": "b"}, {"$set": {"n": 1}})], session=s
    ),
    "drop": lambda c, s: c.drop(session=s),
    "rename": lambda c, s: c.rename("other", session=s),
    "create_index": lambda c, s: c.create_index("n", session=s),
    "drop_indexes": lambda c, s: c.drop_indexes(session=s),
    "index_information": lambda c, s: c.index_information(session=s),
    "list_indexes": lambda c, s: list(c.list_indexes(session=s)),
    "find": lambda c, s: list(c.find({}, session=s)),
    "find_one": lambda c, s: c.find_one({}, session=s),
    "count_documents": lambda c, s: c.count_documents({}, session=s),
    "distinct": lambda c, s: c.distinct("n", session=s),
    "cursor.distinct": lambda c, s: c.find().distinct("n", session=s),
    "aggregate": lambda c, s: list(c.aggregate([], session=s)),
    "$out": lambda c, s: list(c.aggregate([{"$out": "other"}], session=s)),
    "create_collection": lambda c, s: c.database.create_collection("new", session=s),
    "drop_collection": lambda c, s: c.database.drop_collection("things", session=s),
    "list_collection_names": lambda c, s: c.database.list_collection_names(session=s),
    "list_database_names": lambda c, s: c.database.client.list_database_names(session=s),
    "drop_database": lambda c, s: c.database.client.drop_database("d", session=s),
}


def things() -> mongomock.MongoClient:
    client = mongomock.MongoClient()
    client.d.things.insert_one({"_id": 1, "n": 0})
    return client


@pytest.mark.parametrize("is_lagging", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_a_session_is_accepted_on_every_operation(operation, is_lagging):
    if not is_lagging:
        client = wrap(things())
        with client.start_session() as session:
            operation(client.d.things, session)
        return
    with lagging(things(), lag="0,5ms") as running, running.client.start_session() as session:
        operation(running.client.d.things, session)
        assert isinstance(session.operation_time, Timestamp)
        assert session.cluster_time["clusterTime"] >= session.operation_time


def test_a_causal_session_reads_its_own_writes_and_waits_for_them():
    with lagging(things(), lag="0,200ms") as running:
        client = running.client
        with client.start_session() as session:
            client.d.things.insert_one({"_id": 2}, session=session)
            assert client.d.things.find_one({"_id": 2}) is None
            before = running.control.now()
            assert client.d.things.find_one({"_id": 2}, session=session) == {"_id": 2}
            assert 190 < (running.control.now() - before).total_seconds() * 1000 <= 200
        assert len(running.stale) == 1


@pytest.mark.parametrize("key", [2, {"a": 1}], ids=["key", "document as key"])
@pytest.mark.parametrize(
    "replace",
    [
        lambda c, key, s: c.replace_one({"_id": key}, {"n": 1}, session=s),
        lambda c, key, s: c.find_one_and_replace({"_id": key}, {"n": 1}, session=s),
        lambda c, key, s: c.bulk_write([ReplaceOne({"_id": key}, {"n": 1})], session=s),
    ],
    ids=["replace_one", "find_one_and_replace", "bulk_write"],
)
def test_a_causal_session_waits_for_a_replacement_by_what_is_there_already(replace, key):
    with lagging(things(), lag="0,200ms") as running:
        things_ = running.client.d.things
        things_.insert_one({"_id": key, "n": 1})
        running.control.catch_up()
        with running.client.start_session() as session:
            replace(things_, key, session)
            before = running.control.now()
            for _ in range(2):  # one of the two is served by the member that lags
                things_.find_one({"_id": key}, session=session)
            assert 190 < (running.control.now() - before).total_seconds() * 1000 <= 202


def test_a_session_that_is_not_causal_does_not_wait():
    with lagging(things(), lag="0,200ms") as running:
        client = running.client
        with client.start_session(causal_consistency=False) as session:
            client.d.things.insert_one({"_id": 2}, session=session)
            assert client.d.things.find_one({"_id": 2}, session=session) is None
            assert session.operation_time.inc == 1


def test_a_session_that_was_given_anothers_times_sees_its_writes():
    with lagging(things(), lag="0,200ms") as running:
        client = running.client
        with client.start_session() as writer, client.start_session() as reader:
            client.d.things.insert_one({"_id": 2}, session=writer)
            reader.advance_cluster_time(writer.cluster_time)
            reader.advance_operation_time(writer.operation_time)
            assert client.d.things.find_one({"_id": 2}, session=reader) == {"_id": 2}


def test_times_of_a_session_never_go_back():
    with lagging(things()) as running, running.client.start_session() as session:
        running.client.d.things.insert_one({}, session=session)
        time, cluster = session.operation_time, session.cluster_time
        session.advance_operation_time(Timestamp(1, 0))
        session.advance_cluster_time({"clusterTime": Timestamp(1, 0)})
        assert (session.operation_time, session.cluster_time) == (time, cluster)


@pytest.mark.parametrize(
    ("advance", "value", "error"),
    [
        ("advance_operation_time", 1, TypeError),
        ("advance_cluster_time", 1, TypeError),
        ("advance_cluster_time", {}, ValueError),
    ],
)
def test_a_time_that_is_none_is_refused(advance, value, error):
    with wrap(things()).start_session() as session, pytest.raises(error):
        getattr(session, advance)(value)


def test_a_session_advanced_into_the_future_is_error_72_for_reads_and_writes():
    with lagging(things()) as running, running.client.start_session() as session:
        session.advance_operation_time(Timestamp(2**31, 1))
        for operation in (OPERATIONS["find_one"], OPERATIONS["insert_one"]):
            with pytest.raises(OperationFailure, match="must not be greater than") as caught:
                operation(running.client.d.things, session)
            assert caught.value.code == 72
        running.control.catch_up()
        assert running.client.d.things.count_documents({}) == 1


def test_a_snapshot_session_reads_one_optime_whatever_is_written_and_pruned():
    with lagging(things(), lag="0,5ms") as running:
        client = running.client
        with client.start_session(snapshot=True) as session:
            read = client.d.things.with_options(read_preference=ReadPreference.PRIMARY)
            assert read.find_one({"_id": 1}, session=session)["n"] == 0
            for n in range(1_000):
                client.d.things.update_one({"_id": 1}, {"$set": {"n": n}})
            assert read.find_one({"_id": 1}, session=session)["n"] == 0
            assert client.d.things.count_documents({"n": 0}, session=session) == 1
        assert read.find_one({"_id": 1})["n"] == 999


def test_a_snapshot_of_a_collection_that_was_created_since_is_error_246():
    with lagging(things(), lag="0,5ms", read_preference="primary") as running:
        client = running.client
        with client.start_session(snapshot=True) as session:
            client.d.things.find_one(session=session)
            client.d.new.insert_one({})
            with pytest.raises(OperationFailure, match="catalog changes") as caught:
                client.d.new.find_one(session=session)
            assert caught.value.code == 246
            assert caught.value.details["codeName"] == "SnapshotUnavailable"


def test_a_snapshot_of_a_collection_that_was_dropped_since_is_empty():
    with lagging(things(), lag="0,5ms", read_preference="primary") as running:
        client = running.client
        with client.start_session(snapshot=True) as session:
            client.d.things.find_one(session=session)
            client.d.things.drop()
            assert client.d.things.find_one(session=session) is None


def test_a_snapshot_of_a_collection_whose_documents_were_deleted_since_has_them():
    with lagging(things(), lag="0,5ms", read_preference="primary") as running:
        client = running.client
        with client.start_session(snapshot=True) as session:
            client.d.things.find_one(session=session)
            client.d.things.delete_many({})
            assert client.d.things.find_one(session=session) == {"_id": 1, "n": 0}


def test_a_write_in_a_snapshot_session_is_error_72_and_writes_nothing():
    with lagging(things(), lag="0") as running:
        session = running.client.start_session(snapshot=True)
        with pytest.raises(OperationFailure, match="read concern not supported") as caught:
            running.client.d.things.insert_one({}, session=session)
        assert caught.value.code == 72
        assert running.client.d.things.count_documents({}) == 1


def test_a_session_and_w_0_do_not_go_together():
    with lagging(things()) as running, running.client.start_session() as session:
        collection = running.client.d.get_collection("things", write_concern=WriteConcern(w=0))
        with pytest.raises(ConfigurationError, match="unacknowledged write concern"):
            collection.insert_one({}, session=session)


@pytest.mark.parametrize("level", ["available", "linearizable"])
def test_levels_that_know_no_cluster_time_are_error_72_in_a_used_causal_session(level):
    with lagging(things(), read_preference="primary") as running:
        session = running.client.start_session()
        running.client.d.things.insert_one({}, session=session)
        collection = running.client.d.get_collection("things", read_concern=ReadConcern(level))
        with pytest.raises(OperationFailure) as caught:
            collection.find_one({}, session=session)
        assert caught.value.code == 72


def test_an_ended_session_is_refused():
    client = wrap(things())
    session = client.start_session()
    session.end_session()
    assert session.has_ended
    with pytest.raises(InvalidOperation, match="Cannot use ended session"):
        client.d.things.find_one({}, session=session)


def test_a_session_of_another_client_is_refused():
    session = wrap(things()).start_session()
    with pytest.raises(InvalidOperation, match="the MongoClient that started it"):
        wrap(things()).d.things.find_one({}, session=session)


def test_what_is_no_session_is_refused_as_by_the_library():
    with pytest.raises(NotImplementedError, match="Mongomock does not handle sessions yet"):
        wrap(things()).d.things.insert_one({}, session="session")


def test_a_session_that_outlives_a_simulation_starts_the_next_with_old_data():
    client = wrap(things())
    session = client.start_session()
    with lagging(client):
        client.d.things.insert_one({}, session=session)
        assert session.operation_time is not None
    with lagging(client, lag="inf"):
        assert session.operation_time is None
        assert client.d.things.count_documents({}, session=session) == 2
