"""What can go wrong in the plugin itself; each error has fields, and a text that says what to do.

Errors that a MongoDB server or driver would raise are pymongo's own classes, made in
`replicaset/server_errors.py`. The errors here are about the simulation and its use.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CRASHED",
    "ClockError",
    "EndlessWaitError",
    "EngineError",
    "HistoryGoneError",
    "NoElectionError",
    "NodeError",
    "NodeLostError",
    "NotWrappableError",
    "ReplicaLagError",
    "ScheduleError",
    "SettingError",
    "UnknownMemberError",
]


class ReplicaLagError(Exception):
    """Base of this package's own errors."""


class SettingError(ReplicaLagError, ValueError):
    """An option, ini key or marker word has a value that it cannot have.

    Attributes:
        option: As the user wrote it, such as `--replica-lag`.
        value: The value as the user wrote it.
        problem: What is wrong with it and what to write instead.
    """

    def __init__(self, option: str, value: object, problem: str) -> None:
        self.option = option
        self.value = value
        self.problem = problem
        super().__init__(f"{option}: {problem}")


class NotWrappableError(ReplicaLagError, TypeError):
    """`wrap` was given something that is not a client it knows.

    Attributes:
        value: What was given.
    """

    def __init__(self, value: object) -> None:
        self.value = value
        # Of a class of this package, say which class of the library it stands for.
        kind = next(
            kind
            for kind in type(value).__mro__
            if kind.__module__.partition(".")[0] != "pytest_replicalag"
        )
        hint = ""
        if kind.__name__ in ("Database", "Collection"):
            hint = "; wrap the client that it belongs to"
        elif isinstance(value, str):
            hint = "; open one with this address, and wrap that"
        elif isinstance(value, type):
            hint = f"; open one, and wrap that: wrap({value.__name__}(...))"
        super().__init__(
            f"cannot wrap a {kind.__module__}.{kind.__qualname__}: wrap() takes a "
            f"client of mongomock, mongomock_ng, PyMongo or Motor{hint}"
        )


class UnknownMemberError(ReplicaLagError, LookupError):
    """A member name that the replica set does not have.

    Attributes:
        member: The name that was given.
        members: The names that there are.
    """

    def __init__(self, member: object, members: Sequence[str], reason: str = "") -> None:
        self.member = member
        self.members = tuple(members)
        reason = reason or f"no member is named {member!r}; "
        super().__init__(f"{reason}name one of {', '.join(self.members)}")


class ClockError(ReplicaLagError, ValueError):
    """Simulated time was asked to do what it cannot: go back, or be moved on the wall clock."""


_ADVICE = (
    "Resume or catch up the member, give it a lag other than inf, or set a time limit (wtimeout "
    "for a write, max_time_ms for a read)."
)


_AFTER_A_CRASH = (
    "Let it be back (restart() of the fixture replica_lag), wait for a majority only (w: "
    '"majority"), or set a time limit (wtimeout).'
)

CRASHED = "has crashed"
"""Why a member holds something up that is not in reach."""


def _advice(members: Sequence[str]) -> str:
    return _AFTER_A_CRASH if all(text.endswith(CRASHED) for text in members) else _ADVICE


class EndlessWaitError(ReplicaLagError):
    """An operation waits for something that can never come, so it fails at once, not hangs.

    Attributes:
        operation: The operation that waits.
        waiting_for: What it waits for.
        members: The members that hold it up, each with the reason; or what else does.
    """

    def __init__(
        self, operation: str, waiting_for: str, members: Sequence[str], advice: str = ""
    ) -> None:
        self.operation = operation
        self.waiting_for = waiting_for
        self.members = tuple(members)
        super().__init__(
            f"{operation} would wait for ever: it waits until {waiting_for}, but "
            f"{' and '.join(self.members)}. {advice or _advice(self.members)}"
        )


class NoElectionError(ReplicaLagError):
    """A member was to go, and no majority would be left to have a primary.

    Attributes:
        members: How many members the set has.
        left: How many would be left.
        majority: How many it takes.
    """

    def __init__(self, members: int, left: int, majority: int) -> None:
        self.members = members
        self.left = left
        self.majority = majority
        super().__init__(
            f"{left} of {members} members would be left, and it takes {majority} to have a "
            "primary; restart() the members that have crashed, or give the set more secondaries "
            "(--replica-lag-secondaries=4)"
        )


class EngineError(ReplicaLagError):
    """The engine that holds the data cannot do what was asked for; the text says which one can."""


class NodeError(ReplicaLagError):
    """The MongoDB node that plays the set cannot be used, or has gone; the text says what to do."""


class NodeLostError(NodeError):
    """The node does not answer any more."""


class HistoryGoneError(NodeError):
    """The node no longer has the past that a lagging member shows.

    Attributes:
        node: Its host and port.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(
            f"the mongod at {node} no longer keeps the past that a lagging member shows; let it "
            "keep more: start it with --setParameter minSnapshotHistoryWindowInSeconds=3600, or "
            "run db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: 3600})"
        )


class ScheduleError(ReplicaLagError, LookupError):
    """A schedule does not fit the test that it is to be replayed on.

    Attributes:
        schedule: The schedule's text.
        number: The number of the choice that does not fit, from 1.
        chosen: Which option it says, from 1.
        options: How many options the test has there.
    """

    def __init__(self, schedule: str, number: int, chosen: int, options: int) -> None:
        self.schedule = schedule
        self.number = number
        self.chosen = chosen
        self.options = options
        super().__init__(
            f"the schedule {schedule} is of another test, or of other code: it takes option "
            f"{chosen} at choice {number}, where this run has {options}; explore again with "
            "--replica-lag-explore=100"
        )
