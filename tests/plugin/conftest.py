"""A small project whose tests are run by a pytest of their own, in this process where possible."""

from __future__ import annotations

import importlib

import pytest
from inner_runs import Project

# An inner run forgets the modules that it has loaded. These are loaded before it starts, so that
# all runs share them, as the tests of one project do.
for module in ("hooks", "item_runs", "running", "clients", "report.terminal"):
    importlib.import_module(f"pytest_replicalag.{module}")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Project(pytester)


@pytest.fixture
def summary():
    """The lines of a run's summary, or None if it has none."""
    return lambda result: _lines_of(result, "=")


@pytest.fixture
def section():
    """The lines of the first failing test's section, or None if it has none."""
    return lambda result: _lines_of(result, "-")


def _lines_of(result: pytest.RunResult, rule: str) -> list[str] | None:
    lines = iter(result.outlines)
    for line in lines:
        if line.strip(rule) == " replica lag " and line.startswith(rule):
            break
    else:
        return None
    found = []
    for line in lines:
        if line.startswith(("===", "---", "___")):
            break
        found.append(line)
    return found
