"""Random operations on a client, held against a naive replica set after every step.

Each step runs one operation on the client inside a simulation and on a bare client of the library
that holds the data. What a member answers must be what the bare library answers on a copy of the
data of that member's optime; a stale read must be recorded just when the newest copy answers
otherwise. The client is a wrapped one, or PyMongo on the wire.

The number of steps is set by the Hypothesis profile; see `conftest.py`.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
from bulks import Bulks
from controlling import Controlling
from deployments_under_test import InProcess, OnTheWire
from hypothesis import settings
from managing import Managing
from on_mongod import OnMongod
from reading import Reading


class LaggingSet(Bulks, Managing, Reading, Controlling):
    """A wrapped client of mongomock."""

    deployment = InProcess("mongomock")


@pytest.mark.slow
class TestMongomock(LaggingSet.TestCase):
    pass


if importlib.util.find_spec("mongomock_ng") is not None:

    class LaggingSetNg(LaggingSet):
        """A wrapped client of mongomock-ng."""

        deployment = InProcess("mongomock_ng")

    @pytest.mark.slow
    class TestMongomockNg(LaggingSetNg.TestCase):
        pass


class LaggingSetOnTheWire(LaggingSet):
    """PyMongo, connected to the endpoints."""

    deployment = OnTheWire()


@pytest.mark.slow
class TestPyMongo(LaggingSetOnTheWire.TestCase):
    @classmethod
    def tearDownClass(cls) -> None:
        LaggingSetOnTheWire.deployment.stop()


class LaggingSetOnMongod(LaggingSet):
    """PyMongo, connected to endpoints in front of a real node."""

    deployment = OnMongod()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mirakuru") is None, reason="a node is started by mirakuru"
)
class TestMongod(LaggingSetOnMongod.TestCase):
    # A step takes several round trips to two real nodes.
    settings = settings() if "HYPOTHESIS_PROFILE" in os.environ else settings(max_examples=5)

    @classmethod
    def tearDownClass(cls) -> None:
        LaggingSetOnMongod.deployment.stop()
