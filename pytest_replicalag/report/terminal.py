"""The report as text for a terminal: a block for each finding, and the lines of the summary.

A call site stands at the right end of its line if the line has room for it, else on a line of its
own; it is written `path:line`, which terminals and editors open.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from pytest_replicalag.records import CallSite, MissedWrite, StaleRead
from pytest_replicalag.report.run_report import Finding, RunReport, TestReport, findings

__all__ = ["section", "summary", "wrapped"]

_INDENT: Final = 12
_SECTION_LIMIT: Final = 10
"""How many distinct stale reads of one failing test are shown."""
_TESTS_LIMIT: Final = 3
"""How many tests a line of the summary names."""

ShowPath = Callable[[str], str]


# -- a failing test ------------------------------------------------------------------------------


def section(test: TestReport, width: int, show_path: ShowPath) -> str:
    """The stale reads of one test, as the section of its failure.

    Args:
        test: The test's report.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
    """
    in_order = list(test.stale_reads)
    distinct = sorted(findings(in_order), key=lambda finding: in_order.index(finding.example))
    blocks = [_block(finding, width, show_path) for finding in distinct[:_SECTION_LIMIT]]
    if (left := len(distinct) - _SECTION_LIMIT) > 0:
        blocks.append(f"and {left} more distinct {_plural(left, 'stale read')}")
    if test.replay:
        # Not wrapped: it is there to be copied.
        blocks.append(f"{'replay':<{_INDENT}}{test.replay}")
    return "\n\n".join(blocks)


def _block(finding: Finding, width: int, show_path: ShowPath) -> str:
    read = finding.example
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    lines = _labelled(
        "stale read",
        f"{read.text} returned {read.result}{times}",
        width,
        _site(read.call_site, width, show_path),
    )
    concern = f", read concern {read.read_concern}" if read.read_concern else ""
    preference = f"read preference {read.read_preference}{concern}"
    lines += _labelled("served by", f"{read.member}, {_behind(read)}; {preference}", width)
    newest = "newest is" if read.member == "primary" else "primary has"
    lines += _labelled(newest, read.fresh_result, width)
    for number, write in enumerate(reversed(read.missed)):
        lines += _missed("" if number else "missed", write, width, show_path)
    if (left := read.missed_count - len(read.missed)) > 0:
        lines += _labelled("", f"and {left} earlier {_plural(left, 'change')}", width)
    if finding.guarantees:
        lines += _labelled("breaks", ", ".join(finding.guarantees), width)
    for number, fix in enumerate(read.fixes):
        lines += _labelled("" if number else "fix", f"or {fix}" if number else fix, width)
    return "\n".join(lines)


def _missed(label: str, write: MissedWrite, width: int, show_path: ShowPath) -> list[str]:
    site = [] if write.call_site is None else _site(write.call_site, width, show_path)
    return _labelled(label, f"{write.text}, {write.age.text} earlier", width, site)


def _behind(read: StaleRead) -> str:
    if read.is_paused:
        return f"paused, {read.behind.text} behind"
    return "which never catches up" if read.behind.is_forever else f"{read.behind.text} behind"


def _site(site: CallSite, width: int, show_path: ShowPath) -> list[str]:
    """A call site in lines; a path and what follows it is one line, whatever its length."""
    if site.client:
        room = width - _INDENT
        text = f"from {site.client}"
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    function = "" if site.function == "<module>" else f" in {site.function}"
    return [f"{show_path(site.path)}:{site.line}{function}"]


def _labelled(label: str, text: str, width: int, site: Sequence[str] = ()) -> list[str]:
    """A labelled text, wrapped, with a call site at the right if there is room."""
    room = width - _INDENT
    if len(site) == 1 and len(text) + len(site[0]) + 2 <= room:
        lines = [text + site[0].rjust(room - len(text))]
    else:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [line.rjust(room) for line in site]
    return [
        f"{'' if number else label:<{_INDENT}}{line}".rstrip() for number, line in enumerate(lines)
    ]


# -- the summary ---------------------------------------------------------------------------------


def summary(report: RunReport, width: int, show_path: ShowPath) -> list[str]:
    """The lines of the terminal summary; none if there is nothing to say.

    Args:
        report: The run.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
    """
    lines: list[str] = []
    for finding in findings(read for test in report.tests for read in test.stale_reads):
        lines += _line(finding, width, show_path)
    said = [_result(report), _without_lag(report.without_lag), *_left_alone(report, show_path)]
    return lines + [line for text in said if text for line in wrapped(text, width)]


def _result(report: RunReport) -> str:
    """What the tests with lag come to, so that nobody takes silence for safety."""
    if not report.lagged:
        if not report.unmarked:
            return ""
        none = "the test is not" if report.unmarked == 1 else f"none of {report.unmarked} tests is"
        return f"No test ran with lag: {none} marked replica_lag; add --replica-lag-all."
    tests = f"{report.lagged} {_plural(report.lagged, 'test')} with lag"
    if stale := report.stale_tests:
        return f"Stale reads in {stale} of {tests}."
    if not report.reads:
        return (
            f"Nothing was checked: {tests} read nothing through a client of the simulated set. "
            "Wrap the client (pytest_replicalag.wrap), name its fixture in replica_lag_fixtures, "
            "or connect it to replica_lag_uri."
        )
    if not report.secondary_reads:
        reads = f"{report.reads} {_plural(report.reads, 'read')} with lag"
        return (
            f"Nothing was checked: none of {reads} could go to a secondary, for every client "
            "reads from the primary. If production does not, say so with "
            "--replica-lag-read-preference=secondaryPreferred."
        )
    if not report.checked_reads:
        return ""
    reads = f"{report.checked_reads} {_plural(report.checked_reads, 'read')}"
    return f"No stale read: {reads} that a secondary could serve, in {tests}."


def _left_alone(report: RunReport, show_path: ShowPath) -> list[str]:
    """The clients that were to be intercepted and could not be."""
    told = [
        f"Not intercepted: the client opened at {show_path(path)}:{line}, for {why}."
        for where, why in sorted(report.left_alone.items())
        for path, _, line in [where.rpartition(":")]
    ]
    more = len(told) - _TESTS_LIMIT
    return told if more <= 0 else [*told[:_TESTS_LIMIT], f"… and {more} more like these."]


def _without_lag(count: int) -> str:
    if not count:
        return ""
    tests = f"{count} {_plural(count, 'test')} marked replica_lag"
    return f"{tests} ran without lag; add --replica-lag=200ms"


def _line(finding: Finding, width: int, show_path: ShowPath) -> list[str]:
    """One finding: where, what, how often; then the tests that made it."""
    read = finding.example
    site = read.call_site
    writes = dict.fromkeys(
        f"{write.operation} {_place(write.call_site, show_path)}" if write.call_site else write.text
        for write in read.missed
    )
    where = f"{site.client}" if site.client else f"{show_path(site.path)}:{site.line}"
    what = f"{where}: {read.namespace}.{read.operation} missed {' and '.join(writes)}"
    times = "once" if finding.count == 1 else f"{finding.count} times"
    tests = ", ".join(finding.tests[:_TESTS_LIMIT])
    if (left := len(finding.tests) - _TESTS_LIMIT) > 0:
        tests += f" and {left} more"
    how_often = f"({times}: {tests})"
    if len(what) + len(how_often) < width:
        return [f"{what} {how_often}"]
    return wrapped(what, width) + [f"    {line}" for line in wrapped(how_often, width - 4, "")]


def _place(site: CallSite, show_path: ShowPath) -> str:
    return f"from {site.client}" if site.client else f"at {show_path(site.path)}:{site.line}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def wrapped(text: str, width: int, indent: str = "    ") -> list[str]:
    """A text in lines of at most `width` columns, unless a single word is longer.

    Args:
        text: Without line breaks.
        width: In columns.
        indent: What later lines begin with.
    """
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
