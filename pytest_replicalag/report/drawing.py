"""Where the parts of a stale read's timeline stand: a lane for each member, time to scale.

Across, places are percentages, so that a drawing fits a phone and a wall with letters of one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pytest_replicalag.report.wording import age_text, ending, known_text, place

__all__ = ["Drawing", "DrawnLane", "Mark", "Way", "drawing", "drawing_of_lost"]

_LANE: Final = 52
_FIRST: Final = 34
_LEFT, _RIGHT = 3.0, 97.0
"""Where the first moment stands, and the last."""
_UNDER_WAY: Final = 0.8
"""How near a write comes to the lane that it has not reached."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened on a member.

    Attributes:
        kind: `write`, `applied`, `read`, `seen` (an earlier read) or `crash`.
        x: In percent.
        text: What it is.
    """

    kind: str
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Way:
    """The way of a write from the primary to a member.

    Attributes:
        x: Where it begins, in percent.
        y: The same, in pixels.
        to_x: Where it ends, in percent.
        to_y: The same, in pixels.
        is_late: Whether it ends after the read, or never.
    """

    x: float
    y: int
    to_x: float
    to_y: int
    is_late: bool


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """The lane of a member.

    Attributes:
        name: Its name.
        note: What is to be known of it, such as its lag.
        y: In pixels.
        serves: Whether it served the read.
        marks: What happened on it.
    """

    name: str
    note: str
    y: int
    serves: bool
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A timeline.

    Attributes:
        height: In pixels.
        lanes: From the top.
        ways: Of the missed writes.
        read_x: Where the read stands, in percent.
        first: The time at the left, in words.
        last: The time at the right, in words.
        label: The whole in a sentence.
        more: How many members are like those that are shown.
    """

    height: int
    lanes: tuple[DrawnLane, ...]
    ways: tuple[Way, ...]
    read_x: float
    first: str
    last: str
    label: str
    more: int


def drawing(read: Mapping[str, Any], timeline: Mapping[str, Any]) -> Drawing:
    """The drawing of a stale read.

    Args:
        read: The read, as a document has it.
        timeline: Its timeline.
    """
    scale = _Scale(timeline, [witness["at_us"] for witness in read["witnesses"]])
    heights = [_FIRST + number * _LANE for number in range(len(timeline["lanes"]))]
    lanes = tuple(
        DrawnLane(
            name=lane["member"],
            note=_note(lane),
            y=y,
            serves=lane["member"] == read["member"],
            marks=tuple(_marks(read, timeline, lane, scale)),
        )
        for lane, y in zip(timeline["lanes"], heights, strict=True)
    )
    return Drawing(
        height=heights[-1] + _LANE,
        lanes=lanes,
        ways=tuple(_ways(timeline, heights, scale)),
        read_x=scale.x(timeline["read_at_us"]),
        first=age_text(scale.first_us),
        last=age_text(scale.last_us),
        more=timeline["members"] - len(lanes),
        label=(
            f"Timeline: {len(read['missed'])} missed writes on the primary, and the read on "
            f"{read['member']} {age_text(timeline['read_at_us'])} after the test began"
        ),
    )


def drawing_of_lost(write: Mapping[str, Any]) -> Drawing:
    """The drawing of a lost write: the member that had it, and the one that had not.

    Args:
        write: The write, as a document has it.
    """
    failover = write["failover"]
    top, bottom = _FIRST, _FIRST + _LANE
    age = age_text(write["age_us"])
    written = f"{write['text']} ({place(write['call_site'])}), acknowledged here"
    ended = f"{failover['former']} {ending(failover)}, {failover['reason']}, {age} later"
    return Drawing(
        height=bottom + _LANE,
        lanes=(
            DrawnLane(
                name=failover["former"],
                note=ending(failover),
                y=top,
                serves=False,
                marks=(Mark("write", _LEFT, written), Mark("crash", _RIGHT, ended)),
            ),
            DrawnLane(
                name=failover["elected"], note="elected primary", y=bottom, serves=False, marks=()
            ),
        ),
        ways=(Way(_LEFT, top, _RIGHT, _short(top, bottom), is_late=True),),
        read_x=_RIGHT,
        first="written",
        last=f"{failover['former']} {ending(failover)}, {age} later",
        label=f"Timeline: a write on {failover['former']}, which {ending(failover)} {age} later",
        more=0,
    )


class _Scale:
    """Where a time stands.

    Attributes:
        first_us: The first moment.
        last_us: The last one.
    """

    def __init__(self, timeline: Mapping[str, Any], known_us: Sequence[int]) -> None:
        read_us = timeline["read_at_us"]
        self.first_us = min([*timeline["written_at_us"], *known_us, read_us])
        arrivals = [
            at for lane in timeline["lanes"] for at in lane["arrivals_us"] if at is not None
        ]
        self.last_us = max([read_us, *arrivals])
        if self.last_us == self.first_us:
            self.last_us += 1

    def x(self, at_us: int) -> float:
        share: float = (at_us - self.first_us) / (self.last_us - self.first_us)
        return round(_LEFT + share * (_RIGHT - _LEFT), 2)


def _note(lane: Mapping[str, Any]) -> str:
    if not lane["is_up"]:
        return "crashed"
    if lane["is_primary"]:
        return "" if lane["member"] == "primary" else "elected primary"
    if lane["is_paused"]:
        return "paused"
    return f"lag {lane['lag']}" if lane["lag"] else ""


def _marks(
    read: Mapping[str, Any], timeline: Mapping[str, Any], lane: Mapping[str, Any], scale: _Scale
) -> Iterator[Mark]:
    for number, write in enumerate(read["missed"]):
        arrival = lane["arrivals_us"][number]
        if lane["is_primary"]:
            where = "" if write["call_site"] is None else f" ({place(write['call_site'])})"
            text = f"{write['text']}{where}, {age_text(write['age_us'])} before the read"
            yield Mark("write", scale.x(timeline["written_at_us"][number]), text)
        elif arrival is not None:
            text = f"{write['text']} is applied on {lane['member']}"
            yield Mark("applied", scale.x(arrival), text)
    for witness in read["witnesses"]:
        member = witness["member"]
        if lane["is_primary"] if member is None else lane["member"] == member:
            where = "" if witness["call_site"] is None else f" ({place(witness['call_site'])})"
            text = f"{witness['text']}{where}, which {known_text(witness['guarantee'])}"
            yield Mark("write" if member is None else "seen", scale.x(witness["at_us"]), text)
    if lane["member"] == read["member"]:
        text = (
            f"{read['text']} ({place(read['call_site'])}) returned {read['result']}; the primary "
            f"had {read['fresh_result']}"
        )
        yield Mark("read", scale.x(timeline["read_at_us"]), text)


def _ways(timeline: Mapping[str, Any], heights: list[int], scale: _Scale) -> Iterator[Way]:
    lanes = timeline["lanes"]
    source = next((y for lane, y in zip(lanes, heights, strict=True) if lane["is_primary"]), None)
    if source is None:
        return
    for lane, y in zip(lanes, heights, strict=True):
        if lane["is_primary"]:
            continue
        for written_us, arrival in zip(timeline["written_at_us"], lane["arrivals_us"], strict=True):
            if arrival is None:  # it is on its way to this lane, and is not there yet
                yield Way(scale.x(written_us), source, _RIGHT, _short(source, y), is_late=True)
            else:
                is_late = arrival > timeline["read_at_us"]
                yield Way(scale.x(written_us), source, scale.x(arrival), y, is_late=is_late)


def _short(source: int, y: int) -> int:
    """Where the way of a write ends that does not reach its lane."""
    return round(source + (y - source) * _UNDER_WAY)
