"""Change streams on the wire: what a client waits for, and what it is told in the end."""

from __future__ import annotations

import pymongo
import pytest
from pymongo.errors import OperationFailure
from simulating import simulation_of

from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.simulation import governor


@pytest.fixture(scope="module")
def client():
    endpoints = Endpoints()
    with pymongo.MongoClient(endpoints.uri) as client:
        yield client
    endpoints.stop()


@pytest.fixture
def orders(client):
    client.drop_database("shop")
    client.shop.create_collection("orders")
    return client.shop.orders


def test_an_event_that_becomes_due_costs_simulated_time_only(orders):
    simulation = simulation_of(lag="2s,2s", read_preference="primary")
    with governor.govern(simulation), orders.watch(max_await_time_ms=5_000) as stream:
        orders.with_options(write_concern=pymongo.WriteConcern(1)).insert_one({"_id": 7})
        before_us = simulation.replica_set.clock.now_us
        assert next(stream)["documentKey"] == {"_id": 7}
        assert simulation.replica_set.clock.now_us - before_us >= 1_990_000


@pytest.mark.slow
def test_waiting_for_what_never_comes_ends_with_an_error_that_says_so(orders):
    simulation = simulation_of(lag="inf,inf", read_preference="primary")
    with governor.govern(simulation), orders.watch() as stream:
        orders.with_options(write_concern=pymongo.WriteConcern(1)).insert_one({"_id": 7})
        with pytest.raises(OperationFailure, match="secondary-1 has lag inf") as failure:
            next(stream)
        assert failure.value.code == 96
        assert "or poll with try_next() a stream that was opened with max_await_time_ms" in str(
            failure.value
        )


def test_a_stream_that_is_polled_outlasts_a_pause_of_its_member(orders):
    simulation = simulation_of(lag="0", read_preference="primary")
    with governor.govern(simulation):
        simulation.replica_set.pause(["secondary-1", "secondary-2"])
        with orders.watch(max_await_time_ms=20) as stream:
            orders.with_options(write_concern=pymongo.WriteConcern(1)).insert_one({"_id": 7})
            assert [stream.try_next() for _ in range(5)] == [None] * 5
            simulation.replica_set.resume(["secondary-1"])
            assert stream.try_next()["documentKey"] == {"_id": 7}


@pytest.mark.slow
def test_asking_in_vain_takes_no_simulated_time(orders):
    simulation = simulation_of(lag="200ms")
    with governor.govern(simulation), orders.watch(max_await_time_ms=100) as stream:
        before_us = simulation.replica_set.clock.now_us
        assert stream.try_next() is None
        assert simulation.replica_set.clock.now_us == before_us
