"""Virtual and wall clock."""

from __future__ import annotations

import time

import pytest

from pytest_replicalag.errors import ClockError
from pytest_replicalag.replicaset.clock import ROUND_TRIP_US, VirtualClock, WallClock


def test_virtual_time_starts_at_zero_and_stays_there_while_nothing_happens():
    clock = VirtualClock()
    assert [clock.now_us for _ in range(1000)] == [0] * 1000


def test_a_round_trip_takes_one_simulated_millisecond():
    clock = VirtualClock()
    assert clock.round_trip() == clock.now_us == ROUND_TRIP_US == 1_000


def test_advance_adds_to_virtual_time():
    clock = VirtualClock()
    clock.advance(5)
    clock.advance(7)
    assert clock.now_us == 12


def test_advance_refuses_to_go_back_and_changes_nothing():
    clock = VirtualClock()
    clock.advance(5)
    with pytest.raises(ClockError, match="simulated time cannot go back"):
        clock.advance(-1)
    assert clock.now_us == 5


def test_waiting_for_a_time_that_has_passed_changes_nothing():
    clock = VirtualClock()
    clock.advance(50)
    clock.wait_until(20)
    assert clock.now_us == 50
    clock.wait_until(80)
    assert clock.now_us == 80


def test_sleeps_at_the_same_time_overlap():
    clock = VirtualClock()
    clock.slept(since_us=0, duration_us=100)
    clock.slept(since_us=0, duration_us=60)
    assert clock.now_us == 100


def test_sleeps_one_after_the_other_add_up():
    clock = VirtualClock()
    clock.slept(since_us=0, duration_us=100)
    clock.slept(since_us=100, duration_us=60)
    assert clock.now_us == 160


def test_wall_time_goes_on_by_itself_and_a_round_trip_adds_nothing():
    clock = WallClock()
    first = clock.now_us
    while clock.now_us == first:
        pass
    assert clock.round_trip() - clock.now_us <= 0


def test_wall_clock_waits_really():
    clock = WallClock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock._started_ns -= int(seconds * 1e9)  # as if that time had passed

    until_us = clock.now_us + 60_000_000
    clock.wait_until(until_us, sleep)
    assert 59 < sum(slept) <= 60
    assert clock.now_us >= until_us


def test_wall_clock_cannot_be_advanced():
    with pytest.raises(ClockError, match="--replica-lag-clock=virtual"):
        WallClock().advance(1)


def test_the_wall_clock_goes_on_while_a_tool_freezes_time(monkeypatch):
    clock = WallClock()
    monkeypatch.setattr(time, "monotonic_ns", lambda: 0)
    assert clock.now_us >= 0  # and not as long ago as the machine was started
