"""Applications that use a library, and what is reported of the stale reads that they make.

An application is a project whose module `app` has a function `finds_its_order(uri, number)`, which
writes an order and looks for it, at lines that end in `# write` and `# read`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

COLUMNS = 300
"""So wide that a call and its call site are on one line."""

TEST = """
import pytest
from app import finds_its_order


def test_without_lag(replica_lag_uri):
    assert finds_its_order(replica_lag_uri + "&readPreference=secondaryPreferred", 1)


@pytest.mark.replica_lag
def test_with_lag(replica_lag_uri):
    assert finds_its_order(replica_lag_uri + "&readPreference=secondaryPreferred", 7)
"""


@dataclass(frozen=True)
class Reported:
    """A stale read as a failing test's section shows it.

    Attributes:
        read: The call and what it returned.
        read_at: Its call site, such as `app.py:12 in find_order`.
        missed: The writes that it missed, the newest first.
        missed_at: Their call sites.
        served_by: Which member, and the read preference.
    """

    read: str
    read_at: str
    missed: tuple[str, ...]
    missed_at: tuple[str, ...]
    served_by: str


class Application:
    """A project of one module and its tests.

    Args:
        pytester: Runs them.
        options: Which engine they run on.
    """

    def __init__(self, pytester: pytest.Pytester, *options: str) -> None:
        self._pytester = pytester
        self._options = options

    @property
    def path(self) -> Path:
        return self._pytester.path

    def file(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def site(self, mark: str, file: str = "app.py") -> str:
        """Where the line with a comment is, such as `app.py:12`."""
        lines = (self.path / file).read_text(encoding="utf-8").splitlines()
        [number] = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {mark}")]
        return f"{file}:{number}"

    def run(self, *args: str) -> pytest.RunResult:
        """Run the tests with this plugin alone, in a process of their own."""
        names = ("-p", "pytest_replicalag.plugin", "-p", "no:cacheprovider")
        return self._pytester.runpytest_subprocess(*names, *self._options, *args)

    def reports(self, app: str) -> list[Reported]:
        """Run an application's tests; returns the stale reads that the one with lag failed by."""
        self.file("app.py", app)
        self.file("test_app.py", TEST)
        return self.stale_reads()

    def stale_reads(self, *args: str) -> list[Reported]:
        """Run tests of which the one with lag fails; returns its stale reads."""
        result = self.run("--replica-lag=200ms", *args)
        result.assert_outcomes(passed=1, failed=1)
        found = reported(result.stdout.str())
        assert found, result.stdout.str()
        return found


def reported(output: str) -> list[Reported]:
    """The stale reads in the sections of a run's failing tests."""
    blocks = re.split(r"^(?=stale read  )|^[=-]{3}", output, flags=re.MULTILINE)
    return [_reported(block) for block in blocks if block.startswith("stale read  ")]


def _reported(block: str) -> Reported:
    lines: dict[str, list[list[str]]] = {}
    label = ""
    for line in block.partition("\n\n")[0].splitlines():
        label = line[:12].strip() or label
        lines.setdefault(label, []).append(re.split(r" {2,}", line[12:].strip()))
    [[read, read_at]] = lines["stale read"]
    missed = lines["missed"]
    return Reported(
        read=read,
        read_at=read_at,
        missed=tuple(write[0] for write in missed),
        missed_at=tuple(write[-1] for write in missed),
        served_by=lines["served by"][0][0],
    )
