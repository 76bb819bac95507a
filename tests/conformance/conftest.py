"""The real replica set that is the judge, where its server can run."""

from __future__ import annotations

import pymongo
import pytest
from mongod_program import mongod_program

from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.engine_choice import MONGOD, REPLICASET, EngineChoice, choose
from pytest_replicalag.engines.mongod.process import MongodProcess


@pytest.fixture(scope="session")
def real_set(tmp_path_factory):
    """A running replica set of three."""
    from deployments import RealSet

    folder = tmp_path_factory.mktemp("real_set")
    real = RealSet.started(mongod_program(folder), folder)
    try:
        yield real
    finally:
        real.stop()


@pytest.fixture(scope="session")
def wire_client():
    """PyMongo, connected to the endpoints of the simulated set."""
    endpoints = Endpoints()
    with pymongo.MongoClient(endpoints.uri) as client:
        yield client
    endpoints.stop()


@pytest.fixture(scope="session")
def mongod_client(tmp_path_factory):
    """PyMongo, connected to the endpoints of the simulated set in front of one real node."""
    program = mongod_program(tmp_path_factory.mktemp("mongod"))
    process = MongodProcess(program).ready()
    endpoints = Endpoints()
    uri = _uri(endpoints, EngineChoice(engine=MONGOD, mongod=process.uri))
    with pymongo.MongoClient(uri) as client:
        yield client
    endpoints.stop()
    process.stop()


@pytest.fixture(scope="session")
def replica_set_client(real_set):
    """PyMongo, connected to endpoints in front of the real set's own members."""
    endpoints = Endpoints()
    real_set.release()
    with pytest.MonkeyPatch.context() as patch:
        # Several workers are refused, for all would hold one set; here each has its own.
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        uri = _uri(endpoints, EngineChoice(engine=REPLICASET, mongod=real_set.uri))
    with pymongo.MongoClient(uri) as client:
        yield client
    endpoints.stop()


def _uri(endpoints, choice):
    choose(choice)
    try:
        return endpoints.uri
    finally:
        choose(None)
