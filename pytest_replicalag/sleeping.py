"""Counts the sleeps of the code under test as simulated time, while a lagged test runs.

`time.sleep` and `asyncio.sleep` still take their real time. They are replaced where they live, and
where a module of the project under test has imported them by name, and put back afterwards. Sleeps
that a database driver makes, on whichever thread, do not count, nor does what a test has put in the
place of a sleep itself: it stays as the test made it.

A function is only ever judged by its type and its own attributes: what else a module holds, such as
mocks and proxies, may answer any question with yes, or with an error.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from pytest_replicalag.call_sites import is_driver, is_project
from pytest_replicalag.replicaset.clock import Clock
from pytest_replicalag.simulation import governor

__all__ = ["counting_sleeps", "put_back"]

_HOMES: Final = (time, asyncio, asyncio.tasks)
_BY_NAME: Final = frozenset({"anyio._backends._asyncio"})
"""Modules that are not of the project, and import a sleep by name on behalf of their callers."""

_MARK: Final = "_replica_lag_sleep"

_FUNCTIONS: Final[tuple[type, ...]] = (BuiltinFunctionType, FunctionType)

# Both may be stand-ins of a test's fixture already, which are none of our business.
_sleep: Final[Any] = time.sleep
_async_sleep: Final[Any] = asyncio.sleep


@contextmanager
def counting_sleeps(clock: Clock) -> Iterator[None]:
    """Count sleeps on `clock` inside."""
    put_back()
    counting: dict[int, Any] = {}
    if type(_sleep) in _FUNCTIONS:
        counting[id(_sleep)] = _counted(_sleep, clock)
    if type(_async_sleep) in _FUNCTIONS:
        counting[id(_async_sleep)] = _counted_async(_async_sleep, clock)
    loaded = set(sys.modules)
    for module, name, value in list(_sleeps(lambda value: id(value) in counting)):
        setattr(module, name, counting[id(value)])
    try:
        yield
    finally:
        # A module that was loaded meanwhile, whosever it is, has what it imported by name.
        put_back(sys.modules.keys() - loaded)


def put_back(loaded: Iterable[str] = ()) -> None:
    """Put the original sleeps back wherever a counting one is left.

    It is called once more after a test's teardown: a test that replaced `time.sleep` itself puts a
    counting one back when it undoes that.

    Args:
        loaded: Modules to search that are not of the project.
    """
    for module, name, value in list(_sleeps(_is_counting, frozenset(loaded))):
        setattr(module, name, value.__wrapped__)


def _is_counting(value: Any) -> bool:
    return type(value) is FunctionType and _MARK in value.__dict__


def _sleeps(
    wanted: Callable[[Any], bool], loaded: frozenset[str] = frozenset()
) -> Iterator[tuple[ModuleType, str, Any]]:
    """Where wanted functions are found, by whatever name."""
    for module in _HOMES:
        if wanted(module.sleep):
            yield module, "sleep", module.sleep
    others = [sys.modules[name] for name in loaded if name in sys.modules]
    for module in dict.fromkeys((*_searched.modules(), *filter(_is_module, others))):
        for attribute, value in list(vars(module).items()):
            if wanted(value):
                yield module, attribute, value


class _Searched:
    """The modules that may have imported a sleep by name.

    A test that is run under many schedules asks many times, and modules seldom come and go.
    """

    def __init__(self) -> None:
        self._all: tuple[Any, ...] = ()
        self._ids: tuple[int, ...] = ()
        self._modules: tuple[ModuleType, ...] = ()

    def modules(self) -> tuple[ModuleType, ...]:
        """Those that there are now."""
        loaded = tuple(sys.modules.values())
        ids = tuple(map(id, loaded))
        if ids != self._ids:
            self._modules = tuple(
                module
                for name, module in list(sys.modules.items())
                if _is_module(module) and (name in _BY_NAME or _is_of_project(module))
            )
            self._all, self._ids = loaded, ids  # what is kept keeps its id
        return self._modules


_searched: Final = _Searched()


def _is_module(value: Any) -> bool:
    return type(value) is ModuleType


def _is_of_project(module: ModuleType) -> bool:
    path = vars(module).get("__file__")
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
