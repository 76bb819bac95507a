"""At which position a read is answered, and what it waits for."""

from __future__ import annotations

import pytest
from bson import Timestamp
from pymongo.errors import ExecutionTimeout, NotPrimaryError, OperationFailure
from simulating import replica_set_of

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.replicaset.read_concern import ReadConcern, read_position, wait_for


def written(lags, count=2):
    """A set with so many writes at 0 ms."""
    replica_set = replica_set_of(lags)
    for _ in range(count):
        replica_set.oplog.append(0, None)
    return replica_set


def answer(replica_set, name, *, max_time_us=None, **concern):
    """Wait as the read concern asks, and give the position."""
    member, asked = replica_set.member(name), ReadConcern(**concern)
    wait = wait_for(replica_set, member, asked, "find", max_time_us)
    replica_set.clock.wait_until(wait.until_us)
    if wait.error is not None:
        raise wait.error
    return read_position(replica_set, member, asked)


@pytest.mark.parametrize("level", [None, "local", "available"])
def test_local_reads_show_what_the_member_has_and_do_not_wait(level):
    replica_set = written("5ms,inf")
    shown = [answer(replica_set, member.name, level=level) for member in replica_set.members]
    assert shown == [2, 0, 0]
    assert replica_set.clock.now_us == 0


def test_majority_reads_show_the_commit_point_on_the_primary_too():
    replica_set = written("5ms,inf")
    assert answer(replica_set, "primary", level="majority") == 0
    replica_set.clock.advance(5_000)
    assert answer(replica_set, "primary", level="majority") == 2


def test_majority_reads_show_no_more_than_the_member_has():
    assert answer(written("0,inf"), "secondary-2", level="majority") == 0


def test_snapshot_reads_without_a_time_show_the_commit_point():
    replica_set = written("inf,inf")
    assert answer(replica_set, "primary", level="snapshot") == 0


def test_a_snapshot_is_read_at_its_time_whatever_came_later():
    assert answer(written("0,0", 5), "primary", level="snapshot", at=3) == 3


def test_a_snapshot_ahead_of_the_member_waits_for_it():
    replica_set = written("0,7ms")
    assert answer(replica_set, "secondary-2", level="snapshot", at=2) == 2
    assert replica_set.clock.now_us == 7_000


def test_a_snapshot_whose_history_is_gone_is_error_239():
    replica_set = written("0,0", 5)
    replica_set.oplog.forget(4)
    with pytest.raises(OperationFailure, match="older than the oldest available") as caught:
        answer(replica_set, "primary", level="snapshot", at=3)
    assert caught.value.code == 239
    assert caught.value.details["codeName"] == "SnapshotTooOld"


def test_after_cluster_time_waits_until_the_member_has_applied_it():
    replica_set = written("0,7ms")
    assert answer(replica_set, "secondary-2", after=2) == 2
    assert replica_set.clock.now_us == 7_000


def test_after_cluster_time_with_majority_waits_for_the_majority_too():
    replica_set = written("7ms,inf")
    assert answer(replica_set, "primary", level="majority", after=2) == 2
    assert replica_set.clock.now_us == 7_000


def test_after_cluster_time_that_the_member_has_does_not_wait():
    replica_set = written("0,7ms")
    assert answer(replica_set, "secondary-1", after=2) == 2
    assert replica_set.clock.now_us == 0


def test_linearizable_writes_a_no_op_and_waits_until_a_majority_has_it():
    replica_set = written("7ms,inf")
    replica_set.clock.advance(2_000)
    assert answer(replica_set, "primary", level="linearizable") == 3
    assert replica_set.clock.now_us == 9_000


def test_linearizable_on_a_secondary_is_error_10107():
    with pytest.raises(NotPrimaryError) as caught:
        answer(written("0,0"), "secondary-1", level="linearizable")
    assert caught.value.details["code"] == 10107
    assert caught.value.details["codeName"] == "NotWritablePrimary"
    assert caught.value.details["errmsg"] == (
        "cannot satisfy linearizable read concern on non-primary node"
    )


@pytest.mark.parametrize("level", ["available", "linearizable"])
def test_after_cluster_time_with_a_level_that_has_none_is_error_72(level):
    with pytest.raises(OperationFailure) as caught:
        answer(written("0,0"), "primary", level=level, after=1)
    assert caught.value.details == {
        "ok": 0.0,
        "errmsg": "afterClusterTime field can be set only if level is equal to majority, local, "
        "or snapshot",
        "code": 72,
        "codeName": "InvalidOptions",
    }


def test_an_unknown_level_is_error_9():
    with pytest.raises(OperationFailure) as caught:
        answer(written("0,0"), "primary", level="bogus")
    assert caught.value.details == {
        "ok": 0.0,
        "errmsg": "readConcern.level must be either 'local', 'majority', 'linearizable', "
        "'available', or 'snapshot'",
        "code": 9,
        "codeName": "FailedToParse",
    }


@pytest.mark.parametrize(
    ("level", "what", "current"),
    [(None, "optime", 0), ("majority", "snapshot not less than", 0)],
)
def test_a_wait_past_the_time_limit_is_error_50_at_the_limit(level, what, current):
    replica_set = written("0,9ms")
    with pytest.raises(ExecutionTimeout) as caught:
        answer(replica_set, "secondary-2", level=level, after=2, max_time_us=4_000)
    assert replica_set.clock.now_us == 4_000
    assert caught.value.code == 50
    assert caught.value.details["errmsg"] == (
        f"Error waiting for {what} {{ ts: {Timestamp(1, 2)}, t: -1 }}, current relevant optime is "
        f"{{ ts: {Timestamp(1, current)}, t: 1 }}. :: caused by :: operation exceeded time limit"
    )


def test_linearizable_past_the_time_limit_says_only_that():
    replica_set = written("inf,inf")
    with pytest.raises(ExecutionTimeout) as caught:
        answer(replica_set, "primary", level="linearizable", max_time_us=4_000)
    assert caught.value.details["errmsg"] == "operation exceeded time limit"


def test_a_wait_that_ends_before_the_time_limit_is_no_error():
    replica_set = written("0,9ms")
    assert answer(replica_set, "secondary-2", after=2, max_time_us=9_000) == 2


@pytest.mark.parametrize(
    ("member", "concern", "reason"),
    [
        ("secondary-1", {"after": 2}, "the member has the session's last write"),
        ("primary", {"level": "majority", "after": 2}, "the session's last write is on a majority"),
        ("primary", {"level": "linearizable"}, "a majority of the members has the newest write"),
    ],
)
def test_a_wait_that_cannot_end_fails_at_once_and_says_who_is_waiting(member, concern, reason):
    replica_set = written("inf,inf")
    replica_set.pause(["secondary-2"])
    with pytest.raises(EndlessWaitError, match=reason) as caught:
        answer(replica_set, member, **concern)
    both = ("secondary-1 has lag inf", "secondary-2 is paused")
    assert caught.value.members == (both if member == "primary" else both[:1])
    assert caught.value.operation == f"find on {member}"
    assert replica_set.clock.now_us == 0
