"""The same scenarios on a real replica set and on the simulated one: the same observations.

Where a scenario holds a member back, the real set does so by a fail point. What the two engines
word differently (mongomock's own messages) is not noted; codes, names and documents are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("mirakuru", reason="the real replica set runs in: tox run -e replica-set")

from deployments import SECONDARIES, Deployment, InProcess, OnTheWire, observed, on
from limits import MONGOD, meets_limit
from pymongo import DeleteOne, InsertOne, ReadPreference, UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Nearest, PrimaryPreferred, Secondary, SecondaryPreferred
from pymongo.write_concern import WriteConcern

Scenario = Callable[[Deployment], Any]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_the_simulated_set_shows_what_the_real_one_shows(run, real_set, wire_client, mongod_client):
    with real_set.scenario() as deployment:
        real = list(run(deployment))
    with InProcess().scenario() as deployment:
        in_process = list(run(deployment))
    with OnTheWire(wire_client).scenario() as deployment:
        on_the_wire = list(run(deployment))
    with OnTheWire(mongod_client).scenario() as deployment:
        on_mongod = list(run(deployment))
    assert in_process == real
    assert on_the_wire == real
    assert on_mongod == real or meets_limit(MONGOD, run.__name__)


@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_a_real_set_that_lags_as_the_simulation_says_shows_the_same(
    run, real_set, replica_set_client
):
    with real_set.scenario() as deployment:
        real = list(run(deployment))
    with OnTheWire(replica_set_client).scenario() as deployment:
        assert list(run(deployment)) == real


def seeded(d: Deployment) -> Any:
    d.collection().insert_many([{"_id": n, "x": n} for n in range(3)])
    d.settle()
    return d.collection()


def everywhere(d: Deployment, level: str | None = None, name: str = "c") -> list[Any]:
    """The collection as each member shows it."""
    return [
        observed(lambda m=member: d.collection(name, member=m, level=level).find(sort=[("_id", 1)]))
        for member in ("primary", *SECONDARIES)
    ]


@scenario
def a_held_secondary_serves_old_data(d):
    c = seeded(d)
    d.hold("secondary-2")
    c.update_one({"_id": 1}, {"$set": {"x": 10}})
    c.insert_one({"_id": 9})
    c.delete_one({"_id": 0})
    d.settle()
    yield everywhere(d)
    d.release()
    yield everywhere(d)


@scenario
def read_concern_majority_shows_the_commit_point(d):
    c = d.collection(w=1)
    seeded(d)
    d.hold("secondary-1", "secondary-2")
    c.insert_one({"_id": "w1"})
    yield everywhere(d, "majority")
    yield everywhere(d, "local")
    yield everywhere(d, "available")
    d.release()
    yield everywhere(d, "majority")


@scenario
def read_concern_majority_on_a_held_minority(d):
    seeded(d)
    d.hold("secondary-2")
    d.collection(w="majority").insert_one({"_id": "m"})
    d.settle()
    yield everywhere(d, "majority")


@scenario
def a_majority_waits_for_a_collection_that_is_new(d):
    """What a majority has committed does not make a collection an absent one."""
    seeded(d)
    d.collection("emptied").insert_one({"_id": 1})
    d.collection("emptied").delete_many({})
    d.settle()
    d.hold(*SECONDARIES)
    for name in ("c", "new", "emptied"):
        d.collection(name, w=1).insert_one({"_id": 9})
    for name in ("c", "new", "emptied", "absent"):
        for member in ("primary", "secondary-1"):
            view = d.collection(name, member=member, level="majority")
            old = d.collection(member=member, level="majority")
            lookup = {"from": name, "localField": "_id", "foreignField": "_id", "as": "found"}
            yield told(lambda: list(view.find().max_time_ms(60)))  # noqa: B023
            yield told(lambda: view.count_documents({}, maxTimeMS=60))  # noqa: B023
            yield told(lambda: view.estimated_document_count(maxTimeMS=60))  # noqa: B023
            yield told(lambda: list(old.aggregate([{"$lookup": lookup}])))  # noqa: B023
        view = d.collection(name, member="secondary-1", level="majority")
        yield observed(lambda: view.find(sort=[("_id", 1)]))  # noqa: B023
    yield d.collection(level="majority").estimated_document_count()
    yield d.collection("emptied", level="majority").estimated_document_count(maxTimeMS=60)
    d.release()
    d.settle()
    yield list(d.collection("new", level="majority").find())


@scenario
def counts_distinct_and_aggregate_on_a_held_secondary(d):
    c = seeded(d)
    d.hold("secondary-2")
    c.insert_one({"_id": 9, "x": 9})
    d.settle()
    for member in ("primary", *SECONDARIES):
        view = d.collection(member=member)
        yield view.count_documents({}), view.estimated_document_count()
        yield sorted(view.distinct("x"))
        yield list(view.aggregate([{"$group": {"_id": None, "sum": {"$sum": "$x"}}}]))


@scenario
def metadata_commands_go_to_the_primary(d):
    seeded(d)
    d.hold("secondary-2")
    d.database.create_collection("new")
    d.settle()
    view = d.database.with_options(read_preference=on("secondary-2"))
    yield sorted(view.list_collection_names())
    yield sorted(view.c.index_information())


@scenario
def a_dropped_collection_lives_on_a_held_secondary(d):
    c = seeded(d)
    d.hold("secondary-2")
    c.drop()
    d.settle()
    yield everywhere(d)
    d.collection().insert_one({"_id": "again"})
    d.settle()
    yield everywhere(d)


@scenario
def a_renamed_collection_keeps_its_name_on_a_held_secondary(d):
    c = seeded(d)
    d.hold("secondary-2")
    c.rename("d")
    d.settle()
    yield everywhere(d, name="c")
    yield everywhere(d, name="d")


@scenario
def lookup_reads_both_collections_at_one_optime(d):
    d.collection("a").insert_one({"_id": 1, "ref": 1})
    d.collection("b").insert_one({"_id": 1, "v": "old"})
    d.settle()
    d.hold("secondary-2")
    d.collection("b").update_one({"_id": 1}, {"$set": {"v": "new"}})
    d.collection("a").insert_one({"_id": 2, "ref": 1})
    d.settle()
    lookup = {"from": "b", "localField": "ref", "foreignField": "_id", "as": "found"}
    for member in ("primary", *SECONDARIES):
        yield list(d.collection("a", member=member).aggregate([{"$lookup": lookup}]))


@scenario
def wtimeout_leaves_the_write(d):
    seeded(d)
    d.hold("secondary-2")
    c = d.collection(w=3, wtimeout=50)
    yield observed(lambda: c.insert_one({"_id": "w3"}))
    yield observed(lambda: c.update_one({"_id": 1}, {"$inc": {"x": 1}}))
    yield observed(lambda: c.delete_one({"_id": 2}))
    yield observed(lambda: c.find_one_and_update({"_id": 0}, {"$set": {"x": 5}}))
    yield observed(lambda: c.update_one({"_id": "none"}, {"$set": {"x": 5}}))
    yield everywhere(d)[0]


@scenario
def wtimeout_in_bulk_is_told_for_each_command(d):
    seeded(d)
    d.hold("secondary-2")
    c = d.collection(w=3, wtimeout=50)
    yield observed(lambda: c.insert_many([{"_id": "a"}, {"_id": "b"}]))
    requests = [InsertOne({"_id": "c"}), UpdateOne({"_id": 1}, {"$set": {"x": 7}})]
    yield observed(lambda: c.bulk_write([*requests, InsertOne({"_id": "d"})]))
    yield everywhere(d)[0]


@scenario
def each_command_of_a_bulk_write_is_waited_for_before_the_next(d):
    seeded(d)
    d.hold("secondary-2")
    c = d.collection(w=3, wtimeout=50)
    nothing, something = DeleteOne({"_id": "none"}), InsertOne({"_id": "a"})
    yield observed(lambda: c.bulk_write([nothing, something, nothing]))
    refused = [UpdateOne({"_id": 1}, {"$set": {"x": 7}}), InsertOne({"_id": 1}), nothing]
    yield observed(lambda: c.bulk_write(refused))
    upserting = UpdateOne({"_id": "u"}, {"$set": {"x": 1}}, upsert=True)
    one = d.collection(w=1)
    yield observed(lambda: one.bulk_write([nothing, nothing, upserting]).bulk_api_result)
    yield everywhere(d)[0]


@scenario
def majority_write_times_out_without_a_majority(d):
    seeded(d)
    d.hold("secondary-1", "secondary-2")
    c = d.collection(w="majority", wtimeout=50)
    yield observed(lambda: c.insert_one({"_id": "m"}))
    yield observed(lambda: d.collection(w=2, wtimeout=50).insert_one({"_id": "n"}))
    yield observed(lambda: d.collection(w=1).insert_one({"_id": "o"}).acknowledged)
    yield everywhere(d)[0]


@scenario
def impossible_write_concerns(d):
    seeded(d)
    yield observed(lambda: d.collection(w=5).insert_one({"_id": "w5"}))
    yield observed(lambda: d.collection(w="nosuchmode").insert_one({"_id": "mode"}))
    yield observed(lambda: d.collection(w=5).insert_many([{"_id": "many"}]))
    yield observed(lambda: d.collection(w=51).insert_one({"_id": "w51"}))
    yield everywhere(d)[0]


@scenario
def unacknowledged_writes(d):
    seeded(d)
    c = d.collection(w=0)
    yield c.insert_one({"_id": "w0"}).acknowledged
    yield c.update_one({"_id": 1}, {"$set": {"x": 3}}).acknowledged
    d.settle()
    yield everywhere(d)[0]
    with d.client.start_session() as session:
        yield observed(lambda: c.insert_one({"_id": "s"}, session=session))


@scenario
def duplicate_key_waits_but_tells_the_duplicate(d):
    seeded(d)
    d.hold("secondary-2")
    c = d.collection(w=3, wtimeout=50)
    try:
        c.insert_one({"_id": 1})
    except DuplicateKeyError as error:
        yield type(error).__name__, error.code


@scenario
def causal_session_reads_its_write(d):
    seeded(d)
    with d.client.start_session() as session:
        yield session.operation_time
        d.collection(w=1).insert_one({"_id": "mine"}, session=session)
        yield session.operation_time is not None
        for member in SECONDARIES:
            yield d.collection(member=member).find_one({"_id": "mine"}, session=session)


@scenario
def causal_session_times_out_on_a_held_secondary(d):
    seeded(d)
    d.hold("secondary-2")
    with d.client.start_session() as session:
        d.collection(w=1).insert_one({"_id": "mine"}, session=session)
        held = d.collection(member="secondary-2")
        kind, code, details = observed(
            lambda: list(held.find({"_id": "mine"}, session=session).max_time_ms(50))
        )
        yield kind, code, details["codeName"]
        yield d.collection(member="secondary-1").find_one({"_id": "mine"}, session=session)
        kind, code, details = observed(
            lambda: held.count_documents({}, session=session, maxTimeMS=50)
        )
        yield kind, code, details["codeName"]


def refused(d: Deployment, level: str | None, name: str, session: Any) -> Any:
    """A read of the primary that runs into its time limit, or that the server does not take."""
    view = d.collection(name, level=level)
    if level == "majority":
        return told(lambda: list(view.find(session=session).max_time_ms(50)))
    return told(lambda: view.find_one({"$bad": 1}, session=session))[0]


@scenario
def a_session_takes_over_the_time_of_a_refusal(d):
    """That of a read with read concern majority is what a majority has."""
    c = seeded(d)
    for lacks_commit in (False, True):
        for level in ("majority", None):
            name = f"new{lacks_commit}{level}"
            d.release()
            d.settle()
            if lacks_commit:
                d.hold("secondary-2")
                c.update_one({"_id": 1}, {"$inc": {"x": 1}})
            d.hold(*SECONDARIES)
            d.collection(name, w=1).insert_one({"_id": 1})
            held = d.collection(member="secondary-2")
            with d.client.start_session() as session:
                yield refused(d, level, name, session)
                yield session.operation_time is not None
                yield told(lambda: list(held.find(session=session).max_time_ms(50)))  # noqa: B023


@scenario
def session_without_causal_consistency_reads_old_data(d):
    seeded(d)
    d.hold("secondary-2")
    with d.client.start_session(causal_consistency=False) as session:
        d.collection(w=1).insert_one({"_id": "mine"}, session=session)
        yield d.collection(member="secondary-2").find_one({"_id": "mine"}, session=session)
        yield session.operation_time is not None


@scenario
def a_session_handed_over_reads_the_others_write(d):
    seeded(d)
    d.hold("secondary-2")
    with d.client.start_session() as one, d.client.start_session() as other:
        d.collection(w=1).insert_one({"_id": "mine"}, session=one)
        other.advance_cluster_time(one.cluster_time)
        yield d.collection(member="secondary-2").find_one({"_id": "mine"}, session=other)
        other.advance_operation_time(one.operation_time)
        held = d.collection(member="secondary-2")
        kind, code, _ = observed(
            lambda: list(held.find({"_id": "mine"}, session=other).max_time_ms(50))
        )
        yield kind, code


@scenario
def snapshot_session_reads_one_moment(d):
    c = seeded(d)
    with d.client.start_session(snapshot=True) as session:
        yield list(c.find(session=session, sort=[("_id", 1)]))
        c.insert_one({"_id": "later"})
        d.settle()
        yield list(c.find(session=session, sort=[("_id", 1)]))
        yield sorted(c.distinct("_id", session=session))
        kind, code, details = observed(lambda: c.insert_one({"_id": "no"}, session=session))
        yield kind, code, details["codeName"]
    yield c.count_documents({})


@scenario
def a_find_of_an_absent_collection_takes_no_snapshot(d):
    c = seeded(d)
    reads: list[Callable[[Any, Any], Any]] = [
        lambda c, s: c.find_one(session=s),
        lambda c, s: list(c.find(session=s)),
        lambda c, s: c.count_documents({}, session=s),
        lambda c, s: c.distinct("x", session=s),
        lambda c, s: list(c.aggregate([{"$match": {}}], session=s)),
    ]
    d.collection("emptied").insert_one({"_id": 1})
    d.collection("emptied").delete_many({})
    d.settle()
    for number, read in enumerate(reads):
        for name in ("absent", "emptied"):
            with d.client.start_session(snapshot=True) as session:
                yield read(d.collection(name), session)
                c.insert_one({"_id": f"{name} {number}"})
                d.settle()
                yield c.count_documents({}, session=session)


@scenario
def snapshot_of_a_collection_that_came_later(d):
    c = seeded(d)
    with d.client.start_session(snapshot=True) as session:
        list(c.find(session=session))
        d.collection("young").insert_one({"_id": 1})
        d.settle()
        kind, code, details = observed(lambda: list(d.collection("young").find(session=session)))
        yield kind, code, details["codeName"]
        c.drop()
        d.settle()
        yield observed(lambda: list(c.find(session=session)))


@scenario
def snapshot_of_a_collection_that_was_empty(d):
    c = seeded(d)
    for keep_indexes in (False, True):
        emptied = d.collection(f"emptied{keep_indexes}")
        emptied.insert_one({"_id": 1})
        if keep_indexes:
            emptied.create_index("x")
        emptied.delete_many({})
        d.settle()
        with d.client.start_session(snapshot=True) as session:
            list(c.find(session=session))
            emptied.insert_one({"_id": 2})
            d.settle()
            yield observed(lambda: list(emptied.find(session=session)))  # noqa: B023
            yield observed(lambda: emptied.count_documents({}, session=session))  # noqa: B023


@scenario
def snapshot_joins_with_a_collection_that_came_later(d):
    c = seeded(d)
    lookup = {"from": "young", "localField": "x", "foreignField": "_id", "as": "f"}
    pipeline = [{"$lookup": lookup}, {"$sort": {"_id": 1}}]
    for member in ("primary", "secondary-1"):
        d.release()
        d.collection("young").drop()
        d.settle()
        with d.client.start_session(snapshot=True) as session:
            list(c.find(session=session))
            d.hold("secondary-1", "secondary-2")
            d.collection("young", w=1).insert_one({"_id": 1})
            held = d.collection(member=member)
            told = observed(lambda: list(held.aggregate(pipeline, session=session)))  # noqa: B023
            yield told[:2] if isinstance(told, tuple) else told


@scenario
def linearizable_reads(d):
    seeded(d)
    yield observed(lambda: list(d.collection(level="linearizable").find(sort=[("_id", 1)])))
    yield observed(
        lambda: d.collection(member="secondary-1", level="linearizable").find_one({"_id": 1})
    )
    d.hold("secondary-1", "secondary-2")
    kind, code, details = observed(
        lambda: list(d.collection(level="linearizable").find().max_time_ms(50))
    )
    yield kind, code, details["codeName"]


@scenario
def a_causal_session_waits_for_the_no_op_of_a_linearizable_read(d):
    seeded(d)
    nothing = {"_id": "none"}
    for reads in (1, 2):
        d.hold("secondary-1")
        for _ in range(reads):
            yield observed(lambda: d.collection(level="linearizable").find_one({"_id": 1}))
        with d.client.start_session(causal_consistency=True) as s:
            d.collection(w=1).update_one(nothing, {"$set": {"x": 1}}, session=s)
            c = d.collection(member="secondary-1")
            yield observed(lambda: list(c.find(nothing, session=s).max_time_ms(50)))[:2]  # noqa: B023
        d.release()
        d.settle()
    d.hold("secondary-1", "secondary-2")
    with d.client.start_session(causal_consistency=True) as s:
        slow = d.collection(level="linearizable")
        yield observed(lambda: list(slow.find().max_time_ms(50)))[:2]
        d.collection(w=1).update_one(nothing, {"$set": {"x": 1}}, session=s)
        c = d.collection(member="secondary-1")
        yield observed(lambda: list(c.find(nothing, session=s).max_time_ms(50)))[:2]


@scenario
def read_concerns_that_do_not_go_together(d):
    seeded(d)
    with d.client.start_session() as session:
        d.collection(w=1).insert_one({"_id": "mine"}, session=session)
        for level in ("available", "linearizable", "bogus"):
            yield observed(lambda: d.collection(level=level).find_one({}, session=session))  # noqa: B023


@scenario
def tag_sets_and_max_staleness(d):
    c = seeded(d)
    for preference in (
        Secondary(tag_sets=[{"member": "secondary-1"}]),
        Secondary(tag_sets=[{"no": "such"}, {}]),
        SecondaryPreferred(tag_sets=[{"no": "such"}]),
        PrimaryPreferred(),
        Nearest(tag_sets=[{"member": "primary"}]),
        Secondary(max_staleness=90),
        Secondary(max_staleness=30),
        Secondary(max_staleness=1),
    ):
        yield observed(
            lambda: c.with_options(read_preference=preference).count_documents({})  # noqa: B023
        )


@scenario
def a_write_ignores_the_read_preference(d):
    c = seeded(d).with_options(read_preference=ReadPreference.SECONDARY)
    yield c.insert_one({"_id": "w"}).inserted_id
    yield c.find_one_and_update({"_id": 1}, {"$set": {"x": 8}})
    d.settle()
    yield everywhere(d)


@scenario
def out_runs_on_the_primary(d):
    c = seeded(d)
    d.hold("secondary-2")
    c.insert_one({"_id": "new"})
    d.settle()
    held = d.collection(member="secondary-2")
    held.with_options(read_preference=ReadPreference.PRIMARY).aggregate([{"$out": "copy"}])
    d.settle()
    yield everywhere(d, name="copy")


@scenario
def options_are_inherited(d):
    seeded(d)
    d.hold("secondary-2")
    database = d.client.get_database(
        d.database.name,
        read_preference=on("secondary-2"),
        write_concern=WriteConcern(w=1),
        read_concern=ReadConcern("local"),
    )
    database.c.insert_one({"_id": "w"})
    yield database.c.find_one({"_id": "w"})
    primary = database.c.with_options(read_preference=ReadPreference.PRIMARY)
    yield primary.find_one({"_id": "w"})


def told(operation: Callable[[], Any]) -> Any:
    """Of an error its class, code, name and labels; its text may hold times and numbers."""
    try:
        operation()
    except PyMongoError as error:
        details = getattr(error, "details", None) or {}
        labels = [label for label in LABELS if error.has_error_label(label)]
        return type(error).__name__, getattr(error, "code", None), details.get("codeName"), labels
    return "no error"


LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult")


@scenario
def a_transaction_is_seen_all_or_nothing(d):
    c = seeded(d)
    d.collection("other").insert_one({"_id": 0})
    d.settle()
    d.hold("secondary-2")
    with d.client.start_session() as session, session.start_transaction():
        c.insert_one({"_id": 9}, session=session)
        c.update_many({"_id": {"$lt": 2}}, {"$inc": {"x": 10}}, session=session)
        c.delete_one({"_id": 2}, session=session)
        d.collection("other").insert_one({"_id": 1}, session=session)
        yield list(c.find(session=session, sort=[("_id", 1)]))
        yield c.count_documents({}, session=session), sorted(c.distinct("x", session=session))
        yield everywhere(d)
    d.settle()
    yield everywhere(d)
    yield everywhere(d, name="other")
    d.release()
    yield everywhere(d)


@scenario
def an_aborted_transaction_leaves_nothing(d):
    c = seeded(d)
    with d.client.start_session() as session:
        session.start_transaction()
        c.delete_many({}, session=session)
        d.collection("new").insert_one({}, session=session)
        session.abort_transaction()
        session.start_transaction()
        c.delete_many({}, session=session)
    yield everywhere(d)
    yield sorted(d.database.list_collection_names())


@scenario
def a_transaction_has_no_unions_and_no_system_collections(d):
    c = seeded(d)
    views, functions = d.collection("system.views"), d.collection("system.js")
    attempts: dict[str, Callable[[Any], Any]] = {
        "union": lambda s: list(c.aggregate([{"$unionWith": "other"}], session=s)),
        "views": lambda s: views.find_one({}, session=s),
        "distinct": lambda s: views.distinct("_id", session=s),
        "insert": lambda s: functions.insert_one({"_id": 1}, session=s),
        "update": lambda s: functions.update_one({}, {"$set": {"x": 1}}, session=s),
        "find and delete": lambda s: functions.find_one_and_delete({}, session=s),
        "index": lambda s: functions.create_index("x", session=s),
    }
    for name, attempt in attempts.items():
        with d.client.start_session() as session:
            session.start_transaction()
            c.insert_one({"_id": name}, session=session)
            yield name, told(lambda: attempt(session))  # noqa: B023
            yield told(session.commit_transaction)
    yield everywhere(d)


@scenario
def a_transaction_conflicts_with_what_was_written_since(d):
    c = seeded(d)
    c.create_index("x", unique=True)
    writes: dict[str, Callable[[Any], Any]] = {
        "update": lambda s: c.update_one({"_id": 1}, {"$set": {"y": 2}}, session=s),
        "find and modify": lambda s: c.find_one_and_delete({"_id": 1}, session=s),
        "insert": lambda s: c.insert_one({"_id": 8, "x": 80}, session=s),
        "unique": lambda s: c.insert_one({"_id": 7, "x": 81}, session=s),
        "bulk": lambda s: c.bulk_write(
            [InsertOne({"_id": 6, "x": 6}), UpdateOne({"_id": 1}, {"$set": {"y": 2}})], session=s
        ),
        "duplicate": lambda s: c.insert_one({"_id": 0, "x": 82}, session=s),
        "no change": lambda s: c.update_one({"_id": 1}, {"$set": {"x": 1}}, session=s),
        "new collection": lambda s: d.collection("young").insert_one({}, session=s),
    }
    for number, (name, write) in enumerate(writes.items()):
        with d.client.start_session() as session:
            session.start_transaction()
            c.find_one({}, session=session)
            c.update_one({"_id": 1}, {"$set": {"y": 100 + number}})
            c.update_one({"_id": 0}, {"$set": {"y": 100 + number}})
            c.update_one({"_id": 8}, {"$set": {"x": 81, "y": number}}, upsert=True)
            d.collection("young").drop()
            d.collection("young").insert_one({"_id": number})
            yield name, told(lambda: write(session))  # noqa: B023
            yield told(session.commit_transaction)
        c.delete_one({"_id": 8})
    yield everywhere(d)[0]


@scenario
def two_transactions_in_each_others_way(d):
    c = seeded(d)
    new = d.collection("new")
    with d.client.start_session() as one, d.client.start_session() as other:
        for write in (
            lambda s: c.update_one({"_id": 1}, {"$inc": {"x": 1}}, session=s),
            lambda s: c.insert_one({"_id": 5}, session=s),
            lambda s: new.insert_one({}, session=s),
        ):
            one.start_transaction()
            other.start_transaction()
            yield told(lambda: write(one))  # noqa: B023
            yield told(lambda: write(other))  # noqa: B023
            yield told(one.commit_transaction)
            yield told(other.commit_transaction)
    yield everywhere(d)[0], new.count_documents({})


@scenario
def what_no_transaction_takes(d):
    c = seeded(d)
    refused: list[Callable[[Any], Any]] = [
        lambda s: c.drop(session=s),
        lambda s: c.rename("other", session=s),
        lambda s: c.drop_indexes(session=s),
        lambda s: c.index_information(session=s),
        lambda s: d.database.list_collection_names(session=s),
        lambda s: d.client.list_database_names(session=s),
        lambda s: d.client.drop_database(d.database.name, session=s),
        lambda s: d.database.command("ping", session=s),
        lambda s: d.database.command("count", "c", session=s),
        lambda s: c.create_index("x", session=s),
        lambda s: c.aggregate([{"$out": "copy"}], session=s),
        lambda s: d.client.config.c.find_one(session=s),
    ]
    for run in refused:
        with d.client.start_session() as session:
            session.start_transaction()
            c.find_one(session=session)
            kind, code, details = observed(lambda: run(session))  # noqa: B023
            yield kind, code, details["errmsg"].replace(d.database.name, "db")
            yield told(lambda: c.find_one(session=session))
            yield told(session.commit_transaction)


@scenario
def commits_and_their_write_concern(d):
    seeded(d)
    d.hold("secondary-2")
    c = d.collection()
    for concern in ({"w": 3, "wtimeout": 50}, {"w": 5}, {"w": "nosuchmode"}, {"w": 1}):
        with d.client.start_session() as session:
            session.start_transaction(write_concern=WriteConcern(**concern))
            c.insert_one({"_id": str(concern)}, session=session)
            yield observed(session.commit_transaction)
            yield told(session.commit_transaction)
            yield c.find_one({"_id": str(concern)})
    d.hold("secondary-1")
    with d.client.start_session() as session:
        session.start_transaction(max_commit_time_ms=100)
        c.find_one(session=session)
        yield told(session.commit_transaction)


@scenario
def the_commit_of_an_aborted_transaction_waits_for_its_write_concern(d):
    c = seeded(d)
    d.hold("secondary-2")
    for concern in ({"w": 3, "wtimeout": 50}, {"w": 5}, {"w": "nosuchmode"}, {"w": 1}):
        with d.client.start_session() as session:
            session.start_transaction(write_concern=WriteConcern(**concern))
            yield told(lambda: c.insert_one({"_id": 1}, session=session))
            yield told(session.commit_transaction)
            yield told(session.commit_transaction)


@scenario
def the_end_of_an_unknown_transaction_is_in_the_oplog(d):
    c = seeded(d)
    d.hold("secondary-2")
    with d.client.start_session() as session:
        session.start_transaction()
        yield told(lambda: c.insert_one({"_id": 1}, session=session))
        yield observed(lambda: d.collection(w=3, wtimeout=50).delete_one({"_id": 9}).deleted_count)
        session.abort_transaction()
        yield told(lambda: d.collection(w=3, wtimeout=50).delete_one({"_id": 9}))


@scenario
def a_collection_that_a_transaction_creates_is_there_for_the_next(d):
    c = seeded(d)
    with d.client.start_session() as session:
        with session.start_transaction():
            c.update_one({"_id": 1}, {"$set": {"x": 5}}, session=session)
            d.collection("new").insert_one({"_id": 1}, session=session)
        with session.start_transaction():
            yield list(d.collection("new").find(session=session))
            d.collection("new").update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
    d.settle()
    yield everywhere(d, name="new")


@scenario
def a_transaction_runs_again_until_it_works(d):
    c = seeded(d)
    runs = []

    def add(session: Any) -> str:
        x = c.find_one({"_id": 1}, session=session)["x"]
        if not runs:
            c.update_one({"_id": 1}, {"$inc": {"x": 10}})
        runs.append(x)
        c.update_one({"_id": 1}, {"$set": {"x": x + 1}}, session=session)
        return "done"

    with d.client.start_session() as session:
        yield session.with_transaction(add), runs
    yield everywhere(d)[0]


@scenario
def calls_in_the_wrong_order_in_a_transaction(d):
    c = seeded(d)

    def call(function: Callable[[], Any]) -> Any:
        try:
            return str(function())
        except PyMongoError as error:
            return type(error).__name__, str(error)

    with d.client.start_session() as s:
        yield call(s.commit_transaction), call(s.abort_transaction)
        s.start_transaction()
        yield call(s.start_transaction), call(s.abort_transaction), call(s.abort_transaction)
        yield call(s.commit_transaction)
        s.start_transaction()
        yield call(s.commit_transaction), call(s.commit_transaction), call(s.abort_transaction)
        c.find_one(session=s)
        yield call(s.commit_transaction)
        s.start_transaction(read_preference=ReadPreference.SECONDARY)
        yield call(lambda: c.find_one(session=s))
        s.abort_transaction()
        for level in ("linearizable", "available", "bogus"):
            s.start_transaction(read_concern=ReadConcern(level))
            yield observed(lambda: c.find_one(session=s))
            s.abort_transaction()
    with d.client.start_session(snapshot=True) as s:
        yield call(s.start_transaction)
