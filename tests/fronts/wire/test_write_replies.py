"""What writes reply, field by field and in order, as recorded from MongoDB 6.0.5."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from bson import Int64, ObjectId, Timestamp
from raw_connection import RawConnection, lsid

from pytest_replicalag.endpoints import Endpoints

OK = {"ok": 1.0}
WRITTEN = {"electionId": ANY, "opTime": {"ts": ANY, "t": ANY}}
DUPLICATE: dict[str, Any] = {
    "index": 0,
    "code": 11000,
    "errmsg": (
        "E11000 duplicate key error collection: shop.orders index: _id_ dup key: { _id: 1 }"
    ),
    "keyPattern": {"_id": 1},
    "keyValue": {"_id": 1},
}


@pytest.fixture(scope="module")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def primary(endpoints):
    with RawConnection(endpoints.uri) as connection:
        connection.run({"dropDatabase": 1})
        connection.run({"insert": "orders", "documents": [{"_id": 1, "n": 1}]})
        yield connection


@pytest.fixture
def secondary(endpoints):
    with RawConnection(endpoints.uri, 1) as connection:
        yield connection


def in_order(document: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(document.items())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 2}, {"_id": 3}]},
            {"n": 2, **WRITTEN},
            id="insert",
        ),
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 1}, {"_id": 4}]},
            {"n": 0, **WRITTEN, "writeErrors": [DUPLICATE]},
            id="write error",
        ),
        pytest.param(
            {
                "update": "orders",
                "updates": [
                    {"q": {"_id": 9}, "u": {"$set": {"n": 1}}, "upsert": True},
                    {"q": {"_id": 1}, "u": {"$set": {"n": 5}}},
                    {"q": {"_id": 1}, "u": {"$set": {"n": 5}}},
                ],
            },
            {"n": 3, **WRITTEN, "upserted": [{"index": 0, "_id": 9}], "nModified": 1},
            id="update",
        ),
        pytest.param(
            {"delete": "orders", "deletes": [{"q": {"_id": 1}, "limit": 1}]},
            {"n": 1, **WRITTEN},
            id="delete",
        ),
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 1}], "writeConcern": {"w": 5}},
            {
                "n": 0,
                **WRITTEN,
                "writeErrors": [DUPLICATE],
                "writeConcernError": {
                    "code": 100,
                    "codeName": "UnsatisfiableWriteConcern",
                    "errmsg": "Not enough data-bearing nodes",
                    "errInfo": {
                        "writeConcern": {"w": 5, "wtimeout": 0, "provenance": "clientSupplied"}
                    },
                },
            },
            id="write concern error",
        ),
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 2}], "writeConcern": {"w": 0}},
            {"n": 0},
            id="unacknowledged insert that expects a reply",
        ),
        pytest.param(
            {
                "update": "orders",
                "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 2}}}],
                "writeConcern": {"w": 0},
            },
            {"n": 0, "nModified": 0},
            id="unacknowledged update that expects a reply",
        ),
        pytest.param(
            {
                "insert": "orders",
                "documents": [{"_id": 2}],
                "writeConcern": {"w": 0, "j": True},
            },
            {"n": 1, **WRITTEN},
            id="insert that waits for the journal only",
        ),
        pytest.param(
            {
                "insert": "orders",
                "documents": [{"_id": 1}],
                "writeConcern": {"w": 0, "fsync": True},
            },
            {"n": 0, **WRITTEN, "writeErrors": [DUPLICATE]},
            id="insert that fails and waits for the journal only",
        ),
        pytest.param(
            {
                "update": "orders",
                "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 2}}}],
                "writeConcern": {"w": 0, "j": True},
            },
            {"n": 1, **WRITTEN, "nModified": 1},
            id="update that waits for the journal only",
        ),
        pytest.param(
            {
                "delete": "orders",
                "deletes": [{"q": {"_id": 1}, "limit": 1}],
                "writeConcern": {"w": 0, "j": True},
            },
            {"n": 1, **WRITTEN},
            id="delete that waits for the journal only",
        ),
        pytest.param(
            {"findAndModify": "orders", "query": {"_id": 7}, "remove": True},
            {"lastErrorObject": {"n": 0}, "value": None},
            id="findAndModify",
        ),
    ],
)
def test_a_write_replies_as_a_server_does(primary, command, expected):
    assert in_order(primary.run(command)) == in_order({**expected, **OK})


def test_the_election_of_a_write_is_the_primarys_and_ends_in_its_term(primary):
    reply = primary.run({"insert": "orders", "documents": [{}]})
    assert reply["electionId"] == primary.run({"hello": 1})["electionId"]
    assert reply["electionId"] == ObjectId(f"7fffffff{reply['opTime']['t']:016x}")


def test_the_optime_of_a_write_is_a_64_bit_term_and_the_time_of_the_reply(primary):
    primary.send_command({"insert": "orders", "documents": [{}]})
    reply = primary.reply()
    assert isinstance(reply["opTime"]["t"], Int64)
    assert isinstance(reply["opTime"]["ts"], Timestamp)
    assert reply["opTime"]["ts"] == reply["operationTime"]


# -- sent twice --------------------------------------------------------------------------------


def retryable(command: dict[str, Any], number: int = 1) -> dict[str, Any]:
    return {**command, "lsid": lsid(), "txnNumber": Int64(number)}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 2}, {"_id": 3}]},
            {"n": 2, **WRITTEN, "retriedStmtIds": [0, 1]},
            id="insert",
        ),
        pytest.param(
            {"insert": "orders", "documents": [{"_id": 5}, {"_id": 1}]},
            {"n": 1, **WRITTEN, "writeErrors": [{**DUPLICATE, "index": 1}], "retriedStmtIds": [0]},
            id="insert with a duplicate",
        ),
        pytest.param(
            {
                "update": "orders",
                "updates": [{"q": {"_id": 9}, "u": {"$inc": {"n": 1}}, "upsert": True}],
            },
            {
                "n": 1,
                **WRITTEN,
                "retriedStmtIds": [0],
                "upserted": [{"index": 0, "_id": 9}],
                "nModified": 0,
            },
            id="upsert",
        ),
        pytest.param(
            {"update": "orders", "updates": [{"q": {"_id": 8}, "u": {"$inc": {"n": 1}}}]},
            {"n": 0, **WRITTEN, "nModified": 0},
            id="update that matches nothing",
        ),
        pytest.param(
            {
                "update": "orders",
                "updates": [
                    {"q": {"_id": 1}, "u": {"$set": {"n": 4}}},
                    {"q": {"_id": 1}, "u": {"$set": {"n": 4}}},
                ],
            },
            {"n": 2, **WRITTEN, "retriedStmtIds": [0], "nModified": 1},
            id="update that changes nothing",
        ),
        pytest.param(
            {"delete": "orders", "deletes": [{"q": {"_id": 1}, "limit": 1}]},
            {"n": 1, **WRITTEN, "retriedStmtIds": [0]},
            id="delete",
        ),
        pytest.param(
            {"findAndModify": "orders", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}},
            {
                "lastErrorObject": {"n": 1, "updatedExisting": True},
                "value": {"_id": 1, "n": 1},
                "retriedStmtId": 0,
            },
            id="findAndModify",
        ),
        pytest.param(
            {"findAndModify": "orders", "query": {"_id": 7}, "update": {"$inc": {"n": 1}}},
            {"lastErrorObject": {"n": 0, "updatedExisting": False}, "value": None},
            id="findAndModify that matches nothing",
        ),
    ],
)
def test_a_write_that_is_sent_twice_is_applied_once_and_says_so(primary, command, expected):
    command = retryable(command)
    first = primary.run(command)
    documents = primary.run({"find": "orders"})["cursor"]["firstBatch"]
    assert in_order(primary.run(command)) == in_order({**expected, **OK})
    assert primary.run({"find": "orders"})["cursor"]["firstBatch"] == documents
    assert not {"retriedStmtId", "retriedStmtIds"} & first.keys()


def test_statements_that_were_not_applied_the_first_time_are_applied_the_second(primary):
    part = retryable({"insert": "orders", "documents": [{"_id": 20}], "stmtIds": [1]})
    assert primary.run(part)["n"] == 1
    whole = {**part, "documents": [{"_id": 10}, {"_id": 20}, {"_id": 1}, {"_id": 30}]}
    del whole["stmtIds"]
    reply = primary.run({**whole, "ordered": False})
    assert (reply["n"], reply["retriedStmtIds"]) == (3, [1])
    assert [error["index"] for error in reply["writeErrors"]] == [2]
    found = primary.run({"find": "orders"})["cursor"]["firstBatch"]
    assert [document["_id"] for document in found] == [1, 20, 10, 30]


def test_an_upsert_that_is_new_in_a_retry_has_its_place_in_the_whole_command(primary):
    known = {"q": {"_id": 1}, "u": {"$set": {"n": 2}}}
    first = retryable({"update": "orders", "updates": [known]})
    primary.run(first)
    upsert = {"q": {"_id": 6}, "u": {"$set": {"n": 2}}, "upsert": True}
    reply = primary.run({**first, "updates": [known, upsert]})
    assert reply["upserted"] == [{"index": 1, "_id": 6}]
    assert (reply["n"], reply["nModified"], reply["retriedStmtIds"]) == (2, 1, [0])


# -- to a secondary ------------------------------------------------------------------------------

NOT_PRIMARY = {
    "ok": 0.0,
    "errmsg": "not primary",
    "code": 10107,
    "codeName": "NotWritablePrimary",
}
IN_TRANSACTION = {"txnNumber": Int64(1), "autocommit": False}


@pytest.mark.parametrize(
    ("command", "labels"),
    [
        ({"insert": "orders", "documents": [{}]}, None),
        ({"insert": "orders", "documents": [{}], "txnNumber": Int64(1)}, "RetryableWriteError"),
        ({"create": "other"}, None),
        ({"find": "orders", **IN_TRANSACTION, "startTransaction": True}, "Transient"),
        ({"commitTransaction": 1, **IN_TRANSACTION, "$db": "admin"}, "RetryableWriteError"),
    ],
)
def test_a_secondary_refuses_with_the_label_first(secondary, command, labels):
    label = {None: None, "Transient": "TransientTransactionError"}.get(labels, labels)
    expected = {"errorLabels": [label], **NOT_PRIMARY} if label else NOT_PRIMARY
    assert in_order(secondary.run({**command, "lsid": lsid()})) == in_order(expected)


def test_an_unacknowledged_write_to_a_secondary_closes_the_connection(secondary):
    secondary.send_command({"insert": "orders", "documents": [{}]}, flags=2)
    with pytest.raises((EOFError, ConnectionError)):
        secondary.reply()


def test_what_an_aggregation_wrote_stays_a_collection_when_it_becomes_empty(shop):
    database = shop.client.shop
    database.a.insert_one({"_id": 1})
    database.a.aggregate([{"$out": "b"}])
    database.b.delete_many({})
    assert "b" in database.list_collection_names()
