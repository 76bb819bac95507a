"""The report as text for a terminal: a block for each finding, and the lines of the summary.

A call site stands at the right end of its line if the line has room for it, else on a line of its
own; it is written `path:line`, which terminals and editors open.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from pytest_replicalag.records import CallSite, MissedWrite, StaleRead
from pytest_replicalag.report.run_report import Finding, RunReport, findings

__all__ = ["section", "summary"]

_INDENT: Final = 12
_SECTION_LIMIT: Final = 10
"""How many distinct stale reads of one failing test are shown."""

ShowPath = Callable[[str], str]


def section(stale_reads: Sequence[StaleRead], width: int, show_path: ShowPath) -> str:
    """The stale reads of one test, as the section of its failure.

    Args:
        stale_reads: In order.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
    """
    distinct = findings(stale_reads)
    in_order = sorted(distinct, key=lambda finding: stale_reads.index(finding.example))
    blocks = [_block(finding, width, show_path) for finding in in_order[:_SECTION_LIMIT]]
    if (left := len(in_order) - _SECTION_LIMIT) > 0:
        blocks.append(f"and {left} more distinct stale reads")
    return "\n\n".join(blocks)


def _block(finding: Finding, width: int, show_path: ShowPath) -> str:
    read = finding.example
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    lines = _labelled(
        "stale read",
        f"{read.text} returned {read.result}{times}",
        _site(read.call_site, show_path),
        width,
    )
    concern = f", read concern: {read.read_concern}" if read.read_concern else ""
    lines += _labelled(
        "",
        f"served by {read.member}, {_behind(read)} "
        f"(read preference: {read.read_preference}{concern})",
        "",
        width,
    )
    lines += _labelled("", f"the primary has {read.fresh_result}", "", width)
    for label, write in zip(["missed"] + [""] * len(read.missed), reversed(read.missed)):
        lines += _missed(label, write, width, show_path)
    if (left := read.missed_count - len(read.missed)) > 0:
        lines += _labelled("", f"and {left} earlier change{'s' if left > 1 else ''}", "", width)
    if read.guarantees:
        lines += _labelled("breaks", ", ".join(read.guarantees), "", width)
    lines += _labelled("fix", ", or ".join(read.fixes), "", width)
    return "\n".join(lines)


def _missed(label: str, write: MissedWrite, width: int, show_path: ShowPath) -> list[str]:
    site = "" if write.call_site is None else _site(write.call_site, show_path)
    return _labelled(label, f"{write.text}, {write.age.text} earlier", site, width)


def _behind(read: StaleRead) -> str:
    if read.is_paused:
        return f"paused, {read.behind.text} behind"
    return "which never catches up" if read.behind.is_forever else f"{read.behind.text} behind"


def _site(site: CallSite, show_path: ShowPath) -> str:
    function = "" if site.function == "<module>" else f" in {site.function}"
    return f"{show_path(site.path)}:{site.line}{function}"


def _labelled(label: str, text: str, site: str, width: int) -> list[str]:
    """A labelled text, wrapped, with a call site at the right if there is room."""
    room = width - _INDENT
    if site and len(text) + len(site) + 2 <= room:
        text += " " * (room - len(text) - len(site)) + site
        lines = [text]
    else:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        if site:
            lines.append(site.rjust(room))
    labels = [label] + [""] * len(lines)
    return [f"{name:<{_INDENT}}{line}".rstrip() for name, line in zip(labels, lines)]


def summary(report: RunReport, width: int, show_path: ShowPath) -> list[str]:
    """The lines of the terminal summary; none if there is nothing to say.

    Args:
        report: The run.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
    """
    lines: list[str] = []
    found = findings(read for test in report.tests for read in test.stale_reads)
    for finding in found:
        lines += _line(finding, width, show_path)
    if report.without_lag:
        count = report.without_lag
        lines.append(
            f"{count} test{'s' if count > 1 else ''} marked replica_lag ran without lag; "
            "add --replica-lag=200ms"
        )
    if report.lagged and not report.secondary_reads:
        lines += _wrapped(_nothing_checked(report), width)
    return lines


def _nothing_checked(report: RunReport) -> str:
    if not report.reads:
        return (
            "Nothing was checked: no test with lag read through a wrapped client. Wrap the "
            "client (pytest_replicalag.wrap), or name its fixture in replica_lag_fixtures."
        )
    return (
        f"Nothing was checked: none of the {report.reads} reads with lag could go to a secondary, "
        "for every client reads from the primary. If production does not, say so with "
        "--replica-lag-read-preference=secondaryPreferred."
    )


def _line(finding: Finding, width: int, show_path: ShowPath) -> list[str]:
    """One finding: where, what, how often; then the tests that made it."""
    read = finding.example
    site = read.call_site
    what = f"{show_path(site.path)}:{site.line}: {read.namespace}.{read.operation} missed "
    writes = dict.fromkeys(
        f"{write.operation} at {show_path(write.call_site.path)}:{write.call_site.line}"
        if write.call_site
        else write.text
        for write in read.missed
    )
    what += " and ".join(writes)
    times = "once" if finding.count == 1 else f"{finding.count} times"
    names = [_test_name(test, show_path) for test in finding.tests]
    tests = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return _wrapped(f"{what} ({times}: {tests})", width)


def _test_name(test: str, show_path: ShowPath) -> str:
    return test.replace("/", os.sep) if os.sep != "/" else test


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
