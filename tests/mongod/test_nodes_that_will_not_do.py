"""A node that cannot be used ends in an error that says what to do; other tests go on."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading

import pymongo
from mirakuru import TCPExecutor

LAG = "--replica-lag=200ms"

SHOP = """
import mongomock
import pymongo
import pytest
from pytest_replicalag import wrap

@pytest.mark.replica_lag
def test_node(replica_lag_uri):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
        client.shop.orders.insert_one({})
        assert client.shop.orders.find_one() is None

@pytest.mark.replica_lag
def test_memory():
    client = wrap(mongomock.MongoClient(read_preference=pymongo.ReadPreference.SECONDARY))
    client.shop.orders.insert_one({})
    assert client.shop.orders.find_one() is None
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(program, folder, *options):
    """A node with other options; gives its port."""
    folder.mkdir()
    port = free_port()
    command = [
        str(program),
        *("--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(folder)),
        *("--logpath", str(folder / "log"), "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
        *options,
    ]
    process = TCPExecutor(command, "127.0.0.1", port, timeout=30)
    process.start()
    try:
        yield port, process
    finally:
        process.kill()


def initiate(port, **config):
    """Make a running node a replica set of one."""
    with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
        member = {"_id": 0, "host": f"127.0.0.1:{port}"}
        client.admin.command("replSetInitiate", {"_id": "rs", "members": [member], **config})
        while not client.admin.command("hello")["isWritablePrimary"]:
            pass  # it elects itself at once


def refused(project, mongod):
    """The error of the test that needs the node; the other one passes."""
    project.file("test_it", SHOP)
    result = project.run_apart(LAG, "--replica-lag-engine=mongod", *mongod)
    result.assert_outcomes(passed=1, errors=1)
    lines = iter(result.outlines)
    for line in lines:
        if "ERROR at setup of test_node" in line:
            return next(lines)
    raise AssertionError(result.stdout.str())


def test_no_program_on_path(project, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert refused(project, []).startswith("there is no mongod on PATH; say where there is one: ")


def test_another_program(project):
    path = project.path / "other"
    path.write_text("#!/bin/sh\necho other 1.0\n")
    path.chmod(0o755)
    told = refused(project, [f"--replica-lag-mongod={path}"])
    assert told == f"{path} is no mongod: to --version, it says 'other 1.0'"


def test_no_program(project):
    path = project.path / "text"
    path.write_text("hello")
    assert refused(project, [f"--replica-lag-mongod={path}"]).startswith(f"{path} does not run: ")


def test_an_old_program(project):
    path = project.path / "mongod"
    path.write_text("#!/bin/sh\necho db version v4.4.29\n")
    path.chmod(0o755)
    told = refused(project, [f"--replica-lag-mongod={path}"])
    assert told == (
        f"{path} is MongoDB 4.4.29, which cannot read its past; MongoDB 5.0 and newer can"
    )


def test_a_program_that_does_not_start(project):
    path = project.path / "mongod"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo db version v7.0.1 && exit\nexit 14\n')
    path.chmod(0o755)
    told = refused(project, [f"--replica-lag-mongod={path}"])
    assert told.startswith(f"{path} did not start: ")
    assert "14" in told


def test_nobody_listens(project):
    port = free_port()
    told = refused(project, [f"--replica-lag-mongod=mongodb://127.0.0.1:{port}"])
    assert told.startswith(f"the mongod at 127.0.0.1:{port} is not up, or is none: ")


def test_another_server_listens(project):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        port = server.server_address[1]
        told = refused(project, [f"--replica-lag-mongod=mongodb://127.0.0.1:{port}"])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert told.startswith(f"the mongod at 127.0.0.1:{port} is not up, or is none: ")


def test_somebody_listens_who_says_nothing(project):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        told = refused(project, [f"--replica-lag-mongod=mongodb://127.0.0.1:{port}"])
    assert told.startswith(f"the mongod at 127.0.0.1:{port} is not up, or is none: ")


def test_a_node_elsewhere(project):
    told = refused(project, ["--replica-lag-mongod=mongodb://192.0.2.1:27017"])
    assert told.startswith("192.0.2.1 is not this machine, and a test tool must not write")
    assert told.endswith("say replica_lag_allow_remote = true in the ini file")


def test_a_standalone_node(project, program, tmp_path):
    with running(program, tmp_path / "data") as (port, _):
        project.file("test_it", SHOP)
        result = project.run_apart(LAG, f"--replica-lag-mongod=mongodb://127.0.0.1:{port}")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            f"the mongod at 127.0.0.1:{port} is a standalone node, *",
            f"    mongod --replSet rs0 --port {port} *",
            f"    mongosh --port {port} --eval 'rs.initiate()'",
        ]
    )


def test_a_set_of_several(project, program, tmp_path):
    with running(program, tmp_path / "data", "--replSet", "rs") as (port, _):
        initiate(port)
        with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            other = {"_id": 1, "host": "127.0.0.1:1", "votes": 0, "priority": 0}
            config["members"].append(other)
            config["version"] += 1
            client.admin.command("replSetReconfig", config)
        told = refused(project, [f"--replica-lag-mongod=mongodb://127.0.0.1:{port}"])
    assert told.startswith(f"the mongod at 127.0.0.1:{port} belongs to the replica set 'rs' of ")
    assert "the simulation takes a set of one" in told


def test_authentication(project, program, tmp_path):
    key = tmp_path / "key"
    key.write_text("secretsecret")
    key.chmod(0o600)
    with running(program, tmp_path / "data", "--replSet", "rs", "--keyFile", str(key)) as (port, _):
        initiate(port)
        with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
            client.admin.command("createUser", "me", pwd="pass:word", roles=["root"])
        where = f"127.0.0.1:{port}"
        told = refused(project, [f"--replica-lag-mongod=mongodb://{where}"])
        assert told.startswith(f"the mongod at {where} refuses: ")
        assert f"such as mongodb://user:password@{where}/?authSource=admin" in told
        told = refused(project, [f"--replica-lag-mongod=mongodb://me:wrong@{where}"])
        assert told.startswith(f"the mongod at {where} refuses: Authentication failed.")
        result = project.run_apart(LAG, f"--replica-lag-mongod=mongodb://me:pass%3Aword@{where}")
        result.assert_outcomes(passed=2)


def test_a_node_that_dies_in_a_test(project, program, tmp_path):
    project.file(
        "test_it",
        """
        import os, signal
        import mongomock
        import pymongo
        import pytest
        from pytest_replicalag import wrap

        @pytest.fixture(scope="session")
        def orders(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
                client.shop.orders.insert_one({})
                yield client.shop.orders

        def kill():
            from pytest_replicalag.endpoints import endpoints
            with pymongo.MongoClient(endpoints._mongod._process.uri) as node:
                os.kill(node.admin.command("serverStatus")["pid"], signal.SIGKILL)

        @pytest.mark.replica_lag
        def test_one(orders):
            kill()
            orders.find_one()

        @pytest.mark.replica_lag
        def test_two(orders):
            orders.insert_one({})

        @pytest.mark.replica_lag
        def test_memory():
            client = wrap(mongomock.MongoClient(read_preference=pymongo.ReadPreference.SECONDARY))
            client.shop.orders.insert_one({})
            assert client.shop.orders.find_one() is None
        """,
    )
    result = project.run_apart(LAG, f"--replica-lag-mongod={program}")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["E *OperationFailure: the mongod at 127.0.0.1:* has gone*"])
    result.stdout.fnmatch_lines(["E *OperationFailure: the mongod at *it was killed by signal 9*"])


def test_the_past_is_gone(project, program, tmp_path):
    window = ("--setParameter", "minSnapshotHistoryWindowInSeconds=0")
    with running(program, tmp_path / "data", "--replSet", "rs", *window) as (port, _):
        initiate(port)
        project.file(
            "test_it",
            """
            import time
            import pymongo
            import pytest

            @pytest.mark.replica_lag("inf")
            def test_it(replica_lag_uri):
                with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
                    orders = client.shop.orders
                    orders.insert_one({})
                    for number in range(50):
                        orders.insert_one({})
                        orders.database.client.admin.command("fsync")
                        time.sleep(0.05)
                        orders.find_one()
            """,
        )
        result = project.run_apart(f"--replica-lag-mongod=mongodb://127.0.0.1:{port}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"E *the mongod at 127.0.0.1:{port} no longer keeps the past that a lagging member shows*"]
    )


def test_no_tool_to_start_it(project, program, monkeypatch):
    project.file("mirakuru", "raise ImportError")
    told = refused(project, [f"--replica-lag-mongod={program}"])
    assert told.endswith("install it with: pip install 'pytest-replicalag[mongod]'")


def test_programs_are_what_they_seem(program):
    subprocess.run([program, "--version"], check=True, capture_output=True)
