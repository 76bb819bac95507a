"""The endpoint against a real replica set of three, both through pymongo, on this machine.

The endpoint runs twice: in this process, where it shares the interpreter with the driver, and in
one of its own, as it does for code under test that runs in another process.

Run: python benchmarks/wire.py [MONGOD], with the program of a MongoDB server; without one, it takes
that of the wheel that `tox run -e benchmarks` installs.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from measure import compare, show
from pymongo import ReadPreference
from pymongo.read_preferences import Secondary

from pytest_replicalag.endpoints import endpoints
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "conformance"))

from deployments import RealSet
from mongod_program import mongod_program

SERVE = "--serve"
NUMBERS = itertools.count(10_000)
Case = Callable[[Any], Callable[[], object]]


# -- what is timed -------------------------------------------------------------------------------


def ping(client: Any) -> Any:
    """The least that a command can be."""
    return lambda: client.admin.command("ping")


def find_one(client: Any) -> Any:
    """Find one document by `_id`, with the client's read preference."""
    collection = client.shop.orders
    return lambda: collection.find_one({"_id": 500})


def find_one_on_secondary(client: Any) -> Any:
    """Find one document by `_id` on a secondary that has it."""
    collection = client.shop.get_collection("orders", read_preference=Secondary())
    return lambda: collection.find_one({"_id": 500})


def insert_one(client: Any) -> Any:
    """Insert one document with the default write concern."""
    collection = client.shop.new
    return lambda: collection.insert_one({"_id": next(NUMBERS), "n": 1, "name": "a name"})


def find_one_just_written(client: Any) -> Any:
    """Update one document and find it on a secondary: with lag, what it was before."""
    collection = client.shop.written
    collection.insert_one({"_id": 1, "n": 1})
    on_secondary = collection.with_options(read_preference=Secondary())

    def write_and_read() -> None:
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        on_secondary.find_one({"_id": 1})

    return write_and_read


def update_one(client: Any) -> Any:
    """Update one document by `_id`."""
    collection = client.shop.orders
    return lambda: collection.update_one({"_id": 500}, {"$inc": {"n": 1}})


def find_hundred(client: Any) -> Any:
    """Find 100 documents by `_id`."""
    collection = client.shop.hundred
    collection.insert_many({"_id": n, "n": n, "name": f"name {n}"} for n in range(100))
    return lambda: list(collection.find())


def count(client: Any) -> Any:
    """Count the documents that match a filter, which is an aggregation."""
    collection = client.shop.hundred
    return lambda: collection.count_documents({"n": {"$gte": 50}})


def transaction(client: Any) -> Any:
    """A transaction of two writes."""
    collection = client.shop.new

    def write_both(session: Any) -> None:
        collection.insert_one({"_id": next(NUMBERS), "n": 1}, session=session)
        collection.insert_one({"_id": next(NUMBERS), "n": 2}, session=session)

    def run() -> None:
        with client.start_session() as session:
            session.with_transaction(write_both)

    return run


CASES: tuple[tuple[str, Case, int, float | None], ...] = (
    ("ping", ping, 151, None),
    ("find_one by _id", find_one, 301, 1),
    ("find_one by _id, secondary", find_one_on_secondary, 151, None),
    ("insert_one", insert_one, 75, 1),
    ("update_one by _id", update_one, 35, None),
    ("update_one, find_one on a secondary", find_one_just_written, 35, None),
    ("find, 100 documents", find_hundred, 75, None),
    ("count_documents, 100 documents", count, 75, None),
    ("transaction of two inserts", transaction, 35, None),
)
"""Title, what is timed, how many rounds there are, and the ratio to reach."""

CALLS = 8
"""In each round. Many short rounds: what else a machine does comes and goes, and four processes
feel it, so neighbouring rounds are alike only if they are near each other."""


# -- the deployments -----------------------------------------------------------------------------


def simulation(lag: str) -> Simulation | None:
    """A simulation with that lag; none if it is off."""
    if lag == "off":
        return None
    return Simulation(resolve([{"lag": Given(source="benchmark", value=lag)}]), "benchmark")


def serve(lag: str) -> None:
    """Be the other process: serve until standard input ends."""
    with governor.govern(simulation(lag)):
        print(endpoints.uri, flush=True)
        sys.stdin.read()
    endpoints.stop()


@contextlib.contextmanager
def in_this_process(lag: str) -> Iterator[str]:
    """An endpoint here; yields its connection string."""
    with governor.govern(simulation(lag)):
        yield endpoints.uri
    endpoints.stop()


@contextlib.contextmanager
def in_its_own_process(lag: str) -> Iterator[str]:
    """An endpoint in a process that does nothing else; yields its connection string."""
    command = [sys.executable, __file__, SERVE, lag]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextlib.contextmanager
def connected(uri: str) -> Iterator[Any]:
    """A client with 1,000 documents, that reads from secondaries if there are any."""
    preference = ReadPreference.SECONDARY_PREFERRED
    with pymongo.MongoClient(uri, read_preference=preference) as client:
        fill(client)
        yield client


def fill(client: Any) -> None:
    """Drop what there was, and insert 1,000 documents on all members."""
    client.drop_database("shop")
    everywhere = client.shop.get_collection("orders", write_concern=pymongo.WriteConcern(w=3))
    everywhere.insert_many({"_id": n, "n": n, "name": f"name {n}"} for n in range(1_000))


def rows(real: Any, kind: str, lag: str, endpoint: Any) -> None:
    """Print the rows for one kind of endpoint and one lag."""
    with endpoint(lag) as uri, connected(uri) as client:
        fill(real)
        for name, case, rounds, reach in CASES:
            comparison = compare(case(client), case(real), calls=CALLS, rounds=rounds)
            show(f"{name}, {kind}, lag {lag}", comparison, reach)


def main() -> None:
    """Print all rows; where no server can run, say so."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            program = Path(sys.argv[1]) if sys.argv[1:] else mongod_program(folder)
        except pytest.skip.Exception as reason:
            print(f"left out: {reason}")
            return
        real = RealSet.started(program, folder)
        try:
            hosts = ",".join(f"{host}:{port}" for host, port in real.client.nodes)
            with connected(f"mongodb://{hosts}/?replicaSet=real") as client:
                print("endpoint, real set, ratio")
                for lag in ("off", "200ms"):
                    rows(client, "here", lag, in_this_process)
                    rows(client, "elsewhere", lag, in_its_own_process)
        finally:
            real.stop()


if __name__ == "__main__":
    if SERVE in sys.argv:
        serve(sys.argv[-1])
    else:
        main()
