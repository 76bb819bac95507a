"""Searches the schedules of a test for one that makes it fail, and for the smallest such one.

Hypothesis draws the choices, remembers what failed and makes it smaller; the first option of each
choice is the freshest, so what it ends at has no stale read that is not needed. What it leaves of a
small space is tried one by one.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded_by
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky, HypothesisWarning

from pytest_replicalag.errors import ScheduleError
from pytest_replicalag.explore.schedule import Recorder, Schedule
from pytest_replicalag.explore.tree import ScheduleTree
from pytest_replicalag.replicaset.lag import seeded

__all__ = ["Outcome", "Run", "search"]

Run = Callable[[Recorder], bool]
"""Runs the test with the choices of a recorder; returns whether it fails."""

_PHASES: Final = (Phase.reuse, Phase.generate, Phase.shrink)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a search has ended.

    Attributes:
        tried: How many schedules ran before one failed, itself included; all of them if none did.
        failing: The smallest one that makes the test fail; None if there is none.
        needs_crash: Whether the primary crashes in it.
        is_exhausted: Whether there is no other schedule than those that were tried.
        is_steady: Whether the test does the same whenever it runs by the same schedule.
    """

    tried: int
    failing: Schedule | None = None
    needs_crash: bool = False
    is_exhausted: bool = False
    is_steady: bool = True


def search(run: Run, *, limit: int, seed: object, key: str) -> Outcome:
    """Look for a schedule that makes a test fail.

    Args:
        run: Runs the test.
        limit: How many schedules are tried.
        seed: What is drawn from.
        key: Under which a failing schedule is remembered for the next search.
    """
    found = _searched(run, limit, seed, key)
    if found.needs_crash:
        # Hypothesis prefers what is shorter, as a schedule with a crash is; people do not.
        calm = _searched(run, limit, seed, f"{key} without a crash", lets_crash=False)
        if calm.failing is not None:
            return replace(
                calm,
                tried=found.tried,
                is_exhausted=found.is_exhausted,
                is_steady=found.is_steady and calm.is_steady,
            )
    return found


def _searched(run: Run, limit: int, seed: object, key: str, *, lets_crash: bool = True) -> Outcome:
    found = _Search(run, limit, lets_crash=lets_crash).result(seed, key)
    if found is None:  # members turned out not to be alike
        again = _Search(run, limit, lets_crash=lets_crash, tells_members_apart=True)
        found = again.result(seed, key)
    assert found is not None
    return found


class _FailedError(Exception):
    """The test has failed by the schedule that was drawn."""


class _NamedError(BaseException):
    """The test names members, which were taken to be alike."""


class _Search:
    """One search."""

    def __init__(
        self, run: Run, limit: int, *, lets_crash: bool, tells_members_apart: bool = False
    ) -> None:
        self._run = run
        self._limit = limit
        self._tells_members_apart = tells_members_apart
        self._lets_crash = lets_crash
        self._tree = ScheduleTree()
        self._runs = 0
        self._tried = 0
        self._failing: Schedule | None = None
        self._needs_crash = False

    def result(self, seed: object, key: str) -> Outcome | None:
        """How it ends; None if it must begin anew, with members told apart."""
        try:
            is_steady = self._draw(seed, key)
            if self._failing is not None:
                self._freshen(self._failing)
            elif is_steady:
                self._try_rest()
        except _NamedError:
            return None
        return Outcome(
            tried=self._tried or self._runs,
            failing=self._failing,
            needs_crash=self._needs_crash,
            is_exhausted=self._tree.is_exhausted,
            is_steady=is_steady and self._tree.is_consistent,
        )

    def _draw(self, seed: object, key: str) -> bool:
        """Let Hypothesis draw; returns whether the test did the same whenever it was to."""

        @seeded_by(seeded(seed).getrandbits(64))
        @settings(
            max_examples=self._limit,
            phases=_PHASES,
            database=_database(key),
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            print_blob=False,
        )
        @given(st.randoms(note_method_calls=False, use_true_random=False))
        def explore(choices: random.Random) -> None:
            if self._fails(lambda options: choices.randint(0, options - 1)):
                raise _FailedError

        try:
            explore()
        except _FailedError:
            return True
        except Flaky:
            return False
        return True

    def _try_rest(self) -> None:
        """Try what has not run, the freshest first."""
        while self._runs < self._limit and self._tree.is_consistent:
            if self._tree.is_exhausted:
                return
            path = Schedule(tuple(self._tree.untried()), self._tells_members_apart)
            try:
                if self._fails(Recorder.replaying(path).choose):
                    return
            except ScheduleError:  # other choices came up than the last time
                self._tree.is_consistent = False

    def _freshen(self, failing: Schedule) -> None:
        """Make each choice as fresh as it can be.

        Hypothesis prefers fewer choices, and a fresh read may lead to more of them.
        """
        at = 0
        while at < len(failing.choices):
            fresher = (
                (*failing.choices[:at], chosen, *failing.choices[at + 1 :])
                for chosen in range(failing.choices[at])
            )
            if any(self._fails(_clipped(choices)) for choices in fresher):
                assert self._failing is not None
                failing, at = self._failing, 0
            else:
                at += 1

    def _fails(self, decide: Callable[[int], int]) -> bool:
        """Whether the test fails by what is chosen.

        A run that is refused a choice is none: Hypothesis refuses those that take it too far.
        """
        recorder = Recorder(
            decide,
            tells_members_apart=self._tells_members_apart,
            lets_crash=self._lets_crash,
        )
        failed = self._run(recorder)
        recorder.check()
        self._runs += 1
        if recorder.names_members and not self._tells_members_apart:
            raise _NamedError
        self._tree.add(recorder.choices)
        if failed:
            self._tried = self._tried or self._runs
            self._failing = recorder.schedule
            self._needs_crash = recorder.has_crashed
        return failed


def _clipped(choices: Sequence[int]) -> Callable[[int], int]:
    """Makes these choices as far as they fit, and then fresh ones."""
    left = iter(choices)
    return lambda options: min(next(left, 0), options - 1)


def _database(key: str) -> ExampleDatabase | None:
    """Hypothesis's example database, as far as it is about one test."""
    with warnings.catch_warnings():
        # In a folder that cannot be written to, it keeps nothing, which is well enough here.
        warnings.simplefilter("ignore", HypothesisWarning)
        whole = settings.default.database if settings.default is not None else None
    return None if whole is None else _OfTest(whole, key)


class _OfTest(ExampleDatabase):
    """The part of an example database that is about one test.

    Hypothesis knows the function that draws, which is the same for all tests.
    """

    def __init__(self, whole: ExampleDatabase, key: str) -> None:
        super().__init__()
        self._whole = whole
        self._prefix = b"replica-lag\0" + key.encode() + b"\0"

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """What is kept under a key."""
        return self._whole.fetch(self._prefix + key)

    def save(self, key: bytes, value: bytes) -> None:
        """Keep a value."""
        self._whole.save(self._prefix + key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Keep it no longer."""
        self._whole.delete(self._prefix + key, value)
