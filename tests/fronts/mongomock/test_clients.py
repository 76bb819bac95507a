"""What a wrapped client is, and which options it honours."""

from __future__ import annotations

import datetime

import mongomock
import pytest
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import SecondaryPreferred
from pymongo.write_concern import WriteConcern
from simulating import lagging

from pytest_replicalag import MongoClient, wrap
from pytest_replicalag.errors import EndlessWaitError, NotWrappableError

# -- identity ------------------------------------------------------------------------------------


def test_a_wrapped_client_is_of_the_librarys_classes():
    client = wrap(mongomock.MongoClient())
    assert isinstance(client, mongomock.MongoClient)
    assert isinstance(client.d, mongomock.Database)
    assert isinstance(client.d.c, mongomock.Collection)


def test_a_wrapped_mongomock_ng_client_is_of_its_classes():
    mongomock_ng = pytest.importorskip("mongomock_ng")
    client = wrap(mongomock_ng.MongoClient())
    assert isinstance(client, mongomock_ng.MongoClient)
    assert isinstance(client.d.c, mongomock_ng.Collection)


def test_wrapping_twice_gives_the_same_client():
    bare = mongomock.MongoClient()
    assert wrap(bare) is wrap(bare)
    assert wrap(wrap(bare)) is wrap(bare)


def test_the_data_that_the_client_holds_are_adopted_not_copied():
    bare = mongomock.MongoClient()
    collection = bare.d.c
    collection.insert_one({"_id": 1})
    client = wrap(bare)
    assert client.d.c.find_one() == {"_id": 1}
    client.d.c.insert_one({"_id": 2})
    assert collection.count_documents({}) == 2


@pytest.mark.parametrize("value", [None, 1, "mongodb://localhost", mongomock.MongoClient])
def test_what_is_no_client_is_refused_with_what_can_be_wrapped(value):
    with pytest.raises(NotWrappableError, match="takes a client of mongomock, mongomock_ng, Py"):
        wrap(value)


def test_databases_and_collections_are_the_same_objects_each_time():
    client = wrap(mongomock.MongoClient())
    assert client.d is client["d"] is client.get_database("d")
    assert client.d.c is client.d["c"] is client.d.get_collection("c")


def test_equality_hash_and_repr_are_those_of_a_bare_client():
    bare, client = mongomock.MongoClient(), wrap(mongomock.MongoClient())
    assert repr(client) == repr(bare)
    assert repr(client.d) == repr(bare.d)
    assert repr(client.d.c) == repr(bare.d.c)
    assert (client == wrap(mongomock.MongoClient())) == (bare == mongomock.MongoClient())
    again = client.d.get_collection("c", read_preference=ReadPreference.SECONDARY)
    assert client.d.c == again
    assert hash(client.d.c) == hash(again)
    assert client.d.c != client.d.other
    assert len({client.d, client["d"], client.other}) == 2


def test_drop_database_takes_a_name_or_a_database():
    for is_lagging in (True, False):
        client = wrap(mongomock.MongoClient())
        for argument in ("d", client.d):
            client.d.c.insert_one({})
            if is_lagging:
                with lagging(client, read_preference="primary"):
                    client.drop_database(argument)
                    assert client.d.c.count_documents({}) == 0
            else:
                client.drop_database(argument)
            assert client.list_database_names() == []


# -- options -------------------------------------------------------------------------------------


def test_without_options_the_settings_decide_while_a_simulation_runs():
    client = wrap(mongomock.MongoClient())
    assert client.read_preference.mode == 0
    with lagging(client, read_preference="nearest"):
        assert client.read_preference.mode == client.d.c.read_preference.mode == 4
    assert client.d.c.read_preference.mode == 0


@pytest.mark.parametrize("place", ["client", "database", "collection", "with_options", "inherited"])
def test_a_read_preference_is_honoured_wherever_it_is_set(place):
    secondary = ReadPreference.SECONDARY
    bare = mongomock.MongoClient(read_preference=secondary if place == "client" else None)
    client = wrap(bare)
    with lagging(client, read_preference="primary") as running:
        collection = {
            "client": lambda: client.d.c,
            "database": lambda: client.get_database("d", read_preference=secondary).c,
            "collection": lambda: client.d.get_collection("c", read_preference=secondary),
            "with_options": lambda: client.d.c.with_options(read_preference=secondary),
            "inherited": lambda: client.d.with_options(read_preference=secondary).c.sub,
        }[place]()
        collection.insert_one({"_id": 1})
        assert collection.find_one() is None
        assert running.stale[0].read_preference == "secondary"


@pytest.mark.parametrize("place", ["database", "collection", "with_options"])
def test_a_write_concern_is_honoured_wherever_it_is_set(place):
    concern = WriteConcern(w=3)
    with lagging(lag="10ms,30ms") as running:
        client = running.client
        collection = {
            "database": lambda: client.get_database("d", write_concern=concern).c,
            "collection": lambda: client.d.get_collection("c", write_concern=concern),
            "with_options": lambda: client.d.c.with_options(write_concern=concern),
        }[place]()
        collection.insert_one({})
        assert str(running.control.now()) == "31ms"
        assert collection.write_concern == concern


@pytest.mark.parametrize("place", ["database", "collection", "with_options"])
def test_a_read_concern_is_honoured_wherever_it_is_set(place):
    concern = ReadConcern("majority")
    with lagging(lag="inf,inf", read_preference="primary", write_concern="1") as running:
        client = running.client
        client.d.c.insert_one({"_id": 0})
        running.control.catch_up()  # of a new collection, a majority read waits for a majority
        client.d.c.insert_one({"_id": 1})
        collection = {
            "database": lambda: client.get_database("d", read_concern=concern).c,
            "collection": lambda: client.d.get_collection("c", read_concern=concern),
            "with_options": lambda: client.d.c.with_options(read_concern=concern),
        }[place]()
        assert collection.find_one({"_id": 1}) is None
        [stale] = running.stale
        assert (stale.member, stale.read_concern) == ("primary", "majority")


def test_an_option_that_was_given_wins_over_the_settings():
    client = wrap(mongomock.MongoClient(read_preference=ReadPreference.SECONDARY))
    with lagging(client, read_preference="primary"):
        client.d.c.insert_one({"_id": 1})
        assert client.d.c.find_one() is None
        primary = client.d.get_collection("c", read_preference=ReadPreference.PRIMARY)
        assert primary.find_one() == {"_id": 1}


# -- MongoClient(uri) ----------------------------------------------------------------------------


def test_the_drop_in_keeps_what_its_uri_says():
    client = MongoClient(
        "mongodb://localhost/?readPreference=secondaryPreferred&maxStalenessSeconds=120"
        "&readPreferenceTags=dc:ny&readPreferenceTags=&w=2&wtimeoutMS=50&readConcernLevel=majority"
    )
    preference = SecondaryPreferred(tag_sets=[{"dc": "ny"}, {}], max_staleness=120)
    assert client.read_preference == preference
    assert client.d.c.read_preference == preference
    assert client.d.c.write_concern.document == {"w": 2, "wtimeout": 50}
    assert client.d.c.read_concern == ReadConcern("majority")


def test_keywords_win_over_the_uri():
    client = MongoClient("mongodb://localhost/?w=2&readPreference=nearest", w=1)
    assert client.d.c.write_concern.document == {"w": 1}
    assert client.read_preference.mode == 4


def test_the_drop_in_is_a_mongomock_client_and_is_governed():
    client = MongoClient("mongodb://localhost/shop?readPreference=secondary")
    assert isinstance(client, mongomock.MongoClient)
    assert wrap(client) is client
    assert client.get_default_database().name == "shop"
    with lagging(client, read_preference="primary"):
        client.shop.orders.insert_one({"_id": 1})
        assert client.shop.orders.find_one() is None


def test_the_drop_ins_write_concern_is_waited_for():
    client = MongoClient("mongodb://localhost/?w=3")
    with lagging(client), pytest.raises(EndlessWaitError, match="w: 3"):
        client.d.c.insert_one({})


def test_a_bad_option_of_the_uri_is_warned_of_and_ignored_as_by_pymongo():
    with pytest.warns(UserWarning, match="(?i)not a valid read preference"):
        client = MongoClient("mongodb://localhost/?readPreference=sideways")
    assert client.read_preference.mode == 0


def test_a_bad_keyword_is_refused_as_by_pymongo():
    with pytest.raises(ValueError, match="wtimeoutMS"):
        MongoClient(wtimeoutMS="soon")


@pytest.mark.parametrize(
    ("uri", "words", "is_aware"),
    [
        ("mongodb://db/shop?tz_aware=true", {}, True),
        ("mongodb://db/shop?tz_aware=true", {"tz_aware": False}, False),
        ("mongodb://db/shop", {}, False),
    ],
)
def test_a_connection_string_says_whether_dates_have_a_zone(uri, words, is_aware):
    orders = MongoClient(uri, **words).shop.orders
    orders.insert_one({"_id": 7, "placed": datetime.datetime(2026, 1, 1)})
    assert (orders.find_one()["placed"].tzinfo is not None) is is_aware
