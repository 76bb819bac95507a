"""Answers to what drivers ask besides reads and writes; each was seen on a real set."""

from __future__ import annotations

import pymongo
import pytest
from bson import Int64
from pymongo.errors import OperationFailure, WriteError
from pymongo.read_concern import ReadConcern

from pytest_replicalag.endpoints import Endpoints


@pytest.fixture(scope="module")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def client(endpoints):
    with pymongo.MongoClient(endpoints.uri) as client:
        client.drop_database("shop")
        yield client


@pytest.mark.parametrize(("command", "code"), [("explain", 115), ("nosuch", 59)])
def test_commands_that_there_are_not(client, command, code):
    with pytest.raises(OperationFailure, match=command) as failure:
        client.shop.command(command, {"find": "c"})
    assert failure.value.code == code


def test_there_are_no_users(client):
    assert client.shop.command("usersInfo", 1)["users"] == []
    assert client.shop.command("rolesInfo", 1)["roles"] == []


def test_a_cursor_of_names_in_batches(client):
    names = [f"c{number}" for number in range(5)]
    for name in names:
        client.shop.create_collection(name)
    reply = client.shop.command({"listCollections": 1, "cursor": {"batchSize": 2}})["cursor"]
    assert reply["ns"] == "shop.$cmd.listCollections"
    found, number = reply["firstBatch"], reply["id"]
    while number:
        more = {"getMore": Int64(number), "collection": "$cmd.listCollections", "batchSize": 2}
        reply = client.shop.command(more)["cursor"]
        found, number = found + reply["nextBatch"], reply["id"]
    assert sorted(document["name"] for document in found) == names


def test_sessions_of_the_server(client):
    with client.start_session() as session:
        client.shop.command("ping", session=session)
        stages = [{"$listLocalSessions": {}}, {"$project": {"_id": "$_id.id"}}]
        found = client.admin.aggregate(stages, session=session)
        assert session.session_id["id"] in [document["_id"] for document in found]


@pytest.mark.parametrize(
    ("find", "is_open"),
    [
        ({}, True),
        ({"limit": 3}, False),
        ({"sort": {"x": 1}}, False),
        ({"filter": {"_id": 1}, "batchSize": 1}, False),
        ({"batchSize": 4}, False),
    ],
)
def test_a_scan_sees_its_end_when_it_is_asked_for_more(client, find, is_open):
    client.shop.c.insert_many([{"_id": number} for number in range(3)])
    reply = client.shop.command({"find": "c", "batchSize": 3, **find})
    assert bool(reply["cursor"]["id"]) is is_open


def test_a_pipeline_that_writes_is_not_linearizable(client):
    collection = client.shop.get_collection("c", read_concern=ReadConcern("linearizable"))
    with pytest.raises(OperationFailure, match=r"\$out cannot be used") as failure:
        collection.aggregate([{"$out": "d"}])
    assert failure.value.code == 72


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"ping": 1, "apiVersion": "2"}, 322),
        ({"ping": 1, "apiStrict": True}, 4886600),
        ({"ping": 1, "apiVersion": "1", "apiStrict": 5}, 14),
        ({"distinct": "c", "key": "x", "apiVersion": "1", "apiStrict": True}, 323),
        (
            {
                "aggregate": 1,
                "pipeline": [{"$listLocalSessions": {}}],
                "cursor": {},
                "apiVersion": "1",
                "apiStrict": True,
            },
            323,
        ),
    ],
)
def test_what_is_not_in_the_stable_api(client, command, code):
    with pytest.raises(OperationFailure) as failure:
        client.shop.command(command)
    assert failure.value.code == code


def test_the_stable_api(client):
    assert client.shop.command({"ping": 1, "apiVersion": "1", "apiStrict": True})["ok"] == 1
    command = {"distinct": "c", "key": "x", "apiVersion": "1", "apiDeprecationErrors": True}
    assert client.shop.command(command)["values"] == []


def test_which_document_fails_validation(client):
    pytest.importorskip("mongomock_ng", reason="mongomock has no validators")
    collection = client.shop.create_collection("c", validator={"x": {"$type": "string"}})
    with pytest.raises(WriteError) as failure:
        collection.insert_one({"_id": 7, "x": 1})
    assert failure.value.details["errInfo"]["failingDocumentId"] == 7
    collection.insert_one({"_id": 8, "x": "1"})
    with pytest.raises(WriteError) as failure:
        collection.update_one({"x": "1"}, {"$set": {"x": 1}})
    assert failure.value.details["errInfo"]["failingDocumentId"] == 8


def test_a_collection_has_one_uuid_which_outlives_its_name(client):
    db = client.shop
    with db.watch(show_expanded_events=True) as stream:
        db.orders.insert_one({"_id": 1})
        [told] = {event["collectionUUID"] for event in (stream.next(), stream.next())}
    assert db.command("validate", "orders")["uuid"] == told
    db.orders.rename("former")
    [listed] = db.command("listCollections")["cursor"]["firstBatch"]
    assert listed["info"]["uuid"] == told
    db.former.drop()
    db.create_collection("former")
    assert db.command("validate", "former")["uuid"] != told


def test_databases_of_the_server(client):
    client.shop.c.insert_one({})
    names = client.list_database_names()
    assert [name for name in names if name in ("admin", "config", "local", "shop")] == [
        "admin",
        "config",
        "local",
        "shop",
    ]
    with pytest.raises(OperationFailure) as failure:
        client.drop_database("admin")
    assert failure.value.code == 20
