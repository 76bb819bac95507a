"""Many threads use one wrapped client at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import mongomock
import pytest
from pymongo import InsertOne, ReadPreference, UpdateOne
from simulating import lagging

from pytest_replicalag.clients import wrap

THREADS = 16
OPERATIONS = 500


def _in_threads(work: Callable[[int], None]) -> list[BaseException]:
    """Run `work(number)` in all threads at once; returns what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def _mixed(client: Any, number: int) -> None:
    """500 operations on shared collections; the writes can all be counted afterwards."""
    items = client.shop.items
    lagging_items = client.shop.get_collection("items", read_preference=ReadPreference.SECONDARY)
    for turn in range(OPERATIONS // 10):
        key = f"{number}-{turn}"
        items.insert_one({"_id": key, "owner": number, "n": 0})
        client.shop.counters.update_one({"_id": "all"}, {"$inc": {"n": 1}}, upsert=turn == 0)
        items.update_one({"_id": key}, {"$inc": {"n": 1}})
        lagging_items.find_one({"_id": key})
        assert items.find_one({"_id": key})["n"] == 1
        lagging_items.count_documents({"owner": number})
        client.shop.counters.find_one_and_update({"_id": "all"}, {"$inc": {"m": 1}})
        items.bulk_write(
            [
                InsertOne({"_id": f"{key}-b", "n": 0}),
                UpdateOne({"_id": f"{key}-b"}, {"$inc": {"n": 1}}),
            ]
        )
        list(lagging_items.aggregate([{"$match": {"_id": key}}, {"$limit": 1}]))
        items.delete_one({"_id": f"{number}-{turn - 1}-b"})


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns often, so that what is not protected shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.parametrize("lag", [None, "0..20ms,5ms"])
@pytest.mark.usefixtures("quick_switches")
def test_16_threads_of_500_operations_lose_no_write_and_raise_nothing(lag):
    client = wrap(mongomock.MongoClient())
    client.shop.counters.insert_one({"_id": "all", "n": 0, "m": 0})
    settings = {"lag": lag, "write_concern": "1", "read_preference": "primary"}
    with nullcontext() if lag is None else lagging(client, **settings) as running:
        raised = _in_threads(lambda number: _mixed(client, number))
    assert raised == []
    turns = THREADS * OPERATIONS // 10
    assert client.shop.counters.find_one({"_id": "all"}) == {"_id": "all", "n": turns, "m": turns}
    documents = list(client.shop.items.find())
    assert len(documents) == turns + THREADS  # all but the last of each thread's second documents
    assert {document["n"] for document in documents} == {1}
    if lag is not None:
        # One entry for each change: 7 in each turn, less the deletes that found nothing.
        assert running.simulation.replica_set.oplog.last == turns * 7 - THREADS
        running.control.catch_up()
        with lagging(client, lag="0") as caught_up:
            assert len(list(caught_up.client.shop.items.find())) == len(documents)
