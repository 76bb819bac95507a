"""How far a secondary has come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from simulating import lags_of

from pytest_replicalag.replicaset.oplog import Oplog
from pytest_replicalag.replicaset.replication import Replication


def replication_of(lag: str, *times_us: int) -> Replication:
    oplog = Oplog()
    for time_us in times_us:
        oplog.append(time_us, None)
    return Replication(oplog, lags_of(lag)[0].policy("seed"))


def test_an_entry_is_applied_when_its_delay_is_over_and_not_before():
    replication = replication_of("10us", 100)
    assert replication.applied(109) == 0
    assert replication.applied(110) == 1


def test_without_lag_an_entry_is_applied_at_once():
    assert replication_of("0", 100, 100).applied(100) == 2


def test_with_lag_inf_nothing_is_ever_applied_or_due():
    replication = replication_of("inf", 100)
    assert replication.applied(10**18) == 0
    assert replication.due_us(1) is None
    assert replication.is_endless


def test_an_entry_is_due_when_it_was_written_plus_the_lag():
    assert replication_of("10us", 100, 120).due_us(2) == 130


def test_an_applied_entry_was_due_at_0():
    replication = replication_of("10us", 100)
    replication.applied(200)
    assert replication.due_us(1) == 0


def test_a_position_that_is_not_written_yet_is_never_due():
    assert replication_of("10us", 100).due_us(2) is None


def test_while_paused_nothing_is_applied_or_due():
    replication = replication_of("10us", 100)
    replication.paused = True
    assert replication.applied(10_000) == 0
    assert replication.due_us(1) is None
    assert not replication.keeps_up


def test_after_a_pause_what_is_overdue_is_applied_at_once():
    replication = replication_of("10us", 100, 5_000)
    replication.paused = True
    replication.applied(4_000)
    replication.paused = False
    assert replication.applied(4_000) == 1


def test_catching_up_applies_all_even_with_lag_inf_and_while_paused():
    replication = replication_of("inf", 100, 200)
    replication.paused = True
    replication.catch_up()
    assert replication.applied(0) == 2


def test_what_was_applied_stays_applied_when_the_lag_grows():
    replication = replication_of("10us", 100, 150)
    assert replication.applied(120) == 1
    replication.set_policy(lags_of("1s")[0].policy("seed"))
    assert replication.applied(170) == 1
    assert replication.applied(1_000_150) == 2


def test_a_copy_goes_its_own_way_from_where_it_is():
    replication = replication_of("10us", 100, 200)
    replication.applied(120)
    own = replication.alone()
    own.paused = True
    assert (own.applied(500), replication.applied(500)) == (1, 2)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_drawn_delays_keep_the_oplogs_order_and_progress_never_goes_back(gaps):
    times_us = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    replication = replication_of("0..40us", *times_us)
    dues = [replication.due_us(position) for position in range(1, len(times_us) + 1)]
    assert dues == sorted(dues)
    assert all(t <= due <= max(times_us) + 40 for t, due in zip(times_us, dues, strict=True))
    progress = [replication.applied(now_us) for now_us in range(max(dues) + 1)]
    assert progress == [sum(due <= now_us for due in dues) for now_us in range(max(dues) + 1)]
