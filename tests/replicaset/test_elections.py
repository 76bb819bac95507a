"""Elections: who is elected, what stays, and how the set goes on."""

import pytest
from pymongo.errors import OperationFailure
from simulating import lags_of, replica_set_of

from pytest_replicalag.errors import EndlessWaitError, NoElectionError
from pytest_replicalag.replicaset.elections import (
    crash_primary,
    crash_secondary,
    start_step_down,
    step_down,
)
from pytest_replicalag.replicaset.oplog import NO_OP


def written(replica_set, count=1):
    for _ in range(count):
        replica_set.oplog.append(replica_set.clock.now_us, "a write")


def names(members):
    return [member.name for member in members]


def test_the_newest_secondary_is_elected():
    replica_set = replica_set_of("2s,1s")
    written(replica_set)
    replica_set.clock.advance(1_000_000)
    written(replica_set)
    election = crash_primary(replica_set)
    assert (election.former, election.elected) == ("primary", "secondary-2")
    assert (election.common, election.last) == (1, 2)
    assert replica_set.primary.name == "secondary-2"
    assert names(replica_set.secondaries) == ["primary", "secondary-1"]
    assert names(replica_set.members) == ["primary", "secondary-1", "secondary-2"]


def test_the_first_by_name_is_elected_among_equals_and_a_paused_one_last():
    replica_set = replica_set_of("1s,1s,1s,1s")
    replica_set.pause(["secondary-1"])
    written(replica_set)
    assert crash_primary(replica_set).elected == "secondary-2"


def test_what_only_the_old_primary_had_is_a_no_op_by_now():
    replica_set = replica_set_of("inf,inf")
    written(replica_set, 2)
    crash_primary(replica_set)
    oplog = replica_set.oplog
    assert [oplog[position].write for position in (1, 2, 3)] == [NO_OP] * 3
    assert oplog.last == 3
    assert [oplog.optime(position).t for position in (2, 3)] == [1, 2]


def test_a_write_of_the_next_term_is_in_it():
    replica_set = replica_set_of("0,1s")
    crash_primary(replica_set)
    replica_set.bring_back(["primary"])
    crash_primary(replica_set)
    written(replica_set)
    assert replica_set.oplog.optime(replica_set.oplog.last).t == 3


def test_the_two_change_places_lag_and_all():
    replica_set = replica_set_of("50ms,2s")
    crash_primary(replica_set)
    former, elected, other = replica_set.members
    assert [str(member.lag) for member in (former, elected, other)] == ["50ms", "0ms", "2s"]
    assert elected.is_primary
    assert not former.is_primary


def test_a_crashed_member_replicates_nothing_until_it_is_back():
    replica_set = replica_set_of("0,0")
    crash_primary(replica_set)
    former = replica_set.members[0]
    before = replica_set.applied(former)
    written(replica_set)
    replica_set.clock.advance(10_000_000)
    replica_set.resume(["primary"])
    replica_set.catch_up(["primary"])
    assert replica_set.applied(former) == before
    assert not former.paused
    replica_set.set_lag(lags_of("1s")[0], ["primary"])
    replica_set.bring_back(["primary"])
    assert replica_set.applied(former) == replica_set.oplog.last
    assert former.is_up
    written(replica_set)
    assert replica_set.applied(former) == replica_set.oplog.last - 1


def test_a_majority_can_be_waited_for_with_one_member_gone():
    replica_set = replica_set_of("0,1s")
    crash_primary(replica_set)
    written(replica_set)
    last = replica_set.oplog.last
    assert replica_set.commit_point() < last
    assert replica_set.acknowledged_us(last, 2) == 1_000_000
    assert replica_set.acknowledged_us(last, 3) is None
    assert "primary has crashed" in replica_set.laggards(last)


def test_what_a_majority_has_outlives_an_election():
    replica_set = replica_set_of("0,inf")
    written(replica_set, 3)
    assert replica_set.commit_point() == 3
    assert crash_primary(replica_set).common == 3
    assert replica_set.oplog[3].write == "a write"


@pytest.mark.parametrize(("lags", "before"), [("0", 0), ("0,0", 1), ("0,0,0,0", 2)])
def test_without_a_majority_there_is_no_election(lags, before):
    replica_set = replica_set_of(lags)
    for _ in range(before):
        crash_primary(replica_set)
    members = len(replica_set.members)
    left = members - before - 1
    with pytest.raises(NoElectionError, match=f"{left} of {members} members would be left") as told:
        crash_primary(replica_set)
    assert told.value.left == left
    with pytest.raises(NoElectionError):
        start_step_down(replica_set, force=True)


class TestASecondaryThatIsGone:
    def test_it_is_waited_for_by_nobody_but_who_wants_all(self):
        replica_set = replica_set_of("0,0")
        crash_secondary(replica_set, "secondary-2")
        written(replica_set)
        assert replica_set.commit_point() == 1
        assert replica_set.acknowledged_us(1, 3) is None
        assert replica_set.applied(replica_set.members[2]) == 0
        replica_set.bring_back(["secondary-2"])
        assert replica_set.applied(replica_set.members[2]) == 1

    def test_it_is_not_elected(self):
        replica_set = replica_set_of("0,0,0,0")
        crash_secondary(replica_set, "secondary-1")
        assert crash_primary(replica_set).elected == "secondary-2"

    def test_to_be_gone_twice_is_nothing_more(self):
        replica_set = replica_set_of("0,0")
        for _ in range(2):
            crash_secondary(replica_set, "secondary-1")
        with pytest.raises(NoElectionError):
            crash_secondary(replica_set, "secondary-2")


class TestSteppingDown:
    def test_it_waits_until_a_majority_has_everything(self):
        replica_set = replica_set_of("3s,inf")
        written(replica_set)
        wait = start_step_down(replica_set)
        assert (wait.until_us, wait.error) == (3_000_000, None)
        replica_set.clock.wait_until(wait.until_us)
        election = step_down(replica_set)
        assert (election.elected, election.common) == ("secondary-1", 1)
        assert not election.crashed
        assert replica_set.members[0].is_up

    @pytest.mark.parametrize("lag", ["11s", "inf"])
    def test_it_gives_up_after_ten_seconds(self, lag):
        replica_set = replica_set_of(f"{lag},{lag}")
        written(replica_set)
        wait = start_step_down(replica_set)
        assert wait.until_us == 10_000_000
        assert isinstance(wait.error, OperationFailure)
        assert wait.error.code == 262

    def test_if_it_is_forced_the_new_primary_copies_what_it_lacks(self):
        replica_set = replica_set_of("inf,inf")
        written(replica_set)
        wait = start_step_down(replica_set, force=True)
        assert (wait.until_us, wait.error) == (0, None)
        assert step_down(replica_set).common == 1
        assert replica_set.oplog[1].write == "a write"

    def test_a_new_primary_that_cannot_copy_would_wait_for_ever(self):
        replica_set = replica_set_of("0,0")
        replica_set.pause(["secondary-1", "secondary-2"])
        written(replica_set)
        with pytest.raises(EndlessWaitError, match="secondary-1 is paused"):
            step_down(replica_set)
        assert replica_set.primary.name == "primary"
