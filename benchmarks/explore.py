"""How many schedules of a test of six operations are tried in a second.

A run that tries many is compared with one that tries one: what pytest takes to start is no part of
it.

Run: python benchmarks/explore.py
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MANY = 5_000
"""More than there are."""

REPEATS = 3

TEST = """
import pytest

@pytest.mark.replica_lag(read_preference="secondaryPreferred", write_concern=1, secondaries=4)
def test_six_operations(db):
    db.carts.insert_one({"_id": 1})
    db.carts.update_one({"_id": 1}, {"$set": {"n": 1}})
    db.carts.update_one({"_id": 1}, {"$set": {"n": 2}})
    db.carts.find_one({"_id": 1})
    db.carts.find_one({"n": 1})
    db.carts.count_documents({"n": {"$gt": 0}})
"""

IN_PROCESS = """
import mongomock
import pytest
from pytest_replicalag import wrap

@pytest.fixture
def db():
    return wrap(mongomock.MongoClient()).shop
"""

ON_THE_WIRE = """
import pymongo
import pytest

@pytest.fixture(scope="session")
def client(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        yield client

@pytest.fixture
def db(client):
    client.shop.carts.delete_many({})
    return client.shop
"""


def tried(folder: Path, schedules: int) -> tuple[int, float]:
    """How many schedules a run of pytest tries, and the seconds that it takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, f"--replica-lag-explore={schedules}"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    count = re.search(r"(\d+) schedules", done.stdout)
    assert count is not None, done.stdout
    return int(count[1]), took


def rate_in(folder: Path) -> float:
    """Schedules in a second."""
    few, few_s = tried(folder, 2)
    many, many_s = tried(folder, MANY)
    return (many - few) / (many_s - few_s)


def main() -> None:
    """Print a row for each front."""
    for name, conftest, reach in (
        ("mongomock, in process", IN_PROCESS, 300),
        ("PyMongo, on the wire, engine memory", ON_THE_WIRE, 50),
    ):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "conftest.py").write_text(conftest)
            (folder / "test_six.py").write_text(TEST)
            tried(folder, 2)  # compiles what is not compiled yet
            rate = statistics.median(rate_in(folder) for _ in range(REPEATS))
        verdict = "reached" if rate >= reach else "NOT reached"
        print(f"{name}: {rate:.0f} schedules/s (>= {reach}: {verdict})", flush=True)


if __name__ == "__main__":
    main()
