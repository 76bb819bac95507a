"""Updates that depend on the documents they change; each answer was seen on a real server."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Decimal128, Int64, encode


def _document() -> dict[str, Any]:
    return {
        "_id": 1,
        "n": 1,
        "s": "x",
        "t": True,
        "a": [1, 2, 3],
        "o": {"p": 1},
        "items": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
        "l": Int64(5),
        "d": Decimal128("1"),
    }


@pytest.fixture
def update(run: Any) -> Any:
    """Updates the document; the reply, and what has changed of it."""
    run("insert", "c", documents=[_document()])

    def update(change: Any, array_filters: Any = (), **filter: Any) -> Any:
        statement = {"q": {"_id": 1, **filter}, "u": change, "arrayFilters": list(array_filters)}
        reply = run("update", "c", updates=[statement])
        [found] = run("find", "c")
        before = _document()
        return reply, {key: value for key, value in found.items() if before.get(key) != value}

    return update


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"$set": {"s.c": 9}}, 28),
        ({"$set": {"items.x": 9}}, 28),
        ({"$inc": {"o.p.q": 9}}, 28),
        ({"$inc": {"s": 1}}, 14),
        ({"$inc": {"t": 1}}, 14),
        ({"$inc": {"l": Int64(2**63 - 1)}}, 2),
        ({"$push": {"o": 1}}, 2),
        ({"$addToSet": {"s": 1}}, 2),
        ({"$pop": {"s": 1}}, 14),
        ({"$pull": {"s": 1}}, 2),
        ({"$rename": {"a.0": "x"}}, 2),
        ({"$set": {"s.$[]": 9}}, 2),
        ({"$set": {"none.$[]": 9}}, 2),
        ({"$set": {"items.$.v": 9}}, 2),
        ({"$currentDate": {"z": {"$type": "int"}}}, 2),
        ({"$currentDate": {"z": 5}}, 2),
        ([{"$group": {"_id": 1}}], 72),
    ],
)
def test_refused(update: Any, change: Any, code: int) -> None:
    reply, changed = update(change)
    assert [error["code"] for error in reply["writeErrors"]] == [code]
    assert changed == {}


@pytest.mark.parametrize(
    "change",
    [
        {"$push": {"items": {"$each": [], "$sort": {"v": 1, "k": 1}}}},
    ],
)
def test_what_the_library_would_pass_over(update: Any, refused: Any, change: Any) -> None:
    with refused(115):
        update(change)


@pytest.mark.parametrize(
    ("filter", "change", "changed"),
    [
        ({"a": {"$gt": 1}}, {"$set": {"a.$": 9}}, {"a": [1, 9, 3]}),
        ({"a": {"$in": [3]}}, {"$inc": {"a.$": 1}}, {"a": [1, 2, 4]}),
        (
            {"items.k": "b"},
            {"$push": {"items.$.w": 9}},
            {"items": [{"k": "a", "v": 1}, {"k": "b", "v": 2, "w": [9]}]},
        ),
        (
            {"items": {"$elemMatch": {"k": "b", "v": 2}}},
            {"$unset": {"items.$.v": 1}},
            {"items": [{"k": "a", "v": 1}, {"k": "b"}]},
        ),
        (
            {"$and": [{"items.v": {"$gt": 1}}]},
            {"$set": {"items.$": {"z": 1}, "n": 2}},
            {"items": [{"k": "a", "v": 1}, {"z": 1}], "n": 2},
        ),
    ],
)
def test_the_element_that_the_filter_matches(
    update: Any, filter: Any, change: Any, changed: Any
) -> None:
    reply, found = update(change, **filter)
    assert (reply, found) == ({"n": 1, "nModified": 1}, changed)


def test_each_document_has_an_element_of_its_own(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "a": [1, 2]}, {"_id": 2, "a": [2, 1]}])
    statement = {"q": {"a": 2}, "u": {"$set": {"a.$": 9}}, "multi": True}
    assert run("update", "c", updates=[statement]) == {"n": 2, "nModified": 2}
    assert [document["a"] for document in run("find", "c")] == [[1, 9], [9, 1]]


@pytest.mark.parametrize(
    "filter", [{"items.k": "b", "items.v": 1}, {"$or": [{"items.k": "b"}, {"n": 1}]}]
)
def test_an_element_that_several_conditions_choose(update: Any, refused: Any, filter: Any) -> None:
    with refused(115):
        update({"$set": {"items.$.v": 9}}, **filter)


@pytest.mark.parametrize(
    ("change", "array_filters", "code"),
    [
        ({"$set": {"n": 9}}, [{"e": 1}], 9),
        ({"$set": {"items.$[e].v": 9}}, [{"e.k": "b"}, {"e.v": 1}], 9),
        ({"$set": {"items.$[e].v": 9}}, [], 2),
    ],
)
def test_array_filters_that_do_not_fit(
    update: Any, change: Any, array_filters: Any, code: int
) -> None:
    reply, changed = update(change, array_filters)
    assert (reply["writeErrors"][0]["code"], changed) == (code, {})


def test_new_fields_come_in_the_order_of_their_names(run: Any) -> None:
    run("insert", "c", documents=[{"_id": 1, "z": 1}])
    run("update", "c", updates=[{"q": {}, "u": {"$set": {"y": 1, "x": 2}}}])
    assert encode(run("find", "c")[0]) == encode({"_id": 1, "z": 1, "x": 2, "y": 1})
