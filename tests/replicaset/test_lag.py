"""Lag: values, ranges, seeds, and which secondary lags."""

from __future__ import annotations

import pytest
from simulating import lags_of

from pytest_replicalag.durations import FOREVER
from pytest_replicalag.replicaset.lag import assign_lags, seeded


@pytest.mark.parametrize(
    ("secondaries", "expected"),
    [
        (1, ["200ms"]),
        (2, ["0ms", "200ms"]),
        (3, ["0ms", "0ms", "200ms"]),
        (4, ["0ms", "0ms", "200ms", "200ms"]),
        (5, ["0ms", "0ms", "0ms", "200ms", "200ms"]),
    ],
)
def test_one_value_lets_the_minority_lag_but_at_least_one_secondary(secondaries, expected):
    assert [str(lag) for lag in assign_lags(lags_of("200ms"), secondaries)] == expected


def test_a_list_is_one_lag_for_each_secondary_and_the_rest_keep_up():
    assigned = assign_lags(lags_of("50ms,2s"), 3)
    assert [str(lag) for lag in assigned] == ["50ms", "2s", "0ms"]


def test_no_value_lets_all_keep_up():
    assert [str(lag) for lag in assign_lags((), 2)] == ["0ms", "0ms"]


def test_a_fixed_lag_is_the_same_for_every_entry():
    policy = lags_of("250us")[0].policy("seed")
    assert policy.delay_us == 250
    assert {policy.draw_us() for _ in range(20)} == {250}


def test_an_endless_lag_is_longer_than_any_time():
    assert lags_of("inf")[0].policy("seed").delay_us == FOREVER.us


def test_a_range_draws_within_its_bounds_and_reaches_both():
    policy = lags_of("1us..4us")[0].policy("seed")
    assert policy.delay_us is None
    assert {policy.draw_us() for _ in range(200)} == {1, 2, 3, 4}


def test_the_same_seed_draws_the_same_delays_and_another_seed_others():
    lag = lags_of("0..1m")[0]

    def drawn(*seed):
        policy = lag.policy(*seed)
        return [policy.draw_us() for _ in range(5)]

    assert drawn(0, "test", "secondary-1") == drawn(0, "test", "secondary-1")
    assert drawn(0, "test", "secondary-1") != drawn(0, "test", "secondary-2")
    assert drawn(0, "test", "secondary-1") != drawn(1, "test", "secondary-1")


def test_seeds_do_not_depend_on_the_process():
    """A value that was computed once: a change would alter what every recorded seed produces."""
    assert seeded(0, "test", "member").randint(0, 10**9) == 540173896


def test_parts_of_a_seed_do_not_run_into_each_other():
    assert seeded("ab", "c").random() != seeded("a", "bc").random()
