"""The steps that generated programs are made of.

Few ids and few values, so that steps meet. What a step does is told by its `repr`, which a failure
prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployments import MEMBERS, SECONDARIES
from hypothesis import strategies as st

COLLECTIONS = ("a", "b")

# Not 0: bulk writes of mongomock forget an upsert of what is false.
ids = st.integers(1, 5)
values = st.integers(0, 3)
groups = st.sampled_from(["red", "blue"])
names = st.sampled_from(COLLECTIONS)

# Fields in one order: in another one, a replacement by equal values changes a document for a server
# and not for mongomock.
bodies = st.tuples(values, st.one_of(st.none(), groups)).map(
    lambda drawn: {"x": drawn[0]} if drawn[1] is None else {"x": drawn[0], "g": drawn[1]}
)
documents = st.tuples(ids, bodies).map(lambda drawn: {"_id": drawn[0], **drawn[1]})
filters = st.one_of(
    st.just({}),
    ids.map(lambda key: {"_id": key}),
    ids.map(lambda key: {"_id": {"$gte": key}}),
    values.map(lambda x: {"x": x}),
    values.map(lambda x: {"x": {"$lt": x}}),
    groups.map(lambda g: {"g": g}),
    st.lists(ids, max_size=3).map(lambda keys: {"_id": {"$in": keys}}),
)
updates = st.one_of(
    values.map(lambda x: {"$set": {"x": x}}),
    st.just({"$inc": {"x": 1}}),
    groups.map(lambda g: {"$set": {"g": g}}),
    st.just({"$unset": {"g": ""}}),
)
orders = st.sampled_from([[("_id", 1)], [("_id", -1)], [("x", 1), ("_id", 1)]])
by_id = ids.map(lambda key: {"_id": key})
"""Asks for one document: which of several a server takes that no order is asked of is its own."""


@dataclass(frozen=True)
class Write:
    """A write of one collection.

    Attributes:
        collection: The collection.
        method: Of PyMongo.
        arguments: What it is called with.
        concern: The `w` of its write concern; None for the default.
    """

    collection: str
    method: str
    arguments: tuple[Any, ...]
    concern: Any = None


@dataclass(frozen=True)
class Read:
    """A read.

    Attributes:
        collection: The collection.
        method: Of PyMongo.
        arguments: What it is called with.
        options: By name.
        member: Which member is asked.
        mode: The read preference that asks for it.
        level: The read concern level, or None.
    """

    collection: str
    method: str
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]
    member: str
    mode: str
    level: str | None


@dataclass(frozen=True)
class Hold:
    """Stop a secondary's replication."""

    member: str


@dataclass(frozen=True)
class CatchUp:
    """Let a secondary that is held apply all there is, and hold it again."""

    member: str


@dataclass(frozen=True)
class Release:
    """Let all secondaries replicate."""


@dataclass(frozen=True)
class Causal:
    """Operations in one causally consistent session."""

    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """Reads in one snapshot session, with writes outside of it between them."""

    steps: tuple[Any, ...]


@dataclass(frozen=True)
class Transaction:
    """Operations in a transaction, and how it ends.

    Attributes:
        steps: Its operations.
        commits: Whether it commits.
        concern: The `w` of its write concern; None for the default.
        level: Its read concern level, or None.
        meanwhile: A write outside of it, before its end.
    """

    steps: tuple[Any, ...]
    commits: bool
    concern: Any
    level: str | None
    meanwhile: Write | None


concerns = st.sampled_from([None, None, None, 1, 1, 2, 3, "majority", 4])


def _write(method: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Write]:
    return st.builds(Write, names, st.just(method), st.tuples(*arguments), concerns)


_operations = st.one_of(
    documents.map(lambda document: ("insert_one", document)),
    st.tuples(st.just("update_one"), by_id, updates, st.booleans()),
    st.tuples(st.just("update_many"), filters, updates),
    st.tuples(st.just("replace_one"), by_id, bodies, st.booleans()),
    st.tuples(st.just("delete_one"), by_id),
    st.tuples(st.just("delete_many"), filters),
)

writes = st.one_of(
    _write("insert_one", documents),
    _write("insert_one", documents),
    _write("insert_many", st.lists(documents, min_size=1, max_size=4), st.booleans()),
    _write("update_one", by_id, updates),
    _write("update_one", by_id, updates, st.just(True)),
    _write("update_many", filters, updates),
    _write("replace_one", by_id, bodies),
    _write("replace_one", by_id, bodies, st.just(True)),
    _write("delete_one", by_id),
    _write("delete_many", filters),
    _write("find_one_and_update", by_id, updates),
    _write("find_one_and_replace", by_id, bodies),
    _write("find_one_and_delete", by_id),
    # Ordered: of an unordered one, drivers send inserts first, and mongomock does not.
    _write("bulk_write", st.lists(_operations, min_size=1, max_size=4), st.just(True)),
)


def _lookup(name: str) -> list[Any]:
    joined = {"from": name, "localField": "x", "foreignField": "_id", "as": "found"}
    return [{"$lookup": joined}, {"$sort": {"_id": 1}}]


_pipelines = st.one_of(
    st.just([{"$group": {"_id": "$g", "n": {"$sum": "$x"}}}, {"$sort": {"_id": 1}}]),
    names.map(_lookup),
    names.map(_lookup),
    filters.map(lambda asked: [{"$match": asked}, {"$sort": {"x": -1, "_id": 1}}, {"$limit": 2}]),
    st.just([{"$match": {"x": {"$gte": 1}}}, {"$count": "n"}]),
)


def _options(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    return st.fixed_dictionaries(options).map(lambda given: tuple(given.items()))


_none = _options()
_methods = st.one_of(
    st.tuples(st.just("find_one"), st.tuples(filters), _options(sort=st.just([("_id", 1)]))),
    st.tuples(st.just("find_one"), st.tuples(by_id), _none),
    st.tuples(
        st.just("find"),
        st.tuples(filters),
        _options(
            sort=orders,
            skip=st.sampled_from([0, 0, 1]),
            limit=st.sampled_from([0, 0, 2]),
            batch_size=st.sampled_from([0, 0, 1]),
        ),
    ),
    st.tuples(st.just("find"), st.tuples(filters, st.just({"x": 1})), _options(sort=orders)),
    st.tuples(st.just("count_documents"), st.tuples(filters), _none),
    st.tuples(st.just("estimated_document_count"), st.just(()), _none),
    st.tuples(st.just("distinct"), st.tuples(st.sampled_from(["x", "g"]), filters), _none),
    st.tuples(st.just("aggregate"), st.tuples(_pipelines), _none),
    st.tuples(st.just("aggregate"), st.tuples(_pipelines), _none),
)

_levels = st.sampled_from(
    [None, None, None, "local", "available", "majority", "majority", "linearizable"]
)
_modes = {
    "primary": st.sampled_from(["primary", "primaryPreferred", "nearest"]),
    "secondary-1": st.sampled_from(["secondary", "secondaryPreferred", "nearest"]),
    "secondary-2": st.sampled_from(["secondary", "secondaryPreferred", "nearest"]),
}


@st.composite
def _reads(draw: st.DrawFn, levels: st.SearchStrategy[Any] = _levels) -> Read:
    method, arguments, options = draw(_methods)
    member = draw(st.sampled_from(MEMBERS))
    return Read(draw(names), method, arguments, options, member, draw(_modes[member]), draw(levels))


reads = _reads()


def _takes_limit(read: Read) -> bool:
    return read.method != "distinct"


@st.composite
def _any_of(draw: st.DrawFn, *kinds: st.SearchStrategy[Any]) -> Any:
    """One of these kinds, each as often as it stands there.

    `st.one_of` looks into those that are `one_of` themselves, and would draw writes nearly always.
    """
    return draw(draw(st.sampled_from(kinds)))


_secondaries = st.sampled_from(SECONDARIES)
# `distinct` has no time limit in all drivers, and in a session it may wait for ever.
_with_limit = _reads(st.sampled_from([None, None, "majority"])).filter(_takes_limit)
_of_snapshot = _reads(st.none()).filter(_takes_limit)
_of_primary = _reads(st.none()).map(
    lambda read: Read(
        read.collection, read.method, read.arguments, read.options, "primary", "primary", None
    )
)
# These two are refused in transactions, by the driver or the server, whatever the engine.
_in_transaction = _any_of(
    writes.map(lambda write: Write(write.collection, write.method, write.arguments)),
    _of_primary.filter(lambda read: read.method != "estimated_document_count"),
)

_causal = st.lists(_any_of(writes, _with_limit), min_size=2, max_size=5).map(
    lambda found: Causal(tuple(found))
)
_snapshot = st.lists(_any_of(writes, _of_snapshot), min_size=2, max_size=4).map(
    lambda found: Snapshot(tuple(found))
)
_transaction = st.builds(
    Transaction,
    st.lists(_in_transaction, min_size=1, max_size=4).map(tuple),
    st.booleans(),
    concerns,
    st.sampled_from([None, "local", "majority", "snapshot"]),
    st.one_of(st.none(), st.none(), writes),
)

steps = _any_of(
    *[writes] * 6,
    *[reads] * 8,
    *[st.builds(Hold, _secondaries)] * 4,
    st.builds(CatchUp, _secondaries),
    st.builds(Release),
    *[_causal] * 3,
    *[_snapshot] * 2,
    *[_transaction] * 2,
)

programs = st.lists(steps, min_size=10, max_size=40)
