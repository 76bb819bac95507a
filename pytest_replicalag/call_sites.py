"""Finds the line of the user's code that made an operation.

The call site is the innermost frame in the project under test: not in this package, a database
driver or ODM, pytest, the standard library or site-packages; where nothing else is on the stack,
the innermost frame of an installed package that is not one of these, and else the test itself: a
driver's own method may be all that a thread runs.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

__all__ = [
    "Caller",
    "Client",
    "caller",
    "is_driver",
    "is_project",
    "know_doctest",
    "of_test",
    "place_of",
]

_HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STANDARD: Final = tuple(
    os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

DRIVERS: Final = frozenset({"bson", "gridfs", "mongomock", "mongomock_ng", "motor", "pymongo"})
ODMS: Final = frozenset(
    {"beanie", "bunnet", "mongoengine", "mongomock_motor", "odmantic", "pymodm", "umongo"}
)
_TOOLS: Final = DRIVERS | ODMS | {"_pytest", "anyio", "pluggy", "pytest", "pytest_asyncio", "xdist"}

_PROJECT, _PACKAGE, _SKIPPED = range(3)

_EXAMPLE: Final = re.compile(r"<doctest (?P<test>.+)\[(?P<number>\d+)\]>")

_kinds: dict[str, int] = {}
_test: list[Caller] = []
"""The running test's own code, while its call phase runs; a run inside another has one more."""

_doctests: dict[str, tuple[str, list[int]]] = {}
"""The file of each doctest that has run, and the lines of its examples."""


Caller: TypeAlias = tuple[CodeType, int]
"""A place in the running code: a frame's code object, and the line it was at.

A plain tuple, for one is taken on every write.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who sent a command from another process, where no line of code can be seen.

    Attributes:
        driver: The driver's name and version, such as `nodejs 6.20.0`; empty if it said nothing.
        application: The application's name (`appName`); empty if it said none.
        comment: The command's `comment`; empty without one.
    """

    driver: str = ""
    application: str = ""
    comment: str = ""

    def __str__(self) -> str:
        """In words, such as `nodejs 6.20.0, application "shop", comment "checkout"`."""
        words = [self.driver or "a client that did not introduce itself"]
        if self.application:
            words.append(f'application "{self.application}"')
        if self.comment:
            words.append(f'comment "{self.comment}"')
        return ", ".join(words)


def caller(own_frames: int = 0, *, on_stack_only: bool = False) -> Caller:
    """The place in the user's code that the current operation comes from.

    Args:
        own_frames: How many of the callers are known to be of this package; they are not looked at.
        on_stack_only: Whether a test that is not on the stack does not count.
    """
    frame: FrameType | None = sys._getframe(1 + own_frames)
    fallback: FrameType | None = None
    outermost = frame
    while frame is not None:
        kind = _kinds.get(frame.f_code.co_filename)
        if kind is None:
            kind = _kind(frame.f_code.co_filename)
        if kind == _PROJECT:
            return frame.f_code, frame.f_lineno
        if kind == _PACKAGE and fallback is None:
            fallback = frame
        outermost, frame = frame, frame.f_back
    if fallback is None and _test and not on_stack_only:
        return _test[-1]
    found = fallback or outermost
    assert found is not None
    return found.f_code, found.f_lineno


@contextmanager
def of_test(function: Any) -> Iterator[None]:
    """Let what no line of the project does be a test's own doing, while it runs inside.

    Args:
        function: The test's function; None if it has none.
    """
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        yield
        return
    _test.append((code, code.co_firstlineno))
    try:
        yield
    finally:
        _test.pop()


def know_doctest(test: Any) -> None:
    """Note where the examples of a doctest stand: their code has a made-up file of its own.

    Args:
        test: A `doctest.DocTest`.
    """
    first = (test.lineno or 0) + 1
    lines = [first + example.lineno for example in test.examples]
    _doctests[test.name] = (test.filename, lines)


def place_of(found: Caller) -> tuple[str, int]:
    """The file and the line of a place in the code."""
    code, line = found
    example = _EXAMPLE.fullmatch(code.co_filename)
    if example is None or example["test"] not in _doctests:
        return code.co_filename, line
    filename, lines = _doctests[example["test"]]
    return filename, lines[int(example["number"])] + line - 1


def is_project(filename: str) -> bool:
    """Whether a file belongs to the project under test."""
    return _kind(filename) == _PROJECT


def is_driver(module: str) -> bool:
    """Whether a module is part of a database driver or of a stand-in for one."""
    return module.partition(".")[0] in DRIVERS


def _kind(filename: str) -> int:
    """Whose file it is; asked of the file system once for each file."""
    kind = _kinds.get(filename)
    if kind is None:
        kind = _kinds[filename] = _kind_of(filename)
    return kind


def _kind_of(filename: str) -> int:
    if filename.startswith("<"):
        return _PROJECT if filename.startswith("<doctest") else _SKIPPED
    path = os.path.abspath(filename)
    if path.startswith(_HERE):
        return _SKIPPED
    for folder in _INSTALLED:
        _, found, inside = path.rpartition(folder)
        if found:
            package = inside.partition(os.sep)[0].removesuffix(".py")
            return _SKIPPED if package in _TOOLS else _PACKAGE
    return _SKIPPED if os.path.realpath(path).startswith(_STANDARD) else _PROJECT
