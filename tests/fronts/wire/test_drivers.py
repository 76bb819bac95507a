"""What PyMongo sees of the simulated set: topology, routing, cursors, sessions, test after test."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pymongo
import pytest
from bson import Binary, Int64
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import BulkWriteError, CursorNotFound, ExecutionTimeout, OperationFailure
from pymongo.read_concern import ReadConcern
from simulating import until

PRIMARY = ReadPreference.PRIMARY
LSID = {"id": Binary(b"fedcba9876543210", 4)}


def primary(collection):
    return collection.with_options(read_preference=PRIMARY)


# -- topology --------------------------------------------------------------------------------------


def test_a_driver_finds_all_members_from_one_of_them(wired):
    with wired(secondaries=4) as shop:
        port = shop.port(3)
        uri = f"mongodb://127.0.0.1:{port}/?replicaSet=replicalag"
        with pymongo.MongoClient(uri) as client:
            client.shop.orders.insert_one({})
            ports = {shop.port(member) for member in range(5)}
            until(lambda: {port for _, port in client.nodes} == ports)
            assert client.primary == ("127.0.0.1", shop.port(0))
            assert client.topology_description.topology_type_name == "ReplicaSetWithPrimary"


def test_members_tell_their_own_name_as_a_tag(shop):
    hello = shop.client.admin.command("hello", read_preference=PRIMARY)
    assert hello["tags"] == {"member": "primary"}
    assert hello["me"] == hello["primary"] == f"127.0.0.1:{shop.port()}"
    assert (hello["isWritablePrimary"], hello["secondary"]) == (True, False)


def test_the_last_write_of_a_member_is_what_it_has_applied(shop, raw):
    shop.client.shop.orders.insert_one({})
    written = [member.optime.ts.inc for member in shop.control.members]
    for member in range(3):
        told = raw(member).command("admin", {"hello": 1})["lastWrite"]
        assert told["opTime"]["ts"].inc == written[member]
    assert written[0] > written[2]
    shop.control.catch_up()
    assert raw(2).command("admin", {"hello": 1})["lastWrite"]["opTime"]["ts"].inc == written[0]


def test_the_status_shows_the_optime_of_each_member(shop):
    shop.client.shop.orders.insert_one({})
    members = shop.client.admin.command("replSetGetStatus")["members"]
    assert [member["stateStr"] for member in members] == ["PRIMARY", "SECONDARY", "SECONDARY"]
    told = [member["optime"]["ts"].inc for member in members]
    assert told == [member.optime.ts.inc for member in shop.control.members]


# -- routing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preference", "is_stale"),
    [
        (PRIMARY, False),
        (ReadPreference.PRIMARY_PREFERRED, False),
        (ReadPreference.SECONDARY, True),
        (ReadPreference.SECONDARY_PREFERRED, True),
        (ReadPreference.NEAREST, True),
        (pymongo.read_preferences.Nearest(tag_sets=[{"member": "secondary-1"}]), False),
        (pymongo.read_preferences.Secondary(tag_sets=[{"member": "secondary-2"}]), True),
    ],
)
def test_the_stalest_member_that_is_eligible_serves_a_read(shop, preference, is_stale):
    orders = shop.client.shop.get_collection("orders", read_preference=preference)
    for number in range(10):  # whatever endpoint the driver picks
        orders.insert_one({"_id": number})
        assert (orders.find_one({"_id": number}) is None) == is_stale
    assert len(shop.stale) == 10 * is_stale


def test_eligible_members_take_turns(wired):
    with wired(choose="alternate") as shop:
        orders = shop.client.shop.get_collection("orders", read_preference=ReadPreference.SECONDARY)
        orders.insert_one({"_id": 1})
        found = [orders.find_one() is not None for _ in range(6)]
        assert sorted(found[:2]) == [False, True]
        assert found == found[:2] * 3


def test_chance_is_the_same_each_time(wired):
    seen = set()
    for _ in range(2):
        with wired(choose="random", seed=5) as shop:
            orders = shop.client.shop.orders
            orders.insert_one({})
            seen.add(tuple(orders.count_documents({}) for _ in range(12)))
    [one] = seen
    assert set(one) == {0, 1}


@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_direct_connection_pins_its_member(shop, member):
    shop.client.shop.orders.insert_one({"_id": 1})
    uri = f"mongodb://127.0.0.1:{shop.port(member)}/?directConnection=true"
    with pymongo.MongoClient(uri) as client:
        assert client.shop.orders.count_documents({}) == (0 if member == 2 else 1)
        if member:
            with pytest.raises(pymongo.errors.NotPrimaryError):
                client.shop.orders.insert_one({})


PROGRAM = """
import sys, pymongo
with pymongo.MongoClient(sys.argv[1], appname="counter") as client:
    print(client.shop.orders.count_documents({}, comment="count"))
"""


@pytest.mark.parametrize("member", [None, 1, 2])
def test_another_process_is_routed_alike(shop, member):
    shop.client.shop.orders.insert_one({"_id": 1})
    uri = f"{shop.uri}&readPreference=secondary"
    if member is not None:
        uri = f"mongodb://127.0.0.1:{shop.port(member)}/?directConnection=true"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, uri], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == ("1\n" if member == 1 else "0\n")
    assert len(shop.stale) == (member != 1)
    if shop.stale:
        assert "counter" in str(shop.stale[0].call_site)


def test_what_tells_of_collections_is_asked_of_the_primary(shop):
    shop.client.shop.create_collection("carts")
    shop.client.shop.carts.create_index("n")
    assert shop.client.shop.list_collection_names(filter={"name": "carts"}) == ["carts"]
    assert "n_1" in shop.client.shop.carts.index_information()
    assert "shop" in shop.client.list_database_names()


def test_a_call_site_is_the_line_of_the_test(shop):
    shop.client.shop.orders.insert_one({})
    shop.client.shop.orders.find_one()
    [stale] = shop.stale
    assert stale.call_site.path.endswith("test_drivers.py")
    assert stale.missed[0].call_site.line + 1 == stale.call_site.line


# -- concerns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concern", "code"),
    [({"w": 3, "wtimeout": 5}, 64), ({"w": 5}, 100), ({"w": "nowhere"}, 79), ({"w": 2}, None)],
)
def test_a_write_concern_that_is_not_met_leaves_the_write(shop, concern, code):
    orders = shop.client.shop.get_collection("orders", write_concern=WriteConcern(**concern))
    if code is None:
        orders.insert_one({})
    else:
        with pytest.raises(pymongo.errors.WriteConcernError) as failure:
            orders.insert_one({})
        assert failure.value.code == code
    assert primary(orders).count_documents({}) == 1


def test_an_endless_wait_says_who_waits_for_what(shop):
    orders = shop.client.shop.get_collection("orders", write_concern=WriteConcern(w=3))
    with pytest.raises(OperationFailure, match="secondary-2 has lag inf"):
        orders.insert_one({})


def test_an_unacknowledged_write_arrives(shop):
    orders = shop.client.shop.get_collection("orders", write_concern=WriteConcern(w=0))
    assert not orders.insert_one({"_id": 1}).acknowledged
    # The same connection serves what comes next, after it.
    assert shop.client.admin.command("ping", read_preference=PRIMARY)["ok"] == 1
    assert primary(orders).find_one() == {"_id": 1}


def test_majority_is_what_a_majority_has(shop):
    orders = shop.client.shop.orders
    orders.insert_one({})
    shop.control.catch_up()
    shop.control.pause()
    orders.with_options(write_concern=WriteConcern(w=1)).insert_one({})
    majority = primary(orders).with_options(read_concern=ReadConcern("majority"))
    assert majority.count_documents({}) == 1
    shop.control.catch_up("secondary-1")
    assert majority.count_documents({}) == 2


def test_a_majority_read_waits_for_a_collection_that_is_new(shop):
    shop.control.pause()
    orders = shop.client.shop.orders
    orders.with_options(write_concern=WriteConcern(w=1)).insert_one({})
    majority = primary(orders).with_options(read_concern=ReadConcern("majority"))
    with pytest.raises(OperationFailure, match="until a majority of the members has the coll"):
        majority.count_documents({})
    with pytest.raises(ExecutionTimeout):
        majority.find_one(max_time_ms=50)
    shop.control.catch_up("secondary-1")
    assert majority.count_documents({}) == 1


# -- cursors ---------------------------------------------------------------------------------------


def test_a_cursor_keeps_the_data_of_its_first_batch(shop):
    orders = primary(shop.client.shop.orders)
    orders.insert_many([{"_id": number} for number in range(250)])
    cursor = orders.find(batch_size=20, sort=[("_id", 1)])
    first = next(cursor)
    orders.delete_many({})
    orders.insert_one({"_id": 999})
    assert [first["_id"], *(document["_id"] for document in cursor)] == list(range(250))


def test_a_cursor_that_is_closed_or_of_another_collection_is_refused(shop, raw):
    shop.client.shop.orders.insert_many([{} for _ in range(9)])
    connection = raw()
    find = {"find": "orders", "batchSize": 2}
    number = Int64(connection.command("shop", find)["cursor"]["id"])
    wrong = connection.command("shop", {"getMore": number, "collection": "carts"})
    assert wrong["code"] == 13
    killed = connection.command("shop", {"killCursors": "orders", "cursors": [number, Int64(3)]})
    assert (killed["cursorsKilled"], killed["cursorsNotFound"]) == ([number], [3])
    assert connection.command("shop", {"getMore": number, "collection": "orders"})["code"] == 43


def test_batches_hold_what_fits_into_a_message(shop):
    orders = primary(shop.client.shop.orders)
    text = "x" * 5_000_000
    orders.insert_many([{"_id": number, "text": text} for number in range(8)])
    assert [document["_id"] for document in orders.find(sort=[("_id", 1)])] == list(range(8))


# -- retryable writes and transactions -------------------------------------------------------------


def test_a_write_that_is_sent_twice_is_applied_once(shop, raw):
    connection = raw()
    orders = primary(shop.client.shop.orders)
    orders.insert_one({"_id": 1, "n": 0})
    update = {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}
    for _ in range(3):
        reply = connection.command("shop", {**update, "lsid": LSID, "txnNumber": Int64(5)})
        assert (reply["n"], reply["nModified"]) == (1, 1)
    assert orders.find_one()["n"] == 1
    old = connection.command("shop", {**update, "lsid": LSID, "txnNumber": Int64(4)})
    assert old["code"] == 225


def test_a_transaction_that_conflicts_is_tried_again_as_a_whole(shop):
    orders = primary(shop.client.shop.orders)
    orders.insert_one({"_id": 1, "n": 0})
    attempts = []

    def work(session):
        attempts.append(1)
        orders.find_one({"_id": 1}, session=session)
        if len(attempts) == 1:
            orders.update_one({"_id": 1}, {"$inc": {"n": 10}})
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

    with shop.client.start_session() as session:
        session.with_transaction(work, read_preference=PRIMARY)
    assert len(attempts) == 2
    assert orders.find_one()["n"] == 11


def test_a_bulk_write_tells_which_of_its_statements_failed(shop):
    with pytest.raises(BulkWriteError) as failure:
        shop.client.shop.orders.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}], ordered=False)
    assert [error["index"] for error in failure.value.details["writeErrors"]] == [1]
    assert failure.value.details["nInserted"] == 2


def test_a_causal_session_waits_for_its_own_writes(wired):
    with wired(lag="0,1s") as shop:
        with shop.client.start_session(causal_consistency=True) as session:
            shop.client.shop.orders.insert_one({}, session=session)
            assert shop.client.shop.orders.find_one({}, session=session) is not None
        assert shop.control.now().us >= 1_000_000


def test_a_snapshot_session_reads_at_one_time(shop):
    orders = shop.client.shop.orders
    orders.insert_one({"_id": 1})
    shop.control.catch_up()
    with shop.client.start_session(snapshot=True) as session:
        assert orders.count_documents({}, session=session) == 1
        orders.insert_one({"_id": 2})
        shop.control.catch_up()
        assert orders.count_documents({}, session=session) == 1


# -- test after test -------------------------------------------------------------------------------


def test_a_client_lives_from_test_to_test(wired):
    with wired("&retryReads=false") as shop:
        uri, times = shop.uri, []
        with pymongo.MongoClient(uri, readPreference="secondary") as client:
            for lag in ("0,inf", "0,0", "inf,0"):
                with wired(lag=lag) as later:
                    with client.start_session() as session:
                        client.shop.orders.insert_one({"_id": lag}, session=session)
                        times.append(session.operation_time)
                    is_stale = client.shop.orders.find_one({"_id": lag}) is None
                    assert is_stale == ("inf" in lag)
                    assert len(later.stale) == is_stale
        assert times == sorted(times)
        assert len(set(times)) == 3


def test_cursors_and_transactions_of_the_test_before_are_over(wired):
    with wired() as first, pymongo.MongoClient(first.uri) as client:
        client.shop.orders.insert_many([{"_id": number} for number in range(300)])
        session = client.start_session()
        session.start_transaction()
        client.shop.orders.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
        with wired():
            client.shop.orders.insert_one({"_id": 1})
            with pytest.raises(OperationFailure) as failure:
                client.shop.orders.insert_one({"_id": 2}, session=session)
            assert failure.value.code == 251
            session.end_session()
            assert client.shop.orders.find_one({"x": 1}) is None


def test_a_cursor_that_nobody_knows_is_not_found(shop):
    orders = shop.client.shop.orders
    orders.insert_many([{} for _ in range(9)])
    shop.control.catch_up()
    cursor = orders.find(batch_size=2)
    next(cursor)
    shop.client.admin.command("killAllSessions", [], read_preference=PRIMARY)
    with pytest.raises(CursorNotFound):
        list(cursor)


@pytest.mark.parametrize(
    "ask",
    [
        lambda orders: orders.count_documents({}),
        lambda orders: orders.estimated_document_count(),
        lambda orders: len(list(orders.find())),
        lambda orders: len(orders.distinct("_id")),
        lambda orders: len(list(orders.aggregate([{"$limit": 9}]))),
        lambda orders: orders.delete_many({}).deleted_count,
    ],
)
def test_documents_that_have_expired_are_gone(shop, ask):
    orders = primary(shop.client.shop.orders)
    orders.create_index("at", expireAfterSeconds=0)
    orders.insert_one({"at": datetime(2001, 1, 1)})
    assert ask(orders) == 0
    assert not shop.stale


def test_commands_to_another_server_are_not_noted(endpoints, shop):
    """It numbers its connections alike, so they would be taken for connections to an endpoint."""
    other = type(endpoints)()
    try:
        port = other.uri.split("/")[2].split(",")[0]
        with pymongo.MongoClient(f"mongodb://{port}/?directConnection=true") as client:
            client.shop.orders.insert_one({})
        assert not endpoints._callers._calls
        assert not [at for at in endpoints._callers._direct.values() if at]
    finally:
        other.stop()
