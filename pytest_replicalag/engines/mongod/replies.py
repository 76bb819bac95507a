"""What a server's reply says of the time, read and changed without decoding the rest.

A member of a replica set ends each reply with `operationTime`. Driver specification, Causal
Consistency.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from bson import CodecOptions, Timestamp, decode, encode
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion

__all__ = [
    "AS_STORED",
    "REPLY_TIMES",
    "decoded",
    "encoded",
    "operation_time",
    "with_operation_time",
]

REPLY_TIMES: Final[tuple[str, ...]] = ("$clusterTime", "operationTime")
"""What each reply ends with."""

AS_STORED: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""What is decoded is encoded again as it was."""

_NAME: Final = b"\x11operationTime\0"
_TIMESTAMP: Final = struct.Struct("<II")
_SIZE: Final = len(_NAME) + _TIMESTAMP.size + 1


def decoded(body: bytes) -> dict[str, Any]:
    """The document of a reply."""
    return decode(body, AS_STORED)


def encoded(document: dict[str, Any]) -> bytes:
    """The bytes of a document that may hold undecoded parts."""
    return encode(document, codec_options=AS_STORED)


def operation_time(data: bytes) -> Timestamp | None:
    """The `operationTime` that a reply ends with; None for one of another kind of server."""
    if not data.startswith(_NAME, len(data) - _SIZE):
        return None
    increment, seconds = _TIMESTAMP.unpack_from(data, len(data) - _TIMESTAMP.size - 1)
    return Timestamp(seconds, increment)


def with_operation_time(data: bytes, timestamp: Timestamp) -> bytes:
    """The same reply at another time; one that tells no time stays as it is."""
    if not data.startswith(_NAME, len(data) - _SIZE):
        return data
    packed = _TIMESTAMP.pack(timestamp.inc, timestamp.time)
    return data[: -_TIMESTAMP.size - 1] + packed + b"\0"
