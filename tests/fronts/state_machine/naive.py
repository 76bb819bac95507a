"""A naive replica set to hold the simulation against: a whole copy of the data for each optime.

It shares no code with the package. Data are those of a bare client of the library, copied after
each write; progress, waits and errors are reckoned here from what the design says of them. Where a
lag is a range, what the simulation drew is only checked against the range, and then taken over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

ROUND_TRIP_US = 1_000
NEVER = None

DATABASES = ("d1", "d2")
COLLECTIONS = ("a", "b", "c")
NAMESPACES = (*(("d1", name) for name in COLLECTIONS), ("d2", "a"))


class Contents(NamedTuple):
    """A collection at one optime: documents in natural order, indexes, whether it exists."""

    documents: list[Any]
    indexes: Any
    exists: bool


State = dict[tuple[str, str], Contents]
"""All collections at one optime."""


def contents(client: Any, database: str, name: str) -> Contents:
    """A copy of what a bare client holds."""
    exists = name in client[database].list_collection_names()
    indexes = repr(sorted(client[database][name].index_information().items())) if exists else "[]"
    return Contents(list(client[database][name].find()), indexes, exists)


def state_of(client: Any) -> State:
    """A copy of all that a bare client holds."""
    return {namespace: contents(client, *namespace) for namespace in NAMESPACES}


def key_of(document: Any) -> Any:
    """The `_id` as a dictionary key: the library takes 1, 1.0 and True for the same."""
    return repr(document["_id"]) if isinstance(document["_id"], dict) else document["_id"]


def steps(before: list[Any], after: list[Any]) -> list[list[Any]]:
    """The documents after each single change that leads from `before` to `after`.

    Changes come in natural order: documents removed or changed first, then those that were added.
    """
    current = list(before)
    new = {key_of(document): document for document in after}
    found = []
    for document in before:
        key = key_of(document)
        index = [key_of(held) for held in current].index(key)
        if key not in new:
            del current[index]
        elif repr(new[key]) != repr(document):
            current[index] = new[key]
        else:
            continue
        found.append(list(current))
    old = {key_of(document) for document in before}
    for document in after:
        if key_of(document) not in old:
            current = [*current, document]
            found.append(list(current))
    assert repr(current) == repr(after), "the library changed documents in an unforeseen way"
    return found


@dataclass
class NaiveMember:
    """A secondary's progress.

    `low_us` and `high_us` are the bounds of its lag; None is a lag without end.
    """

    name: str
    low_us: int | None
    high_us: int | None
    paused: bool = False
    applied: int = 0

    def bounds(self, times: list[int], now_us: int) -> tuple[int, int]:
        """The least and the most that it can have applied."""
        if self.paused or self.low_us is None or self.high_us is None:
            return self.applied, self.applied
        least = most = self.applied
        while least + 1 < len(times) and times[least + 1] + self.high_us <= now_us:
            least += 1
        most = least
        while most + 1 < len(times) and times[most + 1] + self.low_us <= now_us:
            most += 1
        return least, most

    def observe(self, times: list[int], now_us: int, applied: int) -> None:
        """Check what the simulation says that it has applied, and take it over."""
        least, most = self.bounds(times, now_us)
        assert least <= applied <= most, (self, least, applied, most, now_us, times)
        self.applied = applied

    def due(self, times: list[int], position: int) -> tuple[int, int] | None:
        """The bounds of the time at which it applies an entry; None for never."""
        if self.applied >= position:
            return 0, 0
        if self.paused or self.low_us is None or self.high_us is None:
            return NEVER
        return times[position] + self.low_us, times[position] + self.high_us


@dataclass
class NaiveSet:
    """Primary and secondaries, and the state of the data at each optime.

    `states[p]` is None where an operation of several entries is not taken apart.
    """

    members: list[NaiveMember]
    states: list[State | None]
    times: list[int] = field(default_factory=lambda: [0])
    now_us: int = 0
    turn: int = 0

    @property
    def newest(self) -> int:
        return len(self.states) - 1

    @property
    def majority(self) -> int:
        return (len(self.members) + 1) // 2 + 1

    def log(self, state: State | None) -> None:
        self.states.append(state)
        self.times.append(self.now_us)

    def position(self, name: str) -> int:
        """What a member has applied."""
        if name == "primary":
            return self.newest
        return next(member.applied for member in self.members if member.name == name)

    def commit_point(self) -> int:
        positions = sorted([self.newest, *(m.applied for m in self.members)], reverse=True)
        return positions[self.majority - 1]

    def observe(self, now_us: int, applied: dict[str, int]) -> None:
        for member in self.members:
            member.observe(self.times, now_us, applied[member.name])

    def due(self, position: int, count: int) -> tuple[int, int] | None:
        """The bounds of the time at which `count` members have an entry; None for never."""
        dues = [due for m in self.members if (due := m.due(self.times, position)) is not NEVER]
        if count <= 1:
            return 0, 0
        if len(dues) < count - 1:
            return NEVER
        return sorted(low for low, _ in dues)[count - 2], sorted(high for _, high in dues)[
            count - 2
        ]


class Outcome(NamedTuple):
    """What an operation returned, or raised."""

    value: Any
    error: str


def wait(
    naive: NaiveSet,
    dues: list[tuple[int, int] | None],
    limit_us: int | None,
    ended_us: int,
    has_expired: bool | None = None,
) -> str:
    """Wait until all dues are over, or the limit is; ends the simulation's clock is checked.

    Args:
        naive: The set; its clock is moved.
        dues: The bounds of each time to wait for; None for never.
        limit_us: The longest wait, or None.
        ended_us: What the simulation's clock shows afterwards.
        has_expired: Whether the simulation says that the limit was reached, if it says it.

    Returns:
        `over`, `expired` or `never`.
    """
    never = NEVER in dues
    low = max([naive.now_us, *(due[0] for due in dues if due is not None)])
    high = max([naive.now_us, *(due[1] for due in dues if due is not None)])
    if limit_us is not None:
        deadline_us = naive.now_us + limit_us
        # Where the bounds leave both open, the simulation tells which it was.
        if has_expired is None:
            has_expired = ended_us == deadline_us
        if never or low > deadline_us or (high > deadline_us and has_expired):
            naive.now_us = deadline_us
            return "expired"
    if never:
        return "never"
    assert ended_us >= low, (low, ended_us, high)
    naive.now_us = min(max(ended_us, low), high)
    return "over"
