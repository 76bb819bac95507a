"""Counts the sleeps of the code under test as simulated time, while a lagged test runs.

`time.sleep` and `asyncio.sleep` still take their real time. They are replaced where they live, and
where a module of the project under test has imported them by name, and put back afterwards. Sleeps
that a database driver makes, on whichever thread, do not count.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, Final

from pytest_replicalag.call_sites import is_driver, is_project
from pytest_replicalag.replicaset.clock import Clock
from pytest_replicalag.simulation import governor

__all__ = ["counting_sleeps", "put_back"]

_BY_NAME: Final = ("anyio._backends._asyncio",)
"""Modules that are not of the project, and import a sleep by name on behalf of their callers."""

_MARK: Final = "_replica_lag_sleep"


@contextmanager
def counting_sleeps(clock: Clock) -> Iterator[None]:
    """Count sleeps on `clock` inside."""
    replace: dict[int, Any] = {
        id(time.sleep): _counted(time.sleep, clock),
        id(asyncio.sleep): _counted_async(asyncio.sleep, clock),
    }
    for module, name, value in _sleeps(lambda value: id(value) in replace):
        setattr(module, name, replace[id(value)])
    try:
        yield
    finally:
        put_back()


def put_back() -> None:
    """Put the original sleeps back wherever a counting one is left.

    It is called once more after a test's teardown: a test that replaced `time.sleep` itself puts a
    counting one back when it undoes that.
    """
    for module, name, value in _sleeps(lambda value: hasattr(value, _MARK)):
        setattr(module, name, value.__wrapped__)


def _sleeps(wanted: Callable[[Any], bool]) -> Iterator[tuple[ModuleType, str, Any]]:
    """Where wanted functions named or used as a sleep are found."""
    for module in (time, asyncio, asyncio.tasks):
        if wanted(module.sleep):
            yield module, "sleep", module.sleep
    for name, module in list(sys.modules.items()):
        if name not in _BY_NAME and not _is_of_project(module):
            continue
        for attribute, value in list(vars(module).items()):
            if callable(value) and wanted(value):
                yield module, attribute, value


def _is_of_project(module: ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and is_project(path)


def _counted(sleep: Callable[..., None], clock: Clock) -> Callable[[float], None]:
    @functools.wraps(sleep)
    def counting_sleep(seconds: float) -> None:
        since_us = clock.now_us
        sleep(seconds)
        _count(clock, since_us, seconds, sys._getframe(1))

    setattr(counting_sleep, _MARK, True)
    return counting_sleep


def _counted_async(sleep: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    @functools.wraps(sleep)
    async def counting_sleep(delay: float, result: Any = None) -> Any:
        since_us = clock.now_us
        caller = sys._getframe(1)
        answer = await sleep(delay, result)
        _count(clock, since_us, delay, caller)
        return answer

    setattr(counting_sleep, _MARK, True)
    return counting_sleep


def _count(clock: Clock, since_us: int, seconds: float, caller: FrameType) -> None:
    if seconds > 0 and not _is_of_driver(caller):
        with governor.lock:
            clock.slept(since_us, round(seconds * 1_000_000))


def _is_of_driver(frame: FrameType | None) -> bool:
    """Whether a driver sleeps: one of its frames is nearer than any of the project's."""
    while frame is not None:
        if is_driver(frame.f_globals.get("__name__", "")):
            return True
        if is_project(frame.f_code.co_filename):
            return False
        frame = frame.f_back
    return False
