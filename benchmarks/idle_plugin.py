"""What an installed but unused plugin adds to `pytest --collect-only`.

Run: python benchmarks/idle_plugin.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 21
REACH_MS = 10


def collect(folder: str, *options: str) -> float:
    """Seconds of processor time that one whole pytest process takes.

    It does nothing but load and compute, so this is its time on a machine of its own; the time on
    the clock tells more of what else the machine does.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def main() -> None:
    """Print what the plugin adds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        collect(folder), collect(folder, "-p", "no:replicalag")
        with_plugin, without = [], []
        for number in range(ROUNDS):
            # Each goes first in every other round, so that neither gains by its place.
            for options in ([], ["-p", "no:replicalag"])[:: 1 if number % 2 else -1]:
                (without if options else with_plugin).append(collect(folder, *options))
    # The least of each is the least disturbed; all else adds to it.
    added_ms = (min(with_plugin) - min(without)) * 1_000
    verdict = "reached" if added_ms <= REACH_MS else "NOT reached"
    print(f"added to pytest --collect-only: {added_ms:.1f} ms  (<= {REACH_MS} ms: {verdict})")


if __name__ == "__main__":
    main()
