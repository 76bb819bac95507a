"""The engine `replicaset`: the same tests on a real set, whose secondaries are really held back."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time

import pymongo
import pytest
from inner_runs import Project
from mirakuru import TCPExecutor
from mongod_program import mongod_program

LAG = "--replica-lag=200ms"
ENGINE = "--replica-lag-engine=replicaset"

SHOP = """
import pymongo
import pytest

@pytest.mark.replica_lag
def test_stale(replica_lag_uri, replica_lag):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        client.drop_database("shop")
        orders = client.shop.orders
        orders.create_index("number")
        orders.insert_one({"_id": 7, "number": 7})
        assert orders.find_one({"_id": 7}) is None
        replica_lag.advance("200ms")
        assert orders.find_one({"_id": 7}) == {"_id": 7, "number": 7}
        with client.start_session(causal_consistency=True) as session:
            orders.insert_one({"_id": 8}, session=session)
            assert orders.find_one({"_id": 8}, session=session) == {"_id": 8}

@pytest.mark.replica_lag
def test_in_part(replica_lag_uri, replica_lag):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        orders = client.shop.orders
        orders.drop()
        replica_lag.catch_up()
        orders.insert_one({"_id": 1})
        replica_lag.advance("100ms")
        orders.insert_one({"_id": 2})
        replica_lag.advance("150ms")
        assert [order["_id"] for order in orders.find()] == []
        replica_lag.advance("100ms")
        assert [order["_id"] for order in orders.find()] == [1, 2]

def test_without_lag(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
        client.shop.orders.insert_one({"_id": 9})
        assert client.shop.orders.find_one({"_id": 9}) == {"_id": 9}
"""


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project = Project(pytester)
    project.file("test_it", SHOP)
    return project


def is_held(real_set):
    """Whether a secondary is still held back: it does not come to have a write."""
    number = time.monotonic_ns()
    real_set.client.after.numbers.insert_one({"_id": number})
    with contextlib.suppress(TimeoutError):
        real_set.settle()
        return False
    return True


def test_a_real_set_lags_in_a_run_and_is_free_after_it(project, real_set):
    real_set.release()
    result = project.run_apart(LAG, ENGINE, f"--replica-lag-mongod={real_set.uri}")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "replica lag: 200ms in tests marked replica_lag, seed=0, engine=replicaset",
            "test_it.py:*: shop.orders.find_one missed insert_one at test_it.py:*",
        ]
    )
    assert not is_held(real_set)


def test_wrapped_clients_are_led_to_the_real_set(project, real_set):
    project.file(
        "test_it",
        f"""
import pymongo
import pytest
from pytest_replicalag import wrap

@pytest.mark.replica_lag
def test_it():
    uri = "{real_set.uri}&readPreference=secondary"
    with wrap(pymongo.MongoClient(uri)) as client:
        client.shop.orders.insert_one({{"_id": "wrapped"}})
        assert client.shop.orders.find_one({{"_id": "wrapped"}}) is None
""",
    )
    real_set.release()
    result = project.run_apart(LAG, ENGINE, f"--replica-lag-mongod={real_set.uri}")
    result.assert_outcomes(passed=1)


# -- what cannot lag -----------------------------------------------------------------------------


def refused(project, *options):
    """The error of the tests, none of which can run."""
    result = project.run_apart(LAG, ENGINE, *options)
    result.assert_outcomes(errors=3)
    lines = iter(result.outlines)
    for line in lines:
        if "ERROR at setup of test_stale" in line:
            break
    return "\n".join(itertools.takewhile(lambda line: not line.startswith("___"), lines))


def test_a_set_must_be_named(project):
    for options in ([], ["--replica-lag-mongod=test_it.py"]):
        result = project.run_apart(LAG, ENGINE, *options)
        assert result.ret == 4
        result.stderr.fnmatch_lines(
            "ERROR: --replica-lag-engine: the engine replicaset needs a replica set that runs; "
            "name it by --replica-lag-mongod=mongodb://127.0.0.1:27017"
        )


def test_as_many_secondaries_as_there_are(project, real_set):
    uri = f"--replica-lag-mongod={real_set.uri}"
    error = refused(project, uri, "--replica-lag-secondaries=3")
    assert error.endswith("has 2 secondaries and no secondary-3; write --replica-lag-secondaries=2")


def test_members_must_not_replicate_from_each_other(project, real_set):
    admin = real_set.client.admin
    config = admin.command("replSetGetConfig")["config"]

    def allow(allowed):
        config["version"] += 1
        config["settings"]["chainingAllowed"] = allowed
        admin.command("replSetReconfig", config)

    allow(True)
    try:
        error = refused(project, f"--replica-lag-mongod={real_set.uri}")
    finally:
        allow(False)
    assert "one that is held back would hold back others; forbid it in mongosh:" in error
    assert "cfg.settings.chainingAllowed = false; rs.reconfig(cfg)" in error


def test_workers_of_xdist_cannot_share_a_set(project, real_set, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    error = refused(project, f"--replica-lag-mongod={real_set.uri}")
    assert error == (
        "the members of one real replica set cannot lag for several workers at once; run pytest "
        "without -n"
    )


def test_a_set_that_is_not_up(project):
    error = refused(project, "--replica-lag-mongod=mongodb://127.0.0.1:1")
    assert error.startswith("the mongod at 127.0.0.1:1 is not up, or is none: ")


def test_a_set_elsewhere(project):
    error = refused(project, "--replica-lag-mongod=mongodb://db.example.com:27017")
    assert error.startswith("db.example.com is not this machine, and a test tool must not write")


@contextlib.contextmanager
def nodes(folder, number):
    """Running nodes without test commands; gives their ports."""
    program = mongod_program(folder)
    with contextlib.ExitStack() as stack:
        ports = []
        for member in range(number):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
            data = folder / str(member)
            data.mkdir()
            command = (
                f"{program} --port {ports[-1]} --bind_ip 127.0.0.1 --dbpath {data} --replSet plain "
                f"--logpath {data}/log --wiredTigerCacheSizeGB 0.25 --oplogSize 64 --nounixsocket"
            )
            process = TCPExecutor(command, "127.0.0.1", ports[-1], timeout=30)
            stack.callback(process.kill)
            process.start()
        yield ports


def test_a_set_of_one_and_a_set_without_test_commands(project, tmp_path):
    with nodes(tmp_path, 2) as ports:
        members = [
            {"_id": number, "host": f"127.0.0.1:{port}", "priority": 1 - number}
            for number, port in enumerate(ports)
        ]
        uri = f"--replica-lag-mongod=mongodb://127.0.0.1:{ports[0]}"
        error = refused(project, uri)
        assert error.startswith(f"the mongod at 127.0.0.1:{ports[0]} belongs to no replica set; ")
        with pymongo.MongoClient("127.0.0.1", ports[0], directConnection=True) as client:
            config = {"_id": "plain", "version": 1, "members": members[:1]}
            client.admin.command("replSetInitiate", config)
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.02)
            error = refused(project, uri)
            assert error.startswith("the replica set 'plain' has no secondary; ")
            client.admin.command("replSetReconfig", {**config, "version": 2, "members": members})
        with pymongo.MongoClient("127.0.0.1", ports[1], directConnection=True) as client:
            while not client.admin.command("hello").get("secondary"):
                time.sleep(0.02)
        error = refused(project, uri, "--replica-lag-secondaries=1")
    assert error.startswith(f"the secondary at 127.0.0.1:{ports[1]} cannot be held back, for it ")
    assert (
        "start its mongod with --setParameter enableTestCommands=1 (never in production)" in error
    )
