"""Transactions before a real node: the primary has them, and nobody else."""

from __future__ import annotations

import pytest
from bson import Int64
from raw_connection import RawConnection, endpoint_of, lsid

PERMITTED = [
    {"find": "c"},
    {"aggregate": "c", "pipeline": [], "cursor": {}},
    {"aggregate": "c", "pipeline": [{"$out": "o"}], "cursor": {}},
    {"aggregate": "c", "pipeline": [{"$changeStream": {}}], "cursor": {}},
    {"distinct": "c", "key": "_id"},
    {"getMore": Int64(5), "collection": "c"},
    {"insert": "c", "documents": [{}]},
    {"update": "c", "updates": [{"q": {}, "u": {"$set": {"x": 1}}}]},
    {"delete": "c", "deletes": [{"q": {}, "limit": 1}]},
    {"findAndModify": "c", "query": {}, "remove": True},
    {"create": "new"},
    {"createIndexes": "new", "indexes": [{"key": {"a": 1}, "name": "a_1"}]},
]

NOT_PERMITTED = [
    ({"count": "c"}, "Cannot run 'count' in a multi-document transaction."),
    ({"dropDatabase": 1}, "Cannot run 'dropDatabase' in a multi-document transaction."),
    ({"listCollections": 1}, "Cannot run 'listCollections' in a multi-document transaction."),
    ({"killCursors": "c", "cursors": [Int64(5)]}, "Cannot run killCursors as the first operation"),
    ({"hello": 1}, "This command is not supported in transactions"),
    ({"ping": 1}, "This command is not supported in transactions"),
]


def begun(command):
    """A command that begins a transaction."""
    number = {"lsid": lsid(), "txnNumber": Int64(1)}
    return {**command, **number, "startTransaction": True, "autocommit": False}


@pytest.fixture(params=[0, 1], ids=["primary", "secondary"])
def either(request, uri):
    """A connection to a member of each kind."""
    with RawConnection(uri, endpoint_of(uri, request.param)) as connection:
        yield connection


@pytest.mark.parametrize("command", PERMITTED, ids=lambda command: next(iter(command)))
def test_a_secondary_refuses_a_transaction_and_the_node_does_not_have_it(
    client, direct, uri, lagging, command
):
    client.shop.c.insert_one({"_id": 1})
    with lagging("0,inf"), RawConnection(uri, endpoint_of(uri, 1)) as secondary:
        reply = secondary.run(begun(command))
        assert (reply["code"], reply["codeName"]) == (10107, "NotWritablePrimary")
        assert reply["errorLabels"] == ["TransientTransactionError"]
        sessions = direct.admin.aggregate([{"$currentOp": {"idleSessions": True}}])
        assert not [session for session in sessions if "transaction" in session]


@pytest.mark.parametrize(("command", "text"), NOT_PERMITTED)
def test_what_no_transaction_has_is_refused_by_every_member(client, either, lagging, command, text):
    with lagging("0,inf"):
        reply = either.run(begun(command))
        assert (reply["code"], reply["codeName"]) == (263, "OperationNotSupportedInTransaction")
        assert text in reply["errmsg"]


def test_a_transaction_goes_on_after_a_hello_that_was_refused(client, uri, lagging):
    client.shop.c.insert_one({"_id": 1})
    with lagging("0,inf"), RawConnection(uri, endpoint_of(uri, 0)) as primary:
        first = begun({"find": "c"})
        assert primary.run(first)["ok"] == 1
        session = {field: first[field] for field in ("lsid", "txnNumber", "autocommit")}
        assert primary.run({"hello": 1, **session})["code"] == 263
        assert primary.run({"find": "c", **session})["ok"] == 1
        assert primary.run({"abortTransaction": 1, **session}, "admin")["ok"] == 1


@pytest.mark.parametrize("name", ["commitTransaction", "abortTransaction"])
def test_no_transaction_ends_on_a_secondary(client, uri, lagging, name):
    with lagging("0,inf"), RawConnection(uri, endpoint_of(uri, 1)) as secondary:
        session = {"lsid": lsid(), "txnNumber": Int64(1), "autocommit": False}
        reply = secondary.run({name: 1, **session}, "admin")
        assert reply["code"] == 10107
        assert reply["errorLabels"] == ["RetryableWriteError"]
