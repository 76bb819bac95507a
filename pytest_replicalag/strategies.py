"""Hypothesis strategies for your own property tests, and a mix-in for your own state machines.

Tests that `@pytest.mark.replica_lag(explore=…)` explores need none of this. It is for code that is
to run on a simulated set inside of an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.durations import Duration, as_duration
from pytest_replicalag.explore.examples import CHOICES, drawing, drawn
from pytest_replicalag.explore.schedule import Recorder
from pytest_replicalag.options import Given
from pytest_replicalag.settings import read_words, resolve
from pytest_replicalag.simulation import Simulation, governor
from pytest_replicalag.sleeping import counting_sleeps

__all__ = ["OnReplicaSet", "lags", "schedules", "simulated"]

_NAME = "an example"


def lags(
    longest: str | timedelta = "10s", *, ranges: bool = True, endless: bool = True
) -> SearchStrategy[str]:
    """Lags of one secondary, as `set_lag`, the marker and `simulated` take them.

    They shrink to `0`: no lag.

    Args:
        longest: The longest of those that end.
        ranges: Whether there are ranges among them, such as `50ms..400ms`.
        endless: Whether `inf` is one of them.

    Raises:
        ValueError: `longest` is no duration that ends.
    """
    most_us = as_duration(longest).us
    if as_duration(longest).is_forever:
        raise ValueError("the longest lag that ends cannot be inf; write one, such as 10s")
    durations = st.integers(0, most_us).map(Duration.of_us)
    kinds: list[SearchStrategy[str]] = [durations.map(_text)]
    if ranges:
        kinds.append(st.tuples(durations, durations).map(_range))
    if endless:
        kinds.append(st.just("inf"))
    return st.one_of(kinds)


def _text(duration: Duration) -> str:
    return f"{duration.us}us"


def _range(bounds: tuple[Duration, Duration]) -> str:
    low, high = sorted(bounds, key=lambda duration: duration.us)
    return _text(low) if low == high else f"{_text(low)}..{_text(high)}"


def schedules() -> SearchStrategy[Recorder]:
    """Replication schedules, for `simulated`: each makes its choices as they come up.

    They shrink to the one by which no read misses anything.
    """
    return CHOICES.map(drawn)


@contextmanager
def simulated(schedule: Recorder | None = None, **words: Any) -> Iterator[ReplicaLag]:
    """Let a simulated set run inside, for wrapped clients and for drivers that connect to it.

    What was written before is old data, which every member has.

    Args:
        schedule: What `schedules` has drawn; None to let the lag decide.
        words: As the marker takes them, such as `secondaries=4`.

    Yields:
        What the `replica_lag` fixture gives.

    Raises:
        SettingError: A word is bad.
    """
    given = read_words((), words, "simulated()")
    if schedule is not None:
        given.setdefault("lag", Given(source="simulated()", value="inf"))
    simulation = Simulation(resolve([given]), _NAME, schedule)
    checked = nullcontext() if schedule is None else schedule.checked()
    try:
        with checked, governor.govern(simulation), counting_sleeps(simulation.replica_set.clock):
            yield ReplicaLag(simulation, enabled=True)
    finally:
        _note(simulation)


def _note(simulation: Simulation) -> None:
    """Let Hypothesis tell of what the example that fails has missed, and lost."""
    if not currently_in_test_context():
        return
    for failover in simulation.failovers.happened:
        gone = "crashes" if failover.crashed else "steps down"
        what = f"{failover.former} {gone} ({failover.reason})"
        note(f"replica lag: {what}; {failover.elected} is elected")
    for read in simulation.stale_reads:
        missed = ", ".join(write.text for write in read.missed)
        note(f"replica lag: {read.text} on {read.member} returned {read.result}; missed {missed}")
    for write in simulation.failovers.lost_writes:
        note(f"replica lag: {write.text} was acknowledged with {write.write_concern}, and is lost")


class OnReplicaSet:
    """Mixed into a `hypothesis.stateful.RuleBasedStateMachine`, lets it run on a simulated set.

    Name it before `RuleBasedStateMachine` among the bases. Each run of the machine has a set and a
    schedule of its own.

    Attributes:
        replica_lag_words: What the set is like, in the words of the marker.
        replica_lag: What the `replica_lag` fixture gives.
    """

    replica_lag_words: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._replica_lag_running = ExitStack()
        self.replica_lag: ReplicaLag = self._replica_lag_running.enter_context(
            simulated(drawing(), **self.replica_lag_words)
        )

    def teardown(self) -> None:
        """End the set; called by Hypothesis."""
        self._replica_lag_running.close()
        super().teardown()  # type: ignore[misc]
