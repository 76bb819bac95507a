"""Generated programs, step for step, on a real replica set and on each engine.

How many is said by the environment variable `CONFORMANCE_PROGRAMS`, from which seed by
`CONFORMANCE_SEED`. A difference is told with the program up to it; with `CONFORMANCE_SHRINK=1`, it
is shrunk before, which takes its time.

A member of the real set that is held may, once in a thousand times, apply what it had fetched
already. So a difference counts if the program shows it again; how many did not is told, too.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mirakuru", reason="the real replica set runs in: tox run -e replica-set")

mongomock_ng = pytest.importorskip("mongomock_ng", reason="its bulk writes count as a server's do")

from deployments import InProcess, OnTheWire
from hypothesis import HealthCheck, Phase, given, seed, settings
from limits import IN_PROCESS, LIMITS, MONGOD, meets_limit, operations
from player import Player
from steps import COLLECTIONS, programs

PROGRAMS = int(os.environ.get("CONFORMANCE_PROGRAMS", "8"))
PHASES = [Phase.generate, *([Phase.shrink] if os.environ.get("CONFORMANCE_SHRINK") else [])]
SEED = int(os.environ.get("CONFORMANCE_SEED", "0"))

SHOWN_EVERY = 100
"""After how many programs a long run says how far it is."""

MOST_UNSTEADY = 0.005
"""Which part of the programs may differ once, and not again."""

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"

_numbers = itertools.count()


@pytest.mark.filterwarnings("ignore:'maxTimeMS' is accepted by aggregate")
def test_generated_programs(real_set, wire_client, mongod_client, capsys):
    engines: dict[str, Any] = {
        IN_PROCESS: lambda: InProcess(mongomock_ng),
        "memory, on the wire": lambda: OnTheWire(wire_client),
        MONGOD: lambda: OnTheWire(mongod_client),
    }
    begun, played, unsteady = time.monotonic(), [0, 0], 0

    def differences(program):
        names = {name: f"{name}{next(_numbers)}" for name in COLLECTIONS}
        with real_set.program() as deployment:
            real = observe(deployment, program, names)
        for engine, deploy in engines.items():
            with deploy().scenario() as deployment:
                seen = observe(deployment, program, names)
            yield difference(engine, seen, real, program)

    @seed(SEED)
    @settings(
        max_examples=PROGRAMS,
        deadline=None,
        database=None,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(programs)
    def play(program):
        nonlocal unsteady
        played[0] += 1
        played[1] += len(program)
        if not played[0] % SHOWN_EVERY:
            with capsys.disabled():
                sys.stdout.write(f"\n{played[0]} of {PROGRAMS} programs")
                sys.stdout.flush()
        if any(differences(program)):
            again = [told for told in differences(program) if told]
            if again:
                pytest.fail(f"program {played[0]}\n" + "\n\n".join(again), pytrace=False)
            unsteady += 1

    play()
    seconds = time.monotonic() - begun
    with capsys.disabled():
        sys.stdout.write(
            f"\n{played[0]} programs of {played[1]} steps in {seconds:.0f} s: no difference; "
            f"{unsteady} of them on the real set once, and not again\n"
        )
    assert unsteady <= max(1, PROGRAMS * MOST_UNSTEADY)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.words[:40])
def test_every_limit_is_in_the_reference(limit):
    assert limit.words in " ".join(REFERENCE.read_text(encoding="utf-8").split())


def observe(deployment: Any, program: list[Any], names: dict[str, str]) -> list[Any]:
    """What a client observes of each step."""
    player = Player(deployment, names)
    try:
        return [player.play(step) for step in program]
    finally:
        player.finish()


def difference(engine: str, seen: list[Any], real: list[Any], program: list[Any]) -> str:
    """The first step that was observed differently, with all up to it; empty if there is none."""
    for number, (own, other) in enumerate(zip(seen, real, strict=True)):
        if _compared(engine, program[number], own) != _compared(engine, program[number], other):
            told = "\n".join(f"  {step}" for step in program[: number + 1])
            return f"{told}\n{engine}: {own}\nreal set: {other}"
    return ""


def _compared(engine: str, step: Any, seen: Any) -> Any:
    """What is compared of a step: all, or what comes before an operation that meets a limit."""
    before = list(itertools.takewhile(lambda one: not meets_limit(engine, one), operations(step)))
    if len(before) == len(list(operations(step))):
        return seen
    return seen[: len(before)] if isinstance(seen, list) and before else None
