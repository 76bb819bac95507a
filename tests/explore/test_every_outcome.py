"""Whatever a set shows whose members lag or are held, some schedule shows: so nothing is left out.

Else “all schedules pass” would prove nothing. Programs are those that a real set has judged; the
schedule is looked for step by step, and one that shows something else is not followed any further.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mongomock
import pytest
from hypothesis import HealthCheck, Phase, assume, given, reject, seed, settings
from hypothesis import strategies as st

pytest.importorskip("mirakuru", reason="the programs' players come with the real replica set's")

sys.path.append(str(Path(__file__).parents[1] / "conformance"))

from deployments import InProcess
from player import Player
from steps import COLLECTIONS, CatchUp, Causal, Hold, Release, Snapshot, Transaction, programs

from pytest_replicalag import EndlessWaitError, NoElectionError
from pytest_replicalag.control import ReplicaLag
from pytest_replicalag.explore.schedule import FRESH, Recorder, Schedule
from pytest_replicalag.explore.tree import ScheduleTree
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation

PROGRAMS = int(os.environ.get("OUTCOME_PROGRAMS", "60"))
SEED = int(os.environ.get("OUTCOME_SEED", "0"))
MOST = 3_000
"""How many schedules are tried for a program."""

NAMES = {name: name for name in COLLECTIONS}

LAGS = ("0", "0,20ms", "2ms,7ms", "1ms..9ms", "40ms")
"""All shorter than any time limit of a program: a schedule lets nobody wait."""


class OtherError(Exception):
    """Something else was seen."""


def simulation(lag: str, schedule: Recorder | None = None, **said: Any) -> Simulation:
    given_settings = {name: Given(source="test", value=value) for name, value in said.items()}
    settings_of_test = resolve([{"lag": Given(source="test", value=lag), **given_settings}])
    return Simulation(settings_of_test, "outcome", schedule)


class Lagging(InProcess):
    """A set in process, with a simulation that is given."""

    def __init__(self, given_simulation: Simulation) -> None:
        super().__init__(mongomock)
        self._simulation = given_simulation


@dataclass(frozen=True)
class Crash:
    """The primary crashes; by a schedule, it does so where it is chosen to."""


def shown(program: list[Any], lag: str) -> list[Any]:
    set_of_test = simulation(lag)
    control = ReplicaLag(set_of_test, enabled=True)
    with Lagging(set_of_test).scenario() as deployment:
        player = Player(deployment, NAMES)
        return [
            control.crash_primary() if isinstance(step, Crash) else player.play(step)
            for step in program
        ]


def by_schedule(program: list[Any], recorder: Recorder, wanted: list[Any]) -> None:
    """Play a program as long as it shows what is wanted.

    Raises:
        OtherError: It shows something else.
    """
    crashes = any(isinstance(step, Crash) for step in program)
    with Lagging(simulation("inf", recorder, elections=crashes)).scenario() as deployment:
        player = Player(deployment, NAMES)
        for number, (step, seen) in enumerate(zip(program, wanted, strict=True)):
            if isinstance(step, Crash):
                continue
            if (other := player.play(step)) != seen:
                raise OtherError(number, other)


def _tells_that_a_collection_is_younger(wanted: Any) -> bool:
    """Whether a snapshot was refused for that, which takes a member that is further than it shows.

    By a schedule, a member that is asked for an older snapshot is not further than it must be.
    """
    return "246" in str(wanted)


def find(program: list[Any], wanted: list[Any]) -> str:
    """Look for the schedule; what went wrong, if there is none."""
    tree, furthest = ScheduleTree(), (-1, None)
    for _ in range(MOST):
        path = Schedule(tuple(tree.untried()), tells_members_apart=True)
        recorder = Recorder.replaying(path)
        try:
            by_schedule(program, recorder, wanted)
        except OtherError as other:
            furthest = max(furthest, other.args, key=lambda found: found[0])
        else:
            return ""
        tree.add(recorder.choices)
        assert tree.is_consistent
        if tree.is_exhausted:
            break
    number, other = furthest
    told = "\n".join(f"  {step}" for step in program[: number + 1])
    return f"{told}\nby a schedule, at best: {other}\nbut shown: {wanted[number]}"


def without(*kinds: type) -> st.SearchStrategy[list[Any]]:
    """Programs that have no steps of these kinds."""
    return programs.map(lambda steps: [step for step in steps if not isinstance(step, kinds)])


def look_for_each(**drawn: st.SearchStrategy[Any]) -> Any:
    """A test of programs that are drawn."""

    def decorated(test: Any) -> Any:
        phases = [Phase.generate, *([Phase.shrink] if os.environ.get("OUTCOME_SHRINK") else [])]
        configured = settings(
            max_examples=PROGRAMS,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        return seed(SEED)(configured(given(**drawn)(test)))

    return decorated


@look_for_each(program=without(Hold, CatchUp, Release), lag=st.sampled_from(LAGS))
def test_a_schedule_shows_what_a_lagging_set_shows(program, lag):
    wanted = shown(program, lag)
    assume(not _tells_that_a_collection_is_younger(wanted))
    missing = find(program, wanted)
    if missing:
        pytest.fail(f"lag {lag}\n{missing}", pytrace=False)


@look_for_each(program=without(Causal, Snapshot))
def test_a_schedule_shows_what_a_set_with_held_members_shows(program):
    """Without sessions: by a schedule, one may wait less long for a paused member."""
    missing = find(program, shown(program, "0"))
    if missing:
        pytest.fail(missing, pytrace=False)


HALVES = without(Hold, CatchUp, Release, Causal, Snapshot, Transaction).map(lambda steps: steps[:6])


@look_for_each(before=HALVES, after=HALVES, lag=st.sampled_from(LAGS))
def test_a_schedule_shows_what_a_set_whose_primary_crashes_shows(before, after, lag):
    program = [*before, Crash(), *after]
    try:
        wanted = shown(program, lag)
    except (EndlessWaitError, NoElectionError):
        reject()
    missing = find(program, wanted)
    if missing:
        pytest.fail(f"lag {lag}\n{missing}", pytrace=False)


def test_with_everything_fresh_a_snapshot_has_the_newest_of_every_collection():
    with Lagging(simulation("inf", Recorder.replaying(FRESH))).scenario() as deployment:
        deployment.database.a.insert_one({"_id": 1})
        deployment.database.b.insert_one({"_id": 2})
        with deployment.client.start_session(snapshot=True) as session:
            for name, number in (("a", 1), ("b", 2)):
                held = deployment.collection(name, member="secondary-1")
                assert held.find_one(session=session) == {"_id": number}
