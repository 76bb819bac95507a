"""Fail points: commands that fail as a test wants them to."""

from __future__ import annotations

import pymongo
import pytest
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, WriteConcernError
from simulating import simulation_of

from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.simulation import governor


@pytest.fixture(scope="module")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def client(endpoints):
    with pymongo.MongoClient(endpoints.uri, appName="shop", retryReads=False) as client:
        client.drop_database("shop")
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        yield client


def fail(client, mode, **data):
    client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})


def test_a_command_fails_as_often_as_it_says(client):
    fail(client, {"times": 2}, failCommands=["find"], errorCode=96)
    for _ in range(2):
        with pytest.raises(OperationFailure, match="Failing command via 'failCommand'") as failure:
            client.shop.orders.find_one()
        assert failure.value.code == 96
    assert client.shop.orders.find_one() is None


def test_a_command_can_be_let_pass_first(client):
    fail(client, {"skip": 1}, failCommands=["find"], errorCode=2)
    assert client.shop.orders.find_one() is None
    with pytest.raises(OperationFailure):
        client.shop.orders.find_one()


def test_only_the_commands_that_are_named_fail(client):
    fail(client, "alwaysOn", failCommands=["insert"], errorCode=2)
    assert client.shop.orders.find_one() is None


def test_only_the_application_that_is_named_fails(client):
    fail(client, "alwaysOn", failCommands=["find"], errorCode=2, appName="other")
    assert client.shop.orders.find_one() is None


def test_a_retryable_write_is_tried_again_after_a_closed_connection_and_applied_once(client):
    fail(client, {"times": 1}, failCommands=["insert"], closeConnection=True)
    client.shop.orders.insert_one({"_id": 7})
    assert client.shop.orders.count_documents({}) == 1


def test_a_read_that_is_not_retried_sees_its_connection_closed(client):
    fail(client, {"times": 1}, failCommands=["find"], closeConnection=True)
    with pytest.raises(AutoReconnect):
        client.shop.orders.find_one()


def test_a_write_that_has_run_can_have_a_write_concern_error(client):
    error = {"code": 100, "errmsg": "Not enough data-bearing nodes"}
    fail(client, {"times": 1}, failCommands=["insert"], writeConcernError=error)
    with pytest.raises(WriteConcernError) as failure:
        client.shop.orders.insert_one({"_id": 7})
    assert failure.value.details["codeName"] == "UnsatisfiableWriteConcern"
    assert client.shop.orders.find_one() == {"_id": 7}


def test_labels_are_those_that_are_given(client):
    labels = ["TransientTransactionError"]
    fail(client, {"times": 1}, failCommands=["find"], errorCode=2, errorLabels=labels)
    with pytest.raises(OperationFailure) as failure:
        client.shop.orders.find_one()
    assert failure.value.has_error_label("TransientTransactionError")


def test_a_secondary_can_be_stopped_as_on_a_server(client):
    simulation = simulation_of(lag="0")
    with governor.govern(simulation):
        client.admin.command("ping")
        host, port = min(client.secondaries)
        with pymongo.MongoClient(host, port, directConnection=True) as direct:
            stop = {"configureFailPoint": "rsSyncApplyStop", "mode": "alwaysOn"}
            direct.admin.command(stop)
            client.shop.orders.insert_one({"_id": 7})
            assert direct.shop.orders.find_one() is None
            direct.admin.command({**stop, "mode": "off"})
            assert direct.shop.orders.find_one() == {"_id": 7}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"configureFailPoint": "nosuch", "mode": "off"}, "nosuch not found"),
        ({"configureFailPoint": "failCommand", "mode": "on"}, "unknown mode 'on'; write 'off'"),
    ],
)
def test_what_is_no_fail_point_is_refused(client, command, text):
    with pytest.raises(OperationFailure, match=text):
        client.admin.command(command)


def test_the_next_test_starts_without_them(client):
    fail(client, "alwaysOn", failCommands=["find"], errorCode=2)
    with governor.govern(simulation_of(lag="0")):
        assert client.shop.orders.find_one() is None


def test_a_commit_that_may_be_tried_again_with_its_transaction(client):
    client.shop.orders.insert_one({"_id": 1})
    fail(client, {"times": 1}, failCommands=["commitTransaction"], errorCode=251)
    with client.start_session() as session:
        session.start_transaction()
        client.shop.orders.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
        with pytest.raises(OperationFailure) as failure:
            session.commit_transaction()
    assert failure.value.has_error_label("TransientTransactionError")


def switch(client, name, mode, **data):
    client.admin.command({"configureFailPoint": name, "mode": mode, "data": data})


@pytest.mark.slow
def test_a_write_that_is_applied_and_not_answered_is_applied_once(client):
    switch(client, "onPrimaryTransactionalWrite", {"times": 1})
    assert client.shop.orders.insert_one({"_id": 1}).inserted_id == 1
    assert client.shop.orders.update_one({"_id": 1}, {"$inc": {"x": 1}}).modified_count == 1
    switch(client, "onPrimaryTransactionalWrite", {"times": 1})
    assert client.shop.orders.update_one({"_id": 1}, {"$inc": {"x": 1}}).modified_count == 1
    assert client.shop.orders.find_one() == {"_id": 1, "x": 2}
    switch(client, "onPrimaryTransactionalWrite", "alwaysOn")
    assert len(client.shop.orders.insert_many([{}, {}]).inserted_ids) == 2
    switch(client, "onPrimaryTransactionalWrite", "off")
    assert client.shop.orders.count_documents({}) == 3


def test_a_write_that_fails_before_it_is_applied(client):
    switch(
        client,
        "onPrimaryTransactionalWrite",
        {"times": 1},
        failBeforeCommitExceptionCode=2,
        closeConnection=False,
    )
    with pytest.raises(OperationFailure) as failure:
        client.shop.orders.insert_one({"_id": 1})
    assert failure.value.code == 2
    assert client.shop.orders.find_one() is None


def test_a_next_batch_that_fails(client):
    client.shop.orders.insert_many([{}, {}, {}])
    switch(client, "failGetMoreAfterCursorCheckout", {"times": 1}, errorCode=6)
    with client.shop.orders.watch() as stream:
        client.shop.orders.insert_one({"_id": 7})
        assert stream.next()["documentKey"] == {"_id": 7}  # it was resumed
    switch(client, "failGetMoreAfterCursorCheckout", {"times": 1}, errorCode=2)
    with pytest.raises(OperationFailure) as failure:
        list(client.shop.orders.find(batch_size=2))
    assert failure.value.code == 2


def test_a_time_limit_that_is_always_over(client):
    switch(client, "maxTimeAlwaysTimeOut", "alwaysOn")
    with pytest.raises(OperationFailure) as failure:
        client.shop.orders.find_one(max_time_ms=1_000)
    assert failure.value.code == 50
    assert client.shop.orders.find_one() is None
    switch(client, "maxTimeAlwaysTimeOut", "off")
    assert client.shop.orders.find_one(max_time_ms=1_000) is None


SENT_AGAIN = (6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)
STARTED_AGAIN = (24, 112, 239, 246, 251, 267)
NEITHER = (2, 46, 50, 134, 225, 263, 11601, 13388)


@pytest.mark.parametrize("code", [*SENT_AGAIN, *STARTED_AGAIN, *NEITHER])
def test_labels_are_those_of_a_server(client, code):
    """As MongoDB 6.0.5 gave them to each code."""

    def labels(database, command, *before):
        fail(client, {"times": 1}, failCommands=[next(iter(command))], errorCode=code)
        with client.start_session() as session:
            session.start_transaction()
            for each in before:
                client.shop.command(each, session=session)
            with pytest.raises(PyMongoError) as failure:
                client[database].command(command, session=session)
        return failure.value.details.get("errorLabels", [])

    find = {"find": "orders"}
    may_start_again = code in (*SENT_AGAIN, *STARTED_AGAIN)
    assert labels("shop", find) == ["TransientTransactionError"] * may_start_again
    assert labels("admin", {"commitTransaction": 1}, find) == (
        ["RetryableWriteError"] * (code in SENT_AGAIN)
        or ["TransientTransactionError"] * (code in STARTED_AGAIN)
    )
