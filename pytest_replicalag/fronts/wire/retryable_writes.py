"""Retryable writes: what a driver sends twice under one transaction number is applied once.

A server remembers each statement that has changed something, and only those: a command that is sent
again runs the others, and its reply counts them all.
Driver specification, Retryable Writes. MongoDB manual, Retryable Writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from pytest_replicalag.engines.memory.commands import Statement

__all__ = ["RETRYABLE_WRITES", "STATEMENTS", "Applied", "apply_once"]

STATEMENTS: Final = {"insert": "documents", "update": "updates", "delete": "deletes"}
"""The field of each command of statements that has them."""

RETRYABLE_WRITES: Final = frozenset({*STATEMENTS, "findAndModify", "findandmodify"})
"""What may have a transaction number outside of a transaction."""

Applied: TypeAlias = "dict[int, Any]"
"""What the statements of one transaction number did, by their numbers (`stmtId`)."""

_Run: TypeAlias = "Callable[[Mapping[str, Any], list[Statement]], dict[str, Any]]"


def apply_once(
    name: str, command: Mapping[str, Any], applied: Applied, run: _Run
) -> dict[str, Any]:
    """Run those statements of a write that have not been applied before.

    Args:
        name: The command's name.
        command: The command.
        applied: What has been applied under its transaction number; grows.
        run: Runs a command and notes which statements have changed something.

    Returns:
        The reply, in which `retriedStmtIds` names the statements that were not run again;
        `retriedStmtId` for `findAndModify`.
    """
    if name not in STATEMENTS:
        return _modify_once(command, applied, run)
    field = STATEMENTS[name]
    numbers = _numbers(command, len(command[field]))
    new = [index for index, number in enumerate(numbers) if number not in applied]
    known = [(index, applied[number]) for index, number in enumerate(numbers) if number in applied]
    reply: dict[str, Any] = {"n": 0, "nModified": 0} if name == "update" else {"n": 0}
    if new:
        some = {**command, field: [command[field][index] for index in new]} if known else command
        done: list[Statement] = []
        reply = run(some, done)
        for statement in done:
            applied[numbers[new[statement.place]]] = statement
        if not known:
            return reply
        for outcome in (*reply.get("writeErrors", ()), *reply.get("upserted", ())):
            outcome["index"] = new[outcome["index"]]
    _count_known(command, reply, known)
    reply["retriedStmtIds"] = [numbers[index] for index, _ in known]
    return reply


def _numbers(command: Mapping[str, Any], count: int) -> list[int]:
    """The numbers of a command's statements: as sent, or counted from `stmtId`."""
    sent = command.get("stmtIds")
    if isinstance(sent, list) and len(sent) == count:
        return [int(number) for number in sent]
    first = int(command.get("stmtId", 0))
    return list(range(first, first + count))


def _count_known(
    command: Mapping[str, Any], reply: dict[str, Any], known: list[tuple[int, Statement]]
) -> None:
    """Add to a reply what its statements did when they were sent first."""
    if command.get("ordered", True) and "writeErrors" in reply:
        failed = reply["writeErrors"][0]["index"]
        known[:] = [(index, statement) for index, statement in known if index < failed]
    upserted = list(reply.pop("upserted", ()))
    for index, statement in known:
        reply["n"] += statement.n
        if "nModified" in reply:
            reply["nModified"] += statement.modified
        if statement.upserted is not None:
            upserted.append({**statement.upserted, "index": index})
    if upserted:
        reply["upserted"] = sorted(upserted, key=lambda one: int(one["index"]))


def _modify_once(command: Mapping[str, Any], applied: Applied, run: _Run) -> dict[str, Any]:
    number = int(command.get("stmtId", 0))
    if isinstance(applied.get(number), dict):
        return {**applied[number], "retriedStmtId": number}
    reply = run(command, [])
    if reply["lastErrorObject"]["n"]:
        applied[number] = dict(reply)
    return reply
