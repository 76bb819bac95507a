"""Tests that Hypothesis runs on many examples: each example draws a schedule of its own, too.

So an example that fails comes with the schedule by which it fails, and is made small with it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.control import current_build_context

from pytest_replicalag.explore.schedule import Recorder

__all__ = ["CHOICES", "drawing", "drawn", "each_by_a_schedule"]

Running = Callable[[Recorder], AbstractContextManager[None]]
"""Lets a simulation whose choices a recorder makes run inside."""


@contextmanager
def each_by_a_schedule(test: Any, running: Running) -> Iterator[None]:
    """Let each example of a test run by a schedule that is drawn with it.

    Args:
        test: What `@given` has made of a function.
        running: Lets a simulation run.
    """
    handle = test.hypothesis
    inner = handle.inner_test
    handle.inner_test = _scheduled(inner, running)
    try:
        yield
    finally:
        handle.inner_test = inner


def _scheduled(inner: Callable[..., Any], running: Running) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inner):

        @functools.wraps(inner)
        async def example_async(*args: Any, **kwargs: Any) -> Any:
            with running(drawing()):
                return await inner(*args, **kwargs)

        return example_async

    @functools.wraps(inner)
    def example(*args: Any, **kwargs: Any) -> Any:
        with running(drawing()):
            return inner(*args, **kwargs)

    return example


def drawn(choices: Random) -> Recorder:
    """A recorder whose choices Hypothesis draws, as they come up.

    Args:
        choices: What `CHOICES` has drawn.
    """
    return Recorder(lambda options: choices.randint(0, options - 1), tells_members_apart=True)


CHOICES: Final = st.randoms(note_method_calls=False, use_true_random=False)


def drawing() -> Recorder:
    """A recorder that draws from the example that is being made."""
    return drawn(current_build_context().data.draw(CHOICES))
