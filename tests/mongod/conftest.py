"""One real node for all tests of the engine mongod, where its server can run."""

from __future__ import annotations

import contextlib

import pymongo
import pytest
from inner_runs import Project
from mongod_program import mongod_program

from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.engine_choice import MONGOD, EngineChoice, choose
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor

pytest.importorskip("mirakuru", reason="a node is started by mirakuru; tox installs it")

from pytest_replicalag.engines.mongod.process import MongodProcess


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The server's program."""
    return mongod_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="session")
def node(program):
    """A node that runs."""
    process = MongodProcess(program).ready()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def endpoints(node):
    """Endpoints in front of it."""
    own = Endpoints()
    choose(EngineChoice(engine=MONGOD, mongod=node.uri))
    try:
        own.uri  # noqa: B018 - starts them
    finally:
        choose(None)
    yield own
    own.stop()


@pytest.fixture(scope="session")
def uri(endpoints, node):
    """The connection string of the simulated set."""
    choose(EngineChoice(engine=MONGOD, mongod=node.uri))
    try:
        return endpoints.uri
    finally:
        choose(None)


@pytest.fixture(scope="session")
def session_client(uri):
    with pymongo.MongoClient(uri) as client:
        yield client


@pytest.fixture
def client(session_client):
    """PyMongo, connected to the simulated set; its databases are empty."""
    for name in session_client.list_database_names():
        if name not in ("admin", "config", "local"):
            session_client.drop_database(name)
    return session_client


@pytest.fixture
def direct(node):
    """PyMongo, connected to the node itself."""
    with pymongo.MongoClient(node.uri) as client:
        yield client


@pytest.fixture
def lagging():
    """Let a simulated set lag inside; gives what the fixture `replica_lag` gives."""

    @contextlib.contextmanager
    def lag(lag="200ms", **words):
        given = {"lag": lag, **words}
        settings = resolve([{k: Given(source="test", value=v) for k, v in given.items()}])
        simulation = Simulation(settings, "test")
        with governor.govern(simulation):
            yield ReplicaLag(simulation, enabled=True)

    return lag


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Project(pytester)
