"""What no transaction has, in the words of MongoDB 6.0.5."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64
from raw_connection import lsid

SYSTEM = "Cannot write to system collection shop.system.js within a transaction."


@pytest.fixture
def primary(raw, shop):
    shop.client.shop.c.insert_one({"_id": 1})
    return raw()


def begun(**more: Any) -> dict[str, Any]:
    """The fields of the first command of a transaction."""
    return {"lsid": lsid(), "txnNumber": Int64(1), "autocommit": False, **more}


def aggregation(*pipeline: dict[str, Any], of: Any = "c") -> dict[str, Any]:
    return {"aggregate": of, "pipeline": list(pipeline), "cursor": {}}


UNION = "Stage not supported inside of a multi-document transaction: $unionWith"


NOT_PERMITTED = (
    "Operation not permitted in transaction :: caused by :: Aggregation stage $listLocalSessions "
    "cannot run within a multi-document transaction."
)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (aggregation({"$unionWith": "other"}), 263, UNION),
        (aggregation({"$match": {}}, {"$unionWith": {"coll": "other"}}), 263, UNION),
        (aggregation({"$facet": {"a": [{"$unionWith": "other"}]}}), 263, UNION),
        (
            aggregation(
                {"$lookup": {"from": "c", "pipeline": [{"$unionWith": "other"}], "as": "x"}}
            ),
            263,
            UNION,
        ),
        (
            aggregation({"$unionWith": "other"}, {"$out": "new"}),
            263,
            "$out cannot be used in a transaction",
        ),
        (
            aggregation({"$listLocalSessions": {}}, of=1),
            263,
            NOT_PERMITTED,
        ),
        ({"find": "system.views"}, 51071, "Cannot query system.views within a transaction"),
        (
            aggregation(of="system.views"),
            51071,
            "Cannot query system.views within a transaction",
        ),
        (
            {"distinct": "system.views", "key": "a"},
            51071,
            "Cannot query system.views within a transaction",
        ),
        ({"insert": "system.js", "documents": [{}]}, 50791, SYSTEM),
        ({"delete": "system.js", "deletes": [{"q": {}, "limit": 1}]}, 50791, SYSTEM),
        ({"findAndModify": "system.js", "query": {}, "remove": True}, 50781, SYSTEM),
        (
            {"createIndexes": "system.js", "indexes": [{"key": {"a": 1}, "name": "a_1"}]},
            263,
            SYSTEM,
        ),
    ],
)
def test_what_is_refused_ends_the_transaction(primary, command, code, message):
    session = begun()
    assert primary.command("shop", {"find": "c", **session, "startTransaction": True})["ok"]
    reply = primary.command("shop", {**command, **session})
    assert (reply["code"], reply["errmsg"]) == (code, message)
    assert primary.command("shop", {"find": "c", **session})["code"] == 251


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            {"find": "system.profile"},
            "Cannot run command against the 'shop.system.profile' collection in a transaction.",
        ),
        ({"endSessions": []}, "Cannot run 'endSessions' in a multi-document transaction."),
        ({"hello": 1}, "This command is not supported in transactions"),
    ],
)
def test_what_does_not_run_at_all_does_not_end_it(primary, command, message):
    session = begun()
    assert primary.command("shop", {"find": "c", **session, "startTransaction": True})["ok"]
    reply = primary.command("shop", {**command, **session})
    assert (reply["code"], reply["errmsg"]) == (263, message)
    assert primary.command("shop", {"find": "c", **session})["ok"]
    assert primary.command("admin", {"abortTransaction": 1, **session})["ok"]


def test_a_condition_may_look_like_a_stage(primary):
    match = {"$match": {"a": {"$eq": {"$unionWith": "other"}}}}
    command = {**aggregation(match), **begun(startTransaction=True)}
    assert primary.command("shop", command)["ok"]


def test_half_a_transaction_is_refused_by_hello_too(primary):
    reply = primary.command("admin", {"hello": 1, "startTransaction": True})
    assert (reply["code"], reply["errmsg"]) == (
        72,
        "'startTransaction' field requires 'autocommit' field to also be specified",
    )
