"""The fixtures `replica_lag_uri` and `replica_lag.uri`, and what is left after a run with them."""

import os

import pytest

pytestmark = pytest.mark.slow

CONFTEST = """
import pymongo
import pytest


@pytest.fixture(scope="session")
def client(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        yield client


@pytest.fixture
def db(client):
    client.drop_database("shop")
    return client.shop


def pytest_unconfigure(config):
    import gc, socket, sys, threading
    from pymongo import monitoring
    print("threads:", [t.name for t in threading.enumerate() if "pymongo" not in t.name
                       and not t.name.startswith("execnet")])
    print("listeners:", monitoring._LISTENERS.command_listeners)
    gc.collect()
    listening = 0
    for thing in gc.get_objects():
        if type(thing) is socket.socket and thing.fileno() >= 0:
            listening += thing.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    print("listening sockets:", listening)
    governor = sys.modules["pytest_replicalag.simulation"].governor
    print("governor is resting:", governor.running is None)
"""

NOTHING = [
    "threads: ['MainThread']",
    "listeners: []",
    "listening sockets: 0",
    "governor is resting: True",
]

TESTS = """
import pytest
from app import get_order, place_order

@pytest.mark.replica_lag
@pytest.mark.parametrize("number", range(4))
def test_order(db, number):
    place_order(db, number)
    get_order(db, number)

@pytest.mark.replica_lag
def test_failing(db):
    place_order(db, 7)
    assert get_order(db, 7)["status"] == "placed"

def test_without_lag(db):
    place_order(db, 7)
    assert get_order(db, 7)["status"] == "placed"
"""

SUMMARY_FIRST = "app.py:6: shop.orders.find_one missed insert_one at app.py:2"
SUMMARY_LAST = "Stale reads in 5 of 5 tests with lag."


@pytest.fixture
def wire(project):
    """The project, with a client of pymongo that lives for the whole run."""
    (project.path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    project.file("test_it", TESTS)
    return project


def assert_nothing_is_left(result):
    for line in NOTHING:
        assert line in result.outlines, result.stdout.str()


def test_tests_of_one_run_share_a_client_and_leave_nothing(wire, summary):
    result = wire.run_apart("--replica-lag=1s")
    result.assert_outcomes(passed=5, failed=1)
    assert summary(result)[0] == SUMMARY_FIRST
    assert summary(result)[-2:] == [SUMMARY_LAST, "1 test fails only under replica lag."]
    assert_nothing_is_left(result)


def test_with_workers(wire, summary, section):
    pytest.importorskip("xdist")
    alone = wire.run_apart("--replica-lag=1s")
    spread = wire.run_apart("--replica-lag=1s", "-n2", plugins=("xdist.plugin",))
    spread.assert_outcomes(passed=5, failed=1)
    assert summary(spread) == summary(alone)
    assert section(spread) == section(alone)


def test_in_any_order(wire, summary):
    pytest.importorskip("pytest_randomly")
    expected = summary(wire.run_apart("--replica-lag=1s"))
    for seed in range(2):
        arguments = ("--replica-lag=1s", f"--randomly-seed={seed}")
        result = wire.run_apart(*arguments, plugins=("pytest_randomly",))
        assert summary(result) == expected
        assert_nothing_is_left(result)


def test_a_rerun_starts_with_members_that_have_caught_up(wire, summary):
    pytest.importorskip("pytest_rerunfailures")
    result = wire.run_apart(
        "--replica-lag=1s",
        "--reruns=2",
        "test_it.py::test_failing",
        plugins=("pytest_rerunfailures",),
    )
    assert result.parseoutcomes() == {"failed": 1, "rerun": 2}
    assert summary(result)[1] == "    (3 times: test_it.py::test_failing)"
    assert_nothing_is_left(result)


@pytest.mark.parametrize("how", ["-x", "interrupt", "exit", "error"])
def test_a_run_that_ends_early_leaves_nothing(wire, how):
    ends = {
        "-x": "assert False",
        "interrupt": "raise KeyboardInterrupt",
        "exit": "import pytest; pytest.exit('enough')",
        "error": "raise SystemExit(3)",
    }[how]
    wire.file(
        "test_end",
        f"""
        import pytest

        @pytest.mark.replica_lag
        def test_end(client, db):
            db.orders.insert_many([{{}} for _ in range(300)])
            cursor = client.shop.orders.find(batch_size=2)
            next(cursor, None)
            session = client.start_session()
            session.start_transaction()
            db.orders.insert_one({{}}, session=session)
            {ends}
        """,
    )
    result = wire.run_apart("--replica-lag=1s", "-x", "test_end.py", "test_it.py")
    assert result.ret != 0
    assert_nothing_is_left(result)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session"])
def test_a_client_of_any_scope_follows_the_running_test(project, scope):
    project.file(
        "test_it",
        f"""
        import pymongo
        import pytest

        @pytest.fixture(scope={scope!r})
        def client(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
                client.drop_database("shop")
                client.shop.orders.insert_one({{"_id": {scope!r}}})
                yield client

        @pytest.mark.replica_lag("1s")
        def test_lagging(client, replica_lag):
            assert client.shop.orders.find_one({{"_id": {scope!r}}})
            client.shop.orders.insert_one({{"_id": 2}})
            assert client.shop.orders.find_one({{"_id": 2}}) is None
            assert len(replica_lag.stale_reads) == 1

        def test_not_lagging(client):
            assert client.shop.orders.find_one({{"_id": {scope!r}}})
        """,
    )
    project.run_apart().assert_outcomes(passed=2)


def test_the_set_has_the_members_that_its_test_asks_for(project):
    project.file(
        "test_it",
        """
        import pymongo
        import pytest

        @pytest.mark.parametrize("secondaries", [
            pytest.param(n, marks=pytest.mark.replica_lag("1s", secondaries=n)) for n in (4, 1, 2)
        ])
        def test_it(replica_lag, secondaries):
            with pymongo.MongoClient(replica_lag.uri) as client:
                client.admin.command("ping")
                assert len(client.admin.command("hello")["hosts"]) == secondaries + 1
        """,
    )
    project.run_apart().assert_outcomes(passed=3)


def test_an_asynchronous_client(project, summary):
    pytest.importorskip("pytest_asyncio")
    project.file(
        "test_it",
        """
        import pytest
        from pymongo import AsyncMongoClient

        @pytest.mark.replica_lag("1s")
        @pytest.mark.asyncio
        async def test_it(replica_lag_uri):
            async with AsyncMongoClient(replica_lag_uri, readPreference="secondary") as client:
                await client.shop.drop_collection("orders")
                await client.shop.orders.insert_one({"_id": 7})
                assert await client.shop.orders.find_one({"_id": 7}) is None
        """,
    )
    result = project.run_apart(plugins=("pytest_asyncio.plugin",))
    result.assert_outcomes(passed=1)
    assert summary(result)[:2] == [
        "test_it.py:10: shop.orders.find_one missed insert_one at test_it.py:9",
        "    (once: test_it.py::test_it)",
    ]


def test_ten_runs_give_the_same_report(wire, summary, section):
    found = set()
    for _ in range(10):
        result = wire.run_apart("--replica-lag=1ms..9ms,20ms..60ms", "-p", "no:randomly")
        found.add(("\n".join(summary(result)), "\n".join(section(result) or ())))
    assert len(found) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_a_test_forks_leaves_the_endpoints_alone(project):
    project.file(
        "test_it",
        """
        import os

        import pymongo
        import pytest
        from pytest_replicalag.endpoints import endpoints

        @pytest.mark.replica_lag
        def test_it(replica_lag_uri):
            child = os.fork()
            if not child:
                endpoints.stop()
                os._exit(0 if endpoints.are_started else 1)
            assert os.waitpid(child, 0) == (child, 0)
            with pymongo.MongoClient(replica_lag_uri) as client:
                client.shop.orders.insert_one({"_id": 7})
                assert client.shop.orders.count_documents({}) == 1
        """,
    )
    project.run_apart("--replica-lag=200ms").assert_outcomes(passed=1)
