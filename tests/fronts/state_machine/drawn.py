"""What the state machine draws: documents, filters, updates, write concerns, lags."""

from __future__ import annotations

import datetime
from typing import Any

import hypothesis.strategies as st
from naive import NAMESPACES
from simulating import HAS_PIPELINE_UPDATES

LAGS = {
    "0": (0, 0),
    "3ms": (3_000, 3_000),
    "12ms": (12_000, 12_000),
    "40ms": (40_000, 40_000),
    "inf": (None, None),
    "0..15ms": (0, 15_000),
    "5ms..30ms": (5_000, 30_000),
}

START = datetime.datetime(2030, 1, 1)

PLAIN_IDS = st.sampled_from([0, 1, 2, 3, 1.0, "x", "y", 2.5, b"k", START])


def is_wire(machine: Any) -> bool:
    """Whether what is drawn must mean the same to a library and to a server."""
    return machine is None or machine.deployment.is_wire


def ids_of(machine: Any) -> Any:
    """Also `True`, where that is the same as 1: to the libraries, and not to a server."""
    if is_wire(machine):
        return PLAIN_IDS
    return st.one_of(PLAIN_IDS, st.just(True))


IDS = st.runner(default=None).flatmap(ids_of)
NUMBERS = st.integers(0, 3)
GROUPS = st.sampled_from(["g", "h"])


@st.composite
def documents(draw: Any) -> Any:
    document = {"_id": draw(IDS), "n": draw(NUMBERS), "g": draw(GROUPS)}
    if draw(st.booleans()):
        document["arr"] = draw(st.lists(NUMBERS, max_size=2))
    if draw(st.booleans()):
        document["sub"] = {"x": draw(NUMBERS)}
    if draw(st.booleans()):
        document["d"] = ("in seconds", draw(st.integers(1, 30)))
    return document


FILTERS = st.one_of(
    st.just({}),
    st.builds(lambda v: {"_id": v}, IDS),
    st.builds(lambda v: {"_id": {"$eq": v}}, IDS),
    st.builds(lambda v, n: {"_id": v, "n": n}, IDS, NUMBERS),
    st.builds(lambda a, b: {"_id": {"$in": [a, b]}}, IDS, IDS),
    st.builds(lambda n: {"n": n}, NUMBERS),
    st.builds(lambda n: {"n": {"$gte": n}}, NUMBERS),
    st.builds(lambda g: {"g": g}, GROUPS),
    st.builds(lambda n: {"sub.x": n}, NUMBERS),
    st.builds(lambda n: {"arr": n}, NUMBERS),
)

# Libraries take no operators for the `_id` of what is replaced, and turn a 1.0 into the 1 that
# was asked for.
REPLACED = st.runner(default=None).flatmap(
    lambda machine: (
        FILTERS.filter(lambda f: not isinstance(f.get("_id"), dict) and f.get("_id") != 1)
        if is_wire(machine)
        else FILTERS
    )
)

UPDATES = st.one_of(
    st.builds(lambda n: {"$set": {"n": n}}, NUMBERS),
    st.builds(lambda n: {"$inc": {"n": n}}, NUMBERS),
    # These fail, for g is a word. A library sets n all the same, and a server nothing.
    st.runner(default=None).flatmap(
        lambda machine: (
            st.just({"$inc": {"g": 1}})
            if is_wire(machine)
            else st.builds(lambda n: {"$set": {"n": n}, "$inc": {"g": 1}}, NUMBERS)
        )
    ),
    st.builds(lambda n: {"$push": {"arr": n}}, NUMBERS),
    st.builds(lambda n: {"$addToSet": {"arr": n}}, NUMBERS),
    st.builds(lambda n: {"$pull": {"arr": n}}, NUMBERS),
    st.just({"$unset": {"sub": 1}}),
    st.just({"$rename": {"n": "m"}}),
    st.builds(lambda n: {"$set": {"sub.x": n}}, NUMBERS),
    st.builds(lambda n: {"$setOnInsert": {"n": n}}, NUMBERS),
    st.builds(lambda s: {"$set": {"d": ("in seconds", s)}}, st.integers(1, 30)),
    st.builds(lambda n: [{"$set": {"n": {"$add": ["$n", n]}}}], NUMBERS)
    if HAS_PIPELINE_UPDATES
    else st.nothing(),
)

REPLACEMENTS = st.builds(
    lambda n, g: {"n": n, "g": g} if g else {"g": "h", "n": n}, NUMBERS, st.sampled_from(["g", ""])
)
SORTS = st.sampled_from([None, [("n", 1)], [("n", -1), ("_id", 1)], [("g", 1)]])
PROJECTIONS = st.sampled_from([None, {"n": 1}, {"g": 0}, {"_id": 0, "n": 1}])


def upserted(filter: Any) -> bool:
    """Only where the new `_id` is told, for two libraries would make up two."""
    return isinstance(filter.get("_id"), (int, float, str))


BULKS = st.lists(
    st.one_of(
        st.tuples(st.just("insert_one"), documents()),
        st.tuples(st.just("update_one"), FILTERS, UPDATES, st.booleans()),
        st.tuples(st.just("update_many"), FILTERS, UPDATES, st.just(False)),
        st.tuples(st.just("replace_one"), REPLACED, REPLACEMENTS, st.booleans()),
        st.tuples(st.just("delete_one"), FILTERS),
        st.tuples(st.just("delete_many"), FILTERS),
    ),
    min_size=1,
    max_size=5,
)

WRITE_CONCERNS = st.sampled_from(
    [
        {},
        {},
        {"w": 1},
        {"w": 1},
        {"w": 0},
        {"w": 2},
        {"w": 3},
        {"w": 2, "wtimeout": 5},
        {"w": 3, "wtimeout": 20},
        {"w": 5, "wtimeout": 1},
        {"w": "majority", "wtimeout": 10},
        {"w": "nowhere"},
        {"j": True},
    ]
)

MODES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
LEVELS = (*[None] * 7, "local", "available", "majority", "majority", "linearizable", "snapshot")

SESSIONS = st.sampled_from([None, None, None, None, None, 0, 0, 1, 2, 3])


# Mostly one collection, so that reads meet what writes have done.
TARGETS = st.sampled_from([NAMESPACES[0]] * 6 + [*NAMESPACES[:3]] * 2 + [*NAMESPACES])


def finished(value: Any, now: datetime.datetime) -> Any:
    """A drawn value with its dates filled in; a copy."""
    if isinstance(value, tuple) and value[0] == "in seconds":
        return now + datetime.timedelta(seconds=value[1])
    if isinstance(value, dict):
        return {key: finished(item, now) for key, item in value.items()}
    if isinstance(value, list):
        return [finished(item, now) for item in value]
    return value
