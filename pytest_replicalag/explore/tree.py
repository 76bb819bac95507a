"""Which schedules of a test have run, and whether there are more.

After the same choices a test has the same next one, so schedules are the paths of a tree, and a
search that has been at each of its leaves proves something.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_replicalag.explore.schedule import Choice

__all__ = ["ScheduleTree"]


class _Node:
    """A choice, or the end of a run if it has no options.

    Attributes:
        options: What follows each option; None where nothing has run.
        is_done: Whether everything below has run.
    """

    __slots__ = ("is_done", "options")

    def __init__(self, options: int) -> None:
        self.options: list[_Node | None] = [None] * options
        self.is_done = not options


class ScheduleTree:
    """The schedules that have run.

    Attributes:
        is_consistent: Whether the test has had the same options after the same choices.
    """

    def __init__(self) -> None:
        self.is_consistent = True
        self._root: _Node | None = None

    @property
    def is_exhausted(self) -> bool:
        """Whether every schedule has run."""
        return self.is_consistent and self._root is not None and self._root.is_done

    def add(self, choices: Sequence[Choice]) -> None:
        """Note a run."""
        sizes = [*(choice.options for choice in choices), 0]
        if self._root is None:
            self._root = _Node(sizes[0])
        node = self._root
        path = []
        for choice, following in zip(choices, sizes[1:], strict=True):
            if len(node.options) != choice.options:
                self.is_consistent = False
                return
            path.append(node)
            child = node.options[choice.chosen]
            if child is None:
                child = node.options[choice.chosen] = _Node(following)
            node = child
        if node.options:
            self.is_consistent = False
        for node in reversed(path):
            node.is_done = all(child is not None and child.is_done for child in node.options)

    def untried(self) -> list[int]:
        """The choices that lead to a schedule which has not run, the freshest one first."""
        choices: list[int] = []
        node = self._root
        while node is not None and not node.is_done:
            at = next(
                at for at, child in enumerate(node.options) if child is None or not child.is_done
            )
            choices.append(at)
            node = node.options[at]
        return choices
