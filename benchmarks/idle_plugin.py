"""What an installed but unused plugin adds to `pytest --collect-only`.

Run: python benchmarks/idle_plugin.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 21
REACH_MS = 10


def collect(folder: str, *options: str) -> float:
    """Seconds that one whole pytest process takes."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the median of the differences between neighbouring runs."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        collect(folder), collect(folder, "-p", "no:replicalag")
        differences = []
        for number in range(ROUNDS):
            if number % 2:
                with_plugin, without = collect(folder), collect(folder, "-p", "no:replicalag")
            else:
                without, with_plugin = collect(folder, "-p", "no:replicalag"), collect(folder)
            differences.append(with_plugin - without)
    added_ms = statistics.median(differences) * 1_000
    verdict = "reached" if added_ms <= REACH_MS else "NOT reached"
    print(f"added to pytest --collect-only: {added_ms:.1f} ms  (<= {REACH_MS} ms: {verdict})")


if __name__ == "__main__":
    main()
