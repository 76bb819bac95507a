"""Positions, timestamps and forgetting."""

from __future__ import annotations

import pytest
from bson import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pytest_replicalag.replicaset.oplog import Oplog


def oplog_of(*times_us: int, forgotten: int = 0) -> Oplog:
    oplog = Oplog()
    for time_us in times_us:
        oplog.append(time_us, f"write at {time_us}")
    oplog.forget(forgotten)
    return oplog


def test_an_empty_oplog_is_at_position_0():
    assert (Oplog().last, Oplog().oldest_readable, Oplog().time_us(0)) == (0, 0, 0)


def test_positions_count_from_1_and_entries_tell_time_and_write():
    oplog = oplog_of(5, 9)
    assert oplog.last == 2
    assert oplog[2] == (9, "write at 9")
    with pytest.raises(IndexError):
        oplog[3]


def test_positions_go_on_after_entries_are_forgotten():
    oplog = oplog_of(5, 9, 12, forgotten=2)
    assert (oplog.oldest_readable, oplog.last) == (2, 3)
    assert oplog[3].write == "write at 12"
    assert oplog.append(20, "next") == 4
    with pytest.raises(IndexError):
        oplog[2]


def test_the_time_of_a_forgotten_position_is_that_of_the_last_forgotten_one():
    assert oplog_of(5, 9, 12, forgotten=2).time_us(2) == 9


def test_forgetting_what_is_forgotten_changes_nothing():
    oplog = oplog_of(5, 9, 12, forgotten=2)
    oplog.forget(1)
    assert (oplog.oldest_readable, oplog.last) == (2, 3)


def test_the_increment_of_a_timestamp_is_the_position():
    oplog = oplog_of(0, 2_500_000)
    assert oplog.timestamp(1) == Timestamp(1, 1)
    assert oplog.timestamp(2) == Timestamp(3, 2)
    assert str(oplog.optime(2)) == "3:2"


@given(st.lists(st.integers(0, 3_000_000), max_size=8), st.integers(0, 8), st.data())
def test_position_of_finds_the_newest_entry_that_is_not_after_a_timestamp(gaps, forgotten, data):
    oplog = Oplog()
    time_us = 0
    for gap in gaps:
        time_us += gap
        oplog.append(time_us, None)
    oplog.forget(min(forgotten, oplog.last))
    timestamp = Timestamp(data.draw(st.integers(1, 30)), data.draw(st.integers(0, 12)))
    position = oplog.position_of(timestamp)
    known = range(oplog.oldest_readable, oplog.last + 1)
    if timestamp > oplog.timestamp(oplog.last):
        assert position > oplog.last
    else:
        not_after = [p for p in known if oplog.timestamp(p) <= timestamp]
        expected = max(not_after, default=oplog.oldest_readable)
        # What is forgotten is told apart by nobody: every member has it.
        assert max(position, oplog.oldest_readable) == expected


@pytest.mark.parametrize("position", [1, 2, 3])
def test_position_of_inverts_timestamp(position):
    oplog = oplog_of(0, 1_500_000, 1_500_000)
    assert oplog.position_of(oplog.timestamp(position)) == position


def test_what_is_missing_of_a_write_whose_beginning_has_arrived():
    oplog = Oplog()
    one, many = object(), object()
    for write in (one, many, many, many, one):
        oplog.append(0, write)
    assert [oplog.missing_part(4, after) for after in range(6)] == [0, 0, 2, 1, 0, 0]
    assert oplog.missing_part(5, 4) == 0
    oplog.forget(2)
    assert [oplog.missing_part(4, after) for after in (2, 3, 4)] == [2, 1, 0]
