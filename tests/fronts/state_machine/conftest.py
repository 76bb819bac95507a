"""How many steps the state machine takes: `HYPOTHESIS_PROFILE=thorough` for more than 20,000."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

# The parts of the machine, whose assertions shall say what differs as those of a test do.
pytest.register_assert_rewrite(
    "bulks", "controlling", "lagging_set", "managing", "naive", "reading", "writing"
)

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# A few hundred steps, the same ones in every run, so that the suite is quick and never flaky.
settings.register_profile(
    "default",
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=_SLOW,
)
# At least 20,000 steps for each library, not the same ones each time.
settings.register_profile(
    "thorough",
    max_examples=600,
    stateful_step_count=50,
    deadline=None,
    report_multiple_bugs=False,
    derandomize=False,  # Hypothesis would be so where it sees that it runs in CI
    suppress_health_check=_SLOW,
)
# Many steps, stopping at the first difference; to look for one by hand.
settings.register_profile(
    "hunt",
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    derandomize=False,
    database=None,
    suppress_health_check=_SLOW,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much the state machine has done, with a profile other than the default."""
    module = sys.modules.get("comparing")
    if module is not None and os.environ.get("HYPOTHESIS_PROFILE"):
        terminalreporter.section("state machine")
        for name, count in sorted(module.COUNTS.items()):
            terminalreporter.write_line(f"{name}: {count}")
