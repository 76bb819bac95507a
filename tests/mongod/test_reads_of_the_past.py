"""What a lagging member finds: the node's past."""

import pymongo
import pytest
from bson import SON
from pymongo import ReadPreference
from pymongo.errors import NotPrimaryError, OperationFailure
from pymongo.read_concern import ReadConcern

SECONDARY = ReadPreference.SECONDARY


def secondary(client, name="orders", **options):
    return client.shop.get_collection(name, read_preference=SECONDARY, **options)


@pytest.fixture
def orders(client):
    client.shop.orders.insert_many([{"_id": n, "x": n % 2} for n in range(4)])
    return client.shop.orders


def test_every_kind_of_read_is_of_the_past(client, orders, lagging):
    with lagging() as replica_lag:
        orders.insert_one({"_id": 9, "x": 9})
        old = secondary(client)
        assert [one["_id"] for one in old.find({"x": {"$gte": 1}})] == [1, 3]
        assert old.find_one({"_id": 9}) is None
        assert old.count_documents({}) == 4
        assert old.estimated_document_count() == 4
        assert old.distinct("x") == [0, 1]
        groups = [{"$group": {"_id": None, "n": {"$sum": "$x"}}}]
        assert list(old.aggregate(groups)) == [{"_id": None, "n": 2}]
        assert orders.find_one({"_id": 9}) is not None
        operations = [stale.operation for stale in replica_lag.stale_reads]
    assert operations == [
        "find",
        "find_one",
        "count_documents",
        "estimated_document_count",
        "distinct",
        "aggregate",
    ]


def test_a_stale_read_names_the_write_to_its_documents(client, orders, lagging):
    with lagging() as replica_lag:
        orders.update_one({"_id": 1}, {"$set": {"x": 10}})
        orders.insert_one({"_id": 9})
        orders.delete_one({"_id": 2})
        assert secondary(client).find_one({"_id": 1}) == {"_id": 1, "x": 1}
        [stale] = replica_lag.stale_reads
    assert [missed.operation for missed in stale.missed] == ["update_one"]
    assert (stale.result, stale.fresh_result) == ('{"_id": 1, "x": 1}', '{"_id": 1, "x": 10}')
    assert stale.member == "secondary-2"
    assert stale.call_site.path == __file__
    assert stale.guarantees == ("read your writes",)


def test_a_collection_that_a_write_creates_is_no_change_of_its_own(client, lagging):
    with lagging() as control:
        client.shop.new.insert_one({"_id": 1})
        client.shop.new.create_index("n")
        list(secondary(client, "new").aggregate([{"$group": {"_id": "$n"}}]))
        [stale] = control.stale_reads
        assert [missed.operation for missed in stale.missed] == ["insert_one"]
        assert stale.missed_count == 1


def test_a_transaction_is_named_by_its_writes(client, orders, lagging):
    with lagging() as replica_lag:
        with client.start_session() as session, session.start_transaction():
            orders.insert_one({"_id": 8}, session=session)
            client.shop.stock.insert_one({"_id": "tea"}, session=session)
        assert secondary(client).find_one({"_id": 8}) is None
        [stale] = replica_lag.stale_reads
    assert [missed.text for missed in stale.missed] == ['insert_one({"_id": 8})']


def test_what_is_equal_is_not_stale(client, orders, lagging):
    with lagging() as replica_lag:
        orders.insert_one({"_id": 9})
        assert secondary(client).find_one({"_id": 1}) is not None
        assert secondary(client, "other").find_one() is None
        assert replica_lag.stale_reads == []


def test_time_passes_and_the_member_has_it(client, orders, lagging):
    with lagging() as replica_lag:
        orders.insert_one({"_id": 9})
        replica_lag.advance("200ms")
        assert secondary(client).find_one({"_id": 9}) is not None
        replica_lag.pause()
        orders.with_options(write_concern=pymongo.WriteConcern(1)).delete_one({"_id": 9})
        assert secondary(client).find_one({"_id": 9}) is not None
        replica_lag.catch_up()
        assert secondary(client).find_one({"_id": 9}) is None


@pytest.mark.parametrize("before", [True, False], ids=["behind", "with all"])
def test_a_cursor_keeps_its_optime(client, orders, lagging, before):
    with lagging("200ms,200ms"):
        if before:
            orders.with_options(write_concern=pymongo.WriteConcern(1)).insert_one({"_id": 8})
        cursor = secondary(client).find(batch_size=1)
        assert next(cursor)["_id"] == 0
        orders.insert_one({"_id": 9})
        orders.delete_one({"_id": 2})
        assert [one["_id"] for one in cursor] == [1, 2, 3]


def test_a_collection_that_came_later_is_empty(client, orders, lagging):
    with lagging() as replica_lag:
        client.shop.new.insert_one({"_id": "new"})
        new = secondary(client, "new")
        assert list(new.find()) == []
        assert new.count_documents({}) == new.estimated_document_count() == 0
        assert new.distinct("_id") == []
        assert list(new.aggregate([{"$count": "n"}])) == []
        assert len(replica_lag.stale_reads) == 5


@pytest.mark.parametrize(
    ("stage", "found"),
    [
        ({"$lookup": {"from": "new", "pipeline": [], "as": "found"}}, [{"_id": 1, "found": []}]),
        ({"$unionWith": "new"}, [{"_id": 1}]),
        ({"$unionWith": {"coll": "new", "pipeline": []}}, [{"_id": 1}]),
        (
            {
                "$graphLookup": {
                    "from": "new",
                    "startWith": "$_id",
                    "connectFromField": "a",
                    "connectToField": "b",
                    "as": "found",
                }
            },
            [{"_id": 1, "found": []}],
        ),
    ],
)
def test_a_collection_that_is_joined_and_came_later_is_empty(client, lagging, stage, found):
    client.shop.orders.insert_one({"_id": 1})
    with lagging():
        client.shop.new.insert_one({"_id": "new", "b": 1})
        assert list(secondary(client).aggregate([stage])) == found


def test_a_join_is_of_one_optime(client, lagging):
    client.shop.orders.insert_one({"_id": 1, "item": "tea"})
    client.shop.stock.insert_one({"_id": "tea", "left": 3})
    joined = {"from": "stock", "localField": "item", "foreignField": "_id", "as": "stock"}
    with lagging():
        client.shop.stock.update_one({"_id": "tea"}, {"$set": {"left": 2}})
        [found] = secondary(client).aggregate([{"$lookup": joined}])
        assert found["stock"] == [{"_id": "tea", "left": 3}]


def test_views_see_the_past_of_their_collection(client, orders, lagging):
    client.shop.create_collection("odd", viewOn="orders", pipeline=[{"$match": {"x": 1}}])
    with lagging() as replica_lag:
        orders.insert_one({"_id": 9, "x": 1})
        assert [one["_id"] for one in secondary(client, "odd").find()] == [1, 3]
        assert len(replica_lag.stale_reads) == 1


def test_what_only_a_server_knows(client, lagging):
    places, posts = client.shop.places, client.shop.posts
    places.create_index([("at", "2dsphere")])
    posts.create_index([("text", "text")])
    here = {"type": "Point", "coordinates": [0, 0]}
    places.insert_one({"_id": 1, "at": here})
    posts.insert_one({"_id": 1, "text": "Black Tea"})
    with lagging():
        places.insert_one({"_id": 2, "at": here})
        posts.insert_one({"_id": 2, "text": "green tea"})
        near = {"at": {"$near": {"$geometry": here}}}
        assert [one["_id"] for one in secondary(client, "places").find(near)] == [1]
        count = SON(count="places", query=near)
        assert client.shop.command(count, read_preference=SECONDARY)["n"] == 1
        assert client.shop.command(SON(count="places", query=near))["n"] == 2
        found = secondary(client, "posts").find({"$text": {"$search": "tea"}})
        assert [one["_id"] for one in found] == [1]
        collation = {"locale": "en", "strength": 2}
        found = secondary(client, "posts").find({"text": "black tea"}, collation=collation)
        assert [one["_id"] for one in found] == [1]


def test_count_skips_and_limits(client, orders, lagging):
    with lagging():
        orders.insert_one({"_id": 9})
        for arguments, n in (({"skip": 1}, 3), ({"limit": 2}, 2), ({"skip": 3, "limit": -5}, 1)):
            command = SON(count="orders", query={}, **arguments)
            assert client.shop.command(command, read_preference=SECONDARY)["n"] == n


def test_a_wrong_count_is_refused_in_the_servers_words(client, orders, lagging):
    command = SON(count="orders", query={"$nonsense": 1})
    with lagging():
        orders.insert_one({"_id": 9})
        with pytest.raises(OperationFailure, match="unknown top level operator") as error:
            client.shop.command(command, read_preference=SECONDARY)
    assert error.value.code == 2


def test_capped_collections_are_of_now(client, lagging):
    client.shop.create_collection("log", capped=True, size=10_000)
    with lagging():
        client.shop.log.insert_one({"_id": 1})
        assert secondary(client, "log").find_one() == {"_id": 1}


def test_read_concerns(client, orders, lagging):
    with lagging("inf,inf"):
        first = orders.with_options(write_concern=pymongo.WriteConcern(1))
        first.insert_one({"_id": 9})
        majority = orders.with_options(read_concern=ReadConcern("majority"))
        assert majority.find_one({"_id": 9}) is None
        assert orders.find_one({"_id": 9}) is not None
    with lagging():
        orders.insert_one({"_id": 10})
        linearizable = ReadConcern("linearizable")
        assert orders.with_options(read_concern=linearizable).find_one({"_id": 10}) is not None
        with pytest.raises(NotPrimaryError):
            secondary(client, read_concern=linearizable).find_one()
        available = secondary(client, read_concern=ReadConcern("available"))
        assert available.find_one({"_id": 10}) is None


def test_causal_sessions_wait(client, orders, lagging):
    with lagging() as replica_lag, client.start_session(causal_consistency=True) as session:
        orders.insert_one({"_id": 9}, session=session)
        assert secondary(client).find_one({"_id": 9}, session=session) is not None
        assert str(replica_lag.now()) >= "200ms"
        assert replica_lag.stale_reads == []


def test_snapshot_sessions_stay_where_they_are(client, orders, lagging):
    with lagging(), client.start_session(snapshot=True) as session:
        assert orders.count_documents({}, session=session) == 4
        orders.insert_one({"_id": 9})
        assert orders.count_documents({}, session=session) == 4
        assert orders.count_documents({}) == 5


def test_a_direct_connection_pins_its_member(client, orders, uri, lagging):
    hosts = uri.removeprefix("mongodb://").partition("/")[0].split(",")
    with lagging():
        orders.insert_one({"_id": 9})
        for host, n in zip(hosts, (5, 5, 4), strict=True):
            with pymongo.MongoClient(f"mongodb://{host}", directConnection=True) as pinned:
                assert pinned.shop.orders.count_documents({}) == n


def test_replies_tell_the_optime_of_their_member(client, orders, lagging):
    with lagging():
        written = client.shop.command("insert", "orders", documents=[{"_id": 9}])
        read = client.shop.command("find", "orders", read_preference=SECONDARY)
        assert (
            read["operationTime"] < written["operationTime"] <= read["$clusterTime"]["clusterTime"]
        )
        assert "atClusterTime" not in read["cursor"]


def test_a_write_by_another_way_is_seen_with_the_next(client, orders, direct, lagging):
    with lagging() as replica_lag:
        direct.shop.orders.insert_one({"_id": "foreign"})
        assert secondary(client).find_one({"_id": "foreign"}) is not None
        orders.insert_one({"_id": 9})
        direct.shop.orders.insert_one({"_id": "later"})
        assert secondary(client).find_one({"_id": "later"}) is None
        replica_lag.catch_up()
        assert secondary(client).find_one({"_id": "later"}) is not None


def test_a_read_that_is_refused_is_not_stale(client, lagging):
    with lagging("inf") as replica_lag, client.start_session(snapshot=True) as session:
        client.shop.other.insert_one({"_id": 1})
        replica_lag.catch_up()
        view = secondary(client)
        client.shop.other.find_one(session=session)
        client.shop.orders.insert_one({"_id": 1, "n": 1})
        replica_lag.catch_up()
        for read in (
            lambda: view.distinct("n", session=session),
            lambda: view.find_one(session=session),
            lambda: view.count_documents({}, session=session),
        ):
            with pytest.raises(OperationFailure) as caught:
                read()
            assert caught.value.code == 246
        assert replica_lag.stale_reads == []
