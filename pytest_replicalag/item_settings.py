"""What one test is told by its markers, the command line and the ini file, and the run it makes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_replicalag.options import MARKER, Given
from pytest_replicalag.reporter import show_path
from pytest_replicalag.run_options import BASELINE, RUN, STATE

if TYPE_CHECKING:
    from pytest_replicalag.control import ReplicaLag
    from pytest_replicalag.running import TestRun
    from pytest_replicalag.settings import Settings

__all__ = ["control_of", "is_property_test", "prepared", "ran_without_lag", "settings_of"]


def settings_of(item: pytest.Item) -> Settings | None:
    """The settings of a test; None if it is not concerned: not marked, and not all tests are."""
    state = item.config.stash[STATE]
    found = list(item.iter_markers(MARKER))
    if not found and not state.said("all"):
        return None
    from pytest_replicalag.settings import read_words, resolve

    source = f"@pytest.mark.replica_lag on {item.nodeid}"
    markers = [read_words(marker.args, marker.kwargs, source) for marker in found]
    layers: list[Mapping[str, Given]] = [*markers, state.command_line, state.ini]
    if state.is_off:
        layers.insert(0, {"lag": state.command_line["lag"]})
    return resolve(layers)


def prepared(item: pytest.Item, settings: Settings | None) -> TestRun | None:
    """The coming run of a test that lags; None for one that does not, or not this time."""
    if settings is None or not settings.enabled:
        return None
    from pytest_replicalag.item_runs import WAY, Way
    from pytest_replicalag.running import TestRun

    way = item.stash.get(WAY, Way())
    if way.without_lag:
        return None
    replay = partial(replay_command, item, settings)
    return TestRun(settings, item.nodeid, replay, way.recorder, item.config.stash[BASELINE])


def replay_command(item: pytest.Item, settings: Settings, schedule: str = "") -> str:
    """The command that runs a test again as it ran; by a schedule, if one is given."""
    config = item.config
    path, separator, rest = item.nodeid.partition("::")
    path = show_path(config, str(config.rootpath / path))
    leave_out = {"seed", "explore", "schedule"} if schedule else {"seed"}
    flags = config.stash[STATE].flags(leave_out=frozenset(leave_out))
    last = f"schedule={schedule}" if schedule else f"seed={settings.seed}"
    command = ["pytest", shlex.quote(path + separator + rest), *_doctest_options(item), flags]
    return " ".join(filter(None, [*command, f"--replica-lag-{last}"]))


def _doctest_options(item: pytest.Item) -> list[str]:
    """What pytest needs to find a doctest again."""
    if not hasattr(item, "dtest"):
        return []
    modules = ["--doctest-modules"] if item.config.getoption("doctestmodules", False) else []
    globs = item.config.getoption("doctestglob", None) or []
    return [*modules, *(f"--doctest-glob={shlex.quote(glob)}" for glob in globs)]


def is_property_test(item: pytest.Item) -> bool:
    """Whether a test is one of Hypothesis's, which draws examples itself."""
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def control_of(item: pytest.Item) -> ReplicaLag:
    """What the `replica_lag` fixture gives to a test."""
    from pytest_replicalag.running import TestRun

    run = item.stash.get(RUN, None)
    if run is None:
        settings = settings_of(item)
        if settings is None:  # a set like the one that it would have, were it marked
            settings = replace(item.config.stash[STATE].settings, lags=())
        run = TestRun(settings, item.nodeid)
    return run.control


def ran_without_lag(item: pytest.Item) -> bool:
    """Whether a test is marked and ran without lag because nobody said one, not even `off`."""
    if item.config.stash[STATE].said("lag") is not None:
        return False
    settings, markers = settings_of(item), list(item.iter_markers(MARKER))
    is_enabled = settings is not None and settings.enabled
    says_lag = any(mark.args or "lag" in mark.kwargs for mark in markers)
    return bool(markers) and not is_enabled and not says_lag
