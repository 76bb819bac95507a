"""Commands on indexes; each answer was seen on a real server."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def create(run: Any) -> Any:
    """Creates one index; its name is made of its keys unless it is given."""

    def create(key: Any, **options: Any) -> Any:
        name = "_".join(f"{field}_{order}" for field, order in key.items())
        return run("createIndexes", "c", indexes=[{"key": key, "name": name, **options}])

    return create


def test_what_is_told_of_an_index(run: Any, create: Any) -> None:
    create({"x": 1}, background=True, hidden=True, expireAfterSeconds=5)
    create({"t": "text"})
    assert run("listIndexes", "c")[1:] == [
        {
            "v": 2,
            "key": {"x": 1},
            "name": "x_1",
            "background": True,
            "hidden": True,
            "expireAfterSeconds": 5,
        },
        {
            "v": 2,
            "key": {"_fts": "text", "_ftsx": 1},
            "name": "t_text",
            "weights": {"t": 1},
            "default_language": "english",
            "language_override": "language",
            "textIndexVersion": 3,
        },
    ]


def test_the_same_index_again(create: Any) -> None:
    create({"x": 1}, background=True)
    reply = create({"x": 1}, background=True)
    assert (reply["numIndexesAfter"], reply["note"]) == (2, "all indexes already exist")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"unique": True}, 86),
        ({"name": "other"}, 85),
        ({"name": "other", "expireAfterSeconds": 5}, 85),
        ({"partialFilterExpression": {"x": {"$nosuch": 1}}}, 2),
        ({"partialFilterExpression": {"x": {"$ne": 1}}}, 67),
        ({"partialFilterExpression": {"$and": 5}}, 2),
        ({"partialFilterExpression": 5}, 14),
        ({"collation": {"locale": "en"}}, 115),
    ],
)
def test_refused(create: Any, refused: Any, options: Any, code: int) -> None:
    create({"x": 1})
    with refused(code):
        create({"x": 1}, **options)


def test_indexes_of_the_same_keys_that_differ_in_what_they_hold(create: Any) -> None:
    create({"x": 1})
    reply = create({"x": 1}, name="other", sparse=True)
    assert reply["numIndexesAfter"] == 3


def test_images_for_change_streams(run: Any) -> None:
    images = {"enabled": True}
    run("create", "c", changeStreamPreAndPostImages=images)
    run("create", "d")
    run("collMod", "d", changeStreamPreAndPostImages=images)
    options = [told["options"] for told in run("listCollections", 1)]
    assert options == [{"changeStreamPreAndPostImages": images}] * 2
