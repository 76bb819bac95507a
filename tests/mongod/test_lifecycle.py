"""The run's own node, clients that are wrapped, and what is left of them: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHOP = """
import pymongo
import pytest

@pytest.mark.replica_lag
@pytest.mark.parametrize("number", range(4))
def test_it(replica_lag_uri, number, replica_lag):
    with pymongo.MongoClient(replica_lag_uri, readPreference="secondaryPreferred") as client:
        orders = client.shop.orders
        orders.insert_one({"_id": number})
        assert orders.find_one({"_id": number}) is None
        replica_lag.advance("200ms")
        assert orders.find_one({"_id": number}) == {"_id": number}
"""

WRAPPING = """
import pymongo
import pytest
from pytest_replicalag import wrap

URI = "mongodb://localhost:{port}/shop?readPreference=secondary&directConnection=true"

@pytest.fixture(scope="session")
def wrapped():
    with wrap(pymongo.MongoClient(URI)) as client:
        yield client

@pytest.fixture
def mongo():
    with pymongo.MongoClient(URI, appname="tests") as client:
        yield client

@pytest.mark.replica_lag
@pytest.mark.parametrize("name", ["wrapped", "mongo"])
def test_it(request, name):
    client = request.getfixturevalue(name)
    assert type(client) is pymongo.MongoClient
    orders = client.get_default_database().orders
    orders.drop()
    orders.insert_one({{"_id": 7}})
    assert orders.find_one() is None
    assert len(client.nodes) == 3

def test_without_lag(wrapped):
    orders = wrapped.get_default_database().orders
    orders.insert_one({{"_id": 8}})
    assert orders.find_one({{"_id": 8}}) == {{"_id": 8}}

async def use_async():
    bare = pymongo.AsyncMongoClient("127.0.0.1", {port}, readPreference="secondary")
    async with wrap(bare) as client:
        await client.shop.orders.insert_one({{"_id": 9}})
        return await client.shop.orders.find_one({{"_id": 9}})

@pytest.mark.replica_lag
def test_asynchronous():
    import asyncio
    assert asyncio.run(use_async()) is None
"""

OUTSIDE = """
import pymongo

client = pymongo.MongoClient("mongodb://127.0.0.1:{port}/?readPreference=secondary")

def test_it():
    client.shop.things.insert_one({{"_id": 1}})
    assert client.shop.things.find_one({{"_id": 1}}) is None
    client.shop.things.drop()
"""


def port_of(node):
    return node.port


@pytest.fixture
def temporary(project, monkeypatch):
    """Where runs of the project keep what is temporary."""
    folder = project.path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_the_run_starts_a_node_of_its_own_and_leaves_nothing_behind(project, program, temporary):
    project.file("test_it", SHOP)
    result = project.run_apart("--replica-lag=200ms", f"--replica-lag-mongod={program}")
    result.assert_outcomes(passed=4)
    assert left(temporary) == []


def test_each_worker_has_a_node(project, program, temporary):
    project.file("test_it", SHOP)
    options = ("--replica-lag=200ms", f"--replica-lag-mongod={program}", "-n", "2")
    project.run_apart(*options, plugins=("xdist",)).assert_outcomes(passed=4)
    assert left(temporary) == []


def test_an_interrupted_run_leaves_nothing_behind(project, program, temporary):
    project.file(
        "test_it",
        """
        import signal
        import time

        # Where all tests run in a shell's background, this is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def test_it(replica_lag_uri):
            print("started", flush=True)
            time.sleep(60)
        """,
    )
    command = [sys.executable, "-m", "pytest", "-s", "-p", "pytest_replicalag.plugin"]
    options = ["--replica-lag=200ms", f"--replica-lag-mongod={program}"]
    run = subprocess.Popen(
        [*command, *options],
        cwd=project.path,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in run.stdout:
        if "started" in line:
            break
    assert left(temporary)
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=60)
    assert left(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_killed_leaves_nothing_behind(project, program, temporary, number):
    project.file(
        "test_it",
        f"""
        import os

        def test_it(replica_lag_uri):
            os.kill(os.getpid(), {int(number)})
        """,
    )
    command = [sys.executable, "-m", "pytest", "-p", "pytest_replicalag.plugin"]
    options = ["--replica-lag=200ms", f"--replica-lag-mongod={program}"]
    run = subprocess.run([*command, *options], cwd=project.path, capture_output=True, check=False)
    assert run.returncode == -number
    end_s = time.monotonic() + 60
    while left(temporary) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert left(temporary) == []


def left(temporary: Path) -> list[str]:
    """The folders of nodes in a temporary folder, and the processes that use one."""
    folders = [path.name for path in temporary.glob("replica-lag-mongod-*")]
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    used = [line for line in processes.stdout.splitlines() if f"--dbpath {temporary}" in line]
    return sorted([*folders, *used])


RECORDER = """#!/bin/sh
[ "$1" = --version ] && echo db version v7.0.1 && exit
echo $$ >> {started}
exec sleep 100
"""


@pytest.fixture
def recorder(project, monkeypatch):
    """A program that notes when it is started, and its option; gives the file that tells."""
    started = project.path / "started"
    started.write_text("")
    path = project.path / "mongod"
    path.write_text(RECORDER.format(started=started))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{project.path}{os.pathsep}{os.environ['PATH']}")
    return started


NEEDS_NO_NODE = """
    import pathlib
    import time

    def test_it():
        end_s = time.monotonic() + 60
        while not pathlib.Path("started").read_text() and time.monotonic() < end_s:
            time.sleep(0.01)
        print("it was started:", bool(pathlib.Path("started").read_text()))
"""


def test_a_node_that_the_command_line_asks_for_starts_while_tests_are_loaded(
    project, recorder, temporary
):
    project.file("test_it", NEEDS_NO_NODE)
    result = project.run_apart("--replica-lag=200ms", "--replica-lag-engine=mongod", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*it was started: True*"])
    [number] = recorder.read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)
    assert left(temporary) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--replica-lag=200ms", "--collect-only"],
        ["--replica-lag=200ms", "--fixtures"],
        ["--replica-lag=off"],
        [],
    ],
)
def test_a_run_without_lag_or_without_tests_starts_no_node(project, recorder, options, temporary):
    project.file("test_it", "def test_it(): ...")
    assert project.run_apart("--replica-lag-engine=mongod", *options).ret == 0
    assert recorder.read_text() == ""
    assert left(temporary) == []


def test_an_ini_file_starts_no_node_that_no_test_needs(project, recorder):
    project.file("test_it", "def test_it(): ...")
    project.ini("replica_lag = 200ms", "replica_lag_engine = mongod")
    project.run_apart().assert_outcomes(passed=1)
    assert recorder.read_text() == ""


def test_a_program_that_never_answers_is_asked_what_it_is(project):
    path = project.path / "mongod"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo other 1.0 && exit\nexec sleep 100\n')
    path.chmod(0o755)
    project.file("test_it", SHOP)
    result = project.run_apart("--replica-lag=200ms", f"--replica-lag-mongod={path}", "-x")
    result.stdout.fnmatch_lines([f"{path} is no mongod: to --version, it says 'other 1.0'"])


def test_clients_are_wrapped_in_front_of_their_own_server(project, node):
    project.file("test_it", WRAPPING.format(port=node.port))
    project.ini("replica_lag_fixtures = mongo")
    project.run_apart("--replica-lag=200ms").assert_outcomes(passed=4)


def test_clients_are_intercepted_in_front_of_their_own_server(project, node):
    project.file("test_it", OUTSIDE.format(port=node.port))
    options = ("--replica-lag=200ms", "--replica-lag-all", "--replica-lag-intercept")
    project.run_apart(*options).assert_outcomes(passed=1)


def test_the_report_is_the_one_of_the_engine_memory(project, node):
    project.file(
        "test_it",
        """
        import pymongo
        import pytest

        @pytest.mark.replica_lag
        def test_order(replica_lag_uri):
            with pymongo.MongoClient(replica_lag_uri, readPreference="secondary") as client:
                client.drop_database("shop")
                client.shop.orders.insert_one({"_id": 7, "status": "placed"})
                client.shop.orders.update_one({"_id": 7}, {"$set": {"status": "paid"}})
                client.shop.orders.insert_one({"_id": 8})
                assert client.shop.orders.find_one({"_id": 7})["status"] == "paid"
        """,
    )
    shown = []
    for options in (["--replica-lag-engine=memory"], [f"--replica-lag-mongod={node.uri}"]):
        result = project.run_apart("--replica-lag=200ms", *options)
        lines = result.outlines
        first = next(number for number, line in enumerate(lines) if line.startswith("stale read"))
        last = next(number for number, line in enumerate(lines) if line.startswith("replay"))
        shown.append(lines[first:last])
    assert shown[0] == shown[1]


def test_runs_on_time_are_the_same_each_time(project, node):
    project.file("test_it", SHOP)
    for _ in range(2):
        began = time.monotonic()
        project.file("test_it", SHOP.replace('"_id": number', f'"_id": number + {began}'))
        result = project.run_apart("--replica-lag=200ms", f"--replica-lag-mongod={node.uri}")
        assert "Stale reads in 4 of 4 tests with lag." in result.outlines
