"""How a test that lags is run: once, and again without lag if it fails; or under many schedules.

pytest has one run of an item in its protocol, and reports it at once. Here an item may run more
often: only one of its runs is reported, and fixtures of wider scopes than the function's stay until
the last.
"""

from __future__ import annotations

import bdb
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from unittest import SkipTest, TestCase

import pytest

from pytest_replicalag.explore.schedule import FRESH, Choice, Recorder, Schedule
from pytest_replicalag.progress import Progress
from pytest_replicalag.report.plain import add_runs
from pytest_replicalag.report.run_report import Exploration, Verdict
from pytest_replicalag.run_options import PART_FAILED, RUN
from pytest_replicalag.settings import Settings

__all__ = ["WAY", "Way", "is_run_by_others", "run_explored", "run_with_verdict"]

_NO_FAILURES: Final = (pytest.skip.Exception, pytest.xfail.Exception, SkipTest)
_PASSED_STRICTLY: Final = "[XPASS(strict)]"

_SUBTEST_FAILED: Final = ("subtest", "", 0)
"""The failure of a run whose own code went on after a subtest had failed."""

_TIMES: Final = 3
"""How often a test runs with everything fresh until it does what it did before.

The first run may find an empty database, and create what later ones find.
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How an item runs this time.

    Attributes:
        recorder: Makes the choices, where a schedule decides what reads miss.
        without_lag: Whether nothing lags.
    """

    recorder: Recorder | None = None
    without_lag: bool = False


WAY: pytest.StashKey[Way] = pytest.StashKey()
"""Where an item's way is kept while it runs."""


@dataclass(slots=True)
class _Run:
    """One run of an item.

    Attributes:
        reports: Of its phases.
        failure: What it failed with, and where; None if nothing went wrong.
        skipped: Whether it was skipped, or failed as it was expected to.
        replay: Tells the command that runs it again by a schedule.
    """

    reports: list[pytest.TestReport] = field(default_factory=list)
    failure: tuple[str, str, int] | None = None
    skipped: bool = False
    replay: Callable[[str], str] | None = None

    @property
    def failed(self) -> bool:
        """Whether any of its phases is reported as failed."""
        return any(report.failed for report in self.reports)

    @property
    def failed_before_teardown(self) -> bool:
        """Whether its setup or its call phase is reported as failed."""
        return any(report.failed for report in self.reports if report.when != "teardown")

    @property
    def broke(self) -> bool:
        """Whether something went wrong in it, be it expected or not."""
        return self.failure is not None or any(
            report.failed and not str(report.longrepr).startswith(_PASSED_STRICTLY)
            for report in self.reports
        )

    @property
    def called(self) -> bool:
        """Whether it got to its call phase."""
        return any(report.when == "call" for report in self.reports)


def is_run_by_others(item: pytest.Item) -> bool:
    """Whether another plugin runs a test again, or reports parts of it while it runs."""
    reruns = getattr(item.config.option, "reruns", None)
    return (
        bool(reruns)
        or item.get_closest_marker("flaky") is not None
        or "subtests" in getattr(item, "fixturenames", ())
        or _is_test_case(item)
    )


def _is_test_case(item: pytest.Item) -> bool:
    return isinstance(getattr(item, "cls", None), type) and issubclass(item.cls, TestCase)  # type: ignore[attr-defined]


# -- once, and again without lag -----------------------------------------------------------------


def run_with_verdict(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run an item; if it fails, run it once more without lag, and report the first run."""
    with _logged(item) as reports:
        runs = _ItemRuns(item, nextitem)
        first = runs.run(Way(), is_last=_needs_no_verdict, interactive=True)
        if runs.have_ended:
            reports += first.reports
            return
        again = runs.run(Way(without_lag=True), is_last=_always)
        _tell(first, verdict=_verdict(first, again))
        reports += _with_last_teardown(first, again)


def _verdict(lagging: _Run, fresh: _Run) -> Verdict:
    """What a run without lag says of one that failed with it."""
    if fresh.skipped:
        return Verdict.SKIPPED
    if not fresh.failed_before_teardown and lagging.failed_before_teardown:
        return Verdict.ONLY_LAG
    return Verdict.ALSO_WITHOUT if fresh.failure == lagging.failure else Verdict.UNKNOWN


# -- under many schedules ------------------------------------------------------------------------


def run_explored(item: pytest.Item, nextitem: pytest.Item | None, settings: Settings) -> None:
    """Run an item under many schedules, and report the run of the smallest that makes it fail."""
    with _logged(item) as reports:
        runs = _ItemRuns(item, nextitem)
        if settings.schedule is not None:
            reports += _replay(runs, settings.schedule).reports
            return
        exploration = _explore(runs, item, settings)
        if exploration is not None:
            reports += _explored(runs, exploration)
            return
        shown = runs.newest
        if not runs.have_ended:  # the teardown has failed
            runs.run(Way(Recorder.replaying(FRESH)), is_last=_always)
        reports += _with_last_teardown(shown, runs.newest)


def _explored(runs: _ItemRuns, exploration: Exploration) -> list[pytest.TestReport]:
    """The reports of a test that a search has run: those of its last run, as a rule."""
    if exploration.failing and runs.run(Way(Recorder.replaying(FRESH))).broke:
        # What it has left behind breaks it, and no schedule; that it can fail must not be lost.
        exploration = replace(exploration, failing="", is_repeatable=False)
    schedule = Schedule.parse(exploration.failing) if exploration.failing else FRESH
    again = _replay(runs, schedule, exploration)
    if again.broke and not exploration.failing:
        _tell(again, exploration=replace(exploration, is_exhausted=False, is_repeatable=False))
    failed = runs.newest_failed
    if failed is None or again.broke:
        return again.reports
    unsteady = replace(exploration, is_steady=False)
    verdict = Verdict.ONLY_LAG if exploration.failing else None
    _tell(failed, exploration=unsteady, verdict=verdict)
    return _with_last_teardown(failed, again)


def _replay(runs: _ItemRuns, schedule: Schedule, exploration: Exploration | None = None) -> _Run:
    """The run that is reported."""
    recorder = Recorder.replaying(schedule)
    run = runs.run(Way(recorder), is_last=_always, interactive=True)
    told = exploration or Exploration(
        tried=0,
        failing=str(schedule) if run.broke else "",
        choices_left=max(len(schedule.choices) - len(recorder.choices), 0),
    )
    verdict = Verdict.ONLY_LAG if exploration is not None and exploration.failing else None
    _tell(run, exploration=told, verdict=verdict)
    return run


def _explore(runs: _ItemRuns, item: pytest.Item, settings: Settings) -> Exploration | None:
    """Search; None if the test does not even pass with everything fresh, or cannot run again."""
    first: list[Choice] | None = None
    before: list[Choice] | None = None
    for time in range(_TIMES):
        recorder = Recorder.replaying(FRESH)
        run = runs.run(Way(recorder), is_last=_is_not_to_explore)
        if _is_not_to_explore(run):
            if time and run.broke:
                _tell(run, exploration=Exploration(tried=0, is_repeatable=False))
            elif run.failed and run.called:
                _tell(run, exploration=Exploration(tried=1), verdict=Verdict.ALSO_WITHOUT)
            return None
        if recorder.choices == before:
            break
        before = recorder.choices
        first = before if first is None else first
    else:
        return Exploration(tried=_TIMES, is_steady=False)
    from pytest_replicalag.explore.search import search

    is_repeatable, skipped = True, 0
    with Progress(item.config, settings.explore) as progress:

        def fails(recorder: Recorder) -> bool:
            nonlocal is_repeatable, skipped
            progress.step()
            try:
                run = runs.run(Way(recorder))
            except pytest.exit.Exception as error:
                raise _ExitError(error) from None
            if run.broke and not run.called:  # no schedule reaches the fixtures
                is_repeatable = False
            skipped += run.skipped and not run.broke
            return run.broke and run.called

        try:
            outcome = search(fails, limit=settings.explore, seed=settings.seed, key=item.nodeid)
        except _ExitError as ended:
            raise ended.exit from None
    return Exploration(
        tried=outcome.tried,
        failing="" if outcome.failing is None else str(outcome.failing),
        is_exhausted=outcome.is_exhausted and first == before,
        is_steady=outcome.is_steady,
        is_first_alike=first == before,
        is_repeatable=is_repeatable,
        skipped=skipped,
    )


class _ExitError(BaseException):
    """The test ends the whole run; Hypothesis would take that for a failure of the test."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.exit = error


# -- one run -------------------------------------------------------------------------------------


class _ItemRuns:
    """Runs an item several times.

    Attributes:
        newest: The last run.
        newest_failed: The last run whose call phase went wrong; None if there was none.
        have_ended: Whether it was the last of all: what the next item does not need has ended.
    """

    def __init__(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        self._item: Any = item
        self._nextitem = nextitem
        # What the next item needs stays; this one needs all but its own function's fixtures.
        self._again = copy(item)
        self._properties = list(item.user_properties)
        self.newest = _Run()
        self.newest_failed: _Run | None = None
        self.have_ended = False

    def run(
        self, way: Way, *, is_last: Callable[[_Run], bool] | None = None, interactive: bool = False
    ) -> _Run:
        """Run all phases.

        Args:
            way: How it runs.
            is_last: Tells before the teardown whether fixtures end that the next item does not
                need.
            interactive: Whether a failure starts the debugger, where there is one.
        """
        item, run = self._item, _Run()
        self.newest = run
        item.stash[WAY] = way
        item.stash[PART_FAILED] = False
        item.user_properties[:] = self._properties
        item._report_sections.clear()
        if hasattr(item, "_request") and not item._request:
            item._initrequest()
        try:
            self._phase(run, "setup", interactive=interactive)
            if run.reports[0].passed and not item.config.getoption("setuponly", False):
                self._phase(run, "call", interactive=interactive)
            self.have_ended = is_last is not None and is_last(run)
            test_run = item.stash.get(RUN, None)
            run.replay = None if test_run is None else test_run.replay
            if test_run is not None and not self.have_ended:
                test_run.undo()  # the next run finds what this one has found
            nextitem = self._next() if self.have_ended else self._again
            self._phase(run, "teardown", interactive=interactive, nextitem=nextitem)
        finally:
            del item.stash[WAY]
            if hasattr(item, "_request"):
                item._request = False
                item.funcargs = None
        if item.stash[PART_FAILED] and run.failure is None:
            run.failure = _SUBTEST_FAILED
        if run.broke and run.called:
            self.newest_failed = run
        return run

    def _phase(
        self,
        run: _Run,
        when: Literal["setup", "call", "teardown"],
        *,
        interactive: bool,
        **arguments: Any,
    ) -> None:
        item = self._item
        hook = getattr(item.ihook, f"pytest_runtest_{when}")
        reraise: tuple[type[BaseException], ...] = (pytest.exit.Exception,)
        if not item.config.getoption("usepdb", False):
            reraise += (KeyboardInterrupt,)
        call = pytest.CallInfo.from_call(
            lambda: hook(item=item, **arguments), when=when, reraise=reraise
        )
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        run.reports.append(report)
        run.skipped = run.skipped or report.skipped
        if run.failure is None:
            run.failure = _failure(call)
        if interactive and _is_unexpected(call, report):
            item.ihook.pytest_exception_interact(node=item, call=call, report=report)

    def _next(self) -> pytest.Item | None:
        """The item whose fixtures stay."""
        session = self._item.session
        return None if session.shouldfail or session.shouldstop else self._nextitem


def _always(_run: _Run) -> bool:
    return True


def _needs_no_verdict(run: _Run) -> bool:
    return not (run.failed and run.called)


def _is_not_to_explore(run: _Run) -> bool:
    return run.broke or run.skipped or not run.called


def _with_last_teardown(run: _Run, last: _Run) -> list[pytest.TestReport]:
    """The reports of a run, with what fixtures have to tell that ended after a later one."""
    *reports, teardown = run.reports
    return [*reports, last.reports[-1] if last.reports[-1].failed else teardown]


def _failure(call: pytest.CallInfo[None]) -> tuple[str, str, int] | None:
    """The type of an error, and the line where it was raised; None where nothing is wrong."""
    if call.excinfo is None or call.excinfo.errisinstance(_NO_FAILURES):
        return None
    last = call.excinfo.traceback[-1]
    return call.excinfo.typename, str(last.path), last.lineno


def _is_unexpected(call: pytest.CallInfo[None], report: pytest.TestReport) -> bool:
    """Whether a debugger would be of use."""
    if call.excinfo is None or hasattr(report, "wasxfail"):
        return False
    return not isinstance(call.excinfo.value, (pytest.skip.Exception, SkipTest, bdb.BdbQuit))


def _tell(
    run: _Run, *, exploration: Exploration | None = None, verdict: Verdict | None = None
) -> None:
    """Let the report of the call phase carry what is known of the item besides."""
    failing = "" if exploration is None else exploration.failing
    replay = run.replay(failing) if failing and run.replay is not None else ""
    for report in run.reports:
        plain = getattr(report, "replica_lag", None)
        if plain is not None:
            add_runs(plain, exploration, verdict, replay)


@contextmanager
def _logged(item: pytest.Item) -> Iterator[list[pytest.TestReport]]:
    """Log the reports that are put into the list inside, as those of one run of the item."""
    reports: list[pytest.TestReport] = []
    ihook = item.ihook
    ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    yield reports
    for report in reports:
        ihook.pytest_runtest_logreport(report=report)
    ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
