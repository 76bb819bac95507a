"""When and how a write is acknowledged."""

from __future__ import annotations

import pytest
from pymongo.errors import OperationFailure, WriteConcernError, WTimeoutError
from simulating import replica_set_of

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.replicaset.server_errors import write_concern_exception
from pytest_replicalag.replicaset.write_concern import acknowledgement, check


def acknowledged(lags, **concern):
    """How a write at 0 ms is acknowledged by a set with such lags."""
    replica_set = replica_set_of(lags)
    position = replica_set.oplog.append(0, None)
    return acknowledgement(replica_set, position, concern, "insert_one")


@pytest.mark.parametrize(
    ("concern", "due_us"),
    [
        ({}, 3_000),
        ({"w": "majority"}, 3_000),
        ({"w": 0}, 0),
        ({"w": 1}, 0),
        ({"w": 2}, 3_000),
        ({"w": 3}, 9_000),
        ({"j": True}, 0),
        ({"wtimeout": 1}, 0),
        ({"w": 2, "wtimeout": 3}, 3_000),
        ({"w": {"member": 1}}, 0),
        ({"w": {"member": 3}}, 9_000),
    ],
)
def test_a_write_is_acknowledged_once_as_many_members_have_it(concern, due_us):
    ending = acknowledged("3ms,9ms", **concern)
    assert (ending.due_us, ending.error) == (due_us, None)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"w": 3, "wtimeout": 8}, {"w": 3, "wtimeout": 8, "provenance": "clientSupplied"}),
        (
            {"w": "majority", "wtimeout": 1},
            {"w": "majority", "wtimeout": 1, "provenance": "clientSupplied"},
        ),
    ],
)
def test_past_its_timeout_a_write_is_error_64(sent, told):
    ending = acknowledged("3ms,9ms", **sent)
    assert ending.due_us == sent["wtimeout"] * 1_000
    assert ending.error == {
        "code": 64,
        "codeName": "WriteConcernFailed",
        "errmsg": "waiting for replication timed out",
        "errInfo": {"wtimeout": True, "writeConcern": told},
    }


def test_more_members_than_there_are_is_error_100_at_once():
    ending = acknowledged("0,0", w=5, wtimeout=100)
    assert ending.due_us == 0
    assert ending.error == {
        "code": 100,
        "codeName": "UnsatisfiableWriteConcern",
        "errmsg": "Not enough data-bearing nodes",
        "errInfo": {"writeConcern": {"w": 5, "wtimeout": 100, "provenance": "clientSupplied"}},
    }


def test_an_unknown_mode_is_error_79_at_once():
    ending = acknowledged("0,0", w="nosuchmode")
    assert ending.error == {
        "code": 79,
        "codeName": "UnknownReplWriteConcern",
        "errmsg": "No write concern mode named 'nosuchmode' found in replica set configuration",
        "errInfo": {
            "writeConcern": {"w": "nosuchmode", "wtimeout": 0, "provenance": "clientSupplied"}
        },
    }


@pytest.mark.parametrize("w", [51, -1])
def test_what_no_set_has_is_refused_before_the_write(w):
    check({"w": 50})
    with pytest.raises(OperationFailure) as caught:
        check({"w": w})
    assert caught.value.code == 9
    assert caught.value.details["codeName"] == "FailedToParse"
    assert caught.value.details["errmsg"] == (
        f"w has to be a non-negative number and not greater than 50; found: {w}"
    )


@pytest.mark.parametrize("asked", [{"j": True}, {"j": False}, {"fsync": True}])
def test_an_error_repeats_what_was_asked_of_the_journal(asked):
    [(field, value)] = asked.items()
    ending = acknowledged("inf,inf", w=2, wtimeout=1, **asked)
    told = ending.error["errInfo"]["writeConcern"]
    assert told == {"w": 2, field: value, "wtimeout": 1, "provenance": "clientSupplied"}


def test_a_wait_that_cannot_end_fails_at_once_and_says_who_is_waiting():
    with pytest.raises(EndlessWaitError) as caught:
        acknowledged("inf,inf")
    assert str(caught.value) == (
        "insert_one with write concern w: majority would wait for ever: it waits until 2 of 3 "
        "members have the write, but secondary-1 has lag inf and secondary-2 has lag inf. "
        "Resume or catch up the member, give it a lag other than inf, or set a time limit "
        "(wtimeout for a write, max_time_ms for a read)."
    )


def test_a_timeout_is_raised_as_wtimeouterror_and_the_rest_as_writeconcernerror():
    timeout = write_concern_exception(acknowledged("inf,inf", w=2, wtimeout=1).error)
    assert type(timeout) is WTimeoutError
    assert timeout.timeout
    assert (timeout.code, timeout.details["errInfo"]["wtimeout"]) == (64, True)
    too_many = write_concern_exception(acknowledged("0,0", w=5).error)
    assert type(too_many) is WriteConcernError
    assert str(too_many) == f"Not enough data-bearing nodes, full error: {too_many.details!r}"
