"""What is recorded of a stale read: the writes it missed, the guarantees, and the fixes."""

from __future__ import annotations

import sys
import uuid
from typing import Any
from unittest.mock import MagicMock

import mongomock
import pytest
from pymongo import InsertOne, ReadPreference, ReturnDocument, UpdateOne
from pymongo.read_concern import ReadConcern
from simulating import lagging

from pytest_replicalag.fronts.kept import kept


def shop() -> mongomock.MongoClient:
    client = mongomock.MongoClient()
    client.shop.orders.insert_many([{"_id": n, "state": "old", "n": n} for n in range(4)])
    return client


@pytest.fixture
def running() -> Any:
    with lagging(shop(), lag="0,200ms") as found:
        yield found


def only(running: Any) -> Any:
    [stale] = running.stale
    return stale


def place_order(orders: Any) -> None:
    orders.insert_one({"_id": 7, "state": "new"})


def test_a_stale_read_is_told_with_both_call_sites(running):
    orders = running.client.shop.orders
    place_order(orders)
    orders.find_one({"_id": 7})
    stale = only(running)
    assert stale.text == 'shop.orders.find_one({"_id": 7})'
    assert (stale.namespace, stale.operation) == ("shop.orders", "find_one")
    assert (stale.result, stale.fresh_result) == ("None", '{"_id": 7, "state": "new"}')
    assert (stale.member, str(stale.behind)) == ("secondary-2", "200ms")
    assert stale.read_preference == "secondaryPreferred"
    assert stale.call_site.path == __file__
    assert stale.call_site.function == "test_a_stale_read_is_told_with_both_call_sites"
    [missed] = stale.missed
    assert missed.text == 'insert_one({"_id": 7, "state": "new"})'
    assert missed.call_site.function == "place_order"
    assert str(missed.age) == "1ms"
    assert stale.test == running.simulation.test
    assert str(stale).startswith('shop.orders.find_one({"_id": 7}) returned None from secondary-2')


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python does not tell what is around it")
def test_a_comprehension_belongs_to_its_function(running):
    orders = running.client.shop.orders
    place_order(orders)
    assert [orders.find_one({"_id": number}) for number in (7,)] == [None]
    assert only(running).call_site.function == "test_a_comprehension_belongs_to_its_function"


@pytest.mark.parametrize(
    "read",
    [
        lambda c: c.find_one({"_id": 1}),
        lambda c: list(c.find({"n": {"$lt": 2}})),
        lambda c: c.count_documents({"state": "old"}),
        lambda c: c.distinct("state"),
        lambda c: list(c.find().distinct("state")),
        lambda c: list(c.aggregate([{"$group": {"_id": "$state"}}])),
        lambda c: list(c.find({}, {"state": 1}).sort("n", -1).limit(3)),
    ],
    ids=["find_one", "find", "count", "distinct", "cursor.distinct", "aggregate", "window"],
)
def test_a_read_whose_result_a_missed_write_changes_is_stale(running, read):
    orders = running.client.shop.orders
    orders.update_one({"_id": 1}, {"$set": {"state": "new"}})
    read(orders)
    assert only(running).missed[0].operation == "update_one"


@pytest.mark.parametrize(
    "read",
    [
        lambda c: c.find_one({"_id": 2}),
        lambda c: list(c.find({"n": {"$gte": 2}})),
        lambda c: list(c.find({}, {"n": 1})),
        lambda c: list(c.find().sort("n", -1).limit(2)),
        lambda c: c.count_documents({}),
        lambda c: c.estimated_document_count(),
        lambda c: c.distinct("n"),
        lambda c: c.find().distinct("n"),
        lambda c: list(c.aggregate([{"$group": {"_id": None, "n": {"$sum": "$n"}}}])),
    ],
    ids=[
        "other document",
        "other documents",
        "projection",
        "window",
        "count",
        "estimate",
        "distinct",
        "cursor.distinct",
        "aggregate",
    ],
)
def test_a_read_whose_result_no_missed_write_changes_is_not_stale(running, read):
    orders = running.client.shop.orders
    orders.update_one({"_id": 1}, {"$set": {"state": "new"}})
    read(orders)
    assert running.stale == []


def test_a_read_of_another_collection_is_not_stale(running):
    running.client.shop.orders.delete_many({})
    running.client.shop.items.find_one()
    running.client.other.orders.find_one()
    assert running.stale == []


def test_a_read_is_fresh_again_once_the_member_has_the_write(running):
    orders = running.client.shop.orders
    orders.delete_one({"_id": 1})
    running.control.advance("200ms")
    assert orders.find_one({"_id": 1}) is None
    assert running.stale == []


def test_only_the_writes_that_make_the_difference_are_missed(running):
    orders = running.client.shop.orders
    orders.update_one({"_id": 1}, {"$set": {"state": "new"}})
    orders.update_one({"_id": 2}, {"$set": {"state": "new"}})
    orders.insert_one({"_id": 8})
    orders.find_one({"_id": 2})
    stale = only(running)
    assert stale.missed_count == 1
    assert stale.missed[0].text == 'update_one({"_id": 2}, {"$set": {"state": "new"}})'


def test_of_many_missed_writes_the_newest_three_are_named_and_all_counted(running):
    orders = running.client.shop.orders
    for n in range(10):
        orders.update_one({"_id": 1}, {"$set": {"n": 100 + n}})
    orders.find_one({"_id": 1})
    stale = only(running)
    assert stale.missed_count == 10
    assert [missed.text[-6:-3] for missed in stale.missed] == ["107", "108", "109"]
    assert [str(missed.age) for missed in stale.missed] == ["3ms", "2ms", "1ms"]


def test_one_write_of_many_documents_is_named_once(running):
    orders = running.client.shop.orders
    orders.update_many({}, {"$set": {"state": "new"}})
    orders.count_documents({"state": "old"})
    stale = only(running)
    assert [missed.operation for missed in stale.missed] == ["update_many"]


# -- guarantees ----------------------------------------------------------------------------------


def test_without_a_session_a_missed_write_is_the_readers_own(running):
    running.client.shop.orders.delete_one({"_id": 1})
    running.client.shop.orders.find_one({"_id": 1})
    assert only(running).guarantees == ("read your writes",)


def test_a_write_of_another_session_is_not_the_readers_own(running):
    client = running.client
    one, two = (client.start_session(causal_consistency=False) for _ in range(2))
    client.shop.orders.delete_one({"_id": 1}, session=one)
    client.shop.orders.find_one({"_id": 1}, session=two)
    assert only(running).guarantees == ()


def test_reading_older_data_than_before_breaks_monotonic_reads():
    with lagging(shop(), lag="0,inf", choose="alternate") as running:
        orders = running.client.shop.orders
        orders.delete_one({"_id": 1})
        assert orders.find_one({"_id": 1}) is None
        assert orders.find_one({"_id": 1}) is not None
        assert only(running).guarantees == ("read your writes", "monotonic reads")


# -- fixes ---------------------------------------------------------------------------------------


def test_the_fixes_fit_the_read(running):
    running.client.shop.orders.update_one({"_id": 1}, {"$set": {"n": 9}})
    running.client.shop.orders.find_one({"_id": 1})
    assert only(running).fixes == (
        "read it from the primary (read preference primary)",
        "use one causally consistent session for both",
        "write with w: 3, so that every member has it",
        "use find_one_and_update(return_document=AFTER) and the document it returns",
    )


RETURNED = "use find_one_and_update(return_document=AFTER) and the document it returns"


@pytest.mark.parametrize("returns", [ReturnDocument.BEFORE, ReturnDocument.AFTER])
def test_the_document_that_an_update_returns_can_be_used(running, returns):
    orders = running.client.shop.orders
    orders.find_one_and_update({"_id": 1}, {"$inc": {"n": 10}}, return_document=returns)
    orders.find_one({"n": 11})
    assert only(running).fixes[-1] == RETURNED


def test_a_write_that_lets_another_document_come_first_returns_another(running):
    orders = running.client.shop.orders
    orders.update_one({"_id": 0}, {"$set": {"state": "done"}})
    assert orders.find_one({"state": "old"}, sort=[("_id", 1)])["_id"] == 0
    assert RETURNED not in only(running).fixes


def test_a_deleted_document_cannot_be_used(running):
    running.client.shop.orders.find_one_and_delete({"_id": 1})
    running.client.shop.orders.find_one({"_id": 1})
    assert not any("returns" in fix for fix in only(running).fixes)


def test_a_count_that_takes_no_session_has_no_such_fix(running):
    running.client.shop.orders.delete_one({"_id": 1})
    running.client.shop.orders.estimated_document_count()
    assert not any("session" in fix for fix in only(running).fixes)


def test_the_primary_shows_no_majority_reader_what_no_majority_has():
    with lagging(shop(), lag="inf,inf", write_concern="1") as running:
        orders = running.client.shop.get_collection("orders", read_concern=ReadConcern("majority"))
        orders.delete_one({"_id": 1})
        orders.find_one({"_id": 1})
        fixes = only(running).fixes
        assert fixes[0] == "read it from the primary with read concern local"
        assert not any(fix.startswith("write with w: 3") for fix in fixes)


def test_what_a_transaction_wrote_waits_at_its_commit(running):
    client = running.client
    with client.start_session(causal_consistency=False) as session, session.start_transaction():
        client.shop.orders.update_one({"_id": 1}, {"$set": {"n": 9}}, session=session)
    client.shop.orders.find_one({"_id": 1})
    assert "commit the transaction with w: 3, so that every member has it" in only(running).fixes


def test_w_majority_is_never_a_fix_for_a_read_from_a_secondary(running):
    running.client.shop.orders.delete_many({})
    list(running.client.shop.orders.find())
    assert not any("majority" in fix for fix in only(running).fixes)


def test_w_is_no_fix_while_the_member_is_paused(running):
    running.control.pause("secondary-2")
    running.client.shop.orders.delete_one({"_id": 1})
    running.client.shop.orders.count_documents({})
    stale = only(running)
    assert stale.is_paused
    assert not any(fix.startswith("write with") for fix in stale.fixes)


def test_a_stale_majority_read_of_the_primary_has_a_fix_of_its_own():
    with lagging(shop(), lag="inf,inf", write_concern="1") as running:
        orders = running.client.shop.get_collection(
            "orders", read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("majority")
        )
        orders.delete_one({"_id": 1})
        orders.find_one({"_id": 1})
        [fix] = only(running).fixes
        assert fix.startswith("read it with read concern local")


@pytest.mark.parametrize(("on_stale", "found"), [("report", 1), ("fail", 1), ("ignore", 0)])
def test_stale_reads_are_looked_for_unless_they_are_ignored(on_stale, found):
    with lagging(shop(), on_stale=on_stale) as running:
        running.client.shop.orders.delete_one({"_id": 1})
        assert running.client.shop.orders.find_one({"_id": 1}) is not None
        assert len(running.stale) == found


# -- what is alike, and what was written ---------------------------------------------------------


@pytest.mark.parametrize("value", [uuid.UUID(int=5), float("nan")])
def test_a_value_that_python_or_bson_does_not_compare_is_not_stale(value):
    library = pytest.importorskip("mongomock_ng")  # mongomock takes no UUID
    with lagging(library.MongoClient(uuidRepresentation="standard")) as running:
        orders = running.client.shop.orders
        orders.insert_one({"_id": 1, "value": value})
        running.control.catch_up()
        orders.update_one({"_id": 1}, {"$set": {"state": "new"}})
        assert orders.find_one({"_id": 1}, {"value": 1}).keys() == {"_id", "value"}
        list(orders.aggregate([{"$project": {"value": 1}}]))
        assert running.stale == []


def test_a_computed_nan_is_not_stale(running):
    orders = running.client.shop.orders
    orders.insert_one({"_id": 7, "n": float("nan")})
    running.control.catch_up()
    orders.insert_one({"_id": 8})
    list(orders.aggregate([{"$match": {"_id": 7}}, {"$project": {"m": {"$multiply": ["$n", 2]}}}]))
    assert running.stale == []


def test_what_the_caller_does_with_its_documents_later_changes_no_report(running):
    orders, query, update = running.client.shop.orders, {}, {"$set": {}}
    for n in range(3):
        query["_id"] = n
        update["$set"]["n"] = n * 10
        orders.update_one(query, update)
    orders.find_one({"_id": 1})
    assert only(running).missed[0].text == 'update_one({"_id": 1}, {"$set": {"n": 10}})'


def test_requests_of_a_bulk_write_are_told_as_documents_are(running):
    orders = running.client.shop.orders
    document, update = {"_id": 7}, {"$set": {"n": 1}}
    orders.bulk_write(each for each in [InsertOne(document), UpdateOne({"_id": 7}, update)])
    update["$set"]["n"] = document["n"] = 9
    orders.find_one({"_id": 7})
    [missed] = only(running).missed
    assert missed.text == 'bulk_write([InsertOne({"_id": 7}), … 1 more])'


def test_a_change_of_what_skip_leaves_out_moves_the_rest(running):
    orders = running.client.shop.orders
    orders.delete_one({"_id": 0})
    orders.insert_one({"_id": 9})
    orders.update_one({"_id": 1}, {"$set": {"n": 100}})  # still there: it moves nothing
    assert orders.find_one({}, sort=[("_id", 1)], skip=3)["_id"] == 3
    assert [missed.operation for missed in only(running).missed] == ["delete_one", "insert_one"]


# -- snapshots -----------------------------------------------------------------------------------


def test_a_snapshot_need_not_show_what_is_written_after_it_was_taken():
    with lagging(shop(), read_preference="primary") as running:
        orders = running.client.shop.orders
        with running.client.start_session(snapshot=True) as session:
            assert orders.count_documents({}, session=session) == 4
            orders.insert_one({"_id": 9})
            assert orders.count_documents({}, session=session) == 4
        assert running.stale == []


def test_a_snapshot_that_misses_what_was_written_before_it_is_stale():
    with lagging(shop()) as running:
        orders, items = running.client.shop.orders, running.client.shop.items
        orders.insert_one({"_id": 9})
        with running.client.start_session(snapshot=True) as session:
            assert items.find_one({}, session=session) is None
            assert orders.find_one({"_id": 9}, session=session) is None
        fixes = only(running).fixes
        assert fixes[0] == "read it from the primary (read preference primary)"
        assert not any("session" in fix for fix in fixes)


def test_a_mock_among_the_arguments_is_kept_as_it_is():
    mock = MagicMock()
    assert kept((mock, [mock], {"a": mock})) == (mock, [mock], {"a": mock})
