"""What one test, and a whole run, has to tell: plain data that crosses process borders.

Each test's part travels with its pytest report, so it reaches the controller of pytest-xdist as it
reaches the terminal of a single process, and a worker that dies takes nothing else with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from pytest_replicalag.records import (
    Failover,
    LostWrite,
    StaleRead,
)
from pytest_replicalag.report.identity import Identities

__all__ = [
    "Exploration",
    "Finding",
    "Loss",
    "RunReport",
    "TestReport",
    "Verdict",
    "findings",
    "losses",
]


class Verdict(Enum):
    """What a run without lag says of a test that fails with it."""

    ONLY_LAG = "only lag"
    ALSO_WITHOUT = "also without"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What the search for a schedule that makes a test fail has come to.

    Attributes:
        tried: How many schedules ran; 0 where one was replayed.
        failing: The smallest one that makes the test fail, as text; empty if there is none.
        is_exhausted: Whether there are no others than those that ran.
        is_steady: Whether the test does the same whenever it runs by the same schedule.
        is_repeatable: Whether the test passes a second time, after it has passed once.
        is_first_alike: Whether its first run made the same choices as the later ones; else
            something outlives it, and what the first run read was not explored.
        skipped: By how many schedules the test was skipped, or failed as it is expected to.
        choices_left: How many choices of a replayed schedule the test has not come to.
    """

    tried: int
    failing: str = ""
    is_exhausted: bool = False
    is_steady: bool = True
    is_repeatable: bool = True
    is_first_alike: bool = True
    skipped: int = 0
    choices_left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """What one test has to tell.

    Attributes:
        test: Its node id.
        outcome: Of its call phase, in pytest's words.
        failure: What it failed with, on one line; empty if it did not.
        without_lag: Whether it is marked, and ran without lag because none was given.
        reads: How many reads it made through wrapped clients.
        secondary_reads: How many of them a secondary could serve.
        is_checked: Whether stale reads were looked for.
        stale_reads: Its stale reads, in order.
        tries_elections: Whether schedules could let the primary crash.
        failovers: The elections in it, in order.
        lost_writes: The acknowledged writes that they have cost, in order.
        replay: The command that runs it again: with the same seed, or by the schedule that fails.
        exploration: What the search for its schedules has come to; None if there was none.
        verdict: What a run without lag says of it; None if there was none.
    """

    __test__ = False

    test: str
    outcome: str = "passed"
    failure: str = ""
    without_lag: bool = False
    reads: int = 0
    secondary_reads: int = 0
    is_checked: bool = True
    stale_reads: tuple[StaleRead, ...] = ()
    tries_elections: bool = False
    failovers: tuple[Failover, ...] = ()
    lost_writes: tuple[LostWrite, ...] = ()
    replay: str = ""
    exploration: Exploration | None = None
    verdict: Verdict | None = None


@dataclass(slots=True)
class RunReport:
    """What a run has to tell; one report for each run of a test, so a rerun counts once more.

    Attributes:
        tests: Its tests' reports, in the order in which they came.
        unmarked: How many tests ran that a lag on the command line did not concern.
        left_alone: Why clients were not intercepted, by the line that opened each, `path:line`.
    """

    tests: list[TestReport] = field(default_factory=list)
    unmarked: int = 0
    left_alone: dict[str, str] = field(default_factory=dict)

    def add(self, test: TestReport) -> None:
        """Add one test's report."""
        self.tests.append(test)

    @property
    def lagged(self) -> int:
        """How many tests ran with lag."""
        return len({test.test for test in self.tests if not test.without_lag})

    @property
    def without_lag(self) -> int:
        """How many marked tests ran without lag because no lag was given."""
        return len({test.test for test in self.tests if test.without_lag})

    @property
    def reads(self) -> int:
        """How many reads lagging tests made through wrapped clients."""
        return sum(test.reads for test in self.tests)

    @property
    def secondary_reads(self) -> int:
        """How many of them a secondary could serve."""
        return sum(test.secondary_reads for test in self.tests)

    @property
    def checked_reads(self) -> int:
        """How many of those were checked."""
        return sum(test.secondary_reads for test in self.tests if test.is_checked)

    @property
    def stale_tests(self) -> int:
        """How many tests made stale reads."""
        return len({test.test for test in self.tests if test.stale_reads})

    @property
    def has_failovers(self) -> bool:
        """Whether there was an election in any of its tests, or could have been one."""
        return any(test.failovers or test.tries_elections for test in self.tests)

    @property
    def losing_tests(self) -> int:
        """How many tests lost acknowledged writes."""
        return len({test.test for test in self.tests if test.lost_writes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A stale read that a run made, at one place of the code, once or more often.

    Attributes:
        reads: Each time that it happened, by test and in order.
        guarantees: The session guarantees that broke, in one of them or another.
        tests: The tests that made it, sorted.
    """

    reads: tuple[StaleRead, ...]
    guarantees: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def example(self) -> StaleRead:
        """The one of the first test by name."""
        return self.reads[0]

    @property
    def count(self) -> int:
        """How often it happened."""
        return len(self.reads)


def findings(stale_reads: Iterable[StaleRead], identities: Identities) -> list[Finding]:
    """The distinct stale reads, by name; the order of tests does not matter."""
    groups: dict[str, list[StaleRead]] = {}
    for read in stale_reads:
        groups.setdefault(identities.of_stale_read(read), []).append(read)
    found = [
        Finding(
            reads=tuple(sorted(group, key=lambda read: (read.test, read.number))),
            guarantees=tuple(sorted({name for r in group for name in r.guarantees}, reverse=True)),
            tests=tuple(sorted({read.test for read in group})),
        )
        for group in groups.values()
    ]
    return sorted(found, key=_order)


def _order(finding: Finding) -> tuple[object, ...]:
    read = finding.example
    site = read.call_site
    return (site.path, site.line, read.operation, read.namespace, read.text, finding.tests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """An acknowledged write that elections of a run have cost, at one place of the code.

    Attributes:
        example: The one of the first test by name.
        count: How often it happened.
        tests: The tests that lost it, sorted.
    """

    example: LostWrite
    count: int
    tests: tuple[str, ...]


def losses(lost_writes: Iterable[LostWrite], identities: Identities) -> list[Loss]:
    """The distinct lost writes, by name; the order of tests does not matter."""
    groups: dict[str, list[LostWrite]] = {}
    for write in lost_writes:
        groups.setdefault(identities.of_lost_write(write), []).append(write)
    found = [
        Loss(
            example=min(group, key=lambda write: write.test),
            count=len(group),
            tests=tuple(sorted({write.test for write in group})),
        )
        for group in groups.values()
    ]
    return sorted(found, key=_order_of_loss)


def _order_of_loss(loss: Loss) -> tuple[object, ...]:
    write, site = loss.example, loss.example.call_site
    place = ("", 0) if site is None else (site.path, site.line)
    return (*place, write.operation, write.namespace, write.text, loss.tests)
