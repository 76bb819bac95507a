"""Updates as a server applies and refuses them; each answer was seen on a real one."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Int64, ObjectId, encode


@pytest.fixture
def update(run: Any) -> Any:
    """Runs one statement on three documents; what failed of it, and the documents."""
    run("insert", "c", documents=[{"_id": n, "x": 11 * n} for n in (1, 2, 3)])

    def update(q: Any, u: Any, **fields: Any) -> Any:
        reply = run("update", "c", updates=[{"q": q, "u": u, **fields}])
        return reply, run("find", "c")

    return update


def test_replace_keeps_the_id_of_what_its_filter_finds(update: Any) -> None:
    reply, found = update({"_id": {"$gt": 1}}, {"x": 111})
    assert reply == {"n": 1, "nModified": 1}
    assert found == [{"_id": 1, "x": 11}, {"_id": 2, "x": 111}, {"_id": 3, "x": 33}]


@pytest.mark.parametrize(
    ("filter", "change", "inserted"),
    [
        ({"_id": 7, "x": {"$gt": 5}}, {"$set": {"y": 1}}, {"_id": 7, "y": 1}),
        ({"_id": {"$eq": 7}}, {"$inc": {"y": 1}}, {"_id": 7, "y": 1}),
        ({"$and": [{"_id": 7}, {"a.b": 1}]}, {"$set": {"y": 1}}, {"_id": 7, "a": {"b": 1}, "y": 1}),
        ({"x": 5, "_id": 7}, {"$set": {"y": 1}}, {"_id": 7, "x": 5, "y": 1}),
        ({"x": 5}, {"$setOnInsert": {"_id": 7}}, {"_id": 7, "x": 5}),
        ({"_id": 7, "x": 5}, {"y": 1}, {"_id": 7, "y": 1}),
        ({"x": 5}, {"y": 1, "_id": 7}, {"_id": 7, "y": 1}),
    ],
)
def test_upsert_takes_what_must_be_equal(
    update: Any, filter: Any, change: Any, inserted: Any
) -> None:
    reply, found = update(filter, change, upsert=True)
    assert reply == {"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": 7}]}
    assert encode(found[-1]) == encode(inserted)


def test_upsert_of_a_range_of_ids_makes_an_id(update: Any) -> None:
    reply, found = update({"_id": {"$gt": 5}}, {"$set": {"y": 1}}, upsert=True)
    assert isinstance(found[-1]["_id"], ObjectId)
    assert reply["upserted"] == [{"index": 0, "_id": found[-1]["_id"]}]


def test_upsert_of_an_id_that_is_there_is_a_duplicate(update: Any) -> None:
    reply, found = update({"_id": 1, "x": {"$gt": 50}}, {"$set": {"x": 0}}, upsert=True)
    assert reply["writeErrors"][0]["code"] == 11000
    assert found[0] == {"_id": 1, "x": 11}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"$set": {"a": 1}, "$inc": {"a": 1}}, 40),
        ({"$set": {"a.b": 1, "a": 1}}, 40),
        ({"$rename": {"a": "b"}, "$set": {"b.c": 1}}, 40),
        ({"$set": {"a..b": 1}}, 56),
        ({"$set": {"": 1}}, 56),
        ({"$nosuch": {"a": 1}}, 9),
        ({"$set": 1}, 9),
        ({"$set": {"a": 1}, "b": 1}, 9),
        ({"b": 1, "$set": {"a": 1}}, 52),
        ({"$inc": {"x": "1"}}, 14),
    ],
)
def test_refused(update: Any, change: Any, code: int) -> None:
    reply, found = update({"_id": 1}, change)
    assert [error["code"] for error in reply["writeErrors"]] == [code]
    assert found[0] == {"_id": 1, "x": 11}


@pytest.mark.parametrize(
    "change",
    [
        {"$pull": {"a": {"b": {"$mod": [2, 0]}}}},
        {"$set": {"x": 1, "o.$a": 1}},
    ],
)
def test_what_the_library_does_otherwise_is_not_supported(
    update: Any, refused: Any, change: Any
) -> None:
    with refused(115):
        update({"_id": 1}, change)


@pytest.mark.parametrize(
    ("before", "change", "filters", "after"),
    [
        ({"a": [1, [2, 3]]}, {"$push": {"a.$[i]": 4}}, [{"i": 3}], {"a": [1, [2, 3, 4]]}),
        ({"a": [{"b": [1, 5]}]}, {"$inc": {"a.$[].b.$[i]": 1}}, [{"i": 5}], {"a": [{"b": [1, 6]}]}),
        ({"a": [1]}, {"$set": {"a.2.b": 1}}, [], {"a": [1, None, {"b": 1}]}),
        ({"a": 7}, {"$max": {"a": "x"}, "$min": {"b": 1}}, [], {"a": "x", "b": 1}),
        ({"a": Int64(2)}, {"$mul": {"a": 3, "b": 1.5}}, [], {"a": Int64(6), "b": 0.0}),
        ({"a": 2**31 - 1}, {"$inc": {"a": 1}}, [], {"a": Int64(2**31)}),
        ({"a": 1}, {"$set": {"a": 1.0}}, [], {"a": 1.0}),
        ({}, {"$set": {"c": 1, "b": 2}}, [], {"b": 2, "c": 1}),
    ],
)
def test_what_is_worked_out_before_the_library_applies_it(
    run: Any, before: Any, change: Any, filters: Any, after: Any
) -> None:
    run("insert", "c", documents=[{"_id": 1, **before}])
    statement = {"q": {"_id": 1}, "u": change, "arrayFilters": filters}
    assert run("update", "c", updates=[statement]) == {"n": 1, "nModified": 1}
    [found] = run("find", "c")
    assert encode(found) == encode({"_id": 1, **after})


def test_64_bit_numbers_stay_such(run: Any) -> None:
    from pytest_replicalag.engines.memory.commands.values import Long

    document = {"_id": 1, "a": Long(5), "b": [Long(3)]}
    run("insert", "c", documents=[document])
    run("update", "c", updates=[{"q": {}, "u": {"$set": {"z": 1}, "$inc": {"a": 1}}}])
    [found] = run("find", "c")
    assert encode(found) == encode({"_id": 1, "a": Int64(6), "b": [Int64(3)], "z": 1})


def test_a_batch_that_fails_at_once_tells_that_nothing_is_modified(run: Any) -> None:
    reply = run("update", "c", updates=[{"q": {}, "u": {"$nosuch": {}}}])
    assert (reply["n"], reply["nModified"]) == (0, 0)


def test_bypass_of_validation(run: Any) -> None:
    run("create", "c", validator={"x": {"$exists": True}})
    refused = run("insert", "c", documents=[{"_id": 1}])
    assert refused["writeErrors"][0]["code"] == 121
    assert run("insert", "c", documents=[{"_id": 1}], bypassDocumentValidation=True) == {"n": 1}
    statement = {"q": {"_id": 1}, "u": {"$set": {"y": 1}}}
    assert "writeErrors" in run("update", "c", updates=[statement])
    reply = run("update", "c", updates=[statement], bypassDocumentValidation=True)
    assert reply == {"n": 1, "nModified": 1}


@pytest.mark.parametrize(
    ("pipeline", "updated"),
    [
        ([{"$replaceWith": {"a": "$x"}}], {"_id": 2, "a": 22}),
        ([{"$project": {"_id": 0, "a": "$x"}}], {"_id": 2, "a": 22}),
        ([{"$unset": "_id"}], {"_id": 2, "x": 22}),
        ([{"$set": {"a": "$x"}}], {"_id": 2, "x": 22, "a": 22}),
    ],
)
def test_a_pipeline_keeps_the_id(update: Any, pipeline: Any, updated: Any) -> None:
    _, found = update({"x": {"$gte": 22}}, pipeline, multi=True)
    assert [encode(found[1]), found[2]["_id"]] == [encode(updated), 3]


@pytest.mark.parametrize(
    ("filter", "change", "upsert"),
    [
        ({"_id": 1}, [{"$replaceWith": {"_id": 5}}], False),
        ({"_id": 1}, {"$set": {"_id": 5}}, False),
        ({"_id": 1}, {"_id": 5}, False),
        ({"_id": 9}, {"$set": {"_id": 5}}, True),
        ({"_id": 9}, {"_id": 5}, True),
    ],
)
def test_an_id_cannot_change(update: Any, filter: Any, change: Any, upsert: bool) -> None:
    reply, found = update(filter, change, upsert=upsert)
    assert reply["writeErrors"][0]["code"] == 66
    assert [document["_id"] for document in found] == [1, 2, 3]


def test_a_dropped_collection_forgets_its_validator(run: Any) -> None:
    run("create", "c", validator={"x": {"$exists": True}})
    run("drop", "c")
    assert run("insert", "c", documents=[{"_id": 1}]) == {"n": 1}
