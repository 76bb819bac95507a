"""The time that a reply tells of which nothing more is known, as of one that refuses a command.

A driver's causally consistent session takes it over from refusals, too.
MongoDB manual, Causal Consistency.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_replicalag.fronts.wire.request import Request
from pytest_replicalag.replicaset.read_concern import refusal_position

__all__ = ["told_position"]


def told_position(request: Request) -> int:
    """The position of the `operationTime` in the reply to a command.

    The caller holds the lock.
    """
    sent = request.command.get("readConcern")
    level = None
    if isinstance(sent, Mapping) and not request.in_transaction:
        level = sent.get("level")
    member = request.serving or request.member
    return refusal_position(request.running.replica_set, member, level)
