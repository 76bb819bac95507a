"""The run's node, started before it is needed: it gets ready while the run loads its modules."""

from __future__ import annotations

import os

from pytest_replicalag.engines.mongod.process import MongodProcess
from pytest_replicalag.engines.mongod.program import find_program
from pytest_replicalag.errors import NodeError

__all__ = ["EarlyNode", "early_node"]


class EarlyNode:
    """A node that nobody has needed yet."""

    def __init__(self) -> None:
        self._given: str | None = None
        self._process: MongodProcess | None = None
        self._owner = 0

    def start(self, given: str | None) -> None:
        """Start it, unless there is one.

        What is wrong is not told here: perhaps no test needs it, and the one that does is told.

        Args:
            given: The program's path; None to look for it on `PATH`.
        """
        if self._process is not None:
            return
        try:
            self._process = MongodProcess(find_program(given))
        except NodeError:
            return
        self._given = given
        self._owner = os.getpid()

    def take(self, given: str | None) -> MongodProcess | None:
        """It, for whoever needs a node of that program, and stops it later; or None."""
        if self._given != given:
            return None
        process, self._process = self._process, None
        return process

    def stop(self) -> None:
        """Stop it, if nobody has taken it; not in a child process that a test has forked."""
        process, self._process = self._process, None
        if process is not None and os.getpid() == self._owner:
            process.stop()


early_node = EarlyNode()
"""That of this process."""
