"""Optimes."""

from __future__ import annotations

from bson import Timestamp

from pytest_replicalag.replicaset.optime import OpTime, timestamp_at


def test_optimes_are_ordered_by_term_first():
    assert OpTime(1, Timestamp(9, 9)) < OpTime(2, Timestamp(1, 1))
    assert OpTime(1, Timestamp(1, 1)) < OpTime(1, Timestamp(1, 2)) < OpTime(1, Timestamp(2, 0))


def test_the_first_timestamp_is_not_the_null_timestamp():
    assert timestamp_at(0, 0) == Timestamp(1, 0)


def test_seconds_are_those_of_simulated_time():
    assert timestamp_at(7, 61_999_999) == Timestamp(62, 7)


def test_an_optime_prints_as_seconds_and_increment():
    assert str(OpTime.at(3, 2_000_000)) == "3:3"
