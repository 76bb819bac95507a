"""How texts are laid out for a terminal: labels at the left, call sites at the right.

A call site stands at the right end of its line if the line has room for it, else on a line of its
own; it is written `path:line`, which terminals and editors open.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Final

from pytest_replicalag.records import CallSite

__all__ = ["INDENT", "ShowPath", "labelled", "plural", "site_lines", "wrapped"]

INDENT: Final = 12

ShowPath = Callable[[str], str]
"""Shortens a file's path for display."""


def site_lines(site: CallSite, width: int, show_path: ShowPath) -> list[str]:
    """A call site in lines; a path and what follows it is one line, whatever its length."""
    if site.client:
        room = width - INDENT
        text = f"from {site.client}"
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    function = "" if site.function == "<module>" else f" in {site.function}"
    return [f"{show_path(site.path)}:{site.line}{function}"]


def labelled(label: str, text: str, width: int, site: Sequence[str] = ()) -> list[str]:
    """A labelled text, wrapped, with a call site at the right if there is room."""
    room = width - INDENT
    if len(site) == 1 and len(text) + len(site[0]) + 2 <= room:
        lines = [text + site[0].rjust(room - len(text))]
    else:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [line.rjust(room) for line in site]
    return [
        f"{'' if number else label:<{INDENT}}{line}".rstrip() for number, line in enumerate(lines)
    ]


def plural(count: int, noun: str) -> str:
    """A noun, as its number asks."""
    return noun if count == 1 else f"{noun}s"


def wrapped(text: str, width: int, indent: str = "    ") -> list[str]:
    """A text in lines of at most `width` columns, unless a single word is longer.

    Args:
        text: Without line breaks.
        width: In columns.
        indent: What later lines begin with.
    """
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
