"""Rollback: the data are as if what was written after a position had never been written."""

from contextlib import suppress

import mongomock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import IndexModel, WriteConcern
from pymongo.errors import OperationFailure
from simulating import lagging

from pytest_replicalag.errors import EndlessWaitError

try:
    import mongomock_ng
except ImportError:
    mongomock_ng = None

LIBRARIES = [library for library in (mongomock, mongomock_ng) if library is not None]

IDS = st.integers(0, 3)
NAMES = st.sampled_from(["a", "b", "c"])
WRITES = st.one_of(
    st.tuples(st.just("replace"), NAMES, IDS),
    st.tuples(st.just("increment"), NAMES, IDS),
    st.tuples(st.just("delete"), NAMES, IDS),
    st.tuples(st.just("empty"), NAMES),
    st.tuples(st.just("drop"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("index"), NAMES, st.booleans()),
    st.tuples(st.just("drop_indexes"), NAMES),
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("commit"), NAMES, NAMES, IDS),
)


def write(db, kind, name, *rest):
    collection = db.get_collection(name, write_concern=WriteConcern(w=1))
    if kind == "replace":
        collection.replace_one({"_id": rest[0]}, {"n": 0}, upsert=True)
    elif kind == "increment":
        collection.update_one({"_id": rest[0]}, {"$inc": {"n": 1}}, upsert=True)
    elif kind == "delete":
        collection.delete_one({"_id": rest[0]})
    elif kind == "empty":
        collection.delete_many({})
    elif kind == "index":
        collection.create_indexes([IndexModel("n", name="n", sparse=rest[0])])
    elif kind == "drop_indexes":
        collection.drop_indexes()
    elif kind == "commit":
        other, key = rest
        with db.client.start_session() as session, session.start_transaction():
            collection.replace_one({"_id": key}, {"t": 1}, upsert=True, session=session)
            db[other].delete_one({"_id": key}, session=session)
    else:
        manage(db, kind, name, *rest)


def manage(db, kind, name, *rest):
    if kind == "drop":
        db.drop_collection(name)
    elif kind == "create":
        db.create_collection(name)
    elif kind == "rename":
        db[name].rename(rest[0], dropTarget=True)


def attempt(db, step):
    try:
        write(db, *step)
    except (OperationFailure, mongomock.CollectionInvalid, mongomock.OperationFailure):
        return  # what cannot be done is done neither before nor after
    except Exception as error:
        if type(error).__name__ not in ("CollectionInvalid", "OperationFailure"):
            raise


def everything(db):
    """All that a client can see, in natural order."""
    names = sorted(db.list_collection_names())
    return [(name, list(db[name].find()), db[name].index_information()) for name in names]


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)
@given(kept=st.lists(WRITES, max_size=8), lost=st.lists(WRITES, max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_it_is_as_if_what_was_lost_had_never_been(library, kept, lost):
    with lagging(library.MongoClient(), lag="0,0", read_preference="primary") as it:
        db = it.client.db
        for step in kept:
            attempt(db, step)
        before = everything(db)
        it.control.pause()
        for step in lost:
            attempt_at_once(db, step)
        it.control.crash_primary()
        assert everything(db) == before
        it.control.restart()
        it.control.resume()
        db.after.insert_one({"_id": 1})
        assert [doc["_id"] for doc in db.after.find()] == [1]


def attempt_at_once(db, step):
    """A write that no other member has; one whose write concern cannot be given waits in vain."""
    with suppress(EndlessWaitError):
        attempt(db, step)


@pytest.fixture
def lost():
    """A set whose primary alone has what is written now."""
    with lagging(lag="inf,inf", read_preference="primary", write_concern=1) as it:
        yield it


def test_the_past_of_what_stays_can_still_be_read():
    with lagging(lag="1s,2s", write_concern=1) as it:
        collection = it.client.db.c
        collection.insert_one({"_id": 1, "n": 0})
        it.control.advance("1s")
        collection.update_one({"_id": 1}, {"$set": {"n": 1}})
        it.control.crash_primary()
        # secondary-2 has nothing yet; the update is gone everywhere
        assert collection.find_one() is None
        it.control.advance("1s")
        assert collection.find_one() == {"_id": 1, "n": 0}
        assert it.stale[0].fresh_result == '{"_id": 1, "n": 0}'


def test_a_change_stream_never_shows_what_is_lost(lost):
    with lost.client.db.c.watch(max_await_time_ms=1) as stream:
        lost.client.db.c.insert_one({"_id": 1})
        assert stream.try_next() is None
        lost.control.crash_primary()
        lost.control.restart()
        lost.client.db.c.insert_one({"_id": 2})
        lost.control.catch_up()
        assert stream.try_next()["documentKey"] == {"_id": 2}
        assert stream.try_next() is None


def test_a_collection_that_was_created_is_gone(lost):
    lost.client.db.c.insert_one({"_id": 1})
    lost.control.crash_primary()
    assert lost.client.db.list_collection_names() == []


@pytest.mark.parametrize("end", ["crash_primary", "step_down"])
def test_a_transaction_that_is_open_is_not_known_to_the_new_primary(lost, end):
    with lost.client.start_session() as session:
        session.start_transaction()
        lost.client.db.c.insert_one({"_id": 1}, session=session)
        getattr(lost.control, end)()
        with pytest.raises(OperationFailure, match="does not match any in-progress") as told:
            lost.client.db.c.insert_one({"_id": 2}, session=session)
        assert told.value.code == 251
        assert told.value.has_error_label("TransientTransactionError")
        session.abort_transaction()


def test_with_transaction_begins_anew(lost):
    runs = []

    def callback(session):
        lost.client.db.c.insert_one({"_id": 1}, session=session)
        if not runs:
            lost.control.crash_primary()
        runs.append(1)
        lost.client.db.c.insert_one({"_id": 2}, session=session)

    with lost.client.start_session() as session:
        session.with_transaction(callback, write_concern=WriteConcern(w=1))
    assert len(runs) == 2
    assert len(list(lost.client.db.c.find())) == 2
    assert lost.control.lost_writes == []


def test_a_commit_that_is_lost_is_told_write_by_write(lost):
    with (
        lost.client.start_session() as session,
        session.start_transaction(write_concern=WriteConcern(w=1)),
    ):
        lost.client.db.c.insert_one({"_id": 1}, session=session)
        lost.client.db.d.insert_one({"_id": 2}, session=session)
    lost.control.crash_primary()
    told = [(write.namespace, write.write_concern) for write in lost.control.lost_writes]
    assert told == [("db.c", "w: 1"), ("db.d", "w: 1")]
