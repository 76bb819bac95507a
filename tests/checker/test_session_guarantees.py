"""Which of the four guarantees a stale read breaks, for a session and for the test."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest
from pymongo import ReadPreference
from pymongo.read_preferences import Secondary
from simulating import lagging

from pytest_replicalag.records import Creation, Write


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


def witnesses(running: Any) -> Any:
    return running.stale[-1].witnesses


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
    assert stale.fixes[1].startswith("let this read's session be causally consistent")


def test_an_earlier_read_is_named_that_knew_more(running):
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        on(running, "users", "secondary-1").find_one({"_id": "ada"}, session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    [witness] = witnesses(running)
    assert (witness.guarantee, witness.member) == ("monotonic reads", "secondary-1")
    assert witness.text == 'forum.users.find_one({"_id": "ada"})'
    [stale] = running.stale
    assert witness.call_site.line == stale.call_site.line - 1
    assert witness.at.us == stale.timeline.read_at.us - 1_000


def test_of_earlier_reads_the_one_that_first_knew_most_is_named(running):
    with session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"})
        for member in ("secondary-2", "secondary-1", "secondary-2"):
            on(running, "users", member).find_one({"on": member}, session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert {witness.text for witness in witnesses(running)} == {
        'forum.users.find_one({"on": "secondary-1"})'
    }


def test_a_later_write_is_named_that_the_reader_knew(running):
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        running.client.forum.posts.insert_one({"_id": 1, "by": "ada"}, session=writer)
        on(running, "posts", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    [witness] = witnesses(running)
    assert (witness.guarantee, witness.member) == ("monotonic writes", "")
    assert witness.text == 'forum.posts.insert_one({"_id": 1, "by": "ada"})'
    assert witness.call_site.function == "test_a_later_write_is_named_that_the_reader_knew"


def test_a_missed_write_of_its_own_needs_no_witness(running):
    running.client.forum.users.insert_one({"_id": "ada"})
    on(running, "users", "secondary-2").find_one()
    assert told(running) == ("read your writes",)
    assert witnesses(running) == ()


def test_a_causally_consistent_session_breaks_none(running):
    with running.client.start_session(causal_consistency=True) as reader:
        running.client.forum.users.insert_one({"_id": "ada"})
        on(running, "users", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert running.stale == []


def test_who_has_read_an_empty_collection_knows_of_no_write_to_it(running):
    """On the wire, the creation of a collection is in the oplog before its first write."""
    replica_set = running.simulation.replica_set
    with session(running) as writer, session(running) as reader:
        running.client.forum.users.insert_one({"_id": "ada"}, session=writer)
        own = replica_set.oplog[replica_set.oplog.last].write
        first = Write("insert_one", "forum.posts", (), own.caller, own.session)
        replica_set.oplog.append(replica_set.clock.now_us, Creation(first))
        on(running, "posts", "secondary-1").find_one(session=reader)
        on(running, "users", "secondary-2").find_one(session=reader)
    assert told(running) == ()
