"""Collects what tests have to tell, from all workers if there are any, and shows and writes it."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_replicalag.all_tests import is_of_all_tests, leave_out
from pytest_replicalag.options import TITLE
from pytest_replicalag.report_files import ReportFiles, told_settings
from pytest_replicalag.run_options import RunOptions

if TYPE_CHECKING:
    from pytest_replicalag.report.baseline import Baseline
    from pytest_replicalag.report.identity import Identities
    from pytest_replicalag.report.run_report import RunReport

__all__ = ["Reporter", "show_path", "terminal_width"]

_WIDTH_WITHOUT_TERMINAL: Final = 80
_FAILURE: Final = 300
"""How much of an error a report shows."""
_DIFFERS: Final = re.compile(r"(?<=\b0x)[0-9a-f]{6,}|(?<=ObjectId\(')[0-9a-f]{24}(?='\))")
"""What an error says otherwise each time: addresses, and ids that a driver has made."""

_ENDED: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
"""How a run ends in which all tests have run that were to."""


class Reporter:
    """The report of a run; not in workers of pytest-xdist.

    Args:
        config: The run's.
        options: What it was told.
        files: What it reads and writes.
        baseline: What is known; None without a baseline.
        left_alone: Tells which clients of this process were not intercepted, by the line that
            opened each, and why.

    Attributes:
        left_alone: The same of workers.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: RunOptions,
        files: ReportFiles,
        baseline: Baseline | None,
        left_alone: Callable[[], dict[str, str]],
    ) -> None:
        self._config = config
        self._options = options
        self._files = files
        self._baseline = baseline
        self._left_alone_here = left_alone
        self._run: RunReport | None = None
        self._identities: Identities | None = None
        self._document: dict[str, Any] | None = None
        self._calls = 0
        self._written: list[str] = []
        self.left_alone: dict[str, str] = {}

    # -- collecting --------------------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that tests could not be collected, though the run may go on."""
        if report.failed:
            leave_out(self._config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's report; a failing one gets a section, before anybody shows it."""
        plain = getattr(report, "replica_lag", None)
        if plain is None:
            self._calls += report.when == "call"
            return
        from pytest_replicalag.report.plain import from_plain
        from pytest_replicalag.report.run_report import RunReport
        from pytest_replicalag.report.schedules import SCHEDULE_TITLE, minimal_schedule
        from pytest_replicalag.report.terminal import section

        test = replace(from_plain(plain), outcome=report.outcome, failure=self._failure(report))
        self._run = self._run or RunReport()
        if not getattr(report, "replica_lag_is_part", False):
            self._run.add(test)
        if not report.failed:
            return
        width, show = terminal_width(self._config), partial(show_path, self._config)
        if test.stale_reads or test.lost_writes or test.verdict is not None:
            draws = self._options.said("show") == "timeline"
            report.sections.append(
                (TITLE, _shown(section(test, self._names(), width, show, draws=draws)))
            )
        if test.exploration is not None and test.exploration.failing:
            schedule = _shown(minimal_schedule(test, width, show))
            report.sections.append((SCHEDULE_TITLE, schedule))

    def _failure(self, report: pytest.TestReport) -> str:
        """What a test failed with: the first line of its error, without what differs by machine."""
        if not report.failed:
            return ""
        crash = getattr(report.longrepr, "reprcrash", None)
        text = str(report.longrepr if crash is None else crash.message).partition("\n")[0]
        text = _DIFFERS.sub("…", text.replace(f"{self._config.rootpath}{os.sep}", ""))
        return textwrap.shorten(text, _FAILURE, placeholder=" …")

    # -- writing -----------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the files; also where no terminal shows anything."""
        if self._config.getoption("collectonly", False):
            return
        is_asked = self._files.reports or self._files.updates_baseline
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if not is_asked and not (summary and self._has_run):
            return
        document = self._whole()
        has_ended = exitstatus in _ENDED and not (session.shouldstop or session.shouldfail)
        keeps = "" if has_ended else "the run ended before its tests did"
        if has_ended and not self._has_run:
            keeps = "no test ran with lag"
        of_all = is_of_all_tests(self._config)
        self._written = self._files.write(document, of_all_tests=of_all, keeps_baseline=keeps)
        if summary and self._has_run:
            self._append_to_job_summary(Path(summary), document)

    @property
    def _has_run(self) -> bool:
        """Whether a test with lag has run."""
        return self._run is not None and bool(self._run.lagged)

    def _append_to_job_summary(self, path: Path, document: dict[str, Any]) -> None:
        from pytest_replicalag.report.formats import save
        from pytest_replicalag.report.markdown import page

        try:
            save(path, page(document), "a")
        except OSError as error:
            self._written.append(f"warning: {path} could not be written: {error.strerror}")

    def _whole(self) -> dict[str, Any]:
        """The run's document, once all tests have run; made once.

        No property: pytest before 8.1 reads each attribute of a plugin when it registers it.
        """
        if self._document is None:
            self._document = self._made()
        return self._document

    def _made(self) -> dict[str, Any]:
        from pytest_replicalag import __version__
        from pytest_replicalag.report.document import document
        from pytest_replicalag.report.run_report import RunReport

        run = self._run or RunReport()
        settings = told_settings(self._options)
        made = document(run, settings, __version__, self._names())
        return made if self._baseline is None else self._baseline.marked(made)

    def _names(self) -> Identities:
        """What names the run's findings; made once. No property, like `_whole`."""
        if self._identities is None:
            from pytest_replicalag.report.identity import Identities

            self._identities = Identities(str(self._config.rootpath))
        return self._identities

    # -- showing -----------------------------------------------------------------------------

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show a line for each distinct finding, and what else there is to say."""
        left_alone = self.left_alone | self._left_alone_here()
        if self._run is None and not self._calls and not left_alone and not self._written:
            return
        from pytest_replicalag.report.run_report import RunReport
        from pytest_replicalag.report.schedules import schedule_lines
        from pytest_replicalag.report.terminal import summary, wrapped

        run = self._run or RunReport()
        run.unmarked = self._calls if self._options.asks_for_lag else 0
        run.left_alone = left_alone
        width = terminal_width(self._config)
        is_verbose = self._config.get_verbosity() > 0
        show = partial(show_path, self._config)
        lines = summary(run, self._names(), width, show, each=is_verbose)
        lines += self._about_baseline(width)
        lines += [line for told in self._written for line in wrapped(told, width)]
        explored = schedule_lines(run.tests, width)
        if lines or explored:
            terminalreporter.write_sep("=", TITLE)
        for line in lines:
            terminalreporter.write_line(line)
        for line, is_good in explored:
            terminalreporter.write_line(line, green=is_good, red=not is_good)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            self._annotate(terminalreporter)

    def _about_baseline(self, width: int) -> list[str]:
        """How many findings are known, and how many of the baseline were not seen."""
        if self._baseline is None or self._baseline.knows_all:
            return []
        from pytest_replicalag.report.layout import plural, wrapped

        findings = self._whole()["findings"]
        known = sum(finding["is_known"] for finding in findings)
        new = len(findings) - known
        unseen = len(self._baseline.known) - known
        told = f"Baseline: {new} new {plural(new, 'finding')}, {known} known"
        if unseen:
            told += (
                f", {unseen} not seen; if they are mended, and all tests have run, forget them by "
                "--replica-lag-update-baseline"
            )
        return wrapped(f"{told}.", width)

    def _annotate(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what GitHub Actions shows beside the code."""
        from pytest_replicalag.report.github import workflow_commands

        lines = workflow_commands(self._whole())
        if lines:
            terminalreporter.ensure_newline()
        for line in lines:
            terminalreporter.write_line(line)


def terminal_width(config: pytest.Config) -> int:
    """The terminal's width in columns."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return _WIDTH_WITHOUT_TERMINAL
    return config.get_terminal_writer().fullwidth


def show_path(config: pytest.Config, path: str) -> str:
    """A file's path from where pytest was started, if it is of the project."""
    if path.startswith(str(config.rootpath) + os.sep):
        return os.path.relpath(path, config.invocation_params.dir)
    return path


def _shown(text: str) -> str:
    """A text as the terminal can show it; pytest would put all of it on one line, escaped."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
