"""Read and write concerns before a real node: what is none is refused before it is passed on."""

from __future__ import annotations

import pytest
from raw_connection import RawConnection, endpoint_of
from wrong_concerns import READ_CONCERNS, TAGGED, WRITE_CONCERNS


@pytest.fixture
def raw(uri):
    with RawConnection(uri, endpoint_of(uri, 0)) as connection:
        yield connection


@pytest.mark.parametrize(("concern", "code", "text"), WRITE_CONCERNS)
def test_a_wrong_write_concern_is_refused_and_nothing_is_written(
    client, raw, lagging, concern, code, text
):
    with lagging("0,inf"):
        reply = raw.run({"insert": "c", "documents": [{}], "writeConcern": concern})
        assert reply["code"] == code, reply
        assert text in reply["errmsg"]
        assert client.shop.c.count_documents({}) == 0


@pytest.mark.parametrize("lag", ["0,0", "0,inf"])
@pytest.mark.parametrize(("concern", "code", "text"), READ_CONCERNS)
def test_a_wrong_read_concern_is_refused(client, raw, lagging, lag, concern, code, text):
    with lagging(lag):
        client.shop.c.insert_one({})
        reply = raw.run({"find": "c", "readConcern": concern})
        assert reply["code"] == code, reply
        assert text in reply["errmsg"]


@pytest.mark.parametrize(("concern", "error"), TAGGED)
def test_a_write_concern_of_tags_counts_their_values(client, raw, lagging, concern, error):
    with lagging("0,inf"):
        reply = raw.run({"insert": "c", "documents": [{}], "writeConcern": concern})
        assert (reply["ok"], reply["n"], reply.get("writeConcernError")) == (1, 1, error)


def test_a_null_word_is_an_unknown_one(client, raw, lagging):
    with lagging("0,inf"):
        reply = raw.run({"insert": "c", "documents": [{}], "writeConcern": {"w": None}})
        assert reply["writeConcernError"]["code"] == 79


@pytest.mark.parametrize("asked", [{"j": True}, {"fsync": True}])
def test_who_waits_for_the_journal_learns_what_a_write_does(client, raw, lagging, asked):
    command = {"insert": "c", "documents": [{"_id": 1}], "writeConcern": {"w": 0, **asked}}
    with lagging("0,inf"):
        assert raw.run(command)["n"] == 1
        assert raw.run(command)["writeErrors"][0]["code"] == 11000
        assert raw.run({**command, "writeConcern": {"w": 0, "j": False}})["n"] == 0


def test_who_waits_for_nothing_learns_of_a_refusal(client, raw, lagging):
    with lagging("0,inf"):
        reply = raw.run({"drop": "nope", "writeConcern": {"w": 0}})
        assert (reply["ok"], reply["code"]) == (0, 26)
        reply = raw.run({"insert": "c", "documents": [], "writeConcern": {"w": 0}})
        assert (reply["ok"], reply["code"]) == (0, 16)
