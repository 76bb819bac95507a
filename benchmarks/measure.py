"""Times two pieces of code against each other: in turn, in one process, as a ratio.

Absolute times drift with the machine; the median of the ratios of neighbouring rounds does not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        subject_us: Median time of one call of the subject, in microseconds.
        peer_us: Median time of one call of the peer, in microseconds.
        ratio: Median of the ratios subject / peer of neighbouring rounds.
    """

    subject_us: float
    peer_us: float
    ratio: float


def compare(
    subject: Callable[[], object], peer: Callable[[], object], *, calls: int, rounds: int = 15
) -> Comparison:
    """Time `subject` against `peer`, `calls` calls of each in each of `rounds` rounds."""
    times: list[tuple[float, float]] = []
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds + 1):
            # Each goes first in every other round, so that neither gains by its place.
            pair = [(0, subject), (1, peer)]
            measured = [0.0, 0.0]
            for place, code in pair if number % 2 else reversed(pair):
                measured[place] = _time(code, calls)
            if number:  # the first round warms up
                times.append((measured[0], measured[1]))
    finally:
        gc.enable()
    return Comparison(
        subject_us=statistics.median(subject for subject, _ in times) * 1e6,
        peer_us=statistics.median(peer for _, peer in times) * 1e6,
        ratio=statistics.median(subject / peer for subject, peer in times),
    )


def _time(code: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        code()
    return (time.perf_counter() - started) / calls


def show(title: str, comparison: Comparison, reach: float | None) -> None:
    """Print one row; `reach` is the ratio to reach, or None where there is none to reach."""
    row = (
        f"{title:<58} {comparison.subject_us:>9.1f} us {comparison.peer_us:>9.1f} us "
        f"{comparison.ratio:>7.3f}x"
    )
    if reach is not None:
        verdict = "reached" if comparison.ratio <= reach else "NOT reached"
        row += f"  (<= {reach:g}x: {verdict})"
    print(row, flush=True)
