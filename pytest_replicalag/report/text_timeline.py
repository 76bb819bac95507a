"""A small timeline of a stale read, for a terminal: a lane for each member.

`W` is a missed write on the member that took it, `a` where it was applied, `R` the read on the
member that served it; time runs to the right, to scale. A lane that ends in `>` has one to come.
"""

from __future__ import annotations

from typing import Final

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import Lane, StaleRead, Timeline
from pytest_replicalag.report.layout import INDENT, plural

__all__ = ["drawn"]

_WRITE, _APPLIED, _READ, _TIME, _TO_COME = "W", "a", "R", "-", ">"
_KEY: Final = (
    f"{_WRITE} written  {_APPLIED} applied  {_READ} the stale read  {_TO_COME} not there yet"
)
_SHORTEST: Final = 20


def drawn(read: StaleRead, width: int) -> list[str]:
    """The lines of the timeline.

    Args:
        read: Has one.
        width: Of the terminal, in columns.
    """
    timeline = read.timeline
    assert timeline is not None
    names = [lane.name for lane in timeline.lanes]
    indent = max(INDENT, *(len(name) + 2 for name in names))
    scale = _Scale(timeline, max(width - indent - 2, _SHORTEST))
    lines = [
        f"{lane.name:<{indent}}{_lane(lane, read, timeline, scale)}" for lane in timeline.lanes
    ]
    first, last = Duration.of_us(scale.first_us).text, Duration.of_us(scale.last_us).text
    room = max(scale.columns - len(first), len(last))
    if more := timeline.members - len(timeline.lanes):
        lines.append(f"{'':<{indent}}{more} more {plural(more, 'member')} not shown")
    return [*lines, f"{'':<{indent}}{first}{last:>{room}}", f"{'':<{indent}}{_KEY}"]


class _Scale:
    """Where a time stands.

    Attributes:
        first_us: The time at the left end.
        last_us: The time at the right end: the read, or the last arrival within reach.
        columns: How wide it is.
    """

    def __init__(self, timeline: Timeline, columns: int) -> None:
        read_us = timeline.read_at.us
        written = [at.us for at in timeline.written_at]
        self.first_us = min([*written, read_us])
        # Arrivals that come long after the read would press all else together.
        reach_us = read_us + max(read_us - self.first_us, 1) * 3
        arrivals = [at.us for lane in timeline.lanes for at in lane.arrivals if at is not None]
        self.last_us = max([read_us, *(at for at in arrivals if at <= reach_us)])
        self.columns = columns

    def column(self, at_us: int) -> int | None:
        """The column of a time; None if it is beyond the right end."""
        if at_us > self.last_us:
            return None
        length = max(self.last_us - self.first_us, 1)
        return round((at_us - self.first_us) / length * (self.columns - 1))


def _lane(lane: Lane, read: StaleRead, timeline: Timeline, scale: _Scale) -> str:
    cells = [_TIME] * scale.columns
    is_complete = True
    for written, arrival in zip(timeline.written_at, lane.arrivals, strict=True):
        at_us = written.us if lane.is_primary else None if arrival is None else arrival.us
        column = None if at_us is None else scale.column(at_us)
        if column is None:
            is_complete = False
        else:
            cells[column] = _WRITE if lane.is_primary else _APPLIED
    if lane.name == read.member:
        column = scale.column(timeline.read_at.us)
        assert column is not None
        cells[column] = _READ
    return "".join(cells) + (_TIME if is_complete else _TO_COME)
