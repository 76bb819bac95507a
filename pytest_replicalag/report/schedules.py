"""What exploring has found, as text for a terminal: the smallest schedule that breaks a test."""

from __future__ import annotations

from typing import Final

from pytest_replicalag.records import Failover, LostWrite, StaleRead
from pytest_replicalag.report.layout import INDENT, ShowPath, labelled, site_lines, wrapped
from pytest_replicalag.report.run_report import Exploration, TestReport, Verdict

__all__ = ["SCHEDULE_TITLE", "minimal_schedule", "schedule_lines", "verdict_line"]

SCHEDULE_TITLE: Final = "replica lag: minimal schedule"

_VERDICTS: Final = {
    Verdict.ONLY_LAG: "fails only under replica lag",
    Verdict.ALSO_WITHOUT: "fails without lag too",
    Verdict.UNKNOWN: (
        "none: run again without lag, it fails elsewhere; it may leave data behind, or count on lag"
    ),
    Verdict.SKIPPED: "none: run again without lag, it is skipped",
}


_NOT_REPEATABLE: Final = (
    "not explored: it passes once and fails when it runs again; let a function-scoped fixture undo "
    "what it does"
)


_OUTLIVES: Final = (
    "but its first run read what later ones did not: something outlives the test, such as a cache; "
    "let a fixture clear it"
)


def verdict_line(verdict: Verdict) -> str:
    """A verdict in words."""
    return _VERDICTS[verdict]


def minimal_schedule(test: TestReport, width: int, show_path: ShowPath) -> str:
    """The section of a test that fails by a schedule.

    Args:
        test: Its report.
        width: Of the terminal, in columns.
        show_path: Shortens a file's path for display.
    """
    exploration = test.exploration
    assert exploration is not None
    lines: list[str] = []
    for failover in test.failovers:
        if failover.is_chosen:
            lines += _crash(failover, "and" if lines else "fails when", width, show_path)
    for write in test.lost_writes:
        lines += _lost(write, "and" if lines else "fails when", width, show_path)
    for read in test.stale_reads:
        lines += _stale(read, "and" if lines else "fails when", width, show_path)
    said = [*_others(test), _tried(exploration)]
    lines += wrapped(" ".join(said), width, "")
    if not exploration.is_steady:
        lines += wrapped(
            "Run again by the same schedule, the test did otherwise: it hangs on something else, "
            "too, such as real time.",
            width,
            "",
        )
    return "\n".join([*lines, _reproduce(test)])


def _reproduce(test: TestReport) -> str:
    """The command that runs a test by the schedule that fails; not wrapped: it is to be copied."""
    return f"{'reproduce':<{INDENT}}{test.replay}"


def _stale(read: StaleRead, label: str, width: int, show_path: ShowPath) -> list[str]:
    site = site_lines(read.call_site, width, show_path)
    lines = labelled(label, f"read {read.number}  {read.text}", width, site)
    lines += labelled("", f"is served by {read.member} without", width)
    for write in read.missed:
        place = [] if write.call_site is None else site_lines(write.call_site, width, show_path)
        lines += labelled("", f"  {write.text}", width, place)
    if (left := read.missed_count - len(read.missed)) > 0:
        lines += labelled("", f"  and {left} earlier", width)
    return lines


def _crash(failover: Failover, label: str, width: int, show_path: ShowPath) -> list[str]:
    site = site_lines(failover.call_site, width, show_path)
    return labelled(label, f"{failover.former} crashes {failover.reason}", width, site)


def _lost(write: LostWrite, label: str, width: int, show_path: ShowPath) -> list[str]:
    site = [] if write.call_site is None else site_lines(write.call_site, width, show_path)
    lines = labelled(label, f"{write.failover.elected} is elected without", width)
    lines += labelled("", f"  {write.text}", width, site)
    return lines + labelled("", f"  acknowledged with {write.write_concern}, rolled back", width)


def _others(test: TestReport) -> list[str]:
    if not test.stale_reads and (test.lost_writes or test.failovers):
        return ["All reads may be fresh."] if test.secondary_reads else []
    if not test.stale_reads:
        return ["It fails by a schedule in which no read returns anything stale."]
    left = test.secondary_reads - len({read.number for read in test.stale_reads})
    return ["All other reads may be fresh."] if left > 0 else []


def _tried(exploration: Exploration) -> str:
    if not exploration.tried:
        return ""
    return f"{_count(exploration.tried)} tried."


# -- the summary ---------------------------------------------------------------------------------


def schedule_lines(tests: list[TestReport], width: int) -> list[tuple[str, bool]]:
    """A line for each test that was explored, and whether it is good news.

    Where no report could have a section on the schedule, as with subtests, the command that
    reproduces it follows.
    """
    told: list[tuple[str, bool]] = []
    for test in tests:
        tell = _said(test)
        if tell is not None:
            text, is_good = tell
            told += [(line, is_good) for line in wrapped(f"{test.test}: {text}", width)]
            if test.exploration is not None and _fails_unreported(test, test.exploration):
                told.append((f"    {_reproduce(test)}", is_good))
    return told


def _fails_unreported(test: TestReport, exploration: Exploration) -> bool:
    """Whether a test fails by a schedule, and its call phase is not reported as failed.

    So it is where the code goes on after a failing subtest, or was expected to fail.
    """
    return bool(exploration.failing) and test.outcome != "failed"


def _said(test: TestReport) -> tuple[str, bool] | None:
    exploration = test.exploration
    if exploration is None:
        return None
    if exploration.choices_left:
        return _misfit(exploration), False
    if exploration.failing:
        return _fails(exploration), False
    if not exploration.is_repeatable:
        return _NOT_REPEATABLE, False
    if test.verdict is Verdict.ALSO_WITHOUT:
        return "fails with everything fresh, too", False
    if not exploration.is_steady:
        return "does not do the same each time it runs by the same schedule", False
    if exploration.skipped:
        return _skips(exploration), False
    if not exploration.is_first_alike:
        return f"{_count(exploration.tried)} passed; {_OUTLIVES}", False
    return _passes(exploration), True


def _misfit(exploration: Exploration) -> str:
    did = "fails" if exploration.failing else "passes"
    left = exploration.choices_left
    choices = "1 choice" if left == 1 else f"{left} choices"
    return (
        f"{did}, but has not come to the last {choices} of the schedule: it is another test's, or "
        "the test has changed; explore again"
    )


def _fails(exploration: Exploration) -> str:
    if not exploration.tried:
        return "fails by the schedule"
    return f"fails by a schedule, found after {_count(exploration.tried)}"


def _skips(exploration: Exploration) -> str:
    tried = _count(exploration.tried)
    return f"{tried} tried; by {exploration.skipped} of them it skips itself, which proves nothing"


def _passes(exploration: Exploration) -> str:
    if not exploration.tried:
        return "passes by the schedule"
    if not exploration.is_exhausted:
        return f"{_count(exploration.tried)} passed; there are more to try"
    if exploration.tried == 1:
        return "no read can miss a write: there is one schedule, and it passes"
    return (
        f"all {exploration.tried} schedules pass: no replication schedule of this kind breaks "
        "this test"
    )


def _count(tried: int) -> str:
    return "1 schedule" if tried == 1 else f"{tried} schedules"
