"""Transactions on the memory engine: isolation, conflicts, and one oplog entry at the commit."""

from __future__ import annotations

import gc
from datetime import datetime, timezone
from typing import Any

import mongomock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import DuplicateKeyError, OperationFailure
from simulating import lags_of

from pytest_replicalag.engines.memory.engine import Blocked, MemoryEngine, Transaction
from pytest_replicalag.engines.memory.journal import Journal
from pytest_replicalag.engines.memory.library import library_of
from pytest_replicalag.replicaset.clock import VirtualClock
from pytest_replicalag.replicaset.replica_set import ReplicaSet

OLD = [{"_id": n, "u": n} for n in range(3)]


def libraries() -> list[Any]:
    try:
        import mongomock_ng
    except ImportError:
        return [mongomock]
    return [mongomock, mongomock_ng]


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def engine(request):
    client = request.param.MongoClient()
    client.shop.items.insert_many([dict(document) for document in OLD])
    client.shop.items.create_index("u", unique=True)
    library = library_of(client)
    assert library is not None
    return MemoryEngine(library, client)


@pytest.fixture
def journal(engine):
    journal = Journal(ReplicaSet(VirtualClock(), lags_of("inf"), 0, "test"))
    engine.attach(journal)
    return journal


def items(of: Any, name: str = "items") -> Any:
    """A collection as an engine, a transaction or a past position shows it."""
    if isinstance(of, MemoryEngine):
        of = of.live_client
    client = of.client if isinstance(of, Transaction) else of
    return client.get_database("shop").collection(name, None)


def past(engine, position: int, name: str = "items") -> list[Any]:
    return list(engine.past(position).collection("shop", name, None, copies=True).find())


def ids(collection: Any) -> list[Any]:
    return [document["_id"] for document in collection.find()]


def refused(write: Any, code: int = 112) -> OperationFailure:
    """The error that the write was refused with."""
    with pytest.raises(OperationFailure) as caught:
        write()
    assert caught.value.code == code
    assert caught.value.has_error_label("TransientTransactionError")
    return caught.value


def test_sees_its_own_writes_and_nobody_elses(engine, journal):
    one, other = engine.begin(journal), engine.begin(journal)
    items(one).insert_one({"_id": 9, "u": 9})
    items(one).update_one({"_id": 1}, {"$set": {"x": 1}})
    items(one).delete_one({"_id": 0})
    assert list(items(one).find()) == [
        {"_id": 1, "u": 1, "x": 1},
        {"_id": 2, "u": 2},
        {"_id": 9, "u": 9},
    ]
    assert list(items(other).find()) == list(items(engine).find()) == OLD
    assert not one.is_empty
    assert other.is_empty


def test_reads_at_its_snapshot(engine, journal):
    transaction = engine.begin(journal)
    items(engine).update_one({"_id": 1}, {"$set": {"x": 1}})
    items(engine).delete_one({"_id": 0})
    items(engine).insert_one({"_id": 0, "u": 0, "again": True})
    assert list(items(transaction).find()) == OLD


def test_commit_is_one_entry_with_all_images(engine, journal):
    before = journal.replica_set.oplog.last
    transaction = engine.begin(journal)
    items(transaction).insert_many([{"_id": 8, "u": 8}, {"_id": 9, "u": 9}])
    items(transaction).update_many({"_id": {"$lt": 2}}, {"$inc": {"x": 1}})
    items(transaction).delete_one({"_id": 2})
    items(transaction, "new").create_index("q")
    items(transaction, "new").insert_one({"_id": 1})
    position = transaction.commit()
    assert position == before + 1 == journal.replica_set.oplog.last
    assert past(engine, before) == OLD
    assert past(engine, before, "new") == []
    assert ids(items(engine)) == [0, 1, 8, 9]
    assert past(engine, position) == list(items(engine).find())
    assert set(items(engine, "new").index_information()) == {"_id_", "q_1"}


def test_commit_of_nothing_is_a_no_op(engine, journal):
    transaction = engine.begin(journal)
    items(transaction).update_one({"_id": 1}, {"$set": {"u": 1}})
    assert transaction.is_empty
    assert transaction.commit() == journal.replica_set.oplog.last == 1
    assert transaction.has_ended
    assert not engine.has_changed("shop", "items", 0)


def test_abort_leaves_no_trace(engine, journal):
    transaction = engine.begin(journal)
    items(transaction).delete_many({})
    items(transaction, "new").insert_one({})
    transaction.abort()
    transaction.abort()
    assert list(items(engine).find()) == OLD
    assert engine.live_client.get_database("shop").list_collection_names() == ["items"]
    assert not engine.has_transactions
    assert journal.replica_set.oplog.last == 0


@pytest.mark.parametrize(
    ("outside", "inside"),
    {
        "update, update": (
            lambda c: c.update_one({"_id": 1}, {"$set": {"x": 1}}),
            lambda c: c.update_one({"_id": 1}, {"$set": {"x": 2}}),
        ),
        "delete, update": (
            lambda c: c.delete_one({"_id": 1}),
            lambda c: c.update_many({}, {"$set": {"x": 2}}),
        ),
        "insert, insert": (
            lambda c: c.insert_one({"_id": 5, "u": 5}),
            lambda c: c.insert_one({"_id": 5, "u": 6}),
        ),
        "insert and delete, insert": (
            lambda c: (c.insert_one({"_id": 5, "u": 5}), c.delete_one({"_id": 5})),
            lambda c: c.insert_many([{"_id": 4, "u": 4}, {"_id": 5, "u": 5}]),
        ),
        "unique value taken": (
            lambda c: c.insert_one({"_id": 5, "u": 77}),
            lambda c: c.insert_one({"_id": 6, "u": 77}),
        ),
        "unique value taken by an update": (
            lambda c: c.update_one({"_id": 1}, {"$set": {"u": 77}}),
            lambda c: c.update_one({"_id": 2}, {"$set": {"u": 77}}),
        ),
    }.values(),
    ids=[
        "update, update",
        "delete, update",
        "insert, insert",
        "insert and delete, insert",
        "unique value taken",
        "unique value taken by an update",
    ],
)
def test_conflicts_with_what_others_wrote_since(engine, journal, outside, inside):
    transaction = engine.begin(journal)
    outside(items(engine))
    then = list(items(engine).find())
    refused(lambda: inside(items(transaction)))
    assert transaction.has_ended
    assert list(items(engine).find()) == then


@pytest.mark.parametrize("taken", [{"_id": 9, "u": 8}, {"_id": 8, "u": 9}])
def test_conflicts_with_an_open_transaction(engine, journal, taken):
    one, other = engine.begin(journal), engine.begin(journal)
    items(one).insert_one({"_id": 9, "u": 9})
    refused(lambda: items(other).insert_one(taken))
    one.commit()
    assert ids(items(engine)) == [0, 1, 2, 9]


def test_no_conflict_of_writes_that_change_nothing(engine, journal):
    transaction = engine.begin(journal)
    items(engine).update_one({"_id": 1}, {"$set": {"x": 9}})
    items(transaction).update_one({"_id": 1}, {"$set": {"u": 1}})
    items(engine).update_one({"_id": 2}, {"$set": {"u": 2}})
    items(transaction).update_one({"_id": 2}, {"$set": {"x": 7}})
    transaction.commit()
    assert list(items(engine).find({"x": {"$exists": True}}, {"u": 0})) == [
        {"_id": 1, "x": 9},
        {"_id": 2, "x": 7},
    ]


@pytest.mark.parametrize("document", [{"_id": 1, "u": 9}, {"_id": 9, "u": 1}])
def test_a_duplicate_of_what_the_snapshot_shows_is_no_conflict(engine, journal, document):
    transaction = engine.begin(journal)
    items(engine).delete_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        items(transaction).insert_one(document)


def test_a_plain_write_is_blocked_without_a_trace(engine, journal):
    transaction = engine.begin(journal)
    items(transaction).update_one({"_id": 2}, {"$set": {"x": 1}})
    ended: list[str] = []
    transaction.when_ended(lambda: ended.append("ended"))
    with pytest.raises(Blocked) as caught:
        engine.write_beside(lambda c: items(c).update_many({}, {"$inc": {"k": 1}}))
    assert caught.value.transaction is transaction
    with pytest.raises(Blocked):
        engine.write_beside(lambda c: items(c).delete_one({"_id": 2}))
    assert list(items(engine).find()) == OLD
    assert ended == []
    transaction.commit()
    assert ended == ["ended"]
    result = engine.write_beside(lambda c: items(c).update_many({}, {"$inc": {"k": 1}}))
    assert result.modified_count == 3
    assert items(engine).find_one({"_id": 2}) == {"_id": 2, "u": 2, "x": 1, "k": 1}


def test_a_plain_write_beside_makes_an_entry_for_each_document(engine, journal):
    engine_before = journal.replica_set.oplog.last
    transaction = engine.begin(journal)
    items(transaction).delete_one({"_id": 2})
    engine.write_beside(lambda c: items(c).insert_many([{"_id": 7, "u": 7}, {"_id": 8, "u": 8}]))
    assert journal.replica_set.oplog.last == engine_before + 2
    with pytest.raises(mongomock.BulkWriteError):
        engine.write_beside(
            lambda c: items(c).insert_many([{"_id": 9, "u": 9}, {"_id": 7, "u": 1}])
        )
    assert ids(items(engine)) == [0, 1, 2, 7, 8, 9]


def test_touched_collections_hold_back_drops(engine, journal):
    transaction = engine.begin(journal)
    assert engine.blocking("shop", "items") is None
    items(transaction).find_one()
    assert engine.blocking("shop", "items") is engine.blocking("shop") is transaction
    assert engine.blocking("shop", "others") is engine.blocking("pub") is None
    transaction.commit()
    assert engine.blocking("shop", "items") is None


@pytest.mark.parametrize("use", [lambda c: c.find_one(), lambda c: c.insert_one({"_id": 2})])
def test_a_collection_younger_than_the_snapshot(engine, journal, use):
    transaction = engine.begin(journal)
    items(engine, "young").insert_one({"_id": 1})
    error = refused(lambda: use(items(transaction, "young")), code=246)
    assert "Snapshot timestamp is Timestamp(1, 0). Collection minimum is" in str(error)
    assert transaction.has_ended


def test_renamed_recreated_and_dropped_since_the_snapshot(engine, journal):
    renamed, recreated, dropped = (engine.begin(journal) for _ in range(3))
    items(engine).rename("other")
    refused(lambda: items(renamed, "other").find_one(), code=246)
    items(engine, "other").drop()
    assert items(dropped, "other").find_one() is None
    items(engine, "other").insert_one({"_id": 1})
    refused(lambda: items(recreated, "other").find_one(), code=246)


def test_an_emptied_collection_is_an_old_one(engine, journal):
    items(engine).drop_indexes()
    items(engine).delete_many({})
    transaction = engine.begin(journal)
    items(engine).insert_one({"_id": 5})
    items(transaction).insert_one({"_id": 6})
    transaction.commit()
    assert ids(items(engine)) == [5, 6]


def test_two_that_create_one_collection(engine, journal):
    one, other = engine.begin(journal), engine.begin(journal)
    items(one, "new").insert_one({"_id": 1})
    items(other, "new").insert_one({"_id": 1})
    one.commit()
    refused(other.commit)
    assert other.has_ended
    assert ids(items(engine, "new")) == [1]


def test_indexes_only_on_new_empty_collections(engine, journal):
    for name, what in (("items", "existing"), ("new", "non-empty")):
        transaction = engine.begin(journal)
        items(transaction, name).insert_one({"_id": 9, "u": 9})
        with pytest.raises(OperationFailure, match=f"{what} collection shop.{name} in a") as caught:
            items(transaction, name).create_index("x")
        assert caught.value.code == 263
        items(transaction, "items").create_index("u", unique=True)
        transaction.abort()


def test_an_index_that_came_since_refuses_writes_only(engine, journal):
    transaction = engine.begin(journal)
    items(engine).create_index("x")
    assert items(transaction).find_one() == OLD[0]
    refused(lambda: items(transaction).delete_one({"_id": 1}), code=246)


def test_expiry_disturbs_no_snapshot(engine, journal):
    items(engine, "brief").create_index("at", expireAfterSeconds=1)
    engine.server["shop"]["brief"]._ttl_indexes.clear()
    items(engine, "brief").insert_one({"_id": 1, "at": datetime(2000, 1, 1)})
    transaction = engine.begin(journal)
    brief = engine.server["shop"]["brief"]
    brief._ttl_indexes.update(brief.indexes)
    engine.expire()
    assert ids(items(engine, "brief")) == []
    assert ids(items(transaction, "brief")) == [1]
    items(transaction, "brief").insert_one({"_id": 2, "at": datetime.now(timezone.utc)})
    transaction.commit()
    assert ids(items(engine, "brief")) == [2]


def test_without_a_simulation(engine):
    transaction = engine.begin(None)
    items(transaction).delete_one({"_id": 1})
    engine.attach(None)
    engine.write_beside(lambda c: items(c).insert_one({"_id": 5, "u": 5}))
    assert ids(items(transaction)) == [0, 2]
    transaction.commit()
    engine.attach(None)
    assert engine.server.journal is None
    assert ids(items(engine)) == [0, 2, 5]


@pytest.mark.parametrize("first", [True, False], ids=["into a simulation", "out of one"])
def test_lives_on_when_the_journal_changes(engine, first):
    simulated = Journal(ReplicaSet(VirtualClock(), lags_of("inf"), 0, "test"))
    before, after = (None, simulated) if first else (simulated, None)
    one, other = engine.begin(before), engine.begin(before)
    items(one).delete_one({"_id": 1})
    items(engine).update_one({"_id": 2}, {"$set": {"x": 1}})
    items(engine, "young").insert_one({"_id": 1})
    engine.attach(after)
    items(engine).insert_one({"_id": 5, "u": 5})
    assert list(items(one).find()) == [OLD[0], OLD[2]]
    refused(lambda: items(other).update_one({"_id": 2}, {"$set": {"x": 1}}))
    one.commit()
    assert ids(items(engine)) == [0, 2, 5]
    late = engine.begin(after)
    assert ids(items(late, "young")) == [1]


def test_a_collection_that_came_before_the_journal_changed_stays_late(engine, journal):
    transaction = engine.begin(journal)
    items(engine, "young").insert_one({"_id": 1})
    engine.attach(None)
    refused(lambda: items(transaction, "young").find_one(), code=246)


def test_a_forgotten_transaction_holds_nobody_up(engine, journal):
    transaction = engine.begin(journal)
    items(transaction).delete_one({"_id": 1})
    assert engine.has_transactions
    del transaction
    gc.collect()
    assert not engine.has_transactions
    items(engine).delete_one({"_id": 0})
    journal.replica_set.catch_up(["secondary-1"])
    assert journal.replica_set.horizon() == journal.replica_set.oplog.last


def test_history_is_kept_for_an_open_transaction(engine, journal):
    transaction = engine.begin(journal)
    for n in range(600):  # enough for the journal to prune
        items(engine).update_one({"_id": 1}, {"$set": {"x": n}})
        journal.replica_set.catch_up(["secondary-1"])
    assert list(items(transaction).find()) == OLD
    refused(lambda: items(transaction).delete_one({"_id": 1}))


class Naive:
    """A transaction as it is told: copies of dictionaries, compared at every write."""

    def __init__(self, store: NaiveStore) -> None:
        self.snapshot = dict(store.documents)
        self.view = dict(store.documents)
        self.start = store.clock
        self.written: set[int] = set()


class NaiveStore:
    """Committed documents, and when each key was written last."""

    def __init__(self) -> None:
        self.documents = {n: n for n in range(3)}
        self.clock = 0
        self.changed = dict.fromkeys(range(6), 0)
        self.open: dict[int, Naive] = {}

    def write(self, who: int | None, key: int, value: int | None) -> str:
        """`ok`, `conflict` or `blocked`."""
        own = Naive(self) if who is None else self.open[who]
        if own.view.get(key) == value:
            return "ok"
        others = [other for name, other in self.open.items() if name != who]
        if self.changed[key] > own.start or any(key in other.written for other in others):
            if who is None:
                return "blocked"
            del self.open[who]
            return "conflict"
        own.written.add(key)
        own.view.pop(key, None)
        if value is not None:
            own.view[key] = value
        if who is None:
            self._apply(own)
        return "ok"

    def commit(self, who: int) -> None:
        self._apply(self.open.pop(who))

    def _apply(self, own: Naive) -> None:
        self.clock += 1
        for key in own.written:
            self.changed[key] = self.clock
            self.documents.pop(key, None)
            if key in own.view:
                self.documents[key] = own.view[key]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.sampled_from([None, 0, 1, 2]),
            st.integers(0, 5),
            st.one_of(st.none(), st.integers(0, 3)),
        ),
        st.tuples(st.sampled_from(["begin", "commit", "abort"]), st.integers(0, 2)),
        st.tuples(st.just("attach")),
    ),
    max_size=40,
)


def write(client: Any, key: int, value: int | None) -> None:
    if value is None:
        items(client).delete_one({"_id": key})
    else:
        items(client).update_one({"_id": key}, {"$set": {"v": value}}, upsert=True)


def shown(client: Any) -> dict[int, int]:
    return {document["_id"]: document["v"] for document in items(client).find()}


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(STEPS)
def test_does_what_copies_of_dictionaries_would(steps):
    client = mongomock.MongoClient()
    client.shop.items.insert_many([{"_id": n, "v": n} for n in range(3)])
    library = library_of(client)
    assert library is not None
    engine, naive = MemoryEngine(library, client), NaiveStore()
    journal, open_ones = None, {}
    for step, *arguments in steps:
        engine.attach(journal)
        if step == "attach":
            journal = None if journal else Journal(ReplicaSet(VirtualClock(), (), 0, "test"))
        elif step == "write":
            who, key, value = arguments
            if who is None or who in open_ones:
                told = naive.write(who, key, value)
                found = attempt(engine, open_ones.get(who), key, value)
                assert found == told
                if told == "conflict":
                    assert open_ones.pop(who).has_ended
        else:
            [who] = arguments
            if step == "begin" and who not in open_ones:
                open_ones[who], naive.open[who] = engine.begin(journal), Naive(naive)
            elif step == "commit" and who in open_ones:
                open_ones.pop(who).commit()
                naive.commit(who)
            elif step == "abort" and who in open_ones:
                open_ones.pop(who).abort()
                del naive.open[who]
        assert shown(engine.live_client) == naive.documents
        for name, own in open_ones.items():
            assert shown(own.client) == naive.open[name].view


def attempt(engine: MemoryEngine, own: Transaction | None, key: int, value: int | None) -> str:
    try:
        if own is None:
            engine.write_beside(lambda client: write(client, key, value))
        else:
            write(own.client, key, value)
    except Blocked:
        return "blocked"
    except OperationFailure as error:
        return "conflict" if error.code == 112 else str(error)
    return "ok"
