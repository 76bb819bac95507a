"""Whether a run is of all tests of its project: only then is what it has not found mended."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

import pytest

__all__ = ["is_of_all_tests", "leave_out"]

_LEFT_OUT: Final = pytest.StashKey[bool]()
"""Where it is noted that tests were left out which were collected, or could not be."""

_COLLECTING_LESS: Final = ("lf", "ignore", "ignore_glob")
"""Options by which files are not collected, so that nothing tells of their tests."""


def leave_out(config: pytest.Config) -> None:
    """Note that tests of the run were left out."""
    config.stash[_LEFT_OUT] = True


def is_of_all_tests(config: pytest.Config) -> bool:
    """Whether all tests run that the ini file, or pytest's root folder, has.

    In a worker of pytest-xdist, and once tests are collected, it is also known what was deselected.
    """
    if config.stash.get(_LEFT_OUT, False):
        return False
    if any(config.getoption(name, None) for name in _COLLECTING_LESS):
        return False
    if config.args_source is config.ArgsSource.TESTPATHS:
        return True
    # A node id, or a name of `--pyargs`, is no folder in which anything is.
    named = [(config.invocation_params.dir / argument).resolve() for argument in config.args]
    return all(any(path.is_relative_to(name) for name in named) for path in _all_of(config))


def _all_of(config: pytest.Config) -> list[Path]:
    """Where all tests of a project are."""
    root = config.rootpath.resolve()
    places = [
        (root / found).resolve()
        for pattern in config.getini("testpaths")
        for found in glob.iglob(pattern, root_dir=root, recursive=True)
    ]
    return places or [root]
