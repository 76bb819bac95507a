"""Libraries that reach the simulated set through its URI, as they would reach a real one.

Everyday use is tested with lag off, in this process; a pytest of its own finds an application's
stale reads.
"""

from __future__ import annotations

import re

import pymongo
import pytest
from applications import COLUMNS, Application


@pytest.fixture
def application(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Application(pytester)


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
