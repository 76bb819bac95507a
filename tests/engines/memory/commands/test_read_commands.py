"""Reads as a server answers and refuses them; each answer was seen on a real one."""

from __future__ import annotations

from typing import Any

import pytest
from bson import DBRef

from pytest_replicalag.engines.memory.commands.values import Long


@pytest.fixture
def data(run: Any) -> None:
    """Three documents."""
    run("insert", "c", documents=[{"_id": n, "x": -n} for n in (1, 2, 3)])


@pytest.mark.usefixtures("data")
class TestHints:
    """`hint` names an index."""

    def test_order_of_a_hint(self, run: Any) -> None:
        run("createIndexes", "c", indexes=[{"key": {"x": 1}, "name": "x_1"}])
        assert [found["_id"] for found in run("find", "c", hint="x_1")] == [3, 2, 1]
        assert [found["_id"] for found in run("find", "c", hint={"x": 1})] == [3, 2, 1]
        assert [found["_id"] for found in run("find", "c", hint="x_1", sort={"_id": 1})] == [
            1,
            2,
            3,
        ]

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("find", {"hint": "y_1"}),
            ("find", {"hint": {"y": 1}, "sort": {"x": 1}}),
            ("count", {"hint": "y_1"}),
            ("aggregate", {"hint": "y_1", "pipeline": [], "cursor": {}}),
            ("findAndModify", {"hint": "y_1", "remove": True}),
        ],
    )
    def test_no_such_index(self, run: Any, refused: Any, name: str, fields: Any) -> None:
        with refused(2):
            run(name, "c", **fields)

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("update", {"updates": [{"q": {}, "u": {"$set": {"y": 1}}, "hint": "y_1"}]}),
            ("delete", {"deletes": [{"q": {}, "limit": 1, "hint": "y_1"}]}),
        ],
    )
    def test_no_such_index_for_a_statement(self, run: Any, name: str, fields: Any) -> None:
        assert run(name, "c", **fields)["writeErrors"][0]["code"] == 2

    def test_a_sparse_index_does_not_hold_all_documents(self, run: Any, refused: Any) -> None:
        run("createIndexes", "c", indexes=[{"key": {"y": 1}, "name": "y_1", "sparse": True}])
        with refused(115):
            run("find", "c", hint="y_1")


def test_distinct_values_come_in_their_order(run: Any) -> None:
    documents = [{"_id": 1, "x": [5, 3]}, {"_id": 2, "x": 3.0}, {"_id": 3, "x": 4}, {"_id": 4}]
    run("insert", "c", documents=[*documents, {"_id": 5, "x": True}, {"_id": 6, "x": 1}])
    found = run("distinct", "c", key="x")
    assert [(type(value), value) for value in found] == [
        (int, 1),
        (int, 3),
        (int, 4),
        (int, 5),
        (bool, True),
    ]


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        ({"x": {"$nosuch": 1}}, 2),
        ({"$nosuch": 1}, 2),
        ({"a": 1, "b": {"$elemMatch": {"$nosuch": 1}}}, 2),
        ({"$or": []}, 2),
        ({"$and": [1]}, 2),
        ({"x": {"$in": 1}}, 2),
        ({"x": {"$regex": "("}}, 51091),
        ({"$expr": {"$nosuch": ["$x", 1]}}, 168),
        ({"$where": "this.x == 1"}, 115),
        ({"$or": [{"$text": {"$search": "a"}}]}, 115),
        ({"$jsonSchema": {}}, 115),
        ({"x": {"$not": {"$mod": [2, 0]}}}, 115),
        ({"x": {"$bitsAllSet": 1}}, 115),
        ({"$expr": {"$function": {"body": "1", "args": [], "lang": "js"}}}, 115),
    ],
)
def test_filters_that_are_refused(run: Any, refused: Any, filter: Any, code: int) -> None:
    run("insert", "c", documents=[{"_id": 1, "x": "a"}])
    with refused(code):
        run("find", "c", filter=filter)


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ({"$nosuch": {}}, 40324),
        ({"$match": {}, "$limit": 1}, 40323),
        ({"$match": {"$where": "1"}}, 115),
        ({"$facet": {"a": [{"$nosuch": 1}]}}, 40324),
        ({"$lookup": {"from": "d", "as": "e", "pipeline": [{"$match": {"$where": "1"}}]}}, 115),
        ({"$project": {"x": {"$nosuch": 1}}}, 168),
        ({"$set": {"x": {"$setField": {"field": "a", "input": "$$ROOT", "value": 1}}}}, 115),
        ({"$set": {"x": {"$function": {"body": "1", "args": [], "lang": "js"}}}}, 115),
        ({"$documents": [{}]}, 73),
    ],
)
def test_pipelines_that_are_refused(run: Any, refused: Any, stage: Any, code: int) -> None:
    run("insert", "c", documents=[{"_id": 1, "x": "a"}])
    with refused(code):
        run("aggregate", "c", pipeline=[stage], cursor={})


def test_a_reference_to_a_database_is_a_value(run: Any) -> None:
    reference = DBRef("d", 1)
    run("insert", "c", documents=[{"_id": 1, "x": reference, "y": []}])
    assert len(run("find", "c", filter={"x": reference, "y": []})) == 1


def test_types_by_name_and_by_number(run: Any) -> None:
    values = {1: None, 2: 5, 3: Long(5), 4: "a", 5: [None], 6: 5.0}
    documents = [{"_id": key, "x": value} for key, value in values.items()]
    run("insert", "c", documents=[*documents, {"_id": 7}])

    def found(kind: Any) -> list[int]:
        return [document["_id"] for document in run("find", "c", filter={"x": {"$type": kind}})]

    assert found("null") == found(10) == [1, 5]
    assert found("int") == found(16) == [2]
    assert found("long") == found(18) == [3]
    assert found("number") == [2, 3, 6]


def test_documents_of_a_pipeline(run: Any) -> None:
    stages = [{"$documents": [{"a": {"$add": [1, 2]}}, {"a": 4}]}, {"$match": {"a": {"$lt": 4}}}]
    assert run("aggregate", 1, pipeline=stages, cursor={}) == [{"a": 3}]


def test_the_id_comes_first(run: Any) -> None:
    run("insert", "c", documents=[{"_id": n, "x": 1, "y": n} for n in (1, 2)])
    group = {"$group": {"n": {"$sum": "$y"}, "_id": "$x"}}
    found = [
        *run("aggregate", "c", pipeline=[group], cursor={}),
        *run("aggregate", "c", pipeline=[{"$facet": {"f": [group]}}], cursor={})[0]["f"],
        *run("aggregate", "c", pipeline=[{"$project": {"x": 1}}], cursor={}),
        *run("find", "c", projection={"x": 1}),
        run("findAndModify", "c", query={}, remove=True, fields={"x": 1})["value"],
    ]
    assert [next(iter(document)) for document in found] == ["_id"] * 7


class TestLet:
    """`let`: variables of a command."""

    def test_in_each_command(self, run: Any) -> None:
        run("insert", "c", documents=[{"_id": n, "x": n} for n in (1, 2, 3, 4)])
        let = {"v": 2, "d": {"e": 3}, "w": {"$literal": "$x"}}
        two, three = {"$expr": {"$eq": ["$x", "$$v"]}}, {"$expr": {"$eq": ["$x", "$$d.e"]}}
        assert run("find", "c", filter={"$or": [two]}, let=let) == [{"_id": 2, "x": 2}]
        pipeline = [{"$match": three}, {"$set": {"y": "$$v", "z": "$$w"}}]
        found = run("aggregate", "c", pipeline=pipeline, cursor={}, let=let)
        assert found == [{"_id": 3, "x": 3, "y": 2, "z": "$x"}]
        run("update", "c", updates=[{"q": two, "u": [{"$set": {"x": "$$d"}}]}], let=let)
        run("delete", "c", deletes=[{"q": three, "limit": 0}], let=let)
        run("findAndModify", "c", query={"x": 1}, update=[{"$set": {"x": "$$v"}}], let=let)
        assert run("find", "c") == [
            {"_id": 1, "x": 2},
            {"_id": 2, "x": {"e": 3}},
            {"_id": 4, "x": 4},
        ]

    @pytest.mark.parametrize(
        ("let", "code"),
        [
            ({"v": "$x"}, 4890500),
            ({"V": 1}, 9),
            ({"v": {"$add": [1, 2]}}, 115),
            ({"v": "$$NOW"}, 115),
        ],
    )
    def test_refused(self, run: Any, refused: Any, let: Any, code: int) -> None:
        with refused(code):
            run("find", "c", let=let)

    def test_a_variable_of_the_same_name(self, run: Any, refused: Any) -> None:
        inner = {"$let": {"vars": {"v": 1}, "in": "$$v"}}
        with refused(115):
            run("find", "c", filter={"$expr": inner}, let={"v": 2})


def test_a_merge_of_nothing_makes_no_collection(run: Any) -> None:
    run("aggregate", "c", pipeline=[{"$merge": "d"}], cursor={})
    run("aggregate", "c", pipeline=[{"$out": "e"}], cursor={})
    assert [collection["name"] for collection in run("listCollections", 1)] == ["e"]


def test_out_keeps_indexes(run: Any, refused: Any) -> None:
    run("insert", "c", documents=[{"_id": 1}])
    run("insert", "d", documents=[{"_id": 2}])
    run("createIndexes", "d", indexes=[{"key": {"x": 1}, "name": "x_1"}])
    run("aggregate", "c", pipeline=[{"$out": "d"}], cursor={})
    assert run("find", "d") == [{"_id": 1}]
    assert [index["name"] for index in run("listIndexes", "d")] == ["_id_", "x_1"]
    run("createIndexes", "d", indexes=[{"key": {"y": 1}, "name": "y_1", "unique": True}])
    with refused(115):
        run("aggregate", "c", pipeline=[{"$out": "d"}], cursor={})
    with refused(115):
        run("aggregate", "c", pipeline=[{"$out": {"db": "other", "coll": "d"}}], cursor={})
