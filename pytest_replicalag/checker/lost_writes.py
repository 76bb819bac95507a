"""Acknowledged writes that an election has cost: what was lost, and what would have kept it.

MongoDB manual, Rollbacks During Replica Set Failover; Write Concern.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_replicalag.checker.call_sites import call_site
from pytest_replicalag.checker.shorten import Shortener
from pytest_replicalag.durations import Duration
from pytest_replicalag.records import Failover, Fix, LostWrite, RolledBackWrite

__all__ = ["judge_lost"]

_FIX: Final = Fix(
    text=(
        "write with w: majority, which is the default since MongoDB 5.0: what it acknowledges "
        "outlives any election"
    ),
    change="write",
    cost="the write waits until most members have it",
)


def judge_lost(
    test: str, lost: RolledBackWrite, failover: Failover, shorten: Shortener
) -> LostWrite:
    """What a report says of an acknowledged write that is gone.

    Args:
        test: The test's node id.
        lost: The write.
        failover: The election that has cost it.
        shorten: Shortens documents for reports.
    """
    write = lost.write
    return LostWrite(
        test=test,
        operation=write.operation,
        namespace=write.namespace,
        text=f"{write.namespace}.{write.operation}({shorten.arguments(write.arguments)})",
        call_site=None if write.caller is None else call_site(write.caller),
        write_concern=_in_words(write.acknowledged),
        age=Duration.of_us(lost.age_us),
        failover=failover,
        advice=_FIX,
    )


def _in_words(write_concern: Mapping[str, Any]) -> str:
    """A write concern as the manual writes it; if it does not say how many, it is one."""
    return f"w: {write_concern.get('w', 1)}"
