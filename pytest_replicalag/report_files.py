"""The files that a run writes its report to, and the baseline that it compares itself with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_replicalag.errors import SettingError
from pytest_replicalag.run_options import ABOUT_REPORTS, RunOptions

if TYPE_CHECKING:
    from pytest_replicalag.report.baseline import Baseline

__all__ = ["ReportFiles", "told_settings"]

_NOT_TOLD: Final = ABOUT_REPORTS | {"mongod"}
"""Options that are no settings of what tests do, or have paths of this machine."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What a run reads and writes.

    Attributes:
        reports: Where its report goes.
        baseline: The file of what is known; None without one.
        updates_baseline: Whether it is written, not read.
    """

    reports: tuple[Path, ...]
    baseline: Path | None
    updates_baseline: bool

    @classmethod
    def of(cls, config: pytest.Config, options: RunOptions) -> ReportFiles:
        """Those of a run.

        Paths on the command line are from where it was started, others from the ini file's folder.

        Raises:
            SettingError: A baseline is to be updated, and there is none.
        """
        baseline = options.said("baseline")
        updates = bool(options.said("update_baseline"))
        if updates and baseline is None:
            problem = "no baseline is named; add --replica-lag-baseline=replica-lag.json"
            raise SettingError("--replica-lag-update-baseline", True, problem)
        place = _folder(config, options, "baseline")
        return cls(
            reports=tuple(
                _folder(config, options, "report") / name for name in options.said("report") or ()
            ),
            baseline=None if baseline is None else place / baseline,
            updates_baseline=updates,
        )

    def check(self) -> None:
        """Refuse what could not be written after the run, before it.

        Raises:
            SettingError: A folder is missing, or may not be written to.
        """
        for path in self.reports:
            _check_writable(path, "--replica-lag-report")
        if self.updates_baseline and self.baseline is not None:
            _check_writable(self.baseline, "--replica-lag-update-baseline")

    def known(self, config: pytest.Config) -> Baseline | None:
        """The baseline of the run, if it has one.

        Raises:
            SettingError: It is missing, or cannot be understood.
        """
        if self.baseline is None:
            return None
        from pytest_replicalag.report.baseline import Baseline
        from pytest_replicalag.report.identity import Identities
        from pytest_replicalag.report.reading import read_document

        identities = Identities(str(config.rootpath))
        if self.updates_baseline:
            return Baseline(identities, knows_all=True)
        try:
            document = read_document(self.baseline)
        except ValueError as error:
            problem = f"{error}; write one by --replica-lag-update-baseline"
            raise SettingError("--replica-lag-baseline", str(self.baseline), problem) from None
        known = frozenset(finding["id"] for finding in document["findings"])
        return Baseline(identities, known)

    def write(
        self, document: Mapping[str, Any], *, of_all_tests: bool, keeps_baseline: str = ""
    ) -> list[str]:
        """Write all files; returns what there is to say of each, for people.

        A file that cannot be written must not lose the outcome of the run.

        Args:
            document: The run's report.
            of_all_tests: Whether all tests have run. If not, what the baseline knows stays in it.
            keeps_baseline: Why the baseline stays as it is, if it does: it would forget what tests
                find that have not run.
        """
        from pytest_replicalag.report.formats import rendered

        told = [_written(path, rendered(document, str(path))) for path in self.reports]
        if self.updates_baseline and self.baseline is not None:
            told.append(
                f"warning: the baseline was not updated, for {keeps_baseline}"
                if keeps_baseline
                else _updated(self.baseline, document, of_all_tests=of_all_tests)
            )
        return told


def _written(path: Path, text: str) -> str:
    from pytest_replicalag.report.formats import save

    try:
        save(path, text)
    except OSError as error:
        return f"warning: {path} could not be written: {error.strerror}"
    return f"wrote {os.path.relpath(path)}"


def _updated(path: Path, document: Mapping[str, Any], *, of_all_tests: bool) -> str:
    """Write a baseline; returns what there is to say of it."""
    from pytest_replicalag.report.baseline import baseline_text
    from pytest_replicalag.report.comparison import fixed_in
    from pytest_replicalag.report.layout import plural
    from pytest_replicalag.report.reading import read_document

    if of_all_tests or not path.exists():
        return _written(path, baseline_text(document))
    try:
        unseen = fixed_in(read_document(path), document)
    except ValueError as error:
        return f"warning: the baseline was not updated: not all tests ran, and {error}"
    told = _written(path, baseline_text(document, unseen))
    if not unseen or told.startswith("warning"):
        return told
    count, them = len(unseen), plural(len(unseen), "finding")
    return (
        f"{told}; not all tests ran, so it keeps {count} {them} that this run has not seen: to "
        "forget what is mended, update it by a run of all tests, or delete it first"
    )


def _folder(config: pytest.Config, options: RunOptions, name: str) -> Path:
    """What a path is relative to."""
    if name in options.command_line or config.inipath is None:
        return Path(config.invocation_params.dir)
    return config.inipath.parent


def _check_writable(path: Path, option: str) -> None:
    folder = path.parent
    if path.is_dir():
        problem = f"{str(path)!r} is a folder; name a file in it, such as {path.name}/report.json"
    elif not folder.is_dir():
        problem = f"there is no folder {str(folder)!r}; make it, or name another one"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        problem = f"{str(path)!r} may not be written; name another file"
    else:
        return
    raise SettingError(option, str(path), problem)


def told_settings(options: RunOptions) -> dict[str, Any]:
    """What a run was told, by option name, for its document."""
    told = {**options.ini, **options.command_line}
    return {
        name: given.value if isinstance(given.value, (bool, int)) else str(given.value)
        for name, given in sorted(told.items())
        if name not in _NOT_TOLD
    }
