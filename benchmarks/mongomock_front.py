"""A wrapped client against a bare one of the same library, 1,000 documents.

Run: python benchmarks/mongomock_front.py [mongomock|mongomock_ng]
"""

from __future__ import annotations

import importlib
import itertools
import sys
from typing import Any

from measure import compare, show
from pymongo import ReadPreference

from pytest_replicalag import wrap
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

NUMBERS = itertools.count(10_000)


def filled(library: Any) -> Any:
    """A client with 1,000 documents."""
    client = library.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED)
    documents = [{"_id": n, "n": n, "name": f"name {n}"} for n in range(1_000)]
    client.shop.orders.insert_many(documents)
    return client


def simulation(lag: str = "200ms") -> Simulation:
    """A simulation with that lag."""
    return Simulation(resolve([{"lag": Given(source="benchmark", value=lag)}]), "benchmark")


def insert(client: Any) -> Any:
    """Insert one document into a collection without others."""
    collection = client.shop.new
    return lambda: collection.insert_one({"_id": next(NUMBERS), "n": 1, "name": "a name"})


def find_one(client: Any) -> Any:
    """Find one document by `_id`."""
    collection = client.shop.orders
    return lambda: collection.find_one({"_id": 500})


def update(client: Any) -> Any:
    """Update one document by `_id`."""
    collection = client.shop.orders
    return lambda: collection.update_one({"_id": 500}, {"$inc": {"n": 1}})


def find_range(client: Any) -> Any:
    """Find a tenth of the documents by a field."""
    collection = client.shop.orders
    return lambda: list(collection.find({"n": {"$gte": 900}}))


def find_half(client: Any) -> Any:
    """Find half of the documents by a field."""
    collection = client.shop.orders
    return lambda: list(collection.find({"n": {"$gte": 500}}))


def rows(library: Any) -> None:
    """Print the rows for one library."""
    for title, running in (("lag off", None), ("lag 200ms", simulation())):
        bare, wrapped = filled(library), wrap(filled(library))
        with governor.govern(running):
            for name, case, calls, reach in (
                ("insert_one", insert, 400, 1.15),
                ("find_one by _id", find_one, 20, 0.1),
                ("update_one by _id", update, 20, 0.8),
            ):
                result = compare(case(wrapped), case(bare), calls=calls)
                show(f"{name}, {title}", result, reach)
        bare, wrapped = filled(library), wrap(filled(library))
        with governor.govern(running):
            for name, case in (
                ("range find, 100 found", find_range),
                ("range find, 500 found", find_half),
            ):
                result = compare(case(wrapped), case(bare), calls=5)
                show(f"{name}, nothing unreplicated, {title}", result, 1.1)
    bare, wrapped = filled(library), wrap(filled(library))
    with governor.govern(simulation("inf")):
        for number in range(0, 1_000, 10):
            wrapped.shop.orders.update_one({"_id": number}, {"$set": {"name": "new"}})
        for name, case in (
            ("range find, 100 found", find_range),
            ("range find, 500 found", find_half),
        ):
            result = compare(case(wrapped), case(bare), calls=5)
            show(f"{name}, on a secondary that misses 100 writes", result, 1.3)


if __name__ == "__main__":
    for name in sys.argv[1:] or ["mongomock"]:
        print(f"{name}: wrapped, bare, ratio")
        rows(importlib.import_module(name))
