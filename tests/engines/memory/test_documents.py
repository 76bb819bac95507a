"""When two documents are alike: for MongoDB, not for Python."""

from __future__ import annotations

import uuid

import pytest

from pytest_replicalag.engines.memory.documents import is_same

UUID = uuid.UUID(int=5)
NAN = float("nan")
TOO_LARGE = 2**70  # for BSON


@pytest.mark.parametrize("value", [1, "a", None, UUID, NAN, TOO_LARGE, [UUID, {"a": TOO_LARGE}]])
def test_a_copy_is_the_same(value):
    assert is_same({"value": value}, {"value": value})


@pytest.mark.parametrize("others", [{}, {"other": TOO_LARGE}], ids=["of BSON", "not of BSON"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1.0), (1, True), (UUID, uuid.UUID(int=6)), ([1], [1, 2]), ({"a": 1}, {"a": True})],
)
def test_what_python_takes_for_equal_is_not_the_same(before, after, others):
    assert not is_same({"value": before, **others}, {"value": after, **others})


def test_the_order_of_fields_counts():
    assert not is_same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not is_same({"a": 1, "b": TOO_LARGE}, {"b": TOO_LARGE, "a": 1})
