"""The report of a run as one document, for machines: `report.schema.json` says what it holds.

What differs between two runs of the same code is not in it: no dates, no durations that were really
measured, no paths of this machine. So two documents can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import CallSite, Failover, Fix, LostWrite, StaleRead, Timeline
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.run_report import Exploration, RunReport, TestReport

__all__ = ["SCHEMA_VERSION", "document", "schema"]

SCHEMA_VERSION: Final = 1
"""Grows when a reader of older documents could misread a newer one."""


def schema(kind: str = "report") -> dict[str, Any]:
    """The JSON Schema of a document: of a `report`, or of a `baseline`."""
    text = (files("pytest_replicalag.report") / f"{kind}.schema.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def document(
    run: RunReport, settings: Mapping[str, Any], version: str, identities: Identities
) -> dict[str, Any]:
    """The document of a run.

    Args:
        run: The run's report.
        settings: What the run was told, by option name.
        version: The plugin's version.
        identities: Names the findings.
    """
    tests = sorted(run.tests, key=lambda test: test.test)
    told = [_test(test, identities) for test in tests if not test.without_lag]
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "pytest-replicalag", "version": version},
        "settings": dict(settings),
        "summary": {
            "tests": run.lagged,
            "tests_without_lag": run.without_lag,
            "tests_with_stale_reads": run.stale_tests,
            "tests_with_lost_writes": run.losing_tests,
            "reads": run.reads,
            "secondary_reads": run.secondary_reads,
            "checked_reads": run.checked_reads,
        },
        "findings": findings_of(told),
        "tests": told,
    }


def findings_of(tests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The distinct findings of tests, each with what it is like in the first test by name.

    Args:
        tests: As documents have them.
    """
    found: dict[str, dict[str, Any]] = {}
    for test in sorted(tests, key=lambda test: str(test["id"])):
        for kind, read in (
            *(("stale_read", read) for read in test["stale_reads"]),
            *(("lost_write", write) for write in test["lost_writes"]),
        ):
            finding = found.setdefault(
                read["finding"],
                {"id": read["finding"], "kind": kind, "count": 0, "tests": [], "guarantees": []},
            )
            finding.setdefault("example", read)
            finding["count"] += 1
            if test["id"] not in finding["tests"]:
                finding["tests"].append(test["id"])
            guarantees = {*finding["guarantees"], *read.get("guarantees", ())}
            finding["guarantees"] = sorted(guarantees, reverse=True)
    return sorted(found.values(), key=_order)


def _order(finding: Mapping[str, Any]) -> tuple[object, ...]:
    site = finding["example"]["call_site"] or {"path": "", "line": 0}
    return (site["path"], site["line"], finding["kind"], finding["id"])


def _test(test: TestReport, identities: Identities) -> dict[str, Any]:
    return {
        "id": test.test,
        "outcome": test.outcome,
        "failure": test.failure or None,
        "reads": test.reads,
        "secondary_reads": test.secondary_reads,
        "is_checked": test.is_checked,
        "verdict": None if test.verdict is None else test.verdict.value,
        "replay": test.replay,
        "exploration": None if test.exploration is None else _exploration(test.exploration),
        "failovers": [_failover(failover, identities) for failover in test.failovers],
        "stale_reads": [_stale_read(read, identities) for read in test.stale_reads],
        "lost_writes": [_lost_write(write, identities) for write in test.lost_writes],
    }


def _exploration(exploration: Exploration) -> dict[str, Any]:
    return {
        "schedules_tried": exploration.tried,
        "failing_schedule": exploration.failing or None,
        "is_exhausted": exploration.is_exhausted,
        "is_steady": exploration.is_steady,
        "is_repeatable": exploration.is_repeatable,
        "schedules_skipped": exploration.skipped,
        "choices_left": exploration.choices_left,
    }


def _stale_read(read: StaleRead, identities: Identities) -> dict[str, Any]:
    return {
        "finding": identities.of_stale_read(read),
        "number": read.number,
        "operation": read.operation,
        "namespace": read.namespace,
        "text": read.text,
        "call_site": _site(read.call_site, identities),
        "read_preference": read.read_preference,
        "read_concern": read.read_concern,
        "member": read.member,
        "is_primary": read.is_primary,
        "is_paused": read.is_paused,
        "behind_us": _microseconds(read.behind),
        "result": read.result,
        "fresh_result": read.fresh_result,
        "missed_count": read.missed_count,
        "missed": [
            {
                "operation": write.operation,
                "namespace": write.namespace,
                "text": write.text,
                "call_site": _site(write.call_site, identities),
                "age_us": _microseconds(write.age),
                "missing_part": write.missing_part,
            }
            for write in read.missed
        ],
        "guarantees": list(read.guarantees),
        "witnesses": [
            {
                "guarantee": witness.guarantee,
                "text": witness.text,
                "call_site": _site(witness.call_site, identities),
                "at_us": witness.at.us,
                "member": witness.member or None,
            }
            for witness in read.witnesses
        ],
        "fixes": list(map(_fix, read.advice)),
        "timeline": None if read.timeline is None else _timeline(read.timeline),
    }


def _lost_write(write: LostWrite, identities: Identities) -> dict[str, Any]:
    return {
        "finding": identities.of_lost_write(write),
        "operation": write.operation,
        "namespace": write.namespace,
        "text": write.text,
        "call_site": _site(write.call_site, identities),
        "write_concern": write.write_concern,
        "age_us": _microseconds(write.age),
        "failover": _failover(write.failover, identities),
        "fixes": [_fix(write.advice)],
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {"text": fix.text, "change": fix.change, "cost": fix.cost or None}


def _failover(failover: Failover, identities: Identities) -> dict[str, Any]:
    return {
        "reason": failover.reason,
        "call_site": _site(failover.call_site, identities),
        "former": failover.former,
        "elected": failover.elected,
        "crashed": failover.crashed,
    }


def _site(site: CallSite | None, identities: Identities) -> dict[str, Any] | None:
    if site is None:
        return None
    return {
        "path": identities.path(site.path),
        "line": site.line,
        "function": site.function,
        "code": identities.code(site),
        "client": site.client,
    }


def _timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "members": timeline.members,
        "read_at_us": timeline.read_at.us,
        "written_at_us": [at.us for at in timeline.written_at],
        "lanes": [
            {
                "member": lane.name,
                "is_primary": lane.is_primary,
                "is_up": lane.is_up,
                "is_paused": lane.is_paused,
                "lag": lane.lag,
                "arrivals_us": [None if at is None else at.us for at in lane.arrivals],
            }
            for lane in timeline.lanes
        ],
    }


def _microseconds(duration: Duration) -> int | None:
    """A length of time; None for one without end."""
    return None if duration.is_forever else duration.us
