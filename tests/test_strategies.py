"""The strategies, and state machines on a simulated set."""

from typing import ClassVar

import mongomock
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pytest_replicalag import SettingError, wrap
from pytest_replicalag.simulation import governor
from pytest_replicalag.strategies import OnReplicaSet, lags, schedules, simulated
from pytest_replicalag.words import parse_lags

QUIET = settings(database=None, max_examples=200)


@given(lags())
def test_lags_are_lags(lag):
    [parsed] = parse_lags(lag)
    assert parsed.low.us <= 10_000_000 or parsed.high.is_forever


def test_lags_can_be_limited():
    few = lags("1ms", ranges=False, endless=False)
    assert find(few, lambda _: True, settings=QUIET) == "0us"
    with pytest.raises(NoSuchExample):
        find(few, lambda lag: lag == "inf" or ".." in lag, settings=QUIET)
    assert find(lags("1ms"), lambda lag: lag == "inf", settings=QUIET) == "inf"
    with pytest.raises(ValueError, match="cannot be inf; write one, such as 10s"):
        lags("inf")


def views(schedule, **words):
    db = wrap(mongomock.MongoClient()).shop
    with simulated(schedule, read_preference="secondary", **words) as replica_lag:
        db.carts.insert_one({"_id": 1})
        first = db.carts.find_one({"_id": 1})
        second = db.carts.find_one({"_id": 1})
    return first, second, replica_lag


def test_a_schedule_is_found_and_made_small():
    def vanishes(schedule):
        first, second, _ = views(schedule)
        return bool(first and not second)

    found = find(schedules(), vanishes, settings=QUIET)
    assert found is not None
    with pytest.raises(NoSuchExample):
        find(schedules(), lambda one: views(one, write_concern=3)[1] is None, settings=QUIET)


def test_a_set_without_a_schedule_lags_as_it_is_told():
    first, second, replica_lag = views(None, lag="1s")
    assert first is second is None
    assert len(replica_lag.stale_reads) == 2
    assert governor.running is None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"secondarys": 1}, r"simulated\(\): there is no word 'secondarys'"),
        ({"lag": "x"}, r"^simulated\(\): 'x'"),
        ({"lag": "1s,2s", "secondaries": 1}, "set secondaries=2"),
    ],
)
def test_bad_words_are_refused(words, problem):
    with pytest.raises(SettingError, match=problem), simulated(**words):
        pass


class Counter(OnReplicaSet, RuleBasedStateMachine):
    """Counts in a database, and looks at secondaries."""

    replica_lag_words: ClassVar = {"read_preference": "secondary", "secondaries": 3}

    def __init__(self):
        super().__init__()
        self.db = wrap(mongomock.MongoClient()).shop
        self.written = 0

    @rule(amount=st.integers(1, 5))
    def count(self, amount):
        self.db.counts.insert_one({"amount": amount})
        self.written += 1

    @rule()
    def catch_up(self):
        self.replica_lag.catch_up()
        assert self.db.counts.count_documents({}) == self.written

    @invariant()
    def nobody_has_more_than_there_is(self):
        assert self.db.counts.count_documents({}) <= self.written


class Impatient(Counter):
    """Expects of secondaries what they do not promise."""

    @invariant()
    def everything_is_there(self):
        assert self.db.counts.count_documents({}) == self.written


def test_a_state_machine_runs_on_a_set():
    run_state_machine_as_test(Counter, settings=settings(database=None, max_examples=50))
    assert governor.running is None


@pytest.mark.slow
def test_a_state_machine_finds_what_is_not_promised():
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Impatient, settings=settings(database=None, max_examples=50))
    assert governor.running is None
