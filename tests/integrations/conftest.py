"""Libraries that reach the simulated set through its URI, as they would reach a real one.

Everyday use is tested with lag off, in this process; a pytest of its own finds an application's
stale reads.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pymongo
import pytest
from applications import COLUMNS, Application
from mongod_program import mongod_program


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", default="memory", help="what the simulated set runs on")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let this run, and the applications' own runs, have the engine."""
    if config.getoption("--engine") == "mongod":
        folder = tempfile.TemporaryDirectory(prefix="integrations-")
        config.add_cleanup(folder.cleanup)
        config.option.replica_lag_mongod = str(mongod_program(Path(folder.name)))


@pytest.fixture
def application(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> Application:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    mongod = pytestconfig.option.replica_lag_mongod
    return Application(pytester, *([f"--replica-lag-mongod={mongod}"] if mongod else []))


@pytest.fixture
def uri(replica_lag_uri: str) -> str:
    """The simulated set, without lag."""
    return replica_lag_uri


@pytest.fixture
def database(uri: str, request: pytest.FixtureRequest):
    """The name of a database of the test's own, dropped at its end."""
    name = re.sub(r"\W", "_", request.node.name)[-60:]
    yield name
    with pymongo.MongoClient(uri) as client:
        client.drop_database(name)
