"""Which of the four guarantees a stale read breaks, for a session and for the test."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest
from pymongo import ReadPreference
from pymongo.read_preferences import Secondary
from simulating import lagging


@pytest.fixture
def running() -> Any:
    """Secondary-1 keeps up, secondary-2 lags."""
    with lagging(mongomock.MongoClient(), lag="0,200ms") as found:
        yield found


def on(running: Any, name: str, member: str) -> Any:
    preference = Secondary(tag_sets=[{"member": member}])
    return running.client.forum.get_collection(name, read_preference=preference)


def session(running: Any) -> Any:
    return running.client.start_session(causal_consistency=False)


def told(running: Any) -> tuple[str, ...]:
    [stale] = running.stale
    return stale.guarantees


def test_writes_of_one_session_are_seen_in_their_order(running):
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        running.client.forum.posts.insert_one({"by": "ada"}, session=writer)
        on(running, "posts", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert told(running) == ("monotonic writes",)


def test_writes_of_two_sessions_have_no_order_of_their_own(running):
    with session(running) as one, session(running) as other, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=one)
        running.client.forum.posts.insert_one({"by": "ada"}, session=other)
        on(running, "posts", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert told(running) == ()


def test_a_write_follows_what_its_session_had_read(running):
    primary = running.client.forum.get_collection(
        "questions", read_preference=ReadPreference.PRIMARY
    )
    with session(running) as one, session(running) as other, session(running) as reader:
        running.client.forum.questions.insert_one({"_id": 1}, session=one)
        primary.find_one(session=other)
        running.client.forum.answers.insert_one({"question": 1}, session=other)
        on(running, "answers", "secondary-1").find_one(session=reader)
        on(running, "questions", "secondary-2").find_one(session=reader)
    assert told(running) == ("writes follow reads",)


def test_a_later_write_that_the_reader_has_not_seen_breaks_nothing(running):
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        running.client.forum.posts.insert_one({"by": "ada"}, session=writer)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert told(running) == ()


def test_all_four_at_once_in_a_test_without_sessions(running):
    forum = running.client.forum
    forum.users.insert_one({"_id": "ada"})
    on(running, "users", "secondary-1").find_one()
    forum.posts.insert_one({"by": "ada"})
    on(running, "posts", "secondary-1").find_one()
    on(running, "users", "secondary-2").find_one()
    assert told(running) == (
        "read your writes",
        "monotonic reads",
        "monotonic writes",
        "writes follow reads",
    )


def test_writes_of_a_transaction_count_one_by_one(running):
    forum = running.client.forum
    with session(running) as writer, session(running) as reader:
        with writer.start_transaction():
            forum.users.insert_one({"_id": "ada"}, session=writer)
        with writer.start_transaction():
            forum.posts.insert_one({"by": "ada"}, session=writer)
            forum.counts.insert_one({"_id": "posts", "n": 1}, session=writer)
        on(running, "posts", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert told(running) == ("monotonic writes",)


def test_the_fix_for_what_a_session_has_read_is_causal_consistency(running):
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        on(running, "users", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    [stale] = running.stale
    assert stale.guarantees == ("monotonic reads",)
    assert stale.fixes[1] == "let this session be causally consistent"


def test_a_causally_consistent_session_breaks_none(running):
    with running.client.start_session(causal_consistency=True) as reader:
        running.client.forum.users.insert_one({"_id": "ada"})
        on(running, "users", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert running.stale == []
