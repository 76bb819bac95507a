"""Names for findings that are the same on every machine, in every run and for every Python.

A finding is named after the code that makes it: the file, the functions around, and the statement
of the read and of each write that it missed, and what they do. Line numbers do not count, so that
a change elsewhere in the file leaves the name as it is, only which one it is of the statements of
a function that read the same; nor does what differs from test to test.
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Final

from pytest_replicalag.records import CallSite, LostWrite, MissedWrite, StaleRead

__all__ = ["Identities", "Statement", "statement_at"]

_LENGTH: Final = 12
_CODE: Final = 160
"""How much of a statement a report shows."""
_INSTALLED: Final = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the user's code.

    Attributes:
        scope: The functions and classes around it, such as `Orders.place`; empty at the top.
        text: Its source, on one line; of one with a block, what stands before the block.
        number: How many statements before it, with the same around them, read the same.
    """

    scope: str
    text: str
    number: int = 0


class Identities:
    """Names findings, in a project.

    Args:
        root: The project's folder (pytest's root folder).
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root)
        # A file may have changed since another run in this process.
        _lines.cache_clear()
        _statements.cache_clear()
        statement_at.cache_clear()

    def path(self, path: str) -> str:
        """A file as a report names it: from the project's folder, by slashes.

        Of an installed package, from where packages are; of another file, its name.
        """
        if not path:
            return ""
        pure = PurePath(path)
        if pure.is_relative_to(self._root):
            return pure.relative_to(self._root).as_posix()
        for folder in _INSTALLED:
            if folder in pure.parts:
                inside = pure.parts[len(pure.parts) - pure.parts[::-1].index(folder) :]
                return "/".join(inside)
        return pure.name

    def code(self, site: CallSite) -> str:
        """The statement at a call site, on one line; empty where its file cannot be read."""
        return textwrap.shorten(statement_at(site.path, site.line).text, _CODE, placeholder=" …")

    def of_stale_read(self, read: StaleRead) -> str:
        """The name of a stale read."""
        return _name(
            "stale read",
            *self._place(read.call_site),
            read.namespace,
            read.operation,
            # How often it has missed what a line wrote differs from run to run of a loop.
            *sorted({"\0".join(self._write(write)) for write in read.missed}),
        )

    def of_lost_write(self, write: LostWrite) -> str:
        """The name of a lost write."""
        return _name(
            "lost write",
            *self._place(write.call_site),
            write.namespace,
            write.operation,
            write.write_concern,
        )

    def _write(self, write: MissedWrite) -> Iterator[str]:
        yield from self._place(write.call_site)
        yield write.namespace
        yield write.operation

    def _place(self, site: CallSite | None) -> tuple[str, ...]:
        if site is None:
            return ("", "", "")
        if site.client:
            return ("", site.client, "")
        found = statement_at(site.path, site.line)
        if not found.text:  # all that is known of code that cannot be read
            return (self.path(site.path), site.function, str(site.line))
        others = (str(found.number),) if found.number else ()
        return (self.path(site.path), found.scope, found.text, *others)


def _name(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_LENGTH]


@lru_cache(maxsize=4096)
def statement_at(path: str, line: int) -> Statement:
    """The innermost statement at a line of a file; empty where the file cannot be read."""
    best: tuple[int, int, Statement] | None = None
    for first, last, statement in _statements(path):
        if first <= line <= last and (best is None or last - first <= best[1] - best[0]):
            best = (first, last, statement)
    return Statement("", "") if best is None else best[2]


@lru_cache(maxsize=256)
def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


@lru_cache(maxsize=256)
def _statements(path: str) -> tuple[tuple[int, int, Statement], ...]:
    """The statements of a file, each with its first and last line."""
    try:
        tree = ast.parse("\n".join(_lines(path)))
    except (SyntaxError, ValueError):
        return ()
    found, alike = [], Counter[tuple[str, str]]()
    for first, last, scope in _walk(tree, ""):
        text = " ".join(" ".join(_lines(path)[first - 1 : last]).split())
        found.append((first, last, Statement(scope, text, alike[scope, text])))
        alike[scope, text] += 1
    return tuple(found)


def _walk(node: ast.AST, scope: str) -> Iterator[tuple[int, int, str]]:
    """The first and last line of each statement, and what is around it; in the file's order."""
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{scope}.{child.name}".lstrip(".")
        if isinstance(child, ast.stmt):
            body = getattr(child, "body", None)
            last = child.end_lineno or child.lineno
            if isinstance(body, list) and body:  # its block has statements of its own
                last = max(child.lineno, body[0].lineno - 1)
            yield child.lineno, last, scope
        yield from _walk(child, inner)
