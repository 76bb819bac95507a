"""How the time of an operation grows with the number of secondaries and of unreplicated writes.

Run: python benchmarks/growth.py
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mongomock
from measure import compare
from pymongo import ReadPreference

from pytest_replicalag import wrap
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

NUMBERS = itertools.count(1_000_000)
REACH = 1.1


def simulation(lag: str, secondaries: int) -> Simulation:
    """A simulation with that lag and that many secondaries."""
    given = {
        "lag": Given(source="benchmark", value=lag),
        "secondaries": Given(source="benchmark", value=secondaries),
    }
    return Simulation(resolve([given]), "benchmark")


def client(documents: int = 1_000) -> Any:
    """A wrapped client with documents."""
    bare = mongomock.MongoClient(read_preference=ReadPreference.SECONDARY_PREFERRED)
    bare.shop.orders.insert_many([{"_id": n, "n": n} for n in range(documents)])
    return wrap(bare)


def governed(running: Simulation, operation: Callable[[], object]) -> Callable[[], None]:
    """The operation, run in its simulation."""

    def run() -> None:
        governor.running = running
        operation()
        governor.running = None

    return run


def operations(collection: Any) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    return {
        "insert_one": lambda: collection.insert_one({"_id": next(NUMBERS), "n": 1}),
        "update_one by _id": lambda: collection.update_one({"_id": 5}, {"$inc": {"n": 1}}),
        "update, stale find_one": lambda: (
            collection.update_one({"_id": 5}, {"$inc": {"n": 1}}),
            collection.find_one({"_id": 5}),
        ),
        "find_one by _id": lambda: collection.find_one({"_id": 6}),
    }


def show(
    title: str, many: dict[str, Callable[[], object]], few: dict[str, Callable[[], object]]
) -> None:
    """Print a row for each operation: with much, with little, ratio."""
    for name, operation in many.items():
        result = compare(operation, few[name], calls=300, rounds=25)
        verdict = "reached" if result.ratio <= REACH else "NOT reached"
        print(
            f"{title}, {name:<24} {result.subject_us:>8.1f} us {result.peer_us:>8.1f} us "
            f"{result.ratio:>7.3f}x  (<= {REACH}x: {verdict})"
        )


def secondaries() -> None:
    """2 secondaries against 50."""
    sides = []
    for count in (50, 2):
        wrapped, running = client(), simulation("200ms", count)
        collection = wrapped.shop.orders
        sides.append(
            {name: governed(running, code) for name, code in operations(collection).items()}
        )
    show("50 / 2 secondaries", *sides)


def writes() -> None:
    """A hundred unreplicated writes against a hundred thousand."""
    sides = []
    for count in (100_000, 100):
        wrapped, running = client(), simulation("inf", 2)
        collection = wrapped.shop.orders
        governor.running = running
        for number in range(count):
            # Half of them to one document, half to others.
            target = {"_id": 5} if number % 2 else {"_id": 10 + number % 900}
            collection.update_one(target, {"$inc": {"n": 1}})
        governor.running = None
        sides.append(
            {name: governed(running, code) for name, code in operations(collection).items()}
        )
    show("100,000 / 100 unreplicated writes", *sides)


if __name__ == "__main__":
    secondaries()
    writes()
