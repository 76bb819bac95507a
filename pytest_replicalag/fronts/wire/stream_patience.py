"""How long the `getMore` of a change stream waits, and when a stream gives up; on both wire fronts.

An event that is there but not due yet becomes so at a simulated time: if nobody else has sent a
command for a moment, simulated time goes there. A client that is busy is not overtaken, so a stream
that is read in the background does not make its lag vanish.

An event that is never due is another matter. A real set sends empty batches for as long as somebody
asks, and a server cannot tell a driver's `try_next`, which asks once, from `next`, which asks for
ever; so in a test that forgot to let a member go on, `next` would never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_replicalag.errors import EndlessWaitError
from pytest_replicalag.fronts.governor import Running
from pytest_replicalag.replicaset.member import Member
from pytest_replicalag.replicaset.replica_set import ReplicaSet

__all__ = [
    "IDLE_S",
    "NEVER",
    "Patience",
    "await_ms",
    "endless",
    "let_come",
    "serving_member",
    "shows_us",
]

IDLE_S: Final = 0.05
"""A moment: nobody else has sent a command for so long."""

NEVER: Final = -1
"""Stands for the time at which something happens that never does."""

_AWAIT_MS: Final = 1_000
"""How long a `getMore` waits for events if it does not say."""

_TIMES: Final = 3
"""How many times in a row a client may at least ask for what can never come."""

_PATIENCE_MS: Final = 30_000
"""How long in all, if it sets a limit to each: it polls, and does not wait for ever."""

_ADVICE: Final = "Resume or catch up the member, or give it a lag other than inf."

_ADVICE_TO_POLL: Final = (
    "Resume or catch up the member, give it a lag other than inf, or poll with try_next() a stream "
    "that was opened with max_await_time_ms, which is not ended so soon."
)


def await_ms(command: Mapping[str, Any]) -> int:
    """How long a `getMore` waits for events."""
    limit_ms: int = command.get("maxTimeMS", _AWAIT_MS)
    return limit_ms


def serving_member(running: Running, name: str) -> Member:
    """The member of that name; the primary if the set of the running test has none."""
    members = running.replica_set.members
    return next((member for member in members if member.name == name), members[0])


def shows_us(replica_set: ReplicaSet, member: Member, position: int) -> int:
    """When the event of an entry shows on a member, in simulated time; or `NEVER`."""
    applies_us = replica_set.majority_applies_us(member, position)
    return NEVER if applies_us is None else applies_us


def let_come(running: Running, due_us: int, limit_ms: int) -> None:
    """Let the time come at which an event shows, if it is near enough for a `getMore`."""
    if due_us <= running.replica_set.clock.now_us + limit_ms * 1_000:
        running.seconds_until(due_us)


@dataclass(slots=True)
class Patience:
    """How often and for how long a stream has been asked in vain, while nobody did anything else.

    Attributes:
        commands: How many commands there had been when it was asked last.
        times: How many times in a row it was asked for what can never come.
        waited_ms: How long that took.
    """

    commands: int
    times: int = 0
    waited_ms: int = 0

    def asked(self, command: Mapping[str, Any], commands: int, *, in_vain: bool) -> bool:
        """Note that a `getMore` has ended; returns whether it was one too many.

        Args:
            command: The `getMore`.
            commands: How many commands of others there have been.
            in_vain: Whether it waited for what can never come.
        """
        if not in_vain or commands != self.commands:
            self.times = self.waited_ms = 0
        self.commands = commands
        if in_vain:
            self.times += 1
            self.waited_ms += max(await_ms(command), 1)
        has_limit = "maxTimeMS" in command
        return self.times >= _TIMES and (not has_limit or self.waited_ms >= _PATIENCE_MS)


def endless(
    replica_set: ReplicaSet, member: str, position: int, command: Mapping[str, Any]
) -> EndlessWaitError:
    """The error of a stream that was asked too often for an event that never shows.

    Args:
        replica_set: The set.
        member: The name of the member that serves the stream.
        position: Of the event's entry in the oplog.
        command: The `getMore`.
    """
    return EndlessWaitError(
        f"a change stream on {member}",
        "a majority of the members, and the member itself, have the next event",
        replica_set.laggards(position),
        _ADVICE if "maxTimeMS" in command else _ADVICE_TO_POLL,
    )
