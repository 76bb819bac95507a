"""What a run sets up before its tests: its engine, clients that are intercepted, an early node."""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

import pytest

from pytest_replicalag.engine_choice import choose
from pytest_replicalag.errors import SettingError
from pytest_replicalag.run_options import RunOptions, read_options

__all__ = ["intercept_early", "left_alone", "start_node_early", "use_engine"]

_RUNNING_NO_TEST: Final = (
    *("help", "version", "markers", "collectonly", "setupplan", "cacheshow"),
    *("showfixtures", "show_fixtures_per_test", "numprocesses", "tx"),
)
"""Options that let this process run no test; with the last two, workers do."""


def intercept_early(config: pytest.Config) -> None:
    """Intercept clients that are opened while conftest files are imported.

    What is wrong with an option is told when all of them are known.
    """
    try:
        state = read_options(config, config.known_args_namespace)
        use_engine(config, state)
    except SettingError:
        return


def start_node_early(config: pytest.Config) -> None:
    """Start the run's node, if the command line asks for one and tests will run here.

    What is wrong with an option is told when all of them are known.
    """
    namespace = config.known_args_namespace
    if any(getattr(namespace, name, None) for name in _RUNNING_NO_TEST):
        return
    try:
        state = read_options(config, namespace)
        if not state.starts_node_early:
            return
    except SettingError:
        return
    from pytest_replicalag.engines.mongod.early import early_node

    early_node.start(state.engine.mongod)
    config.add_cleanup(early_node.stop)


def use_engine(config: pytest.Config, state: RunOptions) -> None:
    """Let the run have its engine, and its clients intercepted, until it ends."""
    choose(state.engine)
    config.add_cleanup(partial(choose, None))
    if not state.intercepts:
        return
    from pytest_replicalag.interception import interception
    from pytest_replicalag.simulation import governor

    # Clients that are opened before the first test read as the run's settings say, too.
    governor.rest_like(state.settings)
    interception.start()
    config.add_cleanup(interception.stop)


def left_alone() -> dict[str, str]:
    """Why clients of this process were not intercepted, by the line that opened them."""
    module = sys.modules.get("pytest_replicalag.interception")
    return {} if module is None else dict(module.interception.left_alone)
