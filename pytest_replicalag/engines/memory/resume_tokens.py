"""Resume tokens of change streams: `{"_data": hexadecimal}`.

The string is built as a server builds it: the cluster time comes first, then what kind of token it
is, then the event's place among those of the same time. So within one simulation, or wherever
times do not go back, tokens sort like their events. Where a server has the document's key stands
the number of the simulation, so that a token is never taken for one of another simulation.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from bson import Timestamp

from pytest_replicalag.replicaset import server_errors

__all__ = ["Place", "token_of", "token_text"]

_VERSION: Final = "2B02"
_HIGH_WATER: Final = "29"
_EVENT: Final = "2C0100"
_INVALIDATE: Final = {False: "6E", True: "6F"}

_TEXT: Final = re.compile(
    r"82(?P<time>[0-9A-F]{8})(?P<inc>[0-9A-F]{8})2B02(?P<kind>29|2C0100)"
    r"(?P<index>29|2B..|2C....|2D......)(?P<invalidate>6E|6F)(?:5A1004(?P<uuid>[0-9A-F]{32}))?"
    r"2E(?P<epoch>[0-9A-F]{8})04"
)

_HIGHEST_TYPE: Final = 0xF0
"""Type bytes of a server's key strings are smaller."""


class Place(NamedTuple):
    """A place in the order of all events; compares as that order.

    Attributes:
        epoch: The number of the simulation, or of the time between two.
        position: The oplog's position in it.
        order: The place among the events of that position; -1 is before all of them.
        is_invalidate: Whether it is the invalidation that follows the event of that place.
    """

    epoch: int
    position: int
    order: int = -1
    is_invalidate: bool = False


def token_text(place: Place, time: Timestamp, uuid: bytes = b"") -> str:
    """The string of a token.

    Args:
        place: Its place.
        time: The cluster time of the place.
        uuid: The collection's UUID, if the event is of a collection.
    """
    kind = _HIGH_WATER if place.order < 0 else _EVENT
    collection = f"5A1004{uuid.hex().upper()}" if uuid else ""
    return (
        f"82{time.time:08X}{place.position:08X}{_VERSION}{kind}{_number(max(place.order, 0))}"
        f"{_INVALIDATE[place.is_invalidate]}{collection}2E{place.epoch << 1:08X}04"
    )


def _number(value: int) -> str:
    """A small number as a server's key strings have it: longer ones begin with a higher byte."""
    if not value:
        return "29"
    for length, kind in enumerate(("2B", "2C", "2D"), 1):
        if value << 1 < 1 << 8 * length:
            return f"{kind}{value << 1:0{2 * length}X}"
    raise OverflowError(f"a transaction of more than {value} changes")


def token_of(token: Any) -> Place:
    """The place of a token.

    Raises:
        OperationFailure: It is no resume token of a simulation.
    """
    text = token.get("_data")
    if not isinstance(text, str):
        told = ", ".join(f"{key}: {value}" for key, value in token.items())
        raise server_errors.operation_failure(
            40647,
            "Location40647",
            f"Bad resume token: _data of missing or of wrong type. Expected string, got {{{told}}}",
        )
    if not text:
        raise server_errors.operation_failure(40649, "Location40649", "invalid empty resume token")
    if len(text) % 2 or not re.fullmatch("[0-9A-Fa-f]*", text):
        raise server_errors.operation_failure(
            9, "FailedToParse", "resume token string was not a valid hex string"
        )
    match = _TEXT.fullmatch(text.upper())
    if match is None:
        first = int(text[:2], 16)
        kind = first if first >= _HIGHEST_TYPE else 0
        raise server_errors.operation_failure(
            50811, "Location50811", f"KeyString format error: Unknown type: {kind}"
        )
    index = match["index"]
    return Place(
        epoch=int(match["epoch"], 16) >> 1,
        position=int(match["inc"], 16),
        order=-1 if match["kind"] == _HIGH_WATER else int(index[2:] or "0", 16) >> 1,
        is_invalidate=match["invalidate"] == _INVALIDATE[True],
    )
