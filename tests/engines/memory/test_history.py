"""Reads at an earlier optime: every kind of change, natural order, and pruning."""

from __future__ import annotations

import contextlib
import datetime
import gc
import uuid
from decimal import Decimal
from typing import Any
from unittest import mock

import bson
import mongomock
import pytest
from bson import Decimal128, Int64, ObjectId, Regex
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import ReadPreference, ReturnDocument, UpdateOne
from simulating import HAS_PIPELINE_UPDATES, lagging

from pytest_replicalag.clients import wrap

OLD = [{"_id": n, "n": n, "tags": [n], "sub": {"x": n}} for n in range(4)]


def client_with_old_data() -> mongomock.MongoClient:
    client = mongomock.MongoClient()
    client.shop.items.insert_many(OLD)
    client.shop.items.create_index("n", unique=True)
    client.shop.others.insert_one({"_id": "other"})
    return client


CHANGES: dict[str, Any] = {
    "insert_one": lambda c: c.insert_one({"_id": 9, "n": 9}),
    "insert_many": lambda c: c.insert_many([{"_id": 8, "n": 8}, {"_id": 9, "n": 9}]),
    "$set": lambda c: c.update_one({"_id": 1}, {"$set": {"n": 7}}),
    "$inc of all": lambda c: c.update_many({}, {"$inc": {"n": 100}}),
    "$push": lambda c: c.update_one({"_id": 1}, {"$push": {"tags": 5}}),
    "$pull": lambda c: c.update_one({"_id": 1}, {"$pull": {"tags": 1}}),
    "nested $set": lambda c: c.update_one({"_id": 1}, {"$set": {"sub.x": 5}}),
    "$unset": lambda c: c.update_many({}, {"$unset": {"sub": 1}}),
    "$rename": lambda c: c.update_one({"_id": 1}, {"$rename": {"sub": "bus"}}),
    "pipeline": lambda c: c.update_one({"_id": 1}, [{"$set": {"n": {"$add": ["$n", 50]}}}]),
    "upsert": lambda c: c.update_one({"_id": 9}, {"$set": {"n": 9}}, upsert=True),
    "replace_one": lambda c: c.replace_one({"_id": 1}, {"n": 50}),
    "delete_one": lambda c: c.delete_one({"_id": 1}),
    "delete of all": lambda c: c.delete_many({}),
    "find_one_and_update": lambda c: c.find_one_and_update(
        {"_id": 1}, {"$set": {"n": 7}}, return_document=ReturnDocument.AFTER
    ),
    "find_one_and_replace": lambda c: c.find_one_and_replace({"_id": 1}, {"n": 50}),
    "find_one_and_delete": lambda c: c.find_one_and_delete({"n": 2}),
    "bulk_write": lambda c: c.bulk_write([UpdateOne({"_id": 1}, {"$set": {"n": 50}})]),
    "drop": lambda c: c.drop(),
    "drop_collection": lambda c: c.database.drop_collection("items"),
    "rename": lambda c: c.rename("renamed"),
    "rename over another": lambda c: c.database.others.rename("items", dropTarget=True),
    "drop_database": lambda c: c.database.client.drop_database("shop"),
    "$out": lambda c: c.aggregate([{"$match": {"n": 1}}, {"$out": "items"}]),
    "drop and insert": lambda c: (c.drop(), c.insert_one({"_id": 1, "n": "new"})),
    "rename and insert": lambda c: (c.rename("renamed"), c.insert_one({"_id": 1, "n": "new"})),
    "all deleted, then dropped": lambda c: (c.delete_many({}), c.drop_indexes(), c.drop()),
}


if not HAS_PIPELINE_UPDATES:
    del CHANGES["pipeline"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_member_that_missed_a_change_shows_what_was_before(change):
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        change(items.with_options(read_preference=ReadPreference.PRIMARY))
        primary = items.with_options(read_preference=ReadPreference.PRIMARY)
        assert list(items.find()) == OLD
        assert items.count_documents({}) == len(OLD)
        assert items.find_one({"_id": 1}) == OLD[1]
        assert list(primary.find()) != OLD
        running.control.catch_up()
        assert list(items.find()) == list(primary.find())


def test_an_update_many_that_fails_halfway_is_logged_as_far_as_it_came():
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        with pytest.raises(mongomock.DuplicateKeyError):
            items.update_many({}, {"$set": {"n": 77}})
        assert [d["n"] for d in items.find()] == [0, 1, 2, 3]
        running.control.catch_up()
        assert [d["n"] for d in items.find()] == [77, 1, 2, 3]
        assert running.simulation.replica_set.oplog.last == 1


def test_an_update_that_changes_nothing_is_not_logged():
    with lagging(client_with_old_data()) as running:
        running.client.shop.items.update_many({}, {"$set": {"sub.y": 1}})
        assert running.simulation.replica_set.oplog.last == 4
        running.client.shop.items.update_many({}, {"$set": {"sub.y": 1}})
        assert running.simulation.replica_set.oplog.last == 4


@pytest.mark.parametrize("value", [1.0, True, Int64(1)], ids=repr)
def test_an_update_that_changes_only_a_type_is_logged(value):
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        items.update_one({"_id": 1}, {"$set": {"n": value}})
        assert type(items.find_one({"_id": 1})["n"]) is int
        running.control.catch_up()
        is_stored = bson.encode({"n": value}) != bson.encode({"n": 1})
        assert running.simulation.replica_set.oplog.last == is_stored


def test_natural_order_at_an_earlier_optime_is_the_order_of_that_time():
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        items.delete_one({"_id": 1})
        items.insert_one({"_id": 1, "n": 1})
        items.delete_one({"_id": 3})
        items.insert_one({"_id": 5, "n": 5})
        items.insert_one({"_id": 3, "n": 3})
        assert [d["_id"] for d in items.find()] == [0, 1, 2, 3]
        running.control.catch_up()
        assert [d["_id"] for d in items.find()] == [0, 2, 1, 5, 3]


def test_every_optime_in_between_is_as_it_was():
    with lagging(client_with_old_data(), lag="inf") as running:
        items = running.client.shop.items
        engine = running.client._front.engine
        for n in range(4):
            items.update_one({"_id": n}, {"$set": {"n": -1 - n}})
            items.delete_one({"_id": n})
        for position in range(9):
            past = engine.past(position)._server["shop"]["items"]
            gone, half = divmod(position, 2)
            expected = [-1 - gone if half and n == gone else n for n in range(gone, 4)]
            assert [document["n"] for document in past.documents] == expected


def test_what_a_read_returned_is_the_callers_own():
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        items.delete_many({})
        items.find_one({"_id": 1})["sub"]["x"] = "spoilt"
        assert items.find_one({"_id": 1}) == OLD[1]


def test_an_inserted_document_is_the_callers_own():
    with lagging(lag="0,0") as running:
        document = {"_id": 1, "list": [1]}
        running.client.shop.items.insert_one(document)
        document["list"].append(2)
        assert running.client.shop.items.find_one() == {"_id": 1, "list": [1]}


def test_expired_documents_vanish_on_a_secondary_only_after_its_lag():
    client = mongomock.MongoClient()
    start = datetime.datetime(2030, 1, 1)
    client.shop.items.create_index("at", expireAfterSeconds=10)
    with mock.patch.object(mongomock, "utcnow", return_value=start) as now:
        client.shop.items.insert_one({"_id": 1, "at": start})
        with lagging(client, lag="0,200ms") as running:
            items = running.client.shop.items
            now.return_value = start + datetime.timedelta(seconds=60)
            assert items.count_documents({}) == 1
            primary = items.with_options(read_preference=ReadPreference.PRIMARY)
            assert primary.count_documents({}) == 0
            running.control.advance("200ms")
            assert items.count_documents({}) == 0
            [stale] = running.stale
            assert stale.missed[0].call_site is None
            assert stale.missed[0].text == "the TTL monitor's delete of an expired document"


def test_indexes_at_an_earlier_optime_are_those_of_that_time():
    with lagging(client_with_old_data()) as running:
        items = running.client.shop.items
        engine = running.client._front.engine
        items.drop_index("n_1")
        items.create_index("tags")
        indexes = [set(engine.past(p)._server["shop"]["items"].indexes) for p in range(3)]
        assert [found - {"_id_"} for found in indexes] == [{"n_1"}, set(), {"tags_1"}]


# -- pruning -------------------------------------------------------------------------------------


def _held(running: Any) -> int:
    """How many images of the past are held."""
    stores = running.client._front.engine.server._databases.values()
    return sum(
        len(chain.images)
        for database in stores
        for collection in database._collections.values()
        for chain in collection.versions.chains.values()
    )


def test_history_is_forgotten_once_every_member_has_applied_it():
    with lagging(client_with_old_data(), lag="0,5ms") as running:
        items = running.client.shop.items
        for n in range(3_000):
            items.update_one({"_id": 1}, {"$set": {"tags": [n]}})
        oplog = running.simulation.replica_set.oplog
        assert oplog.last == 3_000
        assert _held(running) <= 256
        assert oplog.last - oplog.oldest_readable <= 256


def test_nothing_is_held_by_a_set_without_lag_however_much_is_inserted():
    with lagging(lag="0") as running:
        items = running.client.shop.items
        for n in range(1_000):
            items.insert_one({"_id": n})
        assert _held(running) <= 256


def test_history_is_kept_for_as_long_as_a_member_needs_it():
    with lagging(client_with_old_data(), lag="0,inf", write_concern="1") as running:
        items = running.client.shop.items
        for n in range(2_000):
            items.update_one({"_id": 1}, {"$set": {"tags": [n]}})
        assert items.find_one({"_id": 1}) == OLD[1]
        running.control.catch_up()
        items.insert_one({"_id": "one more"})
        running.simulation.journal.prune()
        assert _held(running) == 1


def test_the_images_of_a_finished_simulation_are_let_go():
    client = wrap(client_with_old_data())
    with lagging(client):
        client.shop.items.delete_many({})
    with lagging(client) as running:
        running.client.shop.items.find_one()
        gc.collect()
        assert _held(running) == 0
        assert list(running.client.shop.items.find()) == []


def test_the_next_simulation_starts_with_what_the_last_one_left_on_the_primary():
    client = wrap(client_with_old_data())
    with lagging(client) as running:
        client.shop.items.delete_one({"_id": 0})
        assert client.shop.items.count_documents({}) == 4
    assert client.shop.items.count_documents({}) == 3
    with lagging(client) as running:
        assert client.shop.items.count_documents({}) == 3
        assert running.stale == []


# -- equality on _id -----------------------------------------------------------------------------

IDS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 1.0, True, False, 0.0, -0.0, "", "1", b"", b"1", Int64(1)]),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=3),
    # mongomock keys a date with microseconds by what it does not store; such ones are broken.
    st.integers(0, 10**12).map(
        lambda ms: datetime.datetime(1990, 1, 1) + datetime.timedelta(milliseconds=ms)
    ),
    st.builds(lambda n: bson.Binary.from_uuid(uuid.UUID(int=n)), st.integers(0, 3)),
    st.sampled_from([ObjectId("0" * 24), ObjectId("1" * 24)]),
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 1), min_size=1, max_size=2),
)

ASKED = st.one_of(
    IDS, st.none(), st.sampled_from([Regex("1"), [1], Decimal128(Decimal(1)), uuid.UUID(int=0)])
)


def _found(collection: Any, query: Any) -> Any:
    try:
        return repr(list(collection.find(query)))
    except Exception as error:
        return type(error), str(error)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(ids=st.lists(IDS, min_size=1, max_size=4), asked=st.lists(ASKED, max_size=3))
def test_equality_on_id_finds_what_a_scan_finds_for_every_type(ids, asked):
    bare, client = mongomock.MongoClient(), mongomock.MongoClient()
    for collection in (bare.d.c, client.d.c):
        with contextlib.suppress(mongomock.BulkWriteError):  # 1, 1.0 and True are the same
            collection.insert_many([{"_id": key, "n": n} for n, key in enumerate(ids)])
    queries = [
        query
        for value in [*asked, *ids]
        for query in ({"_id": value}, {"_id": {"$eq": value}}, {"_id": value, "n": 0})
    ]
    expected = [_found(bare.d.c, query) for query in queries]
    wrapped = wrap(client)
    assert [_found(wrapped.d.c, query) for query in queries] == expected
    with lagging(wrapped, lag="inf", write_concern="1"):
        wrapped.d.c.delete_many({})
        assert [_found(wrapped.d.c, query) for query in queries] == expected
