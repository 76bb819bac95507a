"""Change streams of wrapped clients: what a stream shows, when, and how it waits."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import mongomock
import pytest
from pymongo import ReadPreference
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Secondary
from simulating import lagging, simulation_of

from pytest_replicalag import EndlessWaitError, wrap
from pytest_replicalag.simulation import governor


def libraries() -> list[Any]:
    try:
        import mongomock_ng
    except ImportError:
        return [mongomock]
    return [mongomock, mongomock_ng]


@pytest.fixture(params=libraries(), ids=lambda library: library.__name__)
def bare(request):
    return request.param.MongoClient()


def on(member: str) -> Any:
    return Secondary(tag_sets=[{"member": member}])


def kinds(stream: Any) -> list[str]:
    """What there is to see without waiting for more."""
    found = []
    while (event := stream.try_next()) is not None:
        found.append(event["operationType"])
    return found


def test_a_stream_shows_what_happens(bare):
    with lagging(bare, lag="0") as set_, set_.client.shop.orders.watch() as stream:
        orders = set_.client.shop.orders
        orders.insert_one({"_id": 1, "n": 1})
        orders.update_one({"_id": 1}, {"$inc": {"n": 1}})
        orders.delete_one({"_id": 1})
        event = stream.next()
        assert event["operationType"] == "insert"
        assert event["fullDocument"] == {"_id": 1, "n": 1}
        assert event["ns"] == {"db": "shop", "coll": "orders"}
        assert [next(stream)["operationType"] for _ in range(2)] == ["update", "delete"]
        assert stream.try_next() is None
        assert stream.alive
    assert not stream.alive
    assert stream.try_next() is None
    assert list(stream) == []


@pytest.mark.parametrize("scope", ["collection", "database", "client"])
def test_what_is_watched(bare, scope):
    with lagging(bare, lag="0") as set_:
        client = set_.client
        targets = {"collection": client.a.x, "database": client.a, "client": client}
        stream = targets[scope].watch()
        client.a.x.insert_one({"_id": 1})
        client.a.y.insert_one({"_id": 2})
        client.b.x.insert_one({"_id": 3})
        seen = {"collection": 1, "database": 2, "client": 3}
        assert len(kinds(stream)) == seen[scope]


def test_a_stream_on_a_lagging_member_lags(bare):
    with lagging(bare, lag="0,200ms") as set_:
        orders = set_.client.shop.orders
        fast = orders.with_options(read_preference=ReadPreference.PRIMARY).watch()
        slow = orders.with_options(read_preference=on("secondary-2")).watch()
        orders.insert_one({"_id": 1})
        written_us = set_.simulation.replica_set.clock.now_us
        assert fast.try_next()["documentKey"] == {"_id": 1}
        assert set_.simulation.replica_set.clock.now_us < written_us + 100_000
        # The wait moves simulated time to when the member has it, and no further.
        assert slow.try_next()["documentKey"] == {"_id": 1}
        assert set_.simulation.replica_set.clock.now_us == written_us + 200_000


def test_try_next_waits_no_longer_than_asked(bare):
    with lagging(bare, lag="0,5s") as set_:
        orders = set_.client.shop.orders
        slow = orders.with_options(read_preference=on("secondary-2"))
        brief, usual = slow.watch(max_await_time_ms=100), slow.watch()
        orders.insert_one({"_id": 1})
        clock = set_.simulation.replica_set.clock
        for stream, wait_ms in ((brief, 100), (usual, 1_000)):
            before_us = clock.now_us
            assert stream.try_next() is None
            assert clock.now_us == before_us + wait_ms * 1_000 + 1_000  # and the round trip
        assert next(brief)["documentKey"] == {"_id": 1}


def test_a_change_is_shown_when_a_majority_has_it(bare):
    with lagging(bare, lag="300ms,300ms") as set_:
        orders = set_.client.shop.get_collection("orders", read_preference=ReadPreference.PRIMARY)
        stream = orders.watch(max_await_time_ms=100)
        set_.client.shop.get_collection("orders").insert_one({"_id": 1})  # majority: it has waited
        assert stream.try_next() is not None
        set_.control.pause()
        written = orders.with_options(write_concern=mongomock_write_concern(1))
        written.insert_one({"_id": 2})
        assert stream.try_next() is None
        set_.control.resume()
        set_.control.advance("300ms")
        assert stream.try_next()["documentKey"] == {"_id": 2}


def mongomock_write_concern(w: int) -> Any:
    from pymongo.write_concern import WriteConcern

    return WriteConcern(w=w)


def test_a_change_that_can_never_be_shown(bare):
    with lagging(bare, lag="0,inf") as set_:
        orders = set_.client.shop.orders
        stream = orders.with_options(read_preference=on("secondary-2")).watch()
        orders.insert_one({"_id": 1})
        assert stream.try_next() is None
        with pytest.raises(EndlessWaitError, match=r"secondary-2 has lag inf") as caught:
            stream.next()
        assert "next() of a change stream on secondary-2 would wait for ever" in str(caught.value)
        set_.control.catch_up()
        assert stream.next()["documentKey"] == {"_id": 1}


def test_a_change_that_nobody_makes(bare):
    with lagging(bare, lag="0") as set_, set_.client.shop.watch() as stream:
        if threading.active_count() == 1:
            with pytest.raises(EndlessWaitError, match="there is no other thread"):
                stream.next()
        else:
            assert stream.try_next() is None


def test_next_waits_for_another_thread(bare):
    with lagging(bare, lag="0,200ms") as set_:
        orders = set_.client.shop.orders
        stream = orders.with_options(read_preference=on("secondary-2")).watch(
            [{"$match": {"operationType": "delete"}}]
        )
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.extend(stream))
        reader.start()
        orders.insert_one({"_id": 1})
        orders.delete_one({"_id": 1})
        orders.drop()  # the invalidation does not match, but ends the stream
        reader.join(timeout=30)
        assert not reader.is_alive()
        assert [event["documentKey"] for event in found] == [{"_id": 1}]
        assert not stream.alive


def test_closing_ends_the_wait_of_another_thread(bare):
    with lagging(bare, lag="0") as set_:
        stream = set_.client.shop.watch()
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.extend(stream))
        reader.start()
        stream.close()
        reader.join(timeout=30)
        assert not reader.is_alive()
        assert found == []


def test_a_stream_stays_on_its_member(bare):
    with lagging(bare, lag="0,inf", choose="alternate", read_preference="secondary") as set_:
        streams = [set_.client.shop.watch() for _ in range(2)]
        set_.client.shop.orders.insert_one({"_id": 1})
        shown = [[bool(stream.try_next()) for stream in streams] for _ in range(2)]
        assert sorted(shown[0]) == [False, True]
        assert shown[1] == [False, False]


def test_resuming(bare):
    with lagging(bare, lag="0") as set_:
        orders = set_.client.shop.orders
        first = orders.watch()
        for n in range(4):
            orders.insert_one({"_id": n})
        token = first.next()["_id"]
        assert first.resume_token == token
        assert [each["documentKey"]["_id"] for each in _take(orders.watch(resume_after=token), 3)]
        second = orders.watch(start_after=token)
        assert [event["documentKey"]["_id"] for event in _take(second, 3)] == [1, 2, 3]
        assert second.try_next() is None
        set_.client.shop.others.insert_one({"_id": "elsewhere"})
        assert second.try_next() is None
        last = second.resume_token
        assert last["_data"] > token["_data"]
        orders.insert_one({"_id": 9})
        [event] = _take(orders.watch(resume_after=last), 1)
        assert event["documentKey"] == {"_id": 9}


def _take(stream: Any, count: int) -> list[Any]:
    return [stream.try_next() for _ in range(count)]


def test_starting_at_a_sessions_operation_time(bare):
    with lagging(bare, lag="0") as set_, set_.client.start_session() as session:
        orders = set_.client.shop.orders
        orders.insert_one({"_id": 0}, session=session)
        orders.insert_one({"_id": 1}, session=session)
        stream = orders.watch(start_at_operation_time=session.operation_time)
        orders.insert_one({"_id": 2})
        assert [event["documentKey"]["_id"] for event in _take(stream, 2)] == [1, 2]


def test_a_causal_session_waits_for_its_write(bare):
    with lagging(bare, lag="0,200ms") as set_, set_.client.start_session() as session:
        orders = set_.client.shop.orders
        orders.insert_one({"_id": 0}, session=session)
        slow = orders.with_options(read_preference=on("secondary-2"))
        stream = slow.watch(session=session)
        orders.insert_one({"_id": 1})
        before = session.operation_time
        assert stream.next()["documentKey"] == {"_id": 1}
        assert session.operation_time > before


def test_without_a_session_a_stream_starts_where_its_member_is(bare):
    with lagging(bare, lag="0,200ms") as set_:
        orders = set_.client.shop.orders
        orders.watch().close()  # changes are kept from the first stream on
        orders.insert_one({"_id": "before"})
        stream = orders.with_options(read_preference=on("secondary-2")).watch()
        assert stream.next()["documentKey"] == {"_id": "before"}


def test_a_transaction_is_shown_as_a_whole(bare):
    with lagging(bare, lag="0,200ms") as set_, set_.client.start_session() as session:
        shop = set_.client.shop
        stream = shop.with_options(read_preference=on("secondary-2")).watch()
        with session.start_transaction():
            shop.orders.insert_one({"_id": 1}, session=session)
            shop.orders.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session)
            shop.stock.insert_one({"_id": 2}, session=session)
            assert stream.try_next() is None
        shown = [stream.next() for _ in range(3)]
        assert [event["operationType"] for event in shown] == ["insert", "update", "insert"]
        assert {event["txnNumber"] for event in shown} == {1}
        assert {event["lsid"]["id"] for event in shown} == {session.session_id["id"]}
        assert len({event["clusterTime"] for event in shown}) == 1


def test_full_document_lags_with_the_member(bare):
    with lagging(bare, lag="0,1s") as set_:
        orders = set_.client.shop.orders
        stream = orders.with_options(read_preference=on("secondary-2")).watch(
            full_document="updateLookup"
        )
        orders.insert_one({"_id": 1})
        orders.update_one({"_id": 1}, {"$set": {"n": 1}})
        set_.control.advance("500ms")
        orders.update_one({"_id": 1}, {"$set": {"n": 2}})
        assert stream.next()["operationType"] == "insert"
        assert stream.next()["fullDocument"] == {"_id": 1, "n": 1}
        assert stream.next()["fullDocument"] == {"_id": 1, "n": 2}


def test_an_event_belongs_to_the_caller(bare):
    with lagging(bare, lag="0") as set_:
        orders = set_.client.shop.orders
        stream = orders.watch()
        orders.insert_one({"_id": 1, "tags": ["a"]})
        stream.next()["fullDocument"]["tags"].append("b")
        assert orders.find_one()["tags"] == ["a"]


@pytest.mark.parametrize("library", libraries())
def test_dates_are_as_the_client_reads_them(library):
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    with lagging(library.MongoClient(tz_aware=True), lag="0") as set_:
        orders = set_.client.shop.orders
        stream = orders.watch()
        orders.insert_one({"_id": 1, "at": moment})
        event = stream.next()
        assert event["fullDocument"]["at"] == moment
        assert event["wallTime"].tzinfo is not None
        assert event["clusterTime"].inc == 1


# -- from test to test -----------------------------------------------------------------------


def test_a_stream_lives_on_from_test_to_test(bare):
    client = wrap(bare)
    orders = client.shop.orders
    stream = orders.with_options(read_preference=on("secondary-2")).watch()
    orders.insert_one({"_id": "fixture"})
    with governor.govern(simulation_of(lag="0,200ms")):
        orders.insert_one({"_id": "one"})
    with governor.govern(simulation_of(lag="0,inf")):
        orders.insert_one({"_id": "two"})
        seen = [event["documentKey"]["_id"] for event in _take(stream, 2)]
        assert seen == ["fixture", "one"]
        assert stream.try_next() is None
    assert stream.try_next()["documentKey"] == {"_id": "two"}


def test_streams_without_a_simulation(bare):
    orders = wrap(bare).shop.orders
    stream = orders.watch()
    document = {"_id": 1, "n": 0}
    orders.insert_one(document)
    orders.update_one({"_id": 1}, {"$set": {"n": 1}})
    assert stream.try_next()["fullDocument"] == {"_id": 1, "n": 0}
    updated = stream.try_next()["updateDescription"]["updatedFields"]
    assert updated == {"n": 1}
    assert stream.try_next() is None


# -- what is refused -------------------------------------------------------------------------


def test_read_concerns_and_sessions_that_are_refused(bare):
    with lagging(bare, lag="0") as set_:
        shop = set_.client.shop
        shop.orders.insert_one({"_id": 1})
        majority = shop.get_collection("orders", read_concern=ReadConcern("majority"))
        majority.watch().close()
        local = shop.get_collection("orders", read_concern=ReadConcern("local"))
        with pytest.raises(OperationFailure, match="Current readConcern: local") as caught:
            local.watch()
        assert caught.value.code == 72
        session = set_.client.start_session(snapshot=True)
        with pytest.raises(OperationFailure, match="Current readConcern: snapshot"):
            shop.orders.watch(session=session)
        with set_.client.start_session() as session:
            session.start_transaction()
            shop.orders.insert_one({"_id": 2}, session=session)
            with pytest.raises(OperationFailure, match="cannot run within a multi-") as caught:
                shop.orders.watch(session=session)
            assert caught.value.code == 263
            with pytest.raises(OperationFailure, match="has been aborted"):
                session.commit_transaction()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pipeline": {}}, TypeError, "pipeline must be a list"),
        ({"full_document": 1}, TypeError, "Wrong type for full_document"),
        ({"batch_size": -1}, ValueError, "batchSize must be a non negative integer"),
        ({"max_await_time_ms": "1"}, TypeError, "max_await_time_ms must be an integer or None"),
        ({"full_document": "x"}, OperationFailure, "is not a valid value"),
        ({"resume_after": {"_data": "x"}}, OperationFailure, "not a valid hex string"),
        ({"pipeline": [{"$group": {"_id": 1}}]}, OperationFailure, "is not permitted"),
    ],
)
def test_arguments_that_are_refused(bare, arguments, error, message):
    with pytest.raises(error, match=message):
        wrap(bare).shop.orders.watch(**arguments)


def test_a_stream_that_cannot_go_on_is_closed(bare):
    with lagging(bare, lag="0") as set_:
        stream = set_.client.shop.orders.watch([{"$project": {"_id": 0}}])
        set_.client.shop.orders.insert_one({"_id": 1})
        with pytest.raises(OperationFailure) as caught:
            stream.next()
        assert caught.value.code == 280
        assert not stream.alive
        with pytest.raises(StopIteration):
            stream.next()
