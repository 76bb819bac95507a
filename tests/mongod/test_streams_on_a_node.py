"""Change streams before a real node: what a client waits for, and what it is told in the end."""

from __future__ import annotations

import pymongo
import pytest
from bson import Int64
from pymongo.errors import OperationFailure
from raw_connection import RawConnection, endpoint_of


def test_a_stream_that_is_polled_outlasts_a_pause_of_its_member(client, lagging):
    client.shop.create_collection("orders")
    orders = client.shop.get_collection("orders", write_concern=pymongo.WriteConcern(1))
    with lagging("0") as replica_lag:
        replica_lag.pause()
        with orders.watch(max_await_time_ms=20) as stream:
            orders.insert_one({"_id": 7})
            assert [stream.try_next() for _ in range(5)] == [None] * 5
            replica_lag.resume()
            assert stream.try_next()["documentKey"] == {"_id": 7}


@pytest.mark.slow
def test_waiting_for_what_never_comes_ends_with_an_error_that_says_so(client, lagging):
    client.shop.create_collection("orders")
    orders = client.shop.get_collection("orders", write_concern=pymongo.WriteConcern(1))
    with lagging("inf,inf"), orders.watch() as stream:
        orders.insert_one({"_id": 7})
        with pytest.raises(OperationFailure, match="secondary-1 has lag inf") as failure:
            next(stream)
        assert failure.value.code == 96


def test_a_getmore_that_is_to_wait_for_nothing_does_not(client, uri, lagging):
    with lagging("0"), RawConnection(uri, endpoint_of(uri, 0)) as raw:
        stream = {"aggregate": "orders", "pipeline": [{"$changeStream": {}}], "cursor": {}}
        get_more = {"getMore": Int64(raw.run(stream)["cursor"]["id"]), "collection": "orders"}
        assert raw.run({**get_more, "maxTimeMS": 0})["cursor"]["nextBatch"] == []
        assert raw.run({**get_more, "maxTimeMS": "x"})["code"] == 2
