"""The same operations through pymongo on the wire and on a wrapped client observe the same.

What a wrapped client observes is held against a naive replica set by the state machine of the
in-process front; here the wire is held against the wrapped client, with the same operations drawn.
After each operation everything is compared: result or error, simulated time, how far each member
is, and what was found stale.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pymongo
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import make_read_preference
from pymongo.write_concern import WriteConcern
from simulating import simulation_of

from pytest_replicalag.clients import wrap
from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.simulation import governor

sys.path.append(str(Path(__file__).parents[1] / "state_machine"))

from comparing import plain
from drawn import (
    FILTERS,
    GROUPS,
    LAGS,
    LEVELS,
    MODES,
    NUMBERS,
    REPLACEMENTS,
    SORTS,
    WRITE_CONCERNS,
    upserted,
)

pytestmark = pytest.mark.slow

IDS = st.integers(0, 5)

DOCUMENTS = st.builds(
    lambda key, n, g, arr: {"_id": key, "n": n, "g": g, "arr": arr},
    IDS,
    NUMBERS,
    GROUPS,
    st.lists(NUMBERS, max_size=2),
)

UPDATES = st.one_of(
    st.builds(lambda n: {"$set": {"n": n}}, NUMBERS),
    st.builds(lambda n: {"$inc": {"n": n}}, NUMBERS),
    st.builds(lambda n: {"$push": {"arr": n}}, NUMBERS),
    st.builds(lambda n: {"$addToSet": {"arr": n}}, NUMBERS),
    st.just({"$unset": {"arr": 1}}),
    st.builds(lambda n: {"$setOnInsert": {"n": n}}, NUMBERS),
)

# Not the filters that the library takes otherwise in writes than a server, and than the wire.
MATCHING = st.one_of(
    st.builds(lambda key: {"_id": key}, IDS),
    st.builds(lambda n: {"n": n}, NUMBERS),
    st.builds(lambda g: {"g": g}, GROUPS),
)

CODES = (9, 50, 64, 72, 79, 100, 246, 10107, 11000)
"""Errors that are alike on both fronts; others are a server's words on one of them."""

# What nobody acknowledges arrives on the wire when it may.
ACKNOWLEDGED = WRITE_CONCERNS.filter(lambda concern: concern.get("w") != 0)

COLLECTION = st.sampled_from(["a", "a", "a", "b"])
SESSION = st.sampled_from([None, None, None, 0, 0, 1])

WRITES = st.one_of(
    st.tuples(st.just("insert_one"), st.tuples(DOCUMENTS)),
    st.tuples(
        st.just("insert_many"),
        st.tuples(st.lists(DOCUMENTS, min_size=1, max_size=3), st.booleans()),
    ),
    st.tuples(
        st.sampled_from(["update_one", "update_many"]),
        st.tuples(MATCHING, UPDATES, st.booleans()),
    ),
    st.tuples(
        st.just("replace_one"),
        st.tuples(st.builds(lambda key: {"_id": key}, IDS), REPLACEMENTS, st.booleans()),
    ),
    st.tuples(st.sampled_from(["delete_one", "delete_many"]), st.tuples(MATCHING)),
    st.tuples(st.just("find_one_and_update"), st.tuples(MATCHING, UPDATES)),
    st.tuples(st.just("find_one_and_delete"), st.tuples(MATCHING)),
)

READS = st.one_of(
    # With other projections the library puts the `_id` last, and the wire first, as a server does.
    st.tuples(
        st.just("find"),
        st.tuples(FILTERS, st.sampled_from([None, {"g": 0}]), SORTS, st.integers(0, 2)),
    ),
    st.tuples(st.just("find_one"), st.tuples(FILTERS)),
    st.tuples(st.just("count_documents"), st.tuples(FILTERS)),
    st.tuples(st.just("distinct"), st.tuples(st.sampled_from(["n", "g"]), FILTERS)),
    st.tuples(st.just("aggregate"), st.tuples(FILTERS)),
)

OPERATIONS = st.one_of(
    st.tuples(st.just("write"), COLLECTION, WRITES, ACKNOWLEDGED, SESSION),
    st.tuples(
        st.just("read"),
        COLLECTION,
        READS,
        st.sampled_from([*MODES, "secondary", "nearest"]),
        st.sampled_from(LEVELS),
        SESSION,
    ),
    st.tuples(st.just("advance"), st.sampled_from(["1ms", "7ms", "30ms"])),
    st.tuples(
        st.just("replicate"),
        st.sampled_from(["pause", "resume", "catch_up"]),
        st.sampled_from([None, "secondary-1", "secondary-2"]),
    ),
    st.tuples(st.just("set_lag"), st.sampled_from(sorted(LAGS)), st.just("secondary-1")),
)


def run_write(collection: Any, method: str, arguments: Any, options: Any) -> Any:
    if method == "insert_many":
        documents, ordered = arguments
        copies = [dict(document) for document in documents]
        return collection.insert_many(copies, ordered=ordered, **options)
    if method.startswith(("update", "replace")):
        matching, update, upsert = arguments
        options = {"upsert": upsert and upserted(matching), **options}
        arguments = (matching, update)
    if method == "find_one_and_update":
        options = {"return_document": True, **options}
    copies = [dict(argument) for argument in arguments]
    return getattr(collection, method)(*copies, **options)


def run_read(collection: Any, method: str, arguments: Any, options: Any) -> Any:
    arguments = copy.deepcopy(arguments)  # the library writes into projections
    if method == "find":
        matching, projection, sort, limit = arguments
        return list(collection.find(matching, projection, sort=sort, limit=limit, **options))
    if method == "aggregate":
        return list(collection.aggregate([{"$match": arguments[0]}], **options))
    found = getattr(collection, method)(*arguments, **options)
    return sorted(found, key=repr) if method == "distinct" else found


def told(error: Exception) -> str:
    """An error in the form in which those of both fronts are alike."""
    if isinstance(error, EndlessWaitError):
        return "endless wait"
    if isinstance(error, BulkWriteError):
        details = error.details
        failed = [(one["index"], one["code"]) for one in details["writeErrors"]]
        waits = [one["code"] for one in details["writeConcernErrors"]]
        return f"bulk {failed} {waits} {details['nInserted']}"
    details = getattr(error, "details", None) or {}
    code = getattr(error, "code", None) or details.get("code")
    if code == 96 and isinstance(error, OperationFailure):
        return "endless wait"
    return f"code {code}" if code in CODES else "refused"


class Player:
    """Plays operations on one deployment, and notes what they observe."""

    def __init__(self, client: Any, simulation: Any) -> None:
        self.client = client
        self.simulation = simulation
        self.control = ReplicaLag(simulation, enabled=True)
        self.sessions = [
            client.start_session(causal_consistency=True),
            client.start_session(causal_consistency=False),
        ]
        self.start_us = self.control.now().us

    def play(self, operation: Any) -> Any:
        kind, *words = operation
        try:
            found = getattr(self, kind)(*words)
        except (PyMongoError, EndlessWaitError, NotImplementedError, TypeError) as error:
            found = told(error)
        control = self.control
        optimes = tuple(member.optime.ts.inc for member in control.members)
        stale = [
            (read.member, read.operation, read.result, read.missed_count, read.guarantees)
            for read in control.stale_reads
        ]
        return found, control.now().us - self.start_us, optimes, stale

    def options(self, session: int | None) -> dict[str, Any]:
        return {} if session is None else {"session": self.sessions[session]}

    def write(self, name: str, call: Any, concern: Any, session: int | None) -> str:
        collection = self.client.shop.get_collection(name, write_concern=WriteConcern(**concern))
        return plain(run_write(collection, *call, self.options(session)))

    def read(self, name: str, call: Any, mode: str, level: Any, session: int | None) -> str:
        collection = self.client.shop.get_collection(
            name,
            read_preference=make_read_preference(MODES.index(mode), None),
            read_concern=None if level is None else ReadConcern(level),
        )
        return plain(run_read(collection, *call, self.options(session)))

    def advance(self, duration: str) -> None:
        self.control.advance(duration)

    def replicate(self, word: str, member: str | None) -> None:
        getattr(self.control, word)(member)

    def set_lag(self, lag: str, member: str) -> None:
        self.control.set_lag(lag, member)


@pytest.fixture(scope="module")
def client():
    endpoints = Endpoints()
    with pymongo.MongoClient(endpoints.uri, retryReads=False) as client:
        yield client
    endpoints.stop()


def library_of_endpoints() -> Any:
    """What holds the data behind an endpoint."""
    for name in ("mongomock_ng", "mongomock"):
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    raise AssertionError


def played(client: Any, words: Any, operations: Any) -> list[Any]:
    """What a client observes of operations in a simulation of their own."""
    simulation = simulation_of(**words)
    with governor.govern(simulation):
        player = Player(client, simulation)
        return [player.play(operation) for operation in operations]


THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


@given(
    lags=st.lists(st.sampled_from([*LAGS, "40ms", "inf"]), min_size=2, max_size=2),
    choose=st.sampled_from(["stalest", "alternate", "random"]),
    operations=st.lists(OPERATIONS, min_size=1, max_size=25),
)
@settings(
    max_examples=1_500 if THOROUGH else 40,
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink] if THOROUGH else [Phase.generate],
)
def test_the_wire_observes_what_a_wrapped_client_observes(client, lags, choose, operations):
    words = {"lag": ",".join(lags), "choose": choose, "seed": 0}
    wrapped = library_of_endpoints().MongoClient()
    client.drop_database("shop")
    for name in ("a", "b"):  # a collection that comes with its first document is an entry more
        client.shop.create_collection(name)
        wrapped.shop.create_collection(name)
    on_the_wire = played(client, words, operations)
    in_process = played(wrap(wrapped), words, operations)
    for operation, found, expected in zip(operations, on_the_wire, in_process, strict=True):
        assert found == expected, operation
        if found[0] == "endless wait":
            break  # on the wire it is a reply, which tells a session the time
