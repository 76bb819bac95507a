"""The hooks of a run that the plugin has something to do in; `plugin.py` registers them.

Nothing here imports a database driver, mongomock, Hypothesis or asyncio before a test needs it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_replicalag.engine_choice import MEMORY, choose
from pytest_replicalag.errors import NodeError, NotWrappableError, SettingError
from pytest_replicalag.options import (
    FIXTURES_INI,
    MARKER,
    TITLE,
    Given,
)
from pytest_replicalag.report_files import ReportFiles
from pytest_replicalag.reporter import Reporter, show_path, terminal_width
from pytest_replicalag.run_options import RUN, RunOptions, read_options

if TYPE_CHECKING:
    from pytest_replicalag.control import ReplicaLag
    from pytest_replicalag.report.baseline import Baseline
    from pytest_replicalag.running import TestRun
    from pytest_replicalag.settings import Settings

__all__ = ["check_markers", "control_of", "uri_of"]

_REFUSAL = "replica_lag_refusal"
_LEFT_ALONE = "replica_lag_left_alone"
_REPORTER = "replica-lag-reporter"
_NO_SCHEDULE = (
    "a test of Hypothesis draws a schedule with each of its examples; reproduce it by Hypothesis's "
    "own means, and leave out --replica-lag-schedule"
)
_RUNNING_NO_TEST = (
    *("help", "version", "markers", "collectonly", "setupplan", "cacheshow"),
    *("showfixtures", "show_fixtures_per_test", "numprocesses", "tx"),
)
"""Options that let this process run no test; with the last two, workers do."""

_state_key = pytest.StashKey[RunOptions]()
_baseline_key: pytest.StashKey[Baseline | None] = pytest.StashKey()
_is_inner_key = pytest.StashKey[bool]()
"""Whether endpoints were started when the run began."""


# -- configuration -----------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Check every given value; called when the hooks are registered."""
    try:
        state = read_options(config)
        state.check()
    except SettingError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_state_key] = state
    _use_engine(config, state)
    endpoints = sys.modules.get("pytest_replicalag.endpoints")
    config.stash[_is_inner_key] = endpoints is not None and endpoints.endpoints.are_started
    try:
        files = ReportFiles.of(config, state)
        config.stash[_baseline_key] = baseline = files.known(config)
        if not _is_worker(config):
            files.check()
    except SettingError as error:
        raise pytest.UsageError(str(error)) from None
    if not _is_worker(config):
        reporter = Reporter(config, state, files, baseline, _left_alone)
        config.pluginmanager.register(reporter, _REPORTER)


def intercept_early(config: pytest.Config) -> None:
    """Intercept clients that are opened while conftest files are imported.

    What is wrong with an option is told when all of them are known.
    """
    try:
        state = read_options(config, config.known_args_namespace)
        _use_engine(config, state)
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


def _use_engine(config: pytest.Config, state: RunOptions) -> None:
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


def _left_alone() -> dict[str, str]:
    """Why clients of this process were not intercepted, by the line that opened them."""
    module = sys.modules.get("pytest_replicalag.interception")
    return {} if module is None else dict(module.interception.left_alone)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the controller of pytest-xdist know which clients a worker has left alone."""
    if _is_worker(session.config):
        session.config.workeroutput[_LEFT_ALONE] = _left_alone()  # type: ignore[attr-defined]


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say the setting when lag is on."""
    state = config.stash[_state_key]
    if not (settings := state.settings).enabled:
        return []
    from pytest_replicalag.report.terminal import wrapped

    tests = "every test" if state.said("all") else "tests marked replica_lag"
    engine = state.engine.engine
    where = "" if engine == MEMORY else f", engine={engine}"
    return wrapped(f"{TITLE}: {settings.header(tests)}{where}", terminal_width(config))


def check_markers(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse bad markers before any test runs.

    Raises:
        UsageError: A marker's words are bad.
    """
    try:
        for item in items:
            _settings(item)
    except SettingError as error:
        if _is_worker(config):  # the error of a worker does not reach the user by itself
            config.workeroutput[_REFUSAL] = str(error)  # type: ignore[attr-defined]
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Pass on what a worker of pytest-xdist refused, or left alone."""
    told = getattr(node, "workeroutput", {})
    if _REFUSAL in told:
        raise pytest.UsageError(told[_REFUSAL])
    reporter = node.config.pluginmanager.get_plugin(_REPORTER)
    if reporter is not None:
        reporter.left_alone.update(told.get(_LEFT_ALONE, {}))


def _settings(item: pytest.Item) -> Settings | None:
    """The settings of a test; None if it is not concerned: not marked, and not all tests are."""
    state = item.config.stash[_state_key]
    found = list(item.iter_markers(MARKER))
    if not found and not state.said("all"):
        return None
    from pytest_replicalag.settings import read_marker, resolve

    markers = [read_marker(marker.args, marker.kwargs, item.nodeid) for marker in found]
    layers: list[Mapping[str, Given]] = [*markers, state.command_line, state.ini]
    if state.is_off:
        layers.insert(0, {"lag": state.command_line["lag"]})
    return resolve(layers)


# -- running a test ----------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Prepare the simulation of a test that lags."""
    settings = _settings(item)
    endpoints = sys.modules.get("pytest_replicalag.endpoints")
    if endpoints is not None:
        from pytest_replicalag.simulation import governor

        governor.rest_like(settings or item.config.stash[_state_key].settings)
        endpoints.endpoints.make_room()
    item.stash[RUN] = _prepared(item, settings)
    return (yield)


def _prepared(item: pytest.Item, settings: Settings | None) -> TestRun | None:
    """The coming run of a test that lags; None for one that does not, or not this time."""
    if settings is None or not settings.enabled:
        return None
    from pytest_replicalag.protocol import WAY, Way
    from pytest_replicalag.running import TestRun

    way = item.stash.get(WAY, Way())
    if way.without_lag:
        return None
    baseline = item.config.stash[_baseline_key]
    return TestRun(settings, item.nodeid, _replay(item, settings), way.recorder, baseline)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that lags under many schedules; or again without lag, if it fails."""
    settings = _settings(item)
    if settings is None or not settings.enabled:
        return None
    from pytest_replicalag.protocol import is_run_by_others, run_explored, run_with_verdict

    if settings.is_scheduled and not is_property_test(item):
        run_explored(item, nextitem, settings)
        return True
    if item.config.stash[_state_key].said("no_verdict") or is_run_by_others(item):
        return None
    run_with_verdict(item, nextitem)
    return True


def _replay(item: pytest.Item, settings: Settings) -> str:
    """The command that runs a test again as it ran."""
    config = item.config
    path, separator, rest = item.nodeid.partition("::")
    path = show_path(config, str(config.rootpath / path))
    leave_out = {"seed", "explore", "schedule"} if settings.is_scheduled else {"seed"}
    flags = config.stash[_state_key].flags(leave_out=frozenset(leave_out))
    command = ["pytest", shlex.quote(path + separator + rest), flags]
    if not settings.is_scheduled:
        command.append(f"--replica-lag-seed={settings.seed}")
    return " ".join(filter(None, command))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let secondaries lag while the test's call phase runs."""
    run = item.stash.get(RUN, None)
    if run is None:
        return (yield)
    if run.settings.is_scheduled and is_property_test(item):
        if run.settings.schedule is not None:
            pytest.fail(_NO_SCHEDULE, pytrace=False)
        from pytest_replicalag.explore.examples import each_by_a_schedule

        with run.calling(), each_by_a_schedule(item.obj, run.example):  # type: ignore[attr-defined]
            return (yield)
    with run.calling():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, Any, Any]:
    """Leave no patched sleep behind, whatever tests' own patches have put back."""
    try:
        return (yield)
    finally:
        sleeping = sys.modules.get("pytest_replicalag.sleeping")
        if sleeping is not None:  # a patch may be undone by a later test than the one that lagged
            sleeping.put_back()


def is_property_test(item: pytest.Item) -> bool:
    """Whether a test is one of Hypothesis's, which draws examples itself."""
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def control_of(item: pytest.Item) -> ReplicaLag:
    """What the `replica_lag` fixture gives to a test."""
    from pytest_replicalag.running import TestRun

    run = item.stash.get(RUN, None)
    if run is None:
        settings = _settings(item)
        if settings is None:  # a set like the one that it would have, were it marked
            settings = replace(item.config.stash[_state_key].settings, lags=())
        run = TestRun(settings, item.nodeid)
    return run.control


def uri_of(config: pytest.Config) -> str:
    """The connection string of the endpoints, which show the run's own settings."""
    from pytest_replicalag.endpoints import endpoints
    from pytest_replicalag.simulation import governor

    if governor.running is None:
        governor.rest_like(config.stash[_state_key].settings)
    refusal = ""
    try:
        return endpoints.uri
    except NodeError as error:
        refusal = str(error)
    return pytest.fail(refusal, pytrace=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the endpoints, if anything has started them in this run.

    A run inside another one, in the same process, leaves those alone that the outer one uses.
    """
    endpoints = sys.modules.get("pytest_replicalag.endpoints")
    if endpoints is not None and not config.stash.get(_is_inner_key, False):
        endpoints.endpoints.stop()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Wrap the values of the fixtures that `replica_lag_fixtures` names."""
    value = yield
    if fixturedef.argname not in request.config.stash[_state_key].fixtures:
        return value
    from pytest_replicalag.clients import wrap

    refusal = ""
    try:
        wrapped = wrap(value)
    except (NodeError, NotWrappableError) as error:
        refusal = str(error)
    if refusal:
        fixturedef.finish(request)  # type: ignore[arg-type] # or the next test would get the value
        pytest.fail(
            f"{FIXTURES_INI} names the fixture {fixturedef.argname!r}, but its value cannot be "
            f"wrapped: {refusal}",
            pytrace=False,
        )
    cached = fixturedef.cached_result
    if cached is not None:
        fixturedef.cached_result = (wrapped, cached[1], None)
    return wrapped


# -- telling -----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the test's report carry what there is to tell, also from a worker of pytest-xdist."""
    run = item.stash.get(RUN, None) if call.when == "call" else None
    if run is not None and not run.is_calling and item.config.getoption("xmlpath", None):
        told = run.properties(str(item.config.rootpath))
        own = {name for name, _ in told} | {"replica_lag_finding"}
        # A plugin that runs a test again keeps what was told of the run before.
        others = [given for given in item.user_properties if given[0] not in own]
        item.user_properties[:] = [*others, *told]
    report = yield
    if call.when == "call":
        if run is not None:
            # The report of a subtest shows what there is so far; the test's own one counts.
            report.replica_lag = run.plain_report()  # type: ignore[attr-defined]
            report.replica_lag_is_part = run.is_calling  # type: ignore[attr-defined]
        elif _ran_without(item):
            report.replica_lag = {"test": item.nodeid, "without_lag": True}  # type: ignore[attr-defined]
    return report


def _ran_without(item: pytest.Item) -> bool:
    """Whether a test is marked and ran without lag because nobody said one, not even `off`."""
    if item.config.stash[_state_key].said("lag") is not None:
        return False
    settings, markers = _settings(item), list(item.iter_markers(MARKER))
    is_enabled = settings is not None and settings.enabled
    says_lag = any(mark.args or "lag" in mark.kwargs for mark in markers)
    return bool(markers) and not is_enabled and not says_lag
