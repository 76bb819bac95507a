"""The same test gives the same report, byte for byte, whatever else differs."""

import re
import threading
import time

import pytest

TESTS = """
from datetime import datetime

import pytest
from bson import ObjectId

@pytest.mark.replica_lag("1ms..9ms,20ms..60ms,inf", secondaries=3, choose="random")
@pytest.mark.parametrize("number", range(4))
def test_it(db, number):
    names = {f"name-{n}" for n in range(20)}
    for name in sorted(names):
        db.orders.insert_one({"name": name, "at": datetime.now(), "others": [ObjectId()]})
        db.orders.count_documents({})
        db.orders.find_one({"name": name})
    list(db.orders.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}]))
    db.orders.distinct("name")
    assert number != 2
"""

TIMES = re.compile(r"in \d+\.\d\ds")


def told(result):
    """All that a run shows from its failures on, without what time it took."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if line.strip("=") == " FAILURES ")
    return TIMES.sub("in 0.00s", "\n".join(lines[start:])).encode()


@pytest.mark.slow
def test_fifty_runs_of_a_test_give_the_same_report(project):
    project.file("test_it", TESTS.replace("range(20)", "range(6)"))
    expected = told(project.run("test_it.py::test_it[2]", "--replica-lag-no-verdict"))
    assert expected.count(b"stale read  ") >= 2
    assert b"ObjectId(#" in expected
    for _ in range(49):
        assert told(project.run("test_it.py::test_it[2]", "--replica-lag-no-verdict")) == expected


@pytest.mark.slow
def test_a_busy_machine_changes_nothing(project):
    project.file("test_it", TESTS)
    expected = told(project.run())
    busy = True

    def compute():
        while busy:
            sum(range(100))

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            assert told(project.run()) == expected
    finally:
        busy = False
        for thread in threads:
            thread.join()


def test_a_test_reads_the_same_alone_and_among_others(project, section):
    project.file("test_it", TESTS)
    expected = section(project.run())
    assert section(project.run("test_it.py::test_it[2]")) == expected
    assert section(project.run("-k", "2 or 3")) == expected


@pytest.mark.slow
def test_hash_seeds_random_order_and_workers_change_nothing(project, section, summary, monkeypatch):
    project.file("test_it", TESTS)
    expected = project.run()
    runs = [(seed, ()) for seed in ("0", "1", "2")]
    for name, arguments in [("pytest_randomly", ()), ("xdist.plugin", ("-n2",))]:
        pytest.importorskip(name.partition(".")[0])
        runs.append(("3", ("-p", name, *arguments)))
    for hash_seed, arguments in runs:
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        result = project.run_apart(*arguments)
        assert section(result) == section(expected)
        assert summary(result) == summary(expected)


def test_the_time_of_day_is_not_in_the_report(project, section):
    project.file(
        "test_it",
        """
        import datetime
        import pytest

        @pytest.mark.replica_lag("1s")
        def test_it(db):
            db.orders.insert_one({"_id": 1, "at": datetime.datetime.now(datetime.timezone.utc)})
            db.orders.find_one({"_id": 1})
            assert False
        """,
    )
    first = section(project.run())
    assert 'insert_one({"_id": 1, "at": now}), 1 ms earlier' in " ".join(first)
    time.sleep(0.002)
    assert section(project.run()) == first
