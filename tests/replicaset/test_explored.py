"""The set whose progress is chosen: what is promised holds, and all else may happen."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import lags_of

from pytest_replicalag.explore.schedule import Recorder
from pytest_replicalag.replicaset.clock import VirtualClock
from pytest_replicalag.replicaset.explored import ExploredReplicaSet
from pytest_replicalag.replicaset.read_concern import ReadConcern

LOCAL, MAJORITY = ReadConcern(), ReadConcern(level="majority")
SECONDARIES = 3


def always(_write):
    return True


def explored(decide=lambda _: 0, lags="inf,inf,inf"):
    return ExploredReplicaSet(VirtualClock(), lags_of(lags), Recorder(decide))


def write(replica_set, members=1):
    replica_set.clock.round_trip()
    position = replica_set.oplog.append(replica_set.clock.now_us, "write")
    assert replica_set.acknowledged_us(position, members) == 0
    return position


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, SECONDARIES + 1)),
        st.tuples(st.just("read"), st.integers(0, SECONDARIES - 1)),
    ),
    max_size=14,
)


@given(STEPS, st.randoms(use_true_random=False))
def test_what_members_show_is_what_some_real_set_could(steps, choices):
    """Each member's positions in time, and each acknowledgement, as a reference checks them."""
    replica_set = explored(lambda options: choices.randint(0, options - 1))
    shown = {member.name: 0 for member in replica_set.secondaries}
    # What each read allows: the member is at a position of an interval at that moment.
    intervals = {name: [] for name in shown}
    acknowledged = []
    for moment, (kind, number) in enumerate(steps):
        if kind == "write":
            acknowledged.append((moment, write(replica_set, number), number - 1))
            continue
        member = replica_set.secondaries[number]
        position = replica_set.read_at(member, LOCAL, always)
        assert shown[member.name] <= position <= replica_set.oplog.last
        shown[member.name] = position
        intervals[member.name].append((moment, position))
    for moment, position, needed in acknowledged:
        could = sum(
            all(seen >= position for at, seen in reads if at > moment)
            for reads in intervals.values()
        )
        assert could >= needed


def outcomes(program):
    """All that a program can see, by trying every schedule."""
    found = set()
    for choices in itertools.product(range(4), repeat=5):
        made = iter(choices)
        found.add(program(explored(lambda options, made=made: min(next(made, 0), options - 1))))
    return found


def read(replica_set, number, concern=LOCAL):
    return replica_set.read_at(replica_set.secondaries[number], concern, always)


def test_everything_that_is_not_promised_can_happen():
    def program(replica_set):
        write(replica_set)
        write(replica_set)
        return read(replica_set, 0), read(replica_set, 1)

    assert outcomes(program) == set(itertools.product(range(3), repeat=2))


def test_a_majority_of_four_is_two_secondaries():
    def program(replica_set):
        write(replica_set, replica_set.majority)
        return tuple(read(replica_set, number) for number in range(3))

    wanted = {seen for seen in itertools.product((0, 1), repeat=3) if sum(seen) >= 2}
    assert outcomes(program) == wanted


def test_the_freshest_option_comes_first():
    replica_set = explored()
    write(replica_set)
    assert [read(replica_set, number) for number in range(3)] == [1, 1, 1]


def test_a_majority_read_never_goes_back_and_a_majority_has_what_it_shows():
    def program(replica_set):
        write(replica_set)
        first = read(replica_set, 0, MAJORITY)
        return first, read(replica_set, 0, MAJORITY), read(replica_set, 1), read(replica_set, 2)

    for first, second, *others in outcomes(program):
        assert second >= first
        assert not second or sum(others) >= 1


def test_the_primary_shows_a_majority_what_is_acknowledged():
    replica_set = explored(lambda options: options - 1)
    write(replica_set, replica_set.majority)
    write(replica_set)
    assert replica_set.read_at(replica_set.primary, MAJORITY, always) == 1
    assert replica_set.read_at(replica_set.primary, LOCAL, always) == 2


def test_a_session_waits_for_what_it_has_written():
    replica_set = explored(lambda options: options - 1)
    write(replica_set)
    second = write(replica_set)
    assert read(replica_set, 0, ReadConcern(after=second)) == second


@pytest.mark.parametrize(("lag", "oldest"), [("inf", 0), ("5ms", 0), ("3ms", 1), ("0", 3)])
def test_a_lag_is_the_longest(lag, oldest):
    replica_set = explored(lambda options: options - 1, f"{lag},{lag},{lag}")
    for _ in range(3):
        write(replica_set)
    replica_set.clock.round_trip()
    assert read(replica_set, 0) == oldest


def test_the_lower_bound_of_a_range_is_the_shortest():
    replica_set = explored(lags="2ms..9ms,2ms..9ms,2ms..9ms")
    for _ in range(3):
        write(replica_set)
    assert read(replica_set, 0) == 1


def test_a_paused_member_has_nothing_newer_and_acknowledges_nothing():
    replica_set = explored()
    write(replica_set)
    replica_set.pause(["secondary-1", "secondary-2"])
    position = write(replica_set)
    assert read(replica_set, 0) == 1
    assert replica_set.acknowledged_us(position, 3) is None
    assert replica_set.laggards(position) == ["secondary-1 is paused", "secondary-2 is paused"]
    replica_set.resume(["secondary-1", "secondary-2"])
    assert replica_set.acknowledged_us(position, 3) == 0
    replica_set.catch_up(["secondary-1"])
    assert replica_set.applied(replica_set.secondaries[0]) == 2


def test_writes_that_do_not_matter_to_a_read_are_no_options():
    replica_set = explored()
    for _ in range(5):
        write(replica_set)
    assert replica_set.read_at(replica_set.secondaries[0], LOCAL, lambda _write: False) == 0
