"""Shows how many schedules were tried so far, where somebody looks on."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final

import pytest

__all__ = ["Progress"]

_EVERY_S: Final = 0.2


class Progress:
    """A text behind what the terminal shows of the test, which is taken away again.

    Only on a terminal; a log gets none of it.

    Args:
        config: The run's.
        limit: How many schedules there may be at most.
    """

    def __init__(self, config: pytest.Config, limit: int) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        shows = reporter is not None and reporter.isatty and config.get_verbosity() >= 0
        self._writer: Any = config.get_terminal_writer() if shows else None
        self._limit = limit
        self._tried = 0
        self._shown = ""
        self._next = time.monotonic() + _EVERY_S

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._show("")

    def step(self) -> None:
        """Another schedule was tried."""
        self._tried += 1
        if self._writer is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            self._show(f" {self._tried} of {self._limit} schedules")

    def _show(self, text: str) -> None:
        if self._writer is None or text == self._shown:
            return
        room = self._writer.fullwidth - self._writer.width_of_current_line
        back = "\b" * len(self._shown)
        if len(text) >= room:  # a text that goes on in the next line could not be taken away
            text = ""
        gone = len(self._shown) - len(text)
        # Past the writer, which would count it as a part of its line.
        self._writer._file.write(back + text + " " * gone + "\b" * max(gone, 0))
        self._writer._file.flush()
        self._shown = text
