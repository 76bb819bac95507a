"""Commands and replies as documents: BSON in, BSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bson import CodecOptions, Int64, decode, encode
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion, TypeDecoder, TypeRegistry
from bson.errors import BSONError, InvalidBSON
from pymongo.errors import OperationFailure

from pytest_replicalag.engines.memory.commands.values import Long
from pytest_replicalag.engines.types import is_deeper
from pytest_replicalag.fronts.wire.bad_messages import refusal_of
from pytest_replicalag.fronts.wire.protocol import Message
from pytest_replicalag.replicaset.server_errors import operation_failure

__all__ = ["command_of", "encoded"]


_MAX_BYTES: Final = 16 * 1024 * 1024 + 16 * 1024
"""Of a message's documents: a stored one and what a command has besides."""

_MAX_LEVELS: Final = 201
"""How deep a message's documents may be nested, each one itself counted."""


class _LongDecoder(TypeDecoder):
    """64-bit numbers stay such, whatever is added to them."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> Any:
        return Long(value)


_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    type_registry=TypeRegistry([_LongDecoder()]),
)
"""As stored: what a driver sends comes back as it was."""


def command_of(message: Message) -> dict[str, Any]:
    """A message's command, its document sequences as lists.

    Raises:
        OperationFailure: It is not valid: as a message, as BSON, or nested too deep.
    """
    if message.error is not None:
        raise refusal_of(message.error)
    try:
        command = _decoded(message.body)
        for name, documents in message.sequences:
            if name in command:
                raise _invalid(
                    40433,
                    "Location40433",
                    f"Duplicate field between body and document sequence {name}",
                )
            command[name] = [_decoded(document) for document in documents]
    except RecursionError:
        raise _too_deep() from None
    except InvalidBSON as error:
        # How bson's C extension tells of a stack that is too deep.
        if "recursion" in str(error):
            raise _too_deep() from None
        raise _invalid(22, "InvalidBSON", str(error)) from None
    except (BSONError, ValueError, OverflowError, TypeError) as error:
        raise _invalid(22, "InvalidBSON", str(error)) from None
    if not command:
        raise _invalid(40571, "Location40571", "OP_MSG requests require a $db argument")
    return command


def _decoded(data: bytes) -> dict[str, Any]:
    if len(data) > _MAX_BYTES:
        raise _invalid(
            10334,
            "BSONObjectTooLarge",
            f"BSONObj size: {len(data)} (0x{len(data):X}) is invalid. Size must be between 0 and "
            f"{_MAX_BYTES}(16MB)",
        )
    document = decode(data, _OPTIONS)
    if is_deeper(document, _MAX_LEVELS, len(data)):
        raise _too_deep()
    return document


def _too_deep() -> OperationFailure:
    return _invalid(15, "Overflow", "BSONObj exceeds maximum nested object depth")


def _invalid(code: int, name: str, message: str) -> OperationFailure:
    return operation_failure(code, name, message)


def encoded(reply: Mapping[str, Any]) -> bytes:
    """A reply's bytes."""
    return encode(reply, codec_options=_OPTIONS)
