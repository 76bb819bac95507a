"""One run of one test: its settings, its simulation, and what it has to tell afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.errors import ScheduleError
from pytest_replicalag.explore.schedule import Recorder
from pytest_replicalag.report.plain import to_plain
from pytest_replicalag.report.run_report import TestReport
from pytest_replicalag.settings import Settings
from pytest_replicalag.simulation import Simulation, governor
from pytest_replicalag.sleeping import counting_sleeps
from pytest_replicalag.words import OnStale

if TYPE_CHECKING:
    from pytest_replicalag.report.baseline import Baseline

__all__ = ["TestRun"]


class TestRun:
    """A run of a test; a rerun is another one.

    Args:
        settings: The test's settings.
        test: Its node id.
        replay: Tells the command that runs it again, by a schedule if one is given.
        schedule: Chooses what its reads miss; None to let its lags decide.
        baseline: What is known, and fails no test; None if nothing is.

    Attributes:
        settings: As given.
        test: As given.
        replay: As given.
        is_calling: Whether its call phase runs.
    """

    __test__ = False

    def __init__(
        self,
        settings: Settings,
        test: str,
        replay: Callable[[str], str] = lambda _schedule: "",
        schedule: Recorder | None = None,
        baseline: Baseline | None = None,
    ) -> None:
        self._baseline = baseline
        self._schedule = schedule
        self.settings = settings
        self.test = test
        self.is_calling = False
        self._simulation = Simulation(settings, test, schedule)
        self._simulation.journal.keep_all()
        self.replay = replay

    @property
    def control(self) -> ReplicaLag:
        """What the `replica_lag` fixture gives."""
        return ReplicaLag(self._simulation, enabled=self.settings.enabled)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Let the simulation govern the test's call phase, which runs inside.

        Raises:
            Failed: The test passed, but made a stale read, and `on_stale` is `fail`.
            ScheduleError: It has other choices than its schedule.
        """
        if not self.settings.enabled:
            yield
            return
        simulation = self._simulation
        endpoints = sys.modules.get("pytest_replicalag.endpoints")
        if endpoints is not None:  # fixtures may have imported a driver after they had started
            endpoints.endpoints.follow_drivers()
        self.is_calling = True
        # Hypothesis's own refusals are for the search, which has drawn.
        fits = nullcontext() if self._schedule is None else self._schedule.checked(ScheduleError)
        try:
            with fits, governor.govern(simulation), counting_sleeps(simulation.replica_set.clock):
                yield
        finally:
            self.is_calling = False
        told = self._told()
        if told and self.settings.on_stale is OnStale.FAIL:
            pytest.fail(
                f"the test passed, but {told} (see section “replica lag”; on_stale=fail)",
                pytrace=False,
            )

    def _told(self) -> str:
        """What it has done that `on_stale=fail` does not let pass."""
        reads, writes = self._simulation.stale_reads, self._simulation.failovers.lost_writes
        known, told = self._baseline, []
        if count := len(reads) if known is None else known.new_stale_reads(reads):
            told.append("made a stale read" if count == 1 else f"made {count} stale reads")
        if count := len(writes) if known is None else known.new_lost_writes(writes):
            lost = "an acknowledged write" if count == 1 else f"{count} acknowledged writes"
            told.append(f"lost {lost}")
        return " and ".join(told)

    def undo(self) -> None:
        """Undo what the call phase has written on the memory engine, for another run follows."""
        with governor.lock:
            self._simulation.journal.undo_all()

    @contextmanager
    def example(self, schedule: Recorder) -> Iterator[None]:
        """Let an example of the test, which is the one that is reported so far, run inside."""
        self._simulation = simulation = Simulation(self.settings, self.test, schedule)
        simulation.journal.keep_all()
        clock = simulation.replica_set.clock
        try:
            with schedule.checked(), governor.govern(simulation), counting_sleeps(clock):
                yield
        finally:
            self.undo()  # the next example finds what this one has found

    def properties(self, root: str) -> list[tuple[str, object]]:
        """What a JUnit report has of it besides.

        Args:
            root: The project's folder.
        """
        from pytest_replicalag.report.identity import Identities

        identities, simulation = Identities(root), self._simulation
        found = [
            *map(identities.of_stale_read, simulation.stale_reads),
            *map(identities.of_lost_write, simulation.failovers.lost_writes),
        ]
        return [
            ("replica_lag", str(self.settings)),
            ("replica_lag_stale_reads", len(simulation.stale_reads)),
            ("replica_lag_lost_writes", len(simulation.failovers.lost_writes)),
            *(("replica_lag_finding", name) for name in dict.fromkeys(found)),
        ]

    def plain_report(self) -> dict[str, Any]:
        """What it has to tell, as plain data; see `run_report`."""
        simulation = self._simulation
        report = TestReport(
            test=simulation.test,
            reads=simulation.reads,
            secondary_reads=simulation.secondary_reads,
            is_checked=simulation.checks,
            replay=self.replay(""),
            stale_reads=tuple(simulation.stale_reads),
            tries_elections=self.settings.is_scheduled and self.settings.elections,
            failovers=tuple(simulation.failovers.happened),
            lost_writes=tuple(simulation.failovers.lost_writes),
        )
        return to_plain(report)
