"""What a filter equals, as a server compares; each answer was seen on a real one."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, encode

_DOCUMENTS = [
    {"_id": 1, "x": 1, "o": {"p": 1, "q": True}, "a": [1, 2]},
    {"_id": 2, "x": True, "o": {"q": True, "p": 1}, "a": []},
    {"_id": 3, "x": 1.0, "o": {"p": 1, "q": 1}, "a": 5},
    {"_id": 4, "x": Decimal128("1.0"), "o": {"p": 1}, "a": [{"p": 1}]},
    {"_id": 5, "x": 0, "o": {}},
    {"_id": 6, "x": False},
]


@pytest.fixture
def ids(run: Any) -> Any:
    """The documents that a filter finds, by `_id`, and that a pipeline finds by it."""
    run("insert", "c", documents=[dict(document) for document in _DOCUMENTS])

    def ids(filter: Any) -> list[int]:
        found = [document["_id"] for document in run("find", "c", filter=filter)]
        stages = [{"$match": filter}]
        matched = run("aggregate", "c", pipeline=stages, cursor={})
        assert found == [document["_id"] for document in matched]
        return found

    return ids


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"x": 1}, [1, 3, 4]),
        ({"x": Decimal128("1")}, [1, 3, 4]),
        ({"x": True}, [2]),
        ({"x": 0}, [5]),
        ({"x": {"$ne": 1}}, [2, 5, 6]),
        ({"x": {"$in": [True, 0]}}, [2, 5]),
        ({"x": {"$nin": [1, False]}}, [2, 5]),
        ({"x": {"$not": {"$eq": 1}}}, [2, 5, 6]),
        ({"o": {"p": 1, "q": True}}, [1]),
        ({"o": {"q": True, "p": 1}}, [2]),
        ({"o": {"$eq": {"p": 1, "q": 1.0}}}, [3]),
        ({"o": {}}, [5]),
        ({"a": [1, 2]}, [1]),
        ({"a": [1.0, 2]}, [1]),
        ({"a": [True, 2]}, []),
        ({"a": {"p": 1.0}}, [4]),
        ({"a": {"$elemMatch": {"p": 1}}}, [4]),
        ({"a": {"$all": []}}, []),
        ({"a": {"$all": [2, 1]}}, [1]),
        ({"a": {"$size": 1}}, [4]),
        ({"$or": [{"x": True}, {"$and": [{"o": {"p": 1}}]}]}, [2, 4]),
    ],
)
def test_equality(ids: Any, filter: Any, expected: list[int]) -> None:
    assert ids(filter) == expected


def test_nothing_is_counted_where_nothing_is(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1}])
    count = [{"$match": {"x": 1}}, {"$count": "n"}]
    assert run("aggregate", "c", pipeline=count, cursor={}) == []
    assert run("aggregate", "c", pipeline=count[1:], cursor={}) == [{"n": 1}]
    group = {"$group": {"_id": None, "n": {"$sum": 1}}}
    assert run("aggregate", "c", pipeline=[count[0], group], cursor={}) == []
    assert run("aggregate", "c", pipeline=[group], cursor={}) == [{"_id": None, "n": 1}]


@pytest.mark.parametrize(
    "projection",
    [
        {"a.$": 1},
        {"x": "text"},
        {"x": {"$add": [1, 2]}},
        {"a": {"$slice": 1}},
    ],
)
def test_projections_that_the_library_has_otherwise(
    run: Any, refused: Any, projection: Any
) -> None:
    with refused(115):
        run("find", "c", filter={"a": 1}, projection=projection)


@pytest.mark.parametrize(
    "stage",
    [
        {"$set": {"x": "$$REMOVE"}},
        {"$project": {"o.z": "$x"}},
        {"$project": {"z": {"$strcasecmp": ["a", "A"]}}},
    ],
)
def test_stages_that_the_library_has_otherwise(run: Any, refused: Any, stage: Any) -> None:
    with refused(115):
        run("aggregate", "c", pipeline=[stage], cursor={})


def test_an_upsert_stores_plain_values(run: Any) -> None:
    statement = {"q": {"_id": None, "x": 1, "o": {"p": 1}}, "u": {"$set": {"y": 1}}, "upsert": True}
    run("update", "c", updates=[statement])
    [found] = run("find", "c")
    assert encode(found) == encode({"_id": None, "o": {"p": 1}, "x": 1, "y": 1})


def test_what_pull_asks_for(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "a": [1, 2, 3]}])
    run("update", "c", updates=[{"q": {}, "u": {"$pull": {"a": {"$gt": 1, "$ne": 3}}}}])
    assert run("find", "c") == [{"_id": 1, "a": [1, 3]}]


def test_negation(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "x": False}, {"_id": 2, "x": 1}, {"_id": 3}])
    stages = [{"$project": {"not": {"$not": ["$x"]}}}]
    found = run("aggregate", "c", pipeline=stages, cursor={})
    assert [document["not"] for document in found] == [True, False, True]
    assert len(run("find", "c", filter={"$expr": {"$not": [{"$eq": ["$x", 1]}]}})) == 2


def test_different_elements_may_meet_different_operators(run: Any) -> None:
    values = ([5, 40], [15], [5], [40])
    documents = [
        {"_id": number, "a": [{"q": value} for value in inner]}
        for number, inner in enumerate(values)
    ]
    run("insert", "c", documents=documents)
    between = {"$gt": 10, "$lte": 20}
    assert [one["_id"] for one in run("find", "c", filter={"a.q": between})] == [0, 1]
    same = {"$and": [{"a.q": between}], "a": {"$elemMatch": {"q": between}}}
    assert [one["_id"] for one in run("find", "c", filter=same)] == [1]


def test_what_a_pipeline_writes_has_an_id(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "x": 2}])
    without = {"$project": {"_id": 0, "x": 1}}
    for stage in ({"$out": "d"}, {"$merge": "e"}):
        run("aggregate", "c", pipeline=[without, stage], cursor={})
    for target in ("d", "e"):
        [found] = run("find", target)
        assert (list(found), found["x"]) == (["_id", "x"], 2)
