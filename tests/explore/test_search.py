"""The search on small machines of choices, and on programs with a planted bug."""

import itertools
import random
import warnings
from types import SimpleNamespace

import mongomock
import pytest
from hypothesis.errors import HypothesisWarning
from simulating import wrap

from pytest_replicalag.explore import search as search_module
from pytest_replicalag.explore.schedule import Recorder, Schedule
from pytest_replicalag.explore.search import search
from pytest_replicalag.explore.tree import ScheduleTree
from pytest_replicalag.options import Given
from pytest_replicalag.settings import resolve
from pytest_replicalag.simulation import Simulation, governor


def machine(seed):
    """A run whose number of choices, and of options, hang on the choices before."""

    def run(recorder):
        path = []
        while len(path) < 6:
            generator = random.Random(f"{seed} {path}")
            options = generator.choice([0, 2, 2, 3])
            if not options:
                break
            path.append(recorder.choose(options))
        return tuple(path)

    return run


def leaves(run):
    """All paths of a machine, by brute force."""
    found = set()
    for choices in itertools.product(range(3), repeat=6):
        made = iter(choices)
        recorder = Recorder(lambda options, made=made: min(next(made), options - 1))
        found.add(run(recorder))
    return found


@pytest.mark.parametrize("seed", range(25))
def test_an_exhausted_search_has_been_everywhere(seed):
    run = machine(seed)
    seen = set()

    def passing(recorder):
        seen.add(run(recorder))
        return False

    outcome = search(passing, limit=2_000, seed=seed, key="machine")
    assert outcome.is_exhausted
    assert outcome.is_steady
    assert outcome.failing is None
    assert seen == leaves(run)


@pytest.mark.parametrize("missing", [0, 1, 5])
@pytest.mark.parametrize("seed", range(7))
def test_a_search_that_has_not_been_everywhere_says_so(seed, missing):
    run = machine(seed)
    count = len(leaves(run))
    limit = max(count - missing, 1)
    outcome = search(lambda recorder: bool(run(recorder)) and False, limit=limit, seed=0, key="")
    assert outcome.is_exhausted == (limit == count)


@pytest.mark.parametrize("seed", range(25))
def test_a_failing_path_is_found(seed):
    run = machine(seed)
    bad = random.Random(seed).choice(sorted(leaves(run)))
    outcome = search(lambda recorder: run(recorder) == bad, limit=2_000, seed=seed, key="bad")
    assert outcome.failing == Schedule.of(bad)
    assert outcome.tried >= 1


def test_what_does_otherwise_each_time_is_not_steady():
    numbers = itertools.count(1)
    outcome = search(
        lambda recorder: [recorder.choose(2) for _ in range(next(numbers) % 3)] == [9],
        limit=50,
        seed=0,
        key="unsteady",
    )
    assert not outcome.is_steady
    assert not outcome.is_exhausted


def test_a_tree_knows_what_has_not_run():
    tree = ScheduleTree()
    run = machine(3)
    everything = leaves(run)
    seen = set()
    while not tree.is_exhausted:
        recorder = Recorder.replaying(Schedule(tuple(tree.untried())))
        seen.add(run(recorder))
        tree.add(recorder.choices)
    assert seen == everything


# -- programs with a planted bug -----------------------------------------------------------------


class Program:
    """Writes and reads of two collections; it fails if some reads see what they once saw.

    Args:
        seed: What it is drawn from.
    """

    def __init__(self, seed):
        generator = random.Random(seed)
        self.steps = ["write", *generator.choices(["write", "read"], k=7), "read", "read"]
        self.places = [generator.choice("ab") for _ in self.steps]
        seen = self.play(Recorder(generator.randrange))
        fresh = self.play(Recorder(lambda _: 0))
        stale = [at for at, pair in enumerate(zip(seen, fresh, strict=True)) if pair[0] != pair[1]]
        chosen = generator.sample(stale, min(len(stale), 2))
        self.bug = {at: seen[at] for at in chosen}

    def play(self, recorder):
        """What the reads see."""
        given = {"lag": "inf", "read_preference": "secondary"}
        asked = resolve(
            [{name: Given(source="test", value=value) for name, value in given.items()}]
        )
        db = wrap(mongomock.MongoClient()).shop
        seen = []
        with governor.govern(Simulation(asked, "program", recorder)):
            for number, (step, place) in enumerate(zip(self.steps, self.places, strict=True)):
                if step == "write":
                    db[place].insert_one({"_id": number})
                else:
                    seen.append(sorted(found["_id"] for found in db[place].find()))
        return seen

    def fails(self, recorder):
        seen = self.play(recorder)
        return all(seen[at] == value for at, value in self.bug.items())


def planted(count):
    programs = (Program(seed) for seed in itertools.count())
    return list(itertools.islice((one for one in programs if one.bug), count))


@pytest.mark.slow
def test_a_minimal_schedule_has_no_stale_read_that_is_not_needed():
    for program in planted(50):
        outcome = search(program.fails, limit=200, seed=0, key="planted")
        assert outcome.failing is not None
        assert program.fails(Recorder.replaying(outcome.failing))
        choices = outcome.failing.choices
        for at, chosen in enumerate(choices):
            if chosen:
                fresher = Schedule.of([*choices[:at], 0, *choices[at + 1 :]])
                assert not _fails_where_it_fits(program, fresher)


def _fails_where_it_fits(program, schedule):
    """Whether a program fails by a schedule whose later choices may not be there any more."""
    made = iter(schedule.choices)
    recorder = Recorder(lambda options: min(next(made, 0), options - 1))
    return program.fails(recorder)


def test_a_run_that_is_refused_a_choice_proves_nothing():
    """Hypothesis refuses choices when it makes a failing run smaller; such a run goes on."""
    refused = []

    def run(recorder):
        first = next((1 for _ in range(6) if recorder.choose(2)), 0)
        failed = first and recorder.choose(2) == 1
        if recorder.refusal is not None:
            refused.append(recorder.refusal)
            return True
        return failed

    for seed in range(5):
        outcome = search(run, limit=500, seed=seed, key="refused")
        assert outcome.is_steady
        assert outcome.failing.choices[-2:] == (1, 1)
    assert refused


@pytest.mark.parametrize("limit", [20, 200])
def test_the_primary_crashes_only_where_nothing_less_breaks_the_test(limit):
    def run(recorder):
        if recorder.choose_crash():
            return True
        return sum(recorder.choose(2) for _ in range(4)) == 3

    outcome = search(run, limit=limit, seed=0, key="crash")
    assert not outcome.needs_crash
    assert sum(outcome.failing.choices) == 3


def test_where_it_takes_a_crash_there_is_one():
    def run(recorder):
        for _ in range(3):
            if recorder.choose_crash():
                return True
            recorder.choose(2)  # which changes nothing
        return False

    outcome = search(run, limit=100, seed=0, key="needed")
    assert outcome.needs_crash
    assert outcome.failing.choices == (1,)


def test_schedules_with_a_crash_are_others():
    """What was searched without them is not all there is."""

    def run(recorder):
        if recorder.choose_crash():
            recorder.choose(50)
            return True
        return recorder.choose(2) + recorder.choose(2) == 2

    outcome = search(run, limit=100, seed=0, key="others")
    assert not outcome.needs_crash
    assert not outcome.is_exhausted


def test_a_folder_that_cannot_be_written_to_ends_no_search(monkeypatch):
    class Unusable:
        @property
        def database(self):
            warnings.warn("the default location is unusable", HypothesisWarning, stacklevel=1)

    monkeypatch.setattr(search_module, "settings", SimpleNamespace(default=Unusable()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert search_module._database("key") is None
