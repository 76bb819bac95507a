"""A report as Markdown: what GitHub shows as the summary of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pytest_replicalag.report.layout import plural
from pytest_replicalag.report.wording import fixes, headline, place, sentence

__all__ = ["page"]

_LIMIT: Final = 100
"""How many findings are told: services cut long pages off."""


def page(document: Mapping[str, Any]) -> str:
    """The page of a report."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    findings = document["findings"]
    new = [finding for finding in findings if not finding.get("is_known", False)]
    yield "## Replica lag"
    yield ""
    yield _overview(document["summary"], len(findings), len(findings) - len(new))
    if not new:
        return
    yield ""
    yield "| where | what | fix | tests |"
    yield "|---|---|---|---|"
    for finding in new[:_LIMIT]:
        where = f"`{_cell(place(finding['example']['call_site']))}`"
        what = f"**{_cell(headline(finding))}**<br>{_cell(sentence(finding))}"
        tests = f"{len(finding['tests'])} {plural(len(finding['tests']), 'test')}"
        yield f"| {where} | {what} | {_cell(fixes(finding)[0])} | {tests} |"
    if (left := len(new) - _LIMIT) > 0:
        yield ""
        yield f"… and {left} more."


def _overview(summary: Mapping[str, int], findings: int, known: int) -> str:
    tests = f"{summary['tests']} {plural(summary['tests'], 'test')} ran with lag"
    reads = f"{summary['secondary_reads']} of {summary['reads']} reads could go to a secondary"
    found = f"{findings} {plural(findings, 'finding')}" if findings else "no finding"
    known_text = f", {known} of them in the baseline" if known else ""
    return f"{tests}, {reads}: {found}{known_text}."


def _cell(text: str) -> str:
    """A text that stands in a table as it is."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())
