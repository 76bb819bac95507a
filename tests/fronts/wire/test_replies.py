"""Replies that drivers look at, field by field, as recorded from MongoDB 6.0.5 by raw sockets."""

from __future__ import annotations

import struct
from typing import Any
from unittest.mock import ANY

import bson
import pytest
from bson import Binary, Int64, ObjectId, Timestamp
from pymongo.errors import OperationFailure
from raw_connection import RawConnection, lsid

from pytest_replicalag.endpoints import Endpoints
from pytest_replicalag.fronts.wire.generic_fields import check_generic_fields
from pytest_replicalag.fronts.wire.protocol import crc32c


@pytest.fixture(scope="module")
def endpoints():
    endpoints = Endpoints()
    yield endpoints
    endpoints.stop()


@pytest.fixture
def primary(endpoints):
    with RawConnection(endpoints.uri) as connection:
        yield connection


@pytest.fixture
def secondary(endpoints):
    with RawConnection(endpoints.uri, 1) as connection:
        yield connection


def error(code: int, name: str, message: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


# -- the first words -----------------------------------------------------------------------------

CLIENT = {"driver": {"name": "a", "version": "1"}, "os": {"type": "x"}}
SENT_AGAIN = error(
    186,
    "ClientMetadataCannotBeMutated",
    "The client metadata document may only be sent in the first hello",
)


def test_hello_has_the_fields_of_a_server_in_their_order(primary, secondary):
    fields = ["hosts", "setName", "setVersion", "isWritablePrimary", "secondary", "primary"]
    fields += ["tags", "me", "electionId", "lastWrite", "maxBsonObjectSize"]
    fields += ["maxMessageSizeBytes", "maxWriteBatchSize", "localTime"]
    fields += ["logicalSessionTimeoutMinutes", "connectionId", "minWireVersion", "maxWireVersion"]
    fields += ["readOnly", "ok"]
    assert list(primary.run({"hello": 1, "helloOk": True}, "admin")) == ["helloOk", *fields]
    assert list(secondary.run({"hello": 1})) == [name for name in fields if name != "electionId"]


def test_only_the_first_hello_may_describe_the_client(primary):
    assert primary.run({"hello": 1, "client": CLIENT}, "admin")["ok"]
    assert primary.run({"hello": 1, "client": CLIENT}, "admin") == SENT_AGAIN
    assert primary.run({"hello": 1}, "admin")["ok"]


def test_a_hello_without_a_description_was_the_first_one_too(primary):
    primary.run({"isMaster": 1}, "admin")
    assert primary.run({"hello": 1, "client": CLIENT}, "admin") == SENT_AGAIN


IN = "in the client metadata document"


@pytest.mark.parametrize(
    ("client", "code", "message"),
    [
        (5, 14, "The client metadata document must be a document"),
        ({}, 183, f"Missing required sub-document 'driver' {IN}"),
        ({"driver": {"name": "a"}}, 183, f"Missing required field 'driver.version' {IN}"),
        ({**CLIENT, "os": {}}, 183, f"Missing required field 'os.type' {IN}"),
        ({**CLIENT, "os": {"type": 5}}, 14, f"The 'os.type' field must be a string {IN}"),
        (
            {**CLIENT, "application": {"name": "n" * 129}},
            184,
            f"The 'application.name' field must be less then or equal to 128 bytes {IN}",
        ),
    ],
)
def test_a_wrong_description_of_the_client(primary, client, code, message):
    reply = primary.run({"hello": 1, "client": client}, "admin")
    assert (reply["code"], reply["errmsg"]) == (code, message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"maxAwaitTimeMS": 5}, "A request with 'maxAwaitTimeMS' must include a 'topologyVersion'"),
        (
            {"topologyVersion": {"processId": ObjectId(), "counter": Int64(1)}},
            "A request with a 'topologyVersion' must include 'maxAwaitTimeMS'",
        ),
    ],
)
def test_half_of_what_waits_for_news(primary, fields, message):
    reply = primary.run({"hello": 1, **fields}, "admin")
    assert reply == error(31368, "Location31368", message)


def test_who_waits_for_news_of_another_server_is_answered_at_once(primary):
    version = {"processId": ObjectId(), "counter": Int64(1)}
    fields = {"topologyVersion": version, "maxAwaitTimeMS": 3_600_000}
    assert primary.run({"hello": 1, **fields}, "admin")["ok"]


# -- bytes -----------------------------------------------------------------------------------------

PING = bson.encode({"ping": 1, "$db": "admin"})


def legacy_query(namespace: bytes, command: dict[str, Any]) -> bytes:
    return b"\0\0\0\0" + namespace + b"\0" + struct.pack("<ii", 0, -1) + bson.encode(command)


def test_a_legacy_query_is_for_the_first_hello_only(primary):
    primary.send(legacy_query(b"admin.$cmd", {"isMaster": 1}), 2004)
    assert primary.reply()["ismaster"]
    primary.send(legacy_query(b"admin.$cmd", {"ping": 1}), 2004)
    reply = primary.reply()
    assert (reply["code"], reply["codeName"]) == (352, "UnsupportedOpQueryCommand")
    assert reply["errmsg"].startswith("Unsupported OP_QUERY command: ping. The client driver")


@pytest.mark.parametrize(
    ("op_code", "name", "payload"),
    [
        (2004, "OP_QUERY", legacy_query(b"shop.orders", {})),
        (2005, "OP_GET_MORE", b"\0\0\0\0shop.orders\0" + struct.pack("<iq", 1, 5)),
    ],
)
def test_queries_of_old_are_refused_in_the_words_of_old(primary, op_code, name, payload):
    primary.send(payload, op_code)
    reply = primary.reply()
    assert list(reply) == ["$err", "code", "ok"]
    assert reply["$err"].startswith(f"{name} is no longer supported.")
    assert (reply["code"], reply["ok"]) == (5739101, 0.0)
    assert primary.run({"ping": 1}) == {"ok": 1.0}


def test_a_request_with_a_checksum_gets_a_reply_with_one(primary):
    payload = struct.pack("<I", 1) + b"\0" + PING
    number = 99
    message = struct.pack("<iiii", 20 + len(payload), number, 0, 2013) + payload
    primary._socket.sendall(message + struct.pack("<I", crc32c(message)))
    reply = primary.receive()
    assert struct.unpack_from("<I", reply, 16)[0] == 1
    assert struct.unpack("<I", reply[-4:])[0] == crc32c(reply[:-4])


def test_a_message_that_is_wrong_inside_leaves_the_connection_open(primary):
    primary.send(b"\0\0\0\0")
    reply = primary.reply()
    assert (reply["code"], reply["errmsg"]) == (40587, "OP_MSG messages must have a body")
    assert list(reply)[-2:] == ["$clusterTime", "operationTime"]
    assert primary.run({"ping": 1}) == {"ok": 1.0}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(struct.pack("<I", 4) + b"\0" + PING, id="unknown required flag"),
        pytest.param(struct.pack("<I", 1) + b"\0" + PING + b"\0\0\0\0", id="wrong checksum"),
    ],
)
def test_a_message_with_a_wrong_frame_closes_the_connection(primary, payload):
    primary.send(payload)
    with pytest.raises((EOFError, ConnectionError)):
        primary.reply()


def test_a_field_that_comes_twice_in_body_and_sequence(primary):
    body = bson.encode({"insert": "orders", "documents": [], "$db": "shop"})
    content = b"documents\0" + bson.encode({})
    sequence = b"\1" + struct.pack("<i", 4 + len(content)) + content
    primary.send(b"\0\0\0\0\0" + body + sequence)
    reply = primary.reply()
    assert reply["code"] == 40433
    assert reply["errmsg"] == "Duplicate field between body and document sequence documents"


# -- fields of any command -------------------------------------------------------------------------


def not_supported(command: str, level: str, reason: str = "read concern not supported") -> str:
    return (
        f'Command {command} does not support {{ readConcern: {{ level: "{level}", provenance: '
        f'"clientSupplied" }} }} :: caused by :: {reason}'
    )


STREAM = [{"$changeStream": {}}]
TIMES = {"afterClusterTime": Timestamp(1, 1), "atClusterTime": Timestamp(1, 1)}


@pytest.mark.parametrize(
    ("command", "concern", "message"),
    [
        ({"ping": 1}, {"level": "majority"}, not_supported("ping", "majority")),
        (
            {"insert": "orders", "documents": [{}]},
            {"level": "majority"},
            not_supported("insert", "majority"),
        ),
        (
            {"listIndexes": "orders"},
            {"level": "available"},
            not_supported("listIndexes", "available"),
        ),
        (
            {"count": "orders"},
            {"level": "snapshot"},
            not_supported("count", "snapshot", "read concern snapshot not supported"),
        ),
        (
            {"aggregate": "orders", "pipeline": STREAM, "cursor": {}},
            {"level": "local"},
            not_supported(
                "aggregate",
                "local",
                "Aggregation stage $changeStream cannot run with a readConcern other than "
                "'majority'. Current readConcern: local",
            ),
        ),
        (
            {"find": "orders"},
            {"level": "snapshot", **TIMES},
            (
                "Specifying a timestamp for readConcern snapshot in a causally consistent session "
                "is not allowed. See https://docs.mongodb.com/manual/core/"
                "read-isolation-consistency-recency/#causal-consistency"
            ),
        ),
    ],
)
def test_a_read_concern_that_a_command_has_not(primary, command, concern, message):
    reply = primary.run({**command, "readConcern": concern})
    assert reply == error(72, "InvalidOptions", message)


@pytest.mark.parametrize("command", [{"ping": 1}, {"count": "orders"}, {"listCollections": 1}])
def test_every_command_has_read_concern_local(primary, command):
    assert primary.run({**command, "readConcern": {"level": "local"}})["ok"]


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        (
            Binary(b"a" * 16, 3),
            14,
            (
                "BSON field 'OperationSessionInfo.lsid.id' is the wrong binData type "
                "'UUID(deprecated)', expected type 'UUID'"
            ),
        ),
        (Binary(b"aaaaa", 4), 207, "uuid must be a 16-byte binary field with UUID (4) subtype"),
    ],
)
def test_a_session_id_that_is_none(key, code, message):
    # Not over the wire: older versions of bson do not decode such a UUID at all.
    with pytest.raises(OperationFailure) as failure:
        check_generic_fields("ping", {"ping": 1, "lsid": {"id": key}})
    assert failure.value.details == error(code, ANY, message)


def test_options_of_the_stable_api_need_its_version(primary):
    reply = primary.run({"ping": 1, "apiStrict": True})
    assert reply["code"] == 4886600


# -- single commands -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (
            {"find": "orders", "nosuch": 1},
            40415,
            "BSON field 'FindCommandRequest.nosuch' is an unknown field.",
        ),
        ({"ping": 1, "nosuch": 1}, 40415, "BSON field 'ping.nosuch' is an unknown field."),
        ({"ping": 1, "$nosuch": 1}, 40415, "BSON field 'ping.$nosuch' is an unknown field."),
        (
            {"getMore": Int64(5), "collection": "orders", "nosuch": 1},
            40415,
            "BSON field 'getMore.nosuch' is an unknown field.",
        ),
        ({"find": "orders", "filter": 5}, 14, "Expected field filterto be of type object"),
        (
            {"aggregate": "orders", "pipeline": 5, "cursor": {}},
            14,
            "'pipeline' option must be specified as an array",
        ),
        (
            {"aggregate": "orders", "pipeline": []},
            9,
            "The 'cursor' option is required, except for aggregate with the explain argument",
        ),
        (
            {"aggregate": "orders", "pipeline": [], "cursor": {"x": 1}},
            40415,
            "BSON field 'cursor.x' is an unknown field.",
        ),
    ],
)
def test_a_field_is_refused_in_the_words_of_a_server(primary, command, code, message):
    reply = primary.run(command)
    assert (reply["code"], reply["errmsg"]) == (code, message)


def test_the_cursor_of_a_collection_that_is_missing_has_its_batch_last(primary):
    primary.run({"drop": "missing"})
    assert list(primary.run({"find": "missing"})["cursor"]) == ["id", "ns", "firstBatch"]
    aggregate = primary.run({"aggregate": "missing", "pipeline": [], "cursor": {}})
    assert list(aggregate["cursor"]) == ["firstBatch", "id", "ns"]
    primary.run({"create": "missing"})
    assert list(primary.run({"find": "missing"})["cursor"]) == ["firstBatch", "id", "ns"]
    assert list(primary.run({"listCollections": 1})["cursor"]) == ["id", "ns", "firstBatch"]


def test_parameters_that_there_are_not_get_an_error_without_a_code(primary):
    expected = {"ok": 0.0, "errmsg": "no option found to get"}
    assert primary.run({"getParameter": 1, "nosuch": 1}, "admin") == expected
    assert primary.run({"getParameter": 1, "logLevel": 1, "nosuch": 1}, "admin") == {
        "logLevel": 0,
        "ok": 1.0,
    }
    assert primary.run({"getParameter": {"showDetails": True}, "logLevel": 1}, "admin") == {
        "logLevel": {"value": 0, "settableAtRuntime": True, "settableAtStartup": True},
        "ok": 1.0,
    }


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,,n=u,r=a"}, 18),
        ({"saslStart": 1, "mechanism": "PLAIN", "payload": b"\0u\0p"}, 334),
        ({"saslContinue": 1, "conversationId": 1, "payload": b""}, 17),
        ({"authenticate": 1, "mechanism": "MONGODB-X509"}, 18),
    ],
)
def test_who_logs_in_is_told_to_connect_without_credentials(primary, command, code):
    reply = primary.run(command, "$external")
    assert reply["code"] == code
    assert "connect without user name, password and authMechanism" in reply["errmsg"]


def test_who_logs_in_without_a_mechanism(primary):
    message = "BSON field 'saslStart.mechanism' is missing but a required field"
    assert primary.run({"saslStart": 1}, "admin") == error(40414, "Location40414", message)


def test_a_pipeline_that_writes_asks_a_secondary_by_its_read_preference(secondary):
    command = {"aggregate": "orders", "pipeline": [{"$out": "copy"}], "cursor": {}}
    refused = error(13435, "NotPrimaryNoSecondaryOk", "not primary and secondaryOk=false")
    assert secondary.run(command) == refused
    allowed = secondary.run({**command, "$readPreference": {"mode": "secondary"}})
    assert allowed == {"cursor": {"firstBatch": [], "id": ANY, "ns": "shop.orders"}, "ok": 1.0}


def test_every_reply_ends_with_the_times_a_driver_keeps(primary):
    primary.send_command({"ping": 1, "lsid": lsid()})
    reply = primary.reply()
    assert list(reply) == ["ok", "$clusterTime", "operationTime"]
    assert list(reply["$clusterTime"]) == ["clusterTime", "signature"]
    assert reply["$clusterTime"]["signature"] == {"hash": b"\0" * 20, "keyId": Int64(0)}
    assert isinstance(reply["$clusterTime"]["signature"]["keyId"], Int64)
