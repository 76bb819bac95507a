"""Members, the commit point, and control of replication."""

from __future__ import annotations

import pytest
from simulating import lags_of, replica_set_of

from pytest_replicalag.errors import UnknownMemberError


def write(replica_set, count=1):
    for _ in range(count):
        replica_set.oplog.append(replica_set.clock.now_us, "write")
    return replica_set.oplog.last


def applied(replica_set):
    return [replica_set.applied(member) for member in replica_set.members]


def test_members_are_the_primary_and_numbered_secondaries():
    names = [member.name for member in replica_set_of("0,0,0").members]
    assert names == ["primary", "secondary-1", "secondary-2", "secondary-3"]


@pytest.mark.parametrize(("lags", "majority"), [("0", 2), ("0,0", 2), ("0,0,0", 3), ("0,0,0,0", 3)])
def test_a_majority_is_more_than_half(lags, majority):
    assert replica_set_of(lags).majority == majority


def test_the_primary_has_every_write_and_secondaries_follow_by_their_lag():
    replica_set = replica_set_of("0,5ms,inf")
    write(replica_set, 2)
    assert applied(replica_set) == [2, 2, 0, 0]
    replica_set.clock.advance(5_000)
    assert applied(replica_set) == [2, 2, 2, 0]


@pytest.mark.parametrize(
    ("lags", "commit_point"),
    [("0,inf", 3), ("inf,inf", 0), ("inf", 0), ("0", 3), ("0,inf,inf", 0), ("0,0,inf,inf", 3)],
)
def test_the_commit_point_is_what_a_majority_has(lags, commit_point):
    replica_set = replica_set_of(lags)
    write(replica_set, 3)
    assert replica_set.commit_point() == commit_point


def test_the_commit_point_follows_the_slowest_member_of_the_majority():
    replica_set = replica_set_of("3ms,9ms")
    write(replica_set)
    replica_set.clock.advance(2_999)
    assert replica_set.commit_point() == 0
    replica_set.clock.advance(1)
    assert replica_set.commit_point() == 1


def test_the_horizon_is_what_every_member_has():
    replica_set = replica_set_of("0,4ms")
    write(replica_set)
    assert replica_set.horizon() == 0
    replica_set.clock.advance(4_000)
    assert replica_set.horizon() == 1


def test_a_pinned_position_holds_the_horizon_back_until_it_is_let_go():
    replica_set = replica_set_of("0,0")
    write(replica_set)
    token = replica_set.pin(1)
    write(replica_set)
    assert replica_set.horizon() == 1
    replica_set.unpin(token)
    replica_set.unpin(token)
    assert replica_set.horizon() == 2


@pytest.mark.parametrize(("members", "due"), [(1, 0), (2, 3_000), (3, 9_000), (4, None)])
def test_a_write_is_acknowledged_when_so_many_members_have_it(members, due):
    replica_set = replica_set_of("3ms,9ms,inf")
    assert replica_set.acknowledged_us(write(replica_set), members) == due


def test_behind_is_the_delay_of_the_oldest_write_that_is_missing():
    replica_set = replica_set_of("200ms,inf")
    _, lagging, never = replica_set.members
    assert str(replica_set.behind(lagging)) == "0ms"
    write(replica_set)
    assert str(replica_set.behind(lagging)) == "200ms"
    assert replica_set.behind(never).is_forever
    assert str(replica_set.behind(replica_set.primary)) == "0ms"
    replica_set.clock.advance(200_000)
    assert str(replica_set.behind(lagging)) == "0ms"


def test_a_paused_member_is_behind_by_the_time_since_the_write_it_misses():
    replica_set = replica_set_of("1ms,0")
    replica_set.pause(["secondary-1"])
    write(replica_set)
    replica_set.clock.advance(30_000)
    assert str(replica_set.behind(replica_set.member("secondary-1"))) == "30ms"


def test_laggards_are_named_with_the_reason():
    replica_set = replica_set_of("inf,0,0")
    replica_set.pause(["secondary-2"])
    position = write(replica_set)
    assert replica_set.laggards(position) == [
        "secondary-1 has lag inf",
        "secondary-2 is paused",
    ]


def test_pausing_one_member_leaves_those_with_the_same_lag_alone():
    replica_set = replica_set_of("1ms,1ms")
    replica_set.pause(["secondary-1"])
    write(replica_set)
    replica_set.clock.advance(1_000)
    assert applied(replica_set) == [1, 0, 1]
    replica_set.resume(["secondary-1"])
    assert applied(replica_set) == [1, 1, 1]


def test_the_majority_keeps_up_no_longer_when_one_of_it_pauses():
    replica_set = replica_set_of("0,inf")
    assert replica_set.majority_keeps_up
    replica_set.pause(["secondary-1"])
    assert not replica_set.majority_keeps_up
    replica_set.resume(["secondary-1"])
    assert replica_set.majority_keeps_up


def test_catching_up_is_once_and_later_writes_lag_again():
    replica_set = replica_set_of("inf,0")
    write(replica_set, 2)
    replica_set.catch_up(["secondary-1"])
    write(replica_set)
    assert applied(replica_set) == [3, 2, 3]


def test_a_new_lag_holds_for_what_is_not_applied_yet_and_shows_on_the_member():
    replica_set = replica_set_of("inf,0")
    write(replica_set)
    replica_set.set_lag(lags_of("2ms")[0], ["secondary-1"])
    assert str(replica_set.member("secondary-1").lag) == "2ms"
    assert applied(replica_set) == [1, 0, 1]
    replica_set.clock.advance(2_000)
    assert applied(replica_set) == [1, 1, 1]


def test_an_unknown_member_is_told_with_the_names_that_there_are():
    with pytest.raises(UnknownMemberError, match=r"name one of primary, secondary-1$") as caught:
        replica_set_of("0").member("secondary-9")
    assert caught.value.member == "secondary-9"
