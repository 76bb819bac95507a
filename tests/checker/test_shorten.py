"""Values as short text that is the same in every run."""

from __future__ import annotations

import datetime
import re
import uuid

import pytest
from bson import ObjectId

from pytest_replicalag.checker.shorten import Shortener


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (b"a", "b'a'"),
        ("word", '"word"'),
        ('a "b" \\ \n', r'"a \"b\" \\ \n"'),
        ("\x1b[2J\x07\r\0\x9b31m \u202e ä", r'"\x1b[2J\x07\r\x00\x9b31m \u202e ä"'),
        ({"\x1b": 1}, r'{"\x1b": 1}'),
        ([1, 2], "[1, 2]"),
        ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'),
        ({}, "{}"),
        (re.compile("^a"), "/^a/"),
        (datetime.datetime(2020, 1, 2, 3, 4), "2020-01-02 03:04:00"),
        (ObjectId("0123456789ab0123456789ab"), "ObjectId('0123456789ab0123456789ab')"),
        (uuid.UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
    ],
)
def test_short_values_are_shown_whole(value, text):
    assert Shortener().value(value, 60) == text


def test_the_id_comes_first():
    assert Shortener().value({"n": 1, "_id": 7}) == '{"_id": 7, "n": 1}'


def test_what_does_not_fit_is_left_out_and_shown_to_be():
    assert Shortener().value({f"field{n}": n for n in range(20)}).endswith(", …}")
    assert Shortener().value(list(range(100))).endswith(" more]")
    assert len(Shortener().value("x" * 500)) <= 40
    assert Shortener().value("x" * 500).endswith('…"')


def test_object_ids_of_this_process_are_numbered_in_the_order_of_their_appearance():
    shorten = Shortener()
    first, second = ObjectId(), ObjectId()
    texts = [shorten.value(value) for value in (second, first, second)]
    assert texts == ["ObjectId(#1)", "ObjectId(#2)", "ObjectId(#1)"]


def test_random_uuids_are_numbered_apart_from_object_ids():
    shorten = Shortener()
    assert shorten.value([ObjectId(), uuid.uuid4()], 80) == "[ObjectId(#1), UUID(#1)]"


def test_dates_of_the_run_are_now():
    now = datetime.datetime.now(datetime.timezone.utc)
    shorten = Shortener(now)
    assert shorten.value(now) == shorten.value(now.replace(tzinfo=None)) == "now"
    assert shorten.value(now - datetime.timedelta(days=1)) != "now"


def test_no_address_is_shown():
    assert Shortener().value(object()) == "<object object>"


def test_the_fields_in_which_two_results_differ_come_first():
    old = {"_id": 1, "name": "a name", "more": "that fills the line", "n": 1}
    new = {**old, "n": 2}
    assert Shortener().results(old, new) == (
        '{"_id": 1, "n": 1, "name": "a name", …}',
        '{"_id": 1, "n": 2, "name": "a name", …}',
    )
    assert Shortener().results([old], [new]) == (
        '[{"_id": 1, "n": 1, "name": "a name", …}]',
        '[{"_id": 1, "n": 2, "name": "a name", …}]',
    )
