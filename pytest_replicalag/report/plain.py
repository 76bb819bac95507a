"""A test's report as plain data, and back: so it crosses the border to another process.

Each test's part travels with its pytest report, so it reaches the controller of pytest-xdist as it
reaches the terminal of a single process, and a worker that dies takes nothing else with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    CallSite,
    Failover,
    Fix,
    Lane,
    LostWrite,
    MissedWrite,
    StaleRead,
    Timeline,
    Witness,
)
from pytest_replicalag.report.run_report import Exploration, TestReport, Verdict

__all__ = ["add_runs", "from_plain", "to_plain", "without_lag"]


def to_plain(report: TestReport) -> dict[str, Any]:
    """A test's report as dicts, lists, strings and numbers."""
    return {
        "test": report.test,
        "outcome": report.outcome,
        "without_lag": report.without_lag,
        "reads": report.reads,
        "secondary_reads": report.secondary_reads,
        "is_checked": report.is_checked,
        "replay": report.replay,
        "stale_reads": [_plain_stale_read(read) for read in report.stale_reads],
        "tries_elections": report.tries_elections,
        "failovers": [_plain_failover(failover) for failover in report.failovers],
        "lost_writes": [_plain_lost_write(write) for write in report.lost_writes],
        "exploration": None if report.exploration is None else _fields(report.exploration),
        "verdict": None if report.verdict is None else report.verdict.value,
    }


def without_lag(test: str) -> dict[str, Any]:
    """The report of a test that is marked, and ran without lag."""
    return {"test": test, "without_lag": True}


def add_runs(
    plain: dict[str, Any], exploration: Exploration | None, verdict: Verdict | None, replay: str
) -> None:
    """Add what is known of a test once it has run more often.

    Args:
        plain: What its reported run had to tell.
        exploration: What the search for its schedules has come to, if there was one.
        verdict: What a run without lag says of it, if there was one.
        replay: The command that runs it again by the schedule that fails; empty for the one it has.
    """
    plain["exploration"] = None if exploration is None else _fields(exploration)
    plain["verdict"] = None if verdict is None else verdict.value
    if replay:
        plain["replay"] = replay


def from_plain(plain: Mapping[str, Any]) -> TestReport:
    """The report that `to_plain` made plain."""
    exploration, verdict = plain.get("exploration"), plain.get("verdict")
    read: dict[str, Any] = {
        "stale_reads": tuple(map(_stale_read, plain.get("stale_reads", ()))),
        "failovers": tuple(map(_failover, plain.get("failovers", ()))),
        "lost_writes": tuple(map(_lost_write, plain.get("lost_writes", ()))),
        "exploration": None if exploration is None else Exploration(**exploration),
        "verdict": None if verdict is None else Verdict(verdict),
    }
    return TestReport(**{**plain, **read})


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _plain_stale_read(read: StaleRead) -> dict[str, Any]:
    missed = [
        {
            **_fields(write),
            "call_site": _plain_site(write.call_site),
            "age": write.age.us,
        }
        for write in read.missed
    ]
    return {
        **_fields(read),
        "call_site": _fields(read.call_site),
        "behind": read.behind.us,
        "missed": missed,
        "timeline": None if read.timeline is None else _plain_timeline(read.timeline),
        "guarantees": list(read.guarantees),
        "witnesses": [
            {**_fields(witness), "call_site": _plain_site(witness.call_site), "at": witness.at.us}
            for witness in read.witnesses
        ],
        "advice": [_fields(fix) for fix in read.advice],
    }


def _stale_read(plain: Mapping[str, Any]) -> StaleRead:
    missed = tuple(
        MissedWrite(
            **{
                **write,
                "call_site": _site(write["call_site"]),
                "age": Duration.of_us(write["age"]),
            }
        )
        for write in plain["missed"]
    )
    return StaleRead(
        **{
            **plain,
            "call_site": CallSite(**plain["call_site"]),
            "behind": Duration.of_us(plain["behind"]),
            "missed": missed,
            "timeline": _timeline(plain["timeline"]),
            "guarantees": tuple(plain["guarantees"]),
            "witnesses": tuple(map(_witness, plain["witnesses"])),
            "advice": tuple(Fix(**fix) for fix in plain["advice"]),
        }
    )


def _witness(plain: Mapping[str, Any]) -> Witness:
    return Witness(
        **{**plain, "call_site": _site(plain["call_site"]), "at": Duration.of_us(plain["at"])}
    )


def _plain_site(site: CallSite | None) -> dict[str, Any] | None:
    return None if site is None else _fields(site)


def _site(plain: Mapping[str, Any] | None) -> CallSite | None:
    return None if plain is None else CallSite(**plain)


def _plain_failover(failover: Failover) -> dict[str, Any]:
    return {**_fields(failover), "call_site": _fields(failover.call_site)}


def _failover(plain: Mapping[str, Any]) -> Failover:
    return Failover(**{**plain, "call_site": CallSite(**plain["call_site"])})


def _plain_lost_write(write: LostWrite) -> dict[str, Any]:
    return {
        **_fields(write),
        "call_site": _plain_site(write.call_site),
        "age": write.age.us,
        "failover": _plain_failover(write.failover),
        "advice": _fields(write.advice),
    }


def _lost_write(plain: Mapping[str, Any]) -> LostWrite:
    return LostWrite(
        **{
            **plain,
            "call_site": _site(plain["call_site"]),
            "age": Duration.of_us(plain["age"]),
            "failover": _failover(plain["failover"]),
            "advice": Fix(**plain["advice"]),
        }
    )


def _plain_timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "members": timeline.members,
        "read_at": timeline.read_at.us,
        "written_at": [at.us for at in timeline.written_at],
        "lanes": [
            {
                **_fields(lane),
                "arrivals": [None if at is None else at.us for at in lane.arrivals],
            }
            for lane in timeline.lanes
        ],
    }


def _timeline(plain: Mapping[str, Any] | None) -> Timeline | None:
    if plain is None:
        return None
    return Timeline(
        members=plain["members"],
        read_at=Duration.of_us(plain["read_at"]),
        written_at=tuple(map(Duration.of_us, plain["written_at"])),
        lanes=tuple(
            Lane(
                **{
                    **lane,
                    "arrivals": tuple(
                        None if at is None else Duration.of_us(at) for at in lane["arrivals"]
                    ),
                }
            )
            for lane in plain["lanes"]
        ),
    )
