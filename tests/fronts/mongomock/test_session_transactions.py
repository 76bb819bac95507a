"""Transactions of wrapped clients: pymongo's rules, the server's errors, lagging secondaries."""

from __future__ import annotations

import threading
from typing import Any

import mongomock
import pytest
from pymongo import InsertOne, ReadPreference, UpdateOne
from pymongo.client_session import TransactionOptions
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from simulating import lagging

from pytest_replicalag import wrap
from pytest_replicalag.errors import EndlessWaitError

TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


def libraries() -> list[Any]:
    try:
        import mongomock_ng
    except ImportError:
        return [mongomock]
    return [mongomock, mongomock_ng]


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def bare(request):
    client = request.param.MongoClient()
    client.shop.items.insert_many([{"_id": n} for n in range(3)])
    return client


@pytest.fixture
def lag(bare):
    with lagging(bare, read_preference="primary") as lagged:
        yield lagged


@pytest.fixture
def items(lag):
    return lag.client.shop.items


@pytest.fixture
def session(lag):
    with lag.client.start_session() as session:
        yield session


def ids(collection: Any, session: Any = None) -> list[Any]:
    return [document["_id"] for document in collection.find(session=session)]


def failed(operation: Any, kind: type[Exception] = OperationFailure) -> Any:
    with pytest.raises(kind) as caught:
        operation()
    return caught.value


# -- isolation ---------------------------------------------------------------------------------


def test_nobody_else_sees_it_before_the_commit(items, session):
    with session.start_transaction():
        items.insert_one({"_id": 9}, session=session)
        items.delete_one({"_id": 0}, session=session)
        assert ids(items, session) == [1, 2, 9]
        assert items.count_documents({}, session=session) == 3
        assert sorted(items.distinct("_id", session=session)) == [1, 2, 9]
        assert [d["_id"] for d in items.aggregate([{"$match": {}}], session=session)] == [1, 2, 9]
        assert ids(items) == [0, 1, 2]
        assert session.in_transaction
    assert not session.in_transaction
    assert ids(items) == [1, 2, 9]


def test_aborts_at_an_error_of_the_callers_own(items, session):
    def fail() -> None:
        with session.start_transaction():
            items.insert_one({"_id": 9}, session=session)
            raise ZeroDivisionError

    failed(fail, ZeroDivisionError)
    assert ids(items) == [0, 1, 2]


def test_ending_the_session_aborts(lag, items):
    with lag.client.start_session() as session:
        session.start_transaction()
        items.delete_many({}, session=session)
    session.end_session()
    assert ids(items) == [0, 1, 2]
    items.delete_one({"_id": 0})
    assert ids(items) == [1, 2]


def test_secondaries_see_all_or_nothing(lag, items, session):
    lag.control.set_lag("50ms", member="secondary-2")
    secondary = items.with_options(read_preference=ReadPreference.SECONDARY)
    with session.start_transaction():
        items.insert_many([{"_id": 8}, {"_id": 9}], session=session)
        items.delete_one({"_id": 0}, session=session)
        lag.client.shop.others.insert_one({"_id": 1}, session=session)
        assert ids(secondary) == [0, 1, 2]
    seen = {tuple(ids(secondary)) for _ in range(100)}
    assert seen == {(0, 1, 2), (1, 2, 8, 9)}


def test_a_stale_read_names_the_write_in_the_transaction(lag, items, session):
    with session.start_transaction():
        items.insert_one({"_id": 9}, session=session)
        lag.client.shop.others.insert_one({"_id": 1}, session=session)
    assert items.with_options(read_preference=ReadPreference.SECONDARY).find_one({"_id": 9}) is None
    [stale] = lag.stale
    [missed] = stale.missed
    assert missed.text == 'insert_one({"_id": 9})'
    assert stale.missed_count == 1


def test_reads_in_a_transaction_are_never_stale(lag, items, session):
    with session.start_transaction():
        items.find_one(session=session)
        items.insert_one({"_id": 9})
        assert ids(items, session) == [0, 1, 2]
    assert lag.stale == []


# -- errors of the server ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "message"),
    {
        "update_one": (
            lambda c, s: c.update_one({"_id": 1}, {"$set": {"x": 2}}, session=s),
            "WriteConflict error: this operation conflicted with another operation.",
        ),
        "find_one_and_update": (
            lambda c, s: c.find_one_and_update({"_id": 1}, {"$set": {"x": 2}}, session=s),
            "Plan executor error during findAndModify :: caused by :: WriteConflict error: this",
        ),
        "bulk_write": (
            lambda c, s: c.bulk_write(
                [InsertOne({"_id": 9}), UpdateOne({"_id": 1}, {"$set": {"x": 2}})], session=s
            ),
            "WriteConflict error: this operation conflicted with another operation.",
        ),
    }.values(),
    ids=["update_one", "find_one_and_update", "bulk_write"],
)
def test_write_conflict(items, session, write, message):
    session.start_transaction()
    items.find_one(session=session)
    items.update_one({"_id": 1}, {"$set": {"x": 1}})
    error = failed(lambda: write(items, session))
    assert (error.code, error.details["codeName"]) == (112, "WriteConflict")
    assert error.details["errmsg"].startswith(message)
    assert error.details["errorLabels"] == [TRANSIENT]
    error = failed(session.commit_transaction)
    assert (error.code, error.details["errmsg"]) == (
        251,
        "Transaction with { txnNumber: 1 } has been aborted.",
    )
    assert error.has_error_label(TRANSIENT)
    assert ids(items) == [0, 1, 2]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (lambda c, s: c.insert_one({"_id": 1}, session=s), DuplicateKeyError),
        (
            lambda c, s: c.insert_many([{"_id": 9}, {"_id": 1}], session=s, ordered=False),
            BulkWriteError,
        ),
        (lambda c, s: c.aggregate([{"$out": "copy"}], session=s), OperationFailure),
        (lambda c, s: c.create_index("x", session=s), OperationFailure),
        (
            lambda c, s: c.database.create_collection("items", session=s),
            OperationFailure,
        ),
    ],
    ids=["insert_one", "insert_many", "$out", "create_index", "create_collection"],
)
def test_an_error_of_an_operation_ends_it(items, session, wrong, kind):
    session.start_transaction()
    items.insert_one({"_id": 7}, session=session)
    assert not failed(lambda: wrong(items, session), kind).has_error_label(TRANSIENT)
    assert session.in_transaction
    assert failed(lambda: items.find_one(session=session)).code == 251
    assert failed(session.commit_transaction).code == 251
    assert ids(items) == [0, 1, 2]


REFUSED = {
    "drop": lambda c, s: c.drop(session=s),
    "renameCollection": lambda c, s: c.rename("other", session=s),
    "dropIndexes": lambda c, s: c.drop_indexes(session=s),
    "listIndexes": lambda c, s: c.index_information(session=s),
    "listCollections": lambda c, s: c.database.list_collection_names(session=s),
    "listDatabases": lambda c, s: c.database.client.list_database_names(session=s),
    "dropDatabase": lambda c, s: c.database.client.drop_database("shop", session=s),
    "collStats": lambda c, s: c.database.command("collStats", "items", session=s),
    "count": lambda c, s: c.database.command({"count": "items"}, session=s),
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_no_transaction_takes(items, session, command):
    def run() -> Any:
        return failed(lambda: REFUSED[command](items, session))

    session.start_transaction()
    items.insert_one({"_id": 9}, session=session)
    error = run()
    message = f"Cannot run '{command}' in a multi-document transaction."
    assert error.details["errmsg"].startswith(message)
    assert (error.code, error.details["codeName"]) == (263, "OperationNotSupportedInTransaction")
    assert ids(items, session) == [0, 1, 2, 9]  # it goes on
    session.commit_transaction()
    session.start_transaction()
    run()
    error = failed(lambda: items.find_one(session=session))  # it has never begun
    assert (error.code, error.has_error_label(TRANSIENT)) == (251, True)
    assert "does not match any in-progress transactions" in str(error)


def test_ping_and_system_databases(lag, session):
    session.start_transaction()
    error = failed(lambda: lag.client.admin.command("ping", session=session))
    assert error.details["errmsg"] == "This command is not supported in transactions"
    session.abort_transaction()
    for name, where in (("config", "the config database"), ("local", "the 'local' database")):
        session.start_transaction()
        error = failed(lambda: lag.client[name].c.find_one(session=session))  # noqa: B023
        assert error.details["errmsg"] == f"Cannot run command against {where} in a transaction."
        session.abort_transaction()


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (lambda db, s: list(db.items.aggregate([{"$unionWith": "x"}], session=s)), 263),
        (lambda db, s: db["system.views"].find_one(session=s), 51071),
        (lambda db, s: db["system.js"].insert_one({}, session=s), 50791),
        (lambda db, s: db["system.js"].find_one_and_delete({}, session=s), 50781),
        (lambda db, s: db["system.js"].create_index("a", session=s), 263),
    ],
    ids=["$unionWith", "find", "insert_one", "find_one_and_delete", "create_index"],
)
def test_what_a_transaction_may_not_read_or_write_ends_it(lag, session, run, code):
    session.start_transaction()
    lag.client.shop.items.insert_one({"_id": 7}, session=session)
    assert failed(lambda: run(lag.client.shop, session)).code == code
    assert failed(session.commit_transaction).code == 251


@pytest.mark.parametrize(("level", "code"), [("linearizable", 72), ("available", 72), ("bogus", 9)])
def test_read_concern_levels_that_no_transaction_has(items, session, level, code):
    session.start_transaction(read_concern=ReadConcern(level))
    assert failed(lambda: items.find_one(session=session)).code == code
    assert failed(lambda: items.insert_one({}, session=session)).code == 251
    session.abort_transaction()
    for other in ("local", "majority", "snapshot"):
        with session.start_transaction(read_concern=ReadConcern(other)):
            assert items.find_one({"_id": 1}, session=session) == {"_id": 1}


def test_new_collections_and_indexes(lag, session):
    new = lag.client.shop.new
    with session.start_transaction():
        lag.client.shop.create_collection("new", session=session)
        new.create_index("x", session=session)
        new.insert_one({"_id": 1}, session=session)
        assert lag.client.shop.list_collection_names() == ["items"]
    assert set(new.index_information()) == {"_id_", "x_1"}
    assert ids(new) == [1]


# -- the driver's own rules ----------------------------------------------------------------------


def test_order_of_calls(items, session):
    for end in (session.commit_transaction, session.abort_transaction):
        assert str(failed(end, InvalidOperation)) == "No transaction started"
    session.start_transaction()
    error = failed(session.start_transaction, InvalidOperation)
    assert str(error) == "Transaction already in progress"
    session.abort_transaction()
    error = failed(session.abort_transaction, InvalidOperation)
    assert str(error) == "Cannot call abortTransaction twice"
    error = failed(session.commit_transaction, InvalidOperation)
    assert str(error) == "Cannot call commitTransaction after calling abortTransaction"
    for write in (lambda: None, lambda: items.insert_one({"_id": 9}, session=session)):
        session.start_transaction()
        write()
        session.commit_transaction()
        session.commit_transaction()
        assert not session.in_transaction
        error = failed(session.abort_transaction, InvalidOperation)
        assert str(error) == "Cannot call abortTransaction after calling commitTransaction"
    assert ids(items) == [0, 1, 2, 9]
    items.find_one(session=session)
    assert str(failed(session.commit_transaction, InvalidOperation)) == "No transaction started"


def test_what_a_transaction_cannot_be_started_with(lag, session):
    error = failed(
        lambda: session.start_transaction(write_concern=WriteConcern(w=0)), ConfigurationError
    )
    assert str(error).startswith("transactions do not support unacknowledged write concern")
    failed(lambda: session.start_transaction(read_concern=1), TypeError)
    assert not session.in_transaction
    with lag.client.start_session(snapshot=True) as snapshot:
        error = failed(snapshot.start_transaction, InvalidOperation)
        assert str(error) == "Transactions are not supported in snapshot sessions"
    session.end_session()
    for call in (
        session.start_transaction,
        session.commit_transaction,
        session.abort_transaction,
        lambda: session.with_transaction(lambda _: None),
    ):
        assert str(failed(call, InvalidOperation)) == "Cannot use ended session"


def test_read_preference(lag, items, session):
    secondary = items.with_options(read_preference=ReadPreference.SECONDARY)
    with session.start_transaction():
        assert secondary.find_one({"_id": 1}, session=session) == {"_id": 1}
    session.start_transaction(read_preference=ReadPreference.SECONDARY)
    error = failed(lambda: items.find_one(session=session), InvalidOperation)
    assert str(error).startswith(
        "read preference in a transaction must be primary, not: Secondary("
    )
    items.insert_one({"_id": 9}, session=session)
    session.commit_transaction()
    options = TransactionOptions(read_preference=ReadPreference.NEAREST)
    with lag.client.start_session(default_transaction_options=options) as other:
        other.start_transaction()
        failed(lambda: items.find_one(session=other), InvalidOperation)


def test_a_clients_read_preference_counts_for_its_transactions(bare):
    with lagging(bare, read_preference="secondaryPreferred") as lag:
        session = lag.client.start_session()
        session.start_transaction()
        failed(lambda: lag.client.shop.items.find_one(session=session), InvalidOperation)


def test_the_collections_concerns_do_not_count(lag, items, session):
    other = items.with_options(
        write_concern=WriteConcern(w=0), read_concern=ReadConcern("linearizable")
    )
    with session.start_transaction():
        assert other.insert_one({"_id": 9}, session=session).acknowledged
        assert other.find_one({"_id": 9}, session=session) == {"_id": 9}


# -- commit and its write concern ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("concern", "kind", "code", "unknown"),
    [
        ({"w": 3, "wtimeout": 50}, WTimeoutError, 64, True),
        ({"w": 5}, WriteConcernError, 100, False),
        ({"w": "nosuchmode"}, WriteConcernError, 79, False),
    ],
)
@pytest.mark.parametrize("default", [True, False])
def test_write_concern_errors_of_a_commit(lag, items, concern, kind, code, unknown, default):
    options = {"write_concern": WriteConcern(**concern)}
    defaults = TransactionOptions(**options) if default else None
    with lag.client.start_session(default_transaction_options=defaults) as session:
        session.start_transaction(**({} if default else options))
        items.insert_one({"_id": 9}, session=session)
        error = failed(session.commit_transaction, WriteConcernError)
        assert (type(error), error.code) == (kind, code)
        assert error.has_error_label(UNKNOWN) is unknown
        assert "errorLabels" not in error.details
        assert items.find_one({"_id": 9}) == {"_id": 9}
        session.commit_transaction()  # once more waits for a majority only


def test_a_commit_that_outlasts_its_time(lag, items, session):
    lag.control.pause()
    session.start_transaction(max_commit_time_ms=200)
    items.insert_one({"_id": 9}, session=session)
    error = failed(session.commit_transaction, WTimeoutError)
    assert (error.code, error.has_error_label(UNKNOWN)) == (50, True)
    assert items.find_one({"_id": 9}) == {"_id": 9}


def test_a_commit_that_only_read_waits_for_a_majority(lag, items, session):
    lag.control.pause()
    items.with_options(write_concern=WriteConcern(w=1)).insert_one({"_id": 9})
    session.start_transaction(write_concern=WriteConcern(w="majority", wtimeout=50))
    items.find_one(session=session)
    assert failed(session.commit_transaction, WTimeoutError).code == 64
    session.start_transaction()
    items.find_one(session=session)
    failed(session.commit_transaction, EndlessWaitError)


def test_an_impossible_write_concern_commits_nothing(items, session):
    session.start_transaction(write_concern=WriteConcern(w=51))
    items.insert_one({"_id": 9}, session=session)
    assert failed(session.commit_transaction).code == 9
    assert ids(items) == [0, 1, 2]


def test_operation_time_advances_with_the_commit(lag, items, session):
    with session.start_transaction():
        items.insert_one({"_id": 9}, session=session)
        before = session.operation_time
    assert session.operation_time > before
    fresh = items.with_options(read_preference=ReadPreference.SECONDARY)
    lag.control.set_lag("100ms")
    assert fresh.find_one({"_id": 9}, session=session) == {"_id": 9}
    assert lag.stale == []


# -- with_transaction ----------------------------------------------------------------------------


def test_with_transaction_tries_again(items, session):
    attempts = []

    def move(session: Any) -> str:
        found = items.find_one({"_id": 1}, session=session)
        if not attempts:
            items.update_one({"_id": 1}, {"$set": {"x": 1}})
        attempts.append(found)
        items.update_one({"_id": 1}, {"$inc": {"x": 10}}, session=session)
        return "moved"

    assert session.with_transaction(move) == "moved"
    assert attempts == [{"_id": 1}, {"_id": 1, "x": 1}]
    assert items.find_one({"_id": 1}) == {"_id": 1, "x": 11}


def test_with_transaction_commits_again_after_a_timeout(lag, items, session):
    calls = []

    def insert(session: Any) -> None:
        calls.append(1)
        items.insert_one({"_id": 9}, session=session)

    session.with_transaction(insert, write_concern=WriteConcern(w=3, wtimeout=50))
    assert calls == [1]
    assert ids(items) == [0, 1, 2, 9]


def test_with_transaction_lets_other_errors_out(items, session):
    def twice(session: Any) -> None:
        items.insert_one({"_id": 9}, session=session)
        items.insert_one({"_id": 9}, session=session)

    failed(lambda: session.with_transaction(twice), DuplicateKeyError)
    assert not session.in_transaction
    assert ids(items) == [0, 1, 2]


def test_with_transaction_whose_callback_ends_it(items, session):
    def abort(session: Any) -> int:
        items.insert_one({"_id": 9}, session=session)
        session.abort_transaction()
        return 5

    assert session.with_transaction(abort) == 5
    assert ids(items) == [0, 1, 2]


# -- plain writes in between ---------------------------------------------------------------------


def test_a_plain_write_of_the_same_thread_says_that_it_would_wait_for_ever(items, session):
    with session.start_transaction():
        items.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
        for write in (
            lambda: items.update_many({}, {"$set": {"x": 2}}),
            items.drop,
            lambda: items.database.drop_collection("items"),
            lambda: items.create_index("x"),
        ):
            error = failed(write, EndlessWaitError)
            assert "this thread runs the transaction too" in str(error)
            assert "Pass the transaction's session" in str(error)
        items.insert_one({"_id": 9})
        items.update_one({"_id": 2}, {"$set": {"x": 2}})
        items.database.create_collection("other")
    assert list(items.find()) == [{"_id": 0}, {"_id": 1, "x": 1}, {"_id": 2, "x": 2}, {"_id": 9}]


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction"])
def test_a_plain_write_of_another_thread_waits(lag, items, session, end):
    session.start_transaction()
    items.update_one({"_id": 1}, {"$inc": {"x": 10}}, session=session)
    [own] = items.database.client._front.engine.server.transactions
    waiting, results, when_ended = threading.Event(), [], own.when_ended
    own.when_ended = lambda notify: (when_ended(notify), waiting.set())

    def write() -> None:
        results.append(items.update_one({"_id": 1}, {"$inc": {"x": 100}}).modified_count)

    thread = threading.Thread(target=write)
    thread.start()
    waiting.wait()
    assert results == []
    getattr(session, end)()
    thread.join()
    assert results == [1]
    expected = 110 if end == "commit_transaction" else 100
    assert items.find_one({"_id": 1}) == {"_id": 1, "x": expected}
    secondary = items.with_options(read_preference=ReadPreference.SECONDARY)
    assert secondary.find_one({"_id": 1}) == {"_id": 1}
    assert lag.stale[-1].missed[-1].operation == "update_one"


def test_a_transaction_of_a_thread_that_is_gone(lag, items):
    sessions = []

    def begin() -> None:
        session = lag.client.start_session()
        session.start_transaction()
        items.delete_one({"_id": 1}, session=session)
        sessions.append(session)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    error = failed(lambda: items.delete_one({"_id": 1}), EndlessWaitError)
    assert "the thread that ran the transaction has ended" in str(error)
    sessions[0].end_session()
    assert items.delete_one({"_id": 1}).deleted_count == 1


def test_threads_that_count_in_transactions(lag, items):
    def count() -> None:
        def increment(session: Any) -> None:
            x = items.find_one({"_id": 1}, session=session).get("x", 0)
            items.update_one({"_id": 1}, {"$set": {"x": x + 1}}, session=session)

        with lag.client.start_session() as session:
            for _ in range(10):
                session.with_transaction(increment)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert items.find_one({"_id": 1}) == {"_id": 1, "x": 40}


# -- without a simulation ------------------------------------------------------------------------


def test_without_lag(bare):
    client = wrap(bare)
    items = client.shop.items
    with client.start_session() as session:
        with session.start_transaction():
            items.insert_one({"_id": 9}, session=session)
            assert ids(items) == [0, 1, 2]
            items.insert_one({"_id": 8})
            assert failed(lambda: items.insert_one({"_id": 9}), EndlessWaitError)
        assert sorted(ids(items)) == [0, 1, 2, 8, 9]
        session.commit_transaction()
        session.start_transaction()
        items.delete_many({}, session=session)
        session.abort_transaction()
    assert sorted(ids(items)) == [0, 1, 2, 8, 9]


def test_a_fixtures_transaction_lives_through_a_test(bare):
    client = wrap(bare)
    items = client.shop.items
    with client.start_session() as session:
        session.start_transaction()
        items.insert_one({"_id": 8}, session=session)
        with lagging(bare, read_preference="primary") as lag:
            items.insert_one({"_id": 9}, session=session)
            assert ids(items, session) == [0, 1, 2, 8, 9]
            assert ids(items) == [0, 1, 2]
            items.insert_one({"_id": 7})
        assert lag.stale == []
        session.abort_transaction()
    assert ids(items) == [0, 1, 2, 7]
