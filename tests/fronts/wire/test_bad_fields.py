"""Wrong values in every field are answered as MongoDB 6.0.5 answers them, and never with code 1."""

from __future__ import annotations

import bson
import pytest
from bson import Binary, Int64, ObjectId, Timestamp
from pymongo.read_preferences import Primary
from raw import document_of, message, nested, text
from wrong_concerns import READ_CONCERNS, TAGGED, WRITE_CONCERNS

LSID = {"id": Binary(b"0123456789abcdef", 4)}

VALUES = {
    "string": "x",
    "int": 5,
    "negative": -1,
    "double": 1.5,
    "bool": True,
    "null": None,
    "array": [1],
    "array of documents": [{}],
    "empty": {},
    "document": {"x": 1},
    "nested": {"x": {"y": []}},
    "binary": b"ab",
    "long": Int64(2**40),
    "timestamp": Timestamp(1, 1),
    "id": ObjectId("0" * 24),
    "nan": float("nan"),
    "inf": float("inf"),
    "regex": bson.Regex("("),
    "min": bson.MinKey(),
    "decimal": bson.Decimal128("NaN"),
    "code": bson.Code("1"),
    "reference": bson.DBRef("a", 1),
}

COMMANDS = [
    {"find": "c", "filter": {}, "sort": {"a": 1}, "projection": {"a": 1}, "limit": 1, "skip": 0},
    {"find": "c", "batchSize": 1, "hint": "_id_", "singleBatch": True},
    {"aggregate": "c", "pipeline": [{"$match": {}}], "cursor": {"batchSize": 1}},
    {"count": "c", "query": {}, "limit": 1, "skip": 1},
    {"distinct": "c", "key": "a", "query": {}},
    {"insert": "c", "documents": [{"a": 1}], "ordered": True},
    {"update": "c", "updates": [{"q": {}, "u": {"$set": {"b": 1}}, "multi": False}]},
    {"update": "c", "updates": [{"q": {"z": 1}, "u": {"b": 1}, "arrayFilters": []}]},
    {"delete": "c", "deletes": [{"q": {"z": 1}, "limit": 1}]},
    {"findAndModify": "c", "query": {}, "update": {"$set": {"b": 1}}, "new": True, "sort": {}},
    {"findAndModify": "c", "query": {}, "remove": True, "fields": {"a": 1}},
    {"getMore": Int64(5), "collection": "c", "batchSize": 1},
    {"killCursors": "c", "cursors": [Int64(4)]},
    {"create": "created", "validator": {}, "validationLevel": "off"},
    {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a_1", "unique": False}]},
    {"dropIndexes": "c", "index": "a_1"},
    {"drop": "created"},
    {"collMod": "c", "validator": {}},
    {"renameCollection": "shop.gone", "to": "shop.other", "dropTarget": True},
    {"dropDatabase": 1},
    {"listCollections": 1, "filter": {}, "nameOnly": True, "cursor": {"batchSize": 1}},
    {"listIndexes": "c", "cursor": {}},
    {"listDatabases": 1, "filter": {}, "nameOnly": False},
    {"collStats": "c", "scale": 1},
    {"dbStats": 1, "scale": 1},
    {"dataSize": "shop.c"},
    {"validate": "c"},
    {"hello": 1, "helloOk": True, "client": {"driver": {"name": "x"}}},
    {"isMaster": 1},
    {"ping": 1},
    {"buildInfo": 1},
    {"getParameter": 1, "logLevel": 1},
    {"getCmdLineOpts": 1},
    {"hostInfo": 1},
    {"whatsmyuri": 1},
    {"connectionStatus": 1},
    {"serverStatus": 1},
    {"saslStart": 1, "mechanism": "PLAIN"},
    {"startSession": 1},
    {"endSessions": [LSID]},
    {"killSessions": [LSID]},
    {"refreshSessions": [LSID]},
    {"killAllSessions": []},
    {"commitTransaction": 1},
    {"abortTransaction": 1},
    {"replSetGetStatus": 1},
    {"replSetGetConfig": 1},
    {"nope": 1},
]

GENERIC = {
    "lsid": LSID,
    "txnNumber": Int64(1),
    "autocommit": False,
    "startTransaction": True,
    "readConcern": {"level": "snapshot", "afterClusterTime": 1, "atClusterTime": 1},
    "writeConcern": {"w": 1, "j": True, "wtimeout": 1, "fsync": True, "provenance": ""},
    "$readPreference": {"mode": "nearest", "tags": [], "maxStalenessSeconds": 1, "hedge": {}},
    "$clusterTime": {"clusterTime": 1, "signature": {}},
    "maxTimeMS": 1,
    "comment": "x",
    "apiVersion": "1",
    "unheardOf": 1,
}


def variants(document):
    """A document with each of its fields, at any depth, replaced by each of the values."""
    for field, held in document.items():
        for value in VALUES.values():
            yield {**document, field: value}
        if isinstance(held, dict):
            yield from ({**document, field: inner} for inner in variants(held))
        if isinstance(held, list) and held and isinstance(held[0], dict):
            yield from ({**document, field: [inner]} for inner in variants(held[0]))


def database_of(command):
    name = next(iter(command))
    own = ("dropDatabase", "dbStats", "listCollections")
    return "shop" if isinstance(command[name], str) or name in own else "admin"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: next(iter(command)))
def test_a_wrong_value_in_a_commands_own_fields_is_never_an_internal_error(shop, raw, command):
    shop.client.shop.c.insert_one({"a": 5, "text": "text"})
    connection, database = raw(), database_of(command)
    if next(iter(command)) == "renameCollection":
        database = "admin"
    for variant in variants(command):
        reply = connection.command(database, variant)
        assert reply["ok"] in (0.0, 1.0)
        assert reply.get("code") != 1, (variant, reply)
        if not reply["ok"]:
            assert reply["code"] > 1 or "scale" in variant, (variant, reply)
            assert reply["codeName"], (variant, reply)
            assert reply["errmsg"], (variant, reply)


@pytest.mark.parametrize("name", ["find", "insert", "ping", "hello", "getMore", "listCollections"])
def test_a_wrong_value_in_a_generic_field_is_never_an_internal_error(shop, raw, name):
    shop.client.shop.c.insert_one({"a": 5})
    connection = raw()
    command = next(command for command in COMMANDS if next(iter(command)) == name)
    for field, held in GENERIC.items():
        for variant in variants({field: held}):
            reply = connection.command("shop", {**command, **variant})
            assert reply.get("code") != 1, (variant, reply)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"lsid": "x"}, 14, "'OperationSessionInfo.lsid' is the wrong type 'string', expected"),
        ({"lsid": {}}, 40414, "'OperationSessionInfo.lsid.id' is missing but a required field"),
        ({"lsid": {"id": b"x"}}, 14, "is the wrong binData type 'general', expected type 'UUID'"),
        ({"lsid": {**LSID, "x": 1}}, 40415, "'OperationSessionInfo.lsid.x' is an unknown field."),
        ({"lsid": LSID, "txnNumber": 1}, 14, "txnNumber' is the wrong type 'int', expec"),
        ({"txnNumber": Int64(1)}, 72, "Transaction number requires a session ID to also be"),
        ({"lsid": LSID, "txnNumber": Int64(-1)}, 72, "Transaction number cannot be negative"),
        ({"lsid": LSID, "txnNumber": Int64(1)}, 50768, "find is not a retryable write command."),
        ({"startTransaction": True}, 72, "requires 'autocommit' field to also be specified"),
        ({"autocommit": False}, 72, "'autocommit' field requires a transaction number to also"),
        ({"writeConcern": {"w": 1}}, 72, "Command does not support writeConcern"),
        ({"$readPreference": "x"}, 14, "expected object but got string"),
        ({"$readPreference": {}}, 4, 'Missing expected field "mode"'),
        ({"$readPreference": {"mode": "x"}}, 2, "Could not parse $readPreference mode 'x'."),
        ({"$readPreference": {"mode": "nearest", "tags": 5}}, 14, "Expected array, found int"),
        ({"$readPreference": {"mode": "primary", "tags": [{"a": "b"}]}}, 2, "Only empty tags are"),
        ({"$readPreference": {"mode": "nearest", "maxStalenessSeconds": 5}}, 160, "less than 90"),
        ({"$clusterTime": 5}, 10065, "invalid parameter: expected an object ($clusterTime)"),
        ({"$clusterTime": {}}, 4, 'Missing expected field "clusterTime"'),
        ({"maxTimeMS": "x"}, 2, "maxTimeMS must be a number"),
        ({"maxTimeMS": 1.5}, 2, "maxTimeMS has non-integral value"),
        ({"maxTimeMS": -1}, 2, "-1 value for maxTimeMS is out of range"),
        ({"apiVersion": "2"}, 322, "Cannot accept API version 2"),
        ({"filter": []}, 14, "Expected field filterto be of type object"),
        ({"limit": -1}, 51024, "BSON field 'limit' value must be >= 0, actual value '-1'"),
        ({"skip": "x"}, 14, "expected types '[long, int, decimal, double']"),
        ({"nope": 1}, 40415, "BSON field 'FindCommandRequest.nope' is an unknown field."),
        ({"find": 5}, 2, "collection name has invalid type int"),
        ({"find": ""}, 73, "Invalid namespace specified 'shop.'"),
        ({"find": ".c"}, 73, "Collection names cannot start with '.': .c"),
        ({"$db": "a b"}, 73, "Invalid database name: 'a b'"),
        ({"$db": "a.b"}, 73, "'.' is an invalid character in the database name: a.b"),
        ({"$db": 5}, 13111, "wrong type for field ($db) int != string"),
    ],
)  # fmt: skip
def test_a_wrong_field_has_the_error_of_a_server(raw, fields, code, text):
    reply = raw().ask(bson.encode({"find": "c", "$db": "shop", **fields}))
    assert reply["code"] == code, reply
    assert text in reply["errmsg"]


@pytest.mark.parametrize(("concern", "code", "text"), WRITE_CONCERNS)
def test_a_wrong_write_concern_has_the_error_of_a_server_and_nothing_is_written(
    shop, raw, concern, code, text
):
    command = {"insert": "c", "documents": [{}], "writeConcern": concern}
    reply = raw().command("shop", command)
    assert reply["code"] == code, reply
    assert text in reply["errmsg"]
    assert shop.client.shop.c.count_documents({}) == 0


@pytest.mark.parametrize(("concern", "code", "text"), READ_CONCERNS)
def test_a_wrong_read_concern_has_the_error_of_a_server(raw, concern, code, text):
    reply = raw().command("shop", {"find": "c", "readConcern": concern})
    assert reply["code"] == code, reply
    assert text in reply["errmsg"]


@pytest.mark.parametrize(("concern", "error"), TAGGED)
def test_a_write_concern_of_tags_counts_their_values(shop, raw, concern, error):
    command = {"insert": "c", "documents": [{}], "writeConcern": concern}
    reply = raw().command("shop", command)
    assert (reply["ok"], reply["n"], reply.get("writeConcernError")) == (1, 1, error)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ({"insert": "c", "documents": []}, 16, "Write batch sizes must be between 1 and 100000"),
        (
            {"insert": "c", "documents": [5]},
            14,
            "BSON field 'insert.documents.0' is the wr",
        ),
        ({"update": "c", "updates": [{}]}, 40414, "BSON field 'update.updates.q' is missing"),
        (
            {"update": "c", "updates": [{"q": {}, "u": {}, "x": 1}]},
            40415,
            "'update.updates.x' is",
        ),
        ({"delete": "c", "deletes": [{"q": {}}]}, 40414, "BSON field 'delete.deletes.limit' is mi"),
        ({"delete": "c", "deletes": [{"q": {}, "limit": 2}]}, 9, "must be 0 or 1. Got 2"),
        ({"createIndexes": "c", "indexes": [{"name": "x"}]}, 9, "The 'key' field is a required pr"),
        ({"createIndexes": "c", "indexes": [{"name": "x", "key": {"a": 0}}]}, 67, "cannot be 0."),
        ({"createIndexes": "c", "indexes": [{"name": "a\0", "key": {"a": 1}}]}, 67, "NUL byte"),
        ({"aggregate": 1, "pipeline": [], "cursor": {}}, 73, "is not valid for an empty pipeline."),
        ({"killCursors": "c", "cursors": ["x"]}, 14, "'killCursors.cursors.0' is the wrong type"),
        ({"getMore": 5, "collection": "c"}, 14, "'getMore.getMore' is the wrong type 'int'"),
    ],
)
def test_a_wrong_statement_has_the_error_of_a_server(raw, command, code, text):
    reply = raw().command("shop", command)
    assert reply["code"] == code, reply
    assert text in reply["errmsg"]


def test_a_command_without_a_database_is_refused(raw):
    assert raw().ask(bson.encode({"ping": 1}))["code"] == 40571


def test_an_empty_command_is_refused(raw):
    connection = raw()
    assert connection.ask(bson.encode({}))["ok"] == 0
    assert connection.command("admin", {"ping": 1})["ok"] == 1


@pytest.mark.parametrize("levels", [200, 1_000, 100_000])
@pytest.mark.parametrize("kind", [b"\x03", b"\x04"], ids=["documents", "arrays"])
def test_what_is_nested_too_deep_is_refused(raw, levels, kind):
    connection = raw()
    database = text("shop")
    body = document_of(find=text("c"), filter=b"\x03" + nested(levels, kind=kind), _db=database)
    assert connection.ask(body)["code"] == 15
    sequence = b"documents\0" + nested(levels + 1, kind=kind)
    section = b"\1" + (len(sequence) + 4).to_bytes(4, "little") + sequence
    connection.send(message(document_of(insert=text("c"), _db=database), sections=section))
    assert connection.reply()["code"] == 15
    assert connection.command("admin", {"ping": 1})["ok"] == 1


def test_a_document_may_be_nested_180_levels_deep(shop, raw):
    connection = raw()
    for levels, code in [(180, None), (181, 15)]:
        one = document_of(**{"0": b"\x03" + nested(levels)})
        body = document_of(insert=text("c"), documents=b"\x04" + one, _db=text("shop"))
        errors = connection.ask(body).get("writeErrors", [{}])
        assert errors[0].get("code") == code
    [deepest] = shop.client.shop.get_collection("c", read_preference=Primary()).find()
    assert "0" in deepest
