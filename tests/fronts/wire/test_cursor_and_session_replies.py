"""Who may ask a cursor for more, and what the ends of sessions leave, as recorded from 6.0.5."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64
from raw_connection import RawConnection, lsid

from pytest_replicalag.endpoints import Endpoints


@pytest.fixture(scope="module")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def primary(endpoints):
    with RawConnection(endpoints.uri) as connection:
        connection.run({"dropDatabase": 1})
        connection.run({"insert": "orders", "documents": [{"_id": n} for n in range(8)]})
        yield connection


def shown(session: dict[str, Any]) -> str:
    return f"{session['id'].as_uuid()} - 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= -  - "


def transaction(session: dict[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    return {"lsid": session, "txnNumber": Int64(number), "autocommit": False, **more}


def cursor(connection: RawConnection, **fields: Any) -> Int64:
    """The id of a new cursor with documents left."""
    reply = connection.run({"find": "orders", "batchSize": 1, **fields})
    return Int64(reply["cursor"]["id"])


def get_more(connection: RawConnection, number: int, **fields: Any) -> dict[str, Any]:
    return connection.run({"getMore": Int64(number), "collection": "orders", **fields})


def refusal(reply: dict[str, Any]) -> tuple[int, str]:
    assert reply["ok"] == 0.0
    return reply["code"], reply["errmsg"]


def test_a_cursor_of_no_session_is_not_for_a_session(primary):
    number, session = cursor(primary), lsid()
    created = f"Cannot run getMore on cursor {number}, which was not created in a session"
    assert refusal(get_more(primary, number, lsid=session)) == (
        50736,
        f"{created}, in session {shown(session)}",
    )


def test_a_cursor_of_a_session_is_for_that_session_only(primary):
    session, other = lsid(), lsid()
    number = cursor(primary, lsid=session)
    created = f"Cannot run getMore on cursor {number}, which was created in session"
    assert refusal(get_more(primary, number)) == (
        50737,
        f"{created} {shown(session)}, without an lsid",
    )
    assert refusal(get_more(primary, number, lsid=other)) == (
        50738,
        f"{created} {shown(session)}, in session {shown(other)}",
    )
    assert get_more(primary, number, lsid=session)["ok"]


def test_a_cursor_of_a_transaction_is_for_that_transaction_only(primary):
    session = lsid()
    number = cursor(primary, **transaction(session, startTransaction=True))
    created = f"Cannot run getMore on cursor {number}, which was created in transaction 1"
    assert refusal(get_more(primary, number, lsid=session)) == (
        50740,
        f"{created}, without a txnNumber",
    )
    assert get_more(primary, number, **transaction(session), batchSize=1)["ok"]


def test_a_cursor_from_outside_is_not_for_a_transaction(primary):
    session = lsid()
    number = cursor(primary, lsid=session)
    primary.run({"find": "orders", **transaction(session, 3, startTransaction=True)})
    created = f"Cannot run getMore on cursor {number}, which was not created in a transaction"
    assert refusal(get_more(primary, number, **transaction(session, 3))) == (
        50739,
        f"{created}, in transaction 3",
    )


def test_another_member_does_not_know_a_cursor(endpoints, primary):
    number = cursor(primary)
    with RawConnection(endpoints.uri, 1) as secondary:
        assert refusal(get_more(secondary, number)) == (43, f"cursor id {number} not found")
    assert len(get_more(primary, number)["cursor"]["nextBatch"]) == 7


def test_only_a_cursor_that_waits_takes_a_time_limit(primary):
    number = cursor(primary)
    assert refusal(get_more(primary, number, maxTimeMS=100)) == (
        2,
        "cannot set maxTimeMS on getMore command for a non-awaitData cursor",
    )
    assert get_more(primary, number)["ok"]


def test_a_change_stream_tells_its_token_before_its_id(primary):
    opened = primary.run({"aggregate": "orders", "pipeline": [{"$changeStream": {}}], "cursor": {}})
    assert list(opened["cursor"]) == ["firstBatch", "postBatchResumeToken", "id", "ns"]
    more = get_more(primary, opened["cursor"]["id"], maxTimeMS=1)
    assert list(more["cursor"]) == ["nextBatch", "postBatchResumeToken", "id", "ns"]


# -- the ends of sessions --------------------------------------------------------------------------


def test_the_end_of_a_session_leaves_its_cursor_and_its_transaction(primary):
    session, other = lsid(), lsid()
    number = cursor(primary, lsid=session)
    insert = {"insert": "orders", "documents": [{"_id": "new"}]}
    primary.run({**insert, **transaction(other, startTransaction=True)})
    assert primary.run({"endSessions": [session, other]}, "admin") == {"ok": 1.0}
    assert len(get_more(primary, number, lsid=session)["cursor"]["nextBatch"]) == 7
    assert primary.run({"commitTransaction": 1, **transaction(other)}, "admin")["ok"]
    assert primary.run({"count": "orders", "query": {"_id": "new"}})["n"] == 1


def test_a_killed_session_has_neither(primary):
    session = lsid()
    number = cursor(primary, lsid=session)
    insert = {"insert": "orders", "documents": [{"_id": "new"}]}
    primary.run({**insert, **transaction(session, startTransaction=True)})
    assert primary.run({"killSessions": [session]}, "admin") == {"ok": 1.0}
    assert refusal(get_more(primary, number, lsid=session))[0] == 43
    assert refusal(primary.run({"commitTransaction": 1, **transaction(session)}, "admin")) == (
        251,
        "Transaction with { txnNumber: 1 } has been aborted.",
    )
    assert primary.run({"count": "orders", "query": {"_id": "new"}})["n"] == 0


# -- what leaves a transaction as it is ------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ({"find": "orders", "startTransaction": True}, 117, "Only servers in a sharded cluster"),
        (
            {"insert": "orders", "documents": [{}], "writeConcern": {"w": 1}},
            72,
            "writeConcern is not allowed within a multi-statement transaction",
        ),
        (
            {"find": "orders", "readConcern": {"level": "snapshot"}},
            72,
            "Only the first command in a transaction may specify a readConcern",
        ),
        ({"count": "orders"}, 263, "Cannot run 'count' in a multi-document transaction."),
    ],
)
def test_a_command_out_of_place_leaves_the_transaction_alive(primary, command, code, text):
    session = lsid()
    primary.run({"find": "orders", **transaction(session, startTransaction=True)})
    reply = primary.run({**command, **transaction(session)})
    assert reply["code"] == code
    assert reply["errmsg"].startswith(text)
    assert "errorLabels" not in reply
    assert primary.run({"commitTransaction": 1, **transaction(session)}, "admin")["ok"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"find": "orders", "nosuch": 1}, 40415),
        ({"aggregate": "orders", "pipeline": [{"$changeStream": {}}], "cursor": {}}, 263),
        ({"getMore": Int64(5), "collection": "orders"}, 43),
    ],
)
def test_a_command_that_fails_ends_the_transaction(primary, command, code):
    session = lsid()
    primary.run({"find": "orders", **transaction(session, startTransaction=True)})
    assert primary.run({**command, **transaction(session)})["code"] == code
    ended = primary.run({"commitTransaction": 1, **transaction(session)}, "admin")
    assert (ended["code"], ended["errorLabels"]) == (251, ["TransientTransactionError"])


@pytest.mark.parametrize(
    ("command", "database", "text"),
    [
        ({"commitTransaction": 1}, "admin", "Cannot start a transaction with a commit"),
        ({"abortTransaction": 1}, "admin", "Cannot start a transaction with an abort"),
        (
            {"killCursors": "orders", "cursors": [Int64(5)]},
            "shop",
            "Cannot run killCursors as the first operation in a multi-document transaction.",
        ),
    ],
)
def test_what_cannot_be_first_in_a_transaction(primary, command, database, text):
    started = transaction(lsid(), startTransaction=True)
    assert refusal(primary.run({**command, **started}, database)) == (263, text)
