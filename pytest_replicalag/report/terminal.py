"""The report as text for a terminal: a block for each finding, and the lines of the summary.

A call site stands at the right end of its line if the line has room for it, else on a line of its
own; it is written `path:line`, which terminals and editors open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_replicalag.durations import Duration
from pytest_replicalag.records import (
    READ_YOUR_WRITES,
    CallSite,
    Failover,
    MissedWrite,
    StaleRead,
    Witness,
)
from pytest_replicalag.report.identity import Identities
from pytest_replicalag.report.layout import INDENT, ShowPath, labelled, plural, site_lines, wrapped
from pytest_replicalag.report.run_report import (
    Finding,
    Loss,
    RunReport,
    TestReport,
    Verdict,
    findings,
    losses,
)
from pytest_replicalag.report.schedules import verdict_line
from pytest_replicalag.report.text_timeline import drawn
from pytest_replicalag.report.wording import known_text, part_text

__all__ = ["section", "summary", "wrapped"]

_SECTION_LIMIT: Final = 10
"""How many distinct stale reads of one failing test are shown."""
_FIRST_PRIMARY: Final = "primary"
"""The name of the member that every test begins with as its primary."""
_TESTS_LIMIT: Final = 3
"""How many tests a line of the summary names."""


# -- a failing test ------------------------------------------------------------------------------


def section(
    test: TestReport,
    identities: Identities,
    width: int,
    show_path: ShowPath,
    *,
    draws: bool = False,
) -> str:
    """The stale reads and lost writes of one test, as the section of its failure.

    Args:
        test: The test's report.
        identities: Tells which of them are one finding.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
        draws: Whether a timeline of each is drawn, too.
    """
    in_order = list(test.stale_reads)
    found = findings(in_order, identities)
    distinct = sorted(found, key=lambda finding: in_order.index(finding.example))
    blocks = [
        _block(finding, width, show_path, draws=draws) for finding in distinct[:_SECTION_LIMIT]
    ]
    if (left := len(distinct) - _SECTION_LIMIT) > 0:
        blocks.append(f"and {left} more distinct {plural(left, 'stale read')}")
    blocks += _lost(test, identities, width, show_path)
    last = [] if test.verdict is None else labelled("verdict", verdict_line(test.verdict), width)
    is_explored = test.exploration is not None and test.exploration.failing
    if test.replay and blocks and not is_explored:
        # Not wrapped: it is there to be copied.
        last.append(f"{'replay':<{INDENT}}{test.replay}")
    return "\n\n".join([*blocks, "\n".join(last)] if last else blocks)


def _block(finding: Finding, width: int, show_path: ShowPath, *, draws: bool) -> str:
    read = finding.example
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    lines = labelled(
        "stale read",
        f"{read.text} returned {read.result}{times}",
        width,
        site_lines(read.call_site, width, show_path),
    )
    concern = f", read concern {read.read_concern}" if read.read_concern else ""
    preference = f"read preference {read.read_preference}{concern}"
    lines += labelled("served by", f"{_role(read)}, {_behind(read)}; {preference}", width)
    newest = "newest is" if read.is_primary else "primary has"
    lines += labelled(newest, read.fresh_result, width)
    for number, write in enumerate(reversed(read.missed)):
        lines += _missed("" if number else "missed", write, width, show_path)
    if (left := read.missed_count - len(read.missed)) > 0:
        lines += labelled("", f"and {left} earlier {plural(left, 'change')}", width)
    if finding.guarantees:
        lines += labelled("breaks", ", ".join(finding.guarantees), width)
    if READ_YOUR_WRITES not in finding.guarantees:  # else the missed write says it all
        for witness in read.witnesses:
            lines += _witness(witness, read, width, show_path)
    for number, fix in enumerate(read.fixes):
        lines += labelled("" if number else "fix", f"or {fix}" if number else fix, width)
    if draws and read.timeline is not None:
        lines += ["", *drawn(read, width)]
    return "\n".join(lines)


def _lost(test: TestReport, identities: Identities, width: int, show_path: ShowPath) -> list[str]:
    """A block for each distinct lost write of a test."""
    in_order = list(test.lost_writes)
    found = losses(in_order, identities)
    distinct = sorted(found, key=lambda loss: in_order.index(loss.example))
    blocks = [_lost_block(loss, width, show_path) for loss in distinct[:_SECTION_LIMIT]]
    if (left := len(distinct) - _SECTION_LIMIT) > 0:
        blocks.append(f"and {left} more distinct lost {plural(left, 'write')}")
    return blocks


def _lost_block(loss: Loss, width: int, show_path: ShowPath) -> str:
    write, failover = loss.example, loss.example.failover
    times = f" ({loss.count} times)" if loss.count > 1 else ""
    site = [] if write.call_site is None else site_lines(write.call_site, width, show_path)
    lines = labelled("lost write", f"{write.text}{times}", width, site)
    told = f"acknowledged with {write.write_concern} by {failover.former}, rolled back"
    lines += labelled("", told, width)
    crash = f"{failover.former} {failover.ending} {_when(failover)}, {write.age.text} later"
    lines += labelled("when", crash, width, site_lines(failover.call_site, width, show_path))
    lines += labelled("elected", f"{failover.elected}, which did not have it", width)
    return "\n".join(lines + labelled("fix", write.fix, width))


def _when(failover: Failover) -> str:
    return failover.reason if failover.is_chosen else f"by {failover.reason}"


def _role(read: StaleRead) -> str:
    """The member that served a read; after an election, with what it has become."""
    if read.is_primary and read.member != _FIRST_PRIMARY:
        return f"{read.member} (elected primary)"
    if read.member == _FIRST_PRIMARY and not read.is_primary:
        return f"{read.member} (a secondary by now)"
    return read.member


def _witness(witness: Witness, read: StaleRead, width: int, show_path: ShowPath) -> Iterator[str]:
    """What the reader knew, under the guarantee that it makes a broken one."""
    site = [] if witness.call_site is None else site_lines(witness.call_site, width, show_path)
    where = f" on {witness.member}" if witness.member else ""
    text = f"{witness.text}{where}, which {known_text(witness.guarantee)}"
    if read.timeline is not None:
        earlier = Duration.of_us(read.timeline.read_at.us - witness.at.us)
        text += f", {earlier.text} earlier"
    yield from labelled("known from", text, width, site)


def _missed(label: str, write: MissedWrite, width: int, show_path: ShowPath) -> list[str]:
    site = [] if write.call_site is None else site_lines(write.call_site, width, show_path)
    text = f"{write.text}, {write.age.text} earlier{part_text(write.missing_part)}"
    return labelled(label, text, width, site)


def _behind(read: StaleRead) -> str:
    if read.is_paused:
        return f"paused, {read.behind.text} behind"
    return "which never catches up" if read.behind.is_forever else f"{read.behind.text} behind"


# -- the summary ---------------------------------------------------------------------------------


def summary(
    report: RunReport,
    identities: Identities,
    width: int,
    show_path: ShowPath,
    *,
    each: bool = False,
) -> list[str]:
    """The lines of the terminal summary; none if there is nothing to say.

    Args:
        report: The run.
        identities: Tells which stale reads and lost writes are one finding.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
        each: Whether each stale read is told, not only each distinct one.
    """
    lines: list[str] = []
    for finding in findings(
        (read for test in report.tests for read in test.stale_reads), identities
    ):
        lines += _line(finding, width, show_path)
        if each:
            lines += _each(finding, width)
    lost_writes = (write for test in report.tests for write in test.lost_writes)
    for loss in losses(lost_writes, identities):
        lines += _lost_line(loss, width, show_path)
    said = [
        _result(report),
        _lost_result(report),
        *_verdicts(report),
        _without_lag(report.without_lag),
        *_left_alone(report, show_path),
    ]
    return lines + [line for text in said if text for line in wrapped(text, width)]


def _result(report: RunReport) -> str:
    """What the tests with lag come to, so that nobody takes silence for safety."""
    if not report.lagged:
        if not report.unmarked:
            return ""
        none = "the test is not" if report.unmarked == 1 else f"none of {report.unmarked} tests is"
        return f"No test ran with lag: {none} marked replica_lag; add --replica-lag-all."
    tests = f"{report.lagged} {plural(report.lagged, 'test')} with lag"
    if stale := report.stale_tests:
        return f"Stale reads in {stale} of {tests}."
    if not all(map(_is_first_alike, report.tests)):
        return ""
    if not report.reads:
        return (
            f"Nothing was checked: {tests} read nothing through a client of the simulated set. "
            "Where they read, wrap the client (pytest_replicalag.wrap), name its fixture in "
            "replica_lag_fixtures, or connect it to replica_lag_uri."
        )
    if not report.secondary_reads and not report.has_failovers:
        reads = f"{report.reads} {plural(report.reads, 'read')} with lag"
        return (
            f"Nothing was checked: none of {reads} could go to a secondary, for every client "
            "reads from the primary. If production does not, say so with "
            "--replica-lag-read-preference=secondaryPreferred."
        )
    if not report.checked_reads or all(test.exploration is not None for test in report.tests):
        return ""
    reads = f"{report.checked_reads} {plural(report.checked_reads, 'read')}"
    return f"No stale read: {reads} that a secondary could serve, in {tests}."


def _is_first_alike(test: TestReport) -> bool:
    """Whether all runs of a test read as its first one did, as far as is known."""
    return test.exploration is None or test.exploration.is_first_alike


def _lost_result(report: RunReport) -> str:
    """How many tests lost acknowledged writes."""
    if not (losing := report.losing_tests):
        return ""
    tests = f"{report.lagged} {plural(report.lagged, 'test')} with lag"
    return f"Acknowledged writes were rolled back in {losing} of {tests}."


def _verdicts(report: RunReport) -> list[str]:
    """How many tests fail for their lag, and how many for something else."""
    said = []
    for verdict in Verdict:
        tests = len({test.test for test in report.tests if test.verdict is verdict})
        if tests and verdict in (Verdict.UNKNOWN, Verdict.SKIPPED):
            why = verdict_line(verdict).removeprefix("none")
            said.append(f"No verdict on {tests} {plural(tests, 'test')}{why}.")
        elif tests:
            verb = "fails" if tests == 1 else "fail"
            words = verdict_line(verdict).removeprefix("fails")
            said.append(f"{tests} {plural(tests, 'test')} {verb}{words}.")
    return said


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
    tests = f"{count} {plural(count, 'test')} marked replica_lag"
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
    return _with_tests(what, finding.count, finding.tests, width)


def _each(finding: Finding, width: int) -> list[str]:
    """A line for each stale read of a finding."""
    return [
        line
        for read in finding.reads
        for line in wrapped(
            f"  {read.test}: read {read.number} returned {read.result} from {read.member}, "
            f"{_behind(read)}; newest is {read.fresh_result}",
            width,
            "      ",
        )
    ]


def _lost_line(loss: Loss, width: int, show_path: ShowPath) -> list[str]:
    """One lost write: where, what, how often; then the tests that lost it."""
    write, site = loss.example, loss.example.call_site
    where = "" if site is None else f"{_place(site, show_path).removeprefix('at ')}: "
    what = (
        f"{where}{write.namespace}.{write.operation} acknowledged with {write.write_concern}, "
        "rolled back"
    )
    return _with_tests(what, loss.count, loss.tests, width)


def _with_tests(what: str, count: int, tests: tuple[str, ...], width: int) -> list[str]:
    """A line on a finding, with how often it happened and in which tests."""
    times = "once" if count == 1 else f"{count} times"
    named = ", ".join(tests[:_TESTS_LIMIT])
    if (left := len(tests) - _TESTS_LIMIT) > 0:
        named += f" and {left} more"
    how_often = f"({times}: {named})"
    if len(what) + len(how_often) < width:
        return [f"{what} {how_often}"]
    return wrapped(what, width) + [f"    {line}" for line in wrapped(how_often, width - 4, "")]


def _place(site: CallSite, show_path: ShowPath) -> str:
    return f"from {site.client}" if site.client else f"at {show_path(site.path)}:{site.line}"
