"""The endpoints over one real node against a direct connection to it; and a whole run of pytest.

First the same for a relay that only passes bytes on: what is left to gain.

The whole run finds the bug of the example shop: on a node that it starts, in memory, and on a real
replica set of three that is started for it.

Run: python benchmarks/mongod.py [MONGOD], with the program of a MongoDB server; without one, it
takes that of the wheel that `tox run -e benchmarks` installs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pymongo
import pytest
from measure import compare, show
from relay import relay_to

from pytest_replicalag.endpoints import endpoints
from pytest_replicalag.engine_choice import MONGOD, EngineChoice, choose
from pytest_replicalag.engines.mongod.process import MongodProcess
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from mongod_program import mongod_program

ROOT = Path(__file__).resolve().parents[1]

NUMBERS = itertools.count(10_000)
CALLS, ROUNDS = 8, 101
THREADS, TASKS, OPERATIONS = 8, 50, 1_600
REPEATS = 5


def find_one(client: Any) -> Callable[[], object]:
    return lambda: client.shop.hundred.find_one({"_id": 50})


def insert_one(client: Any) -> Callable[[], object]:
    return lambda: client.shop.new.insert_one({"_id": next(NUMBERS), "n": 1})


def find_hundred(client: Any) -> Callable[[], object]:
    return lambda: list(client.shop.hundred.find())


def latencies(direct: Any, front: Any, what: str) -> None:
    """Print the rows for single operations."""
    for name, case in (
        ("find_one by _id", find_one),
        ("insert_one", insert_one),
        ("find, 100 documents", find_hundred),
    ):
        comparison = compare(case(front), case(direct), calls=CALLS, rounds=ROUNDS)
        show(f"{name}, {what}", comparison, 1.3)


def in_threads(uri: str) -> float:
    """Operations in a second, by threads that share a client."""
    with pymongo.MongoClient(uri) as client:

        def work() -> None:
            for _ in range(OPERATIONS // THREADS):
                client.shop.hundred.find_one({"_id": 50})

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return OPERATIONS / (time.perf_counter() - began)


async def _in_tasks(uri: str) -> float:
    async with pymongo.AsyncMongoClient(uri) as client:

        async def work(operations: int) -> None:
            for _ in range(operations):
                await client.shop.hundred.find_one({"_id": 50})

        await asyncio.gather(*[work(2) for _ in range(TASKS)])  # opens the connections
        began = time.perf_counter()
        await asyncio.gather(*[work(OPERATIONS // TASKS) for _ in range(TASKS)])
        return OPERATIONS / (time.perf_counter() - began)


def in_tasks(uri: str) -> float:
    """Operations in a second, by asyncio tasks that share a client."""
    return asyncio.run(_in_tasks(uri))


def throughputs(direct: str, front: str, what: str) -> None:
    """Print the rows for many clients at once."""
    for name, measure in ((f"{THREADS} threads", in_threads), (f"{TASKS} tasks", in_tasks)):
        pairs = [(measure(front), measure(direct)) for _ in range(REPEATS)]
        ratio = statistics.median(own / other for own, other in pairs)
        own, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(
            f"find_one, {name}, {what}: {own:.0f}/s, {other:.0f}/s, {ratio:.2f} of direct "
            "(to reach: 0.70)"
        )


# -- a whole run ---------------------------------------------------------------------------------

SHOP = """
import pymongo

def test_order_is_found(client):
    order = client.shop.orders.insert_one({}).inserted_id
    assert client.shop.orders.find_one({"_id": order})
"""

NOTHING = """
import pymongo

def test_nothing():
    assert not pymongo
"""

ON_SIMULATED = """
import pymongo
import pytest

@pytest.fixture
def client(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
        yield client
"""

ON_REAL = """
import sys
import pytest
from pathlib import Path
sys.path += [{tests!r}, {conformance!r}]
from deployments import RealSet

@pytest.fixture
def client(tmp_path):
    real = RealSet.started(Path({program!r}), tmp_path)
    real.client.shop.orders.insert_one({{}})
    real.settle()
    real.hold("secondary-2")
    hosts = ",".join(f"{{host}}:{{port}}" for host, port in real.client.nodes)
    uri = f"mongodb://{{hosts}}/?replicaSet=real&readPreference=secondary"
    import pymongo
    with pymongo.MongoClient(uri + "&readPreferenceTags=member:secondary-2") as client:
        yield client
    real.stop()
"""

REAL = "real set"
WATCH_S = 0.02


def whole_run(folder: Path, *options: str) -> tuple[float, float, float]:
    """The seconds until the bug is reported, those until the end, and the megabytes of a run.

    Its servers are included, and at the end what PyMongo waits for its threads, up to half a
    second. Modules are compiled once, as on a developer's machine.
    """
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PYTHONUNBUFFERED"] = "1"  # what is printed is to be seen at once
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    began, most, reported = time.perf_counter(), 0.0, []

    def read(output: TextIO) -> None:
        reported.extend(time.perf_counter() - began for line in output if "1 failed" in line)

    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        assert run.stdout is not None
        reader = threading.Thread(target=read, args=[run.stdout])
        reader.start()
        while run.poll() is None:
            most = max(most, _megabytes(run.pid))
            time.sleep(WATCH_S)
        took = time.perf_counter() - began
        reader.join()
    return reported[0], took, most


def _megabytes(pid: int) -> float:
    """The resident memory of a process and of its descendants."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()[1:]]
    family, grew = {pid}, True
    while grew:
        children = {child for child, parent, _ in rows if parent in family}
        grew = not children <= family
        family |= children
    return sum(size for member, _, size in rows if member in family) / 1_024


def whole_runs(program: Path, folder: Path) -> None:
    """Print the rows for a whole run."""
    simulated, real, bare = folder / "simulated", folder / "real", folder / "bare"
    tests = ROOT / "tests"
    on_real = ON_REAL.format(
        tests=str(tests), conformance=str(tests / "conformance"), program=str(program)
    )
    for place, conftest, test in (
        (simulated, ON_SIMULATED, SHOP),
        (real, on_real, SHOP),
        (bare, "", NOTHING),
    ):
        place.mkdir()
        (place / "conftest.py").write_text(conftest)
        (place / "test_shop.py").write_text(test)
    lag = ("--replica-lag=200ms", "--replica-lag-all")
    on_node = (*lag, f"--replica-lag-mongod={program}")
    for place, options in ((simulated, on_node), (simulated, lag), (bare, ()), (real, ())):
        whole_run(place, *options)  # compiles
    rounds = [
        {
            "engine mongod": whole_run(simulated, *on_node),
            "engine memory": whole_run(simulated, *lag),
            # What no tool that tests PyMongo's code in pytest gets below.
            "pytest and PyMongo, no server": whole_run(bare),
            REAL: whole_run(real),
        }
        for _ in range(REPEATS)
    ]
    rows = (("seconds until it reports", 0.1), ("seconds", 0.1), ("megabytes", 0.33))
    for number, (what, reach) in enumerate(rows):
        medians = {
            name: statistics.median(one[name][number] for one in rounds) for name in rounds[0]
        }
        other = medians.pop(REAL)
        for name, own in medians.items():
            print(
                f"a whole run, {name}, {what}: {own:.2f}, real set {other:.2f}, "
                f"ratio {own / other:.2f} (to reach: {reach})"
            )


def main() -> None:
    """Print all rows; where no server can run, say so."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            program = Path(sys.argv[1]) if sys.argv[1:] else mongod_program(folder)
        except pytest.skip.Exception as reason:
            print(f"left out: {reason}")
            return
        process = MongodProcess(program).ready()
        choose(EngineChoice(engine=MONGOD, mongod=process.uri))
        try:
            direct, front = process.uri, endpoints.uri
            with pymongo.MongoClient(direct) as client, pymongo.MongoClient(front) as other:
                client.shop.hundred.insert_many({"_id": n, "name": f"{n}"} for n in range(100))
                relay = f"mongodb://127.0.0.1:{relay_to(process.port)}/?directConnection=true"
                with pymongo.MongoClient(relay) as relayed:
                    latencies(client, relayed, "a relay that only passes bytes on")
                throughputs(direct, relay, "a relay that only passes bytes on")
                for lag in ("0", "200ms"):
                    settings = resolve([{"lag": Given(source="benchmark", value=lag)}])
                    with governor.govern(Simulation(settings, "benchmark")):
                        latencies(client, other, f"lag {lag}")
                        throughputs(direct, front, f"lag {lag}")
        finally:
            endpoints.stop()
            process.stop()
        whole_runs(program, folder)


if __name__ == "__main__":
    main()
