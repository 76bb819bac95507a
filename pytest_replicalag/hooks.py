"""The hooks of a run that the plugin has something to do in; `plugin.py` registers them.

What a run sets up before its tests stands in `run_setup.py`, what one test is told in
`item_settings.py`. Nothing here imports a database driver, mongomock, Hypothesis or asyncio before
a test needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from pytest_replicalag.all_tests import is_of_all_tests, leave_out
from pytest_replicalag.engine_choice import MEMORY
from pytest_replicalag.errors import NodeError, NotWrappableError, SettingError
from pytest_replicalag.item_settings import (
    is_property_test,
    prepared,
    ran_without_lag,
    settings_of,
)
from pytest_replicalag.options import FIXTURES_INI, TITLE
from pytest_replicalag.report_files import ReportFiles
from pytest_replicalag.reporter import Reporter, terminal_width
from pytest_replicalag.run_options import BASELINE, PART_FAILED, RUN, STATE, read_options
from pytest_replicalag.run_setup import left_alone, use_engine

__all__ = ["check_markers", "uri_of"]

_REFUSAL = "replica_lag_refusal"
_LEFT_ALONE = "replica_lag_left_alone"
_IS_OF_ALL = "replica_lag_is_of_all"
_REPORTER = "replica-lag-reporter"
_NO_SCHEDULE = (
    "a test of Hypothesis draws a schedule with each of its examples; reproduce it by Hypothesis's "
    "own means, and leave out --replica-lag-schedule"
)
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
    config.stash[STATE] = state
    use_engine(config, state)
    endpoints = sys.modules.get("pytest_replicalag.endpoints")
    config.stash[_is_inner_key] = endpoints is not None and endpoints.endpoints.are_started
    try:
        files = ReportFiles.of(config, state)
        config.stash[BASELINE] = baseline = files.known(config)
        if not _is_worker(config):
            files.check()
    except SettingError as error:
        raise pytest.UsageError(str(error)) from None
    if not _is_worker(config):
        reporter = Reporter(config, state, files, baseline, left_alone)
        config.pluginmanager.register(reporter, _REPORTER)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the controller of pytest-xdist know what a worker has left alone, and left out."""
    if _is_worker(session.config):
        output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
        output[_LEFT_ALONE] = left_alone()
        output[_IS_OF_ALL] = is_of_all_tests(session.config)


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say the setting when lag is on."""
    state = config.stash[STATE]
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
            settings_of(item)
    except SettingError as error:
        if _is_worker(config):  # the error of a worker does not reach the user by itself
            config.workeroutput[_REFUSAL] = str(error)  # type: ignore[attr-defined]
        raise pytest.UsageError(str(error)) from None


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that not all tests run."""
    for item in items[:1]:
        leave_out(item.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Pass on what a worker of pytest-xdist refused, left alone, or left out."""
    told = getattr(node, "workeroutput", {})
    if _REFUSAL in told:
        raise pytest.UsageError(told[_REFUSAL])
    if not told.get(_IS_OF_ALL, False):  # one that has crashed tells nothing
        leave_out(node.config)
    reporter = node.config.pluginmanager.get_plugin(_REPORTER)
    if reporter is not None:
        reporter.left_alone.update(told.get(_LEFT_ALONE, {}))


# -- running a test ----------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Prepare the simulation of a test that lags."""
    settings = settings_of(item)
    endpoints = sys.modules.get("pytest_replicalag.endpoints")
    if endpoints is not None:
        from pytest_replicalag.simulation import governor

        governor.rest_like(settings or item.config.stash[STATE].settings)
        endpoints.endpoints.make_room()
    item.stash[RUN] = run = prepared(item, settings)
    if run is not None and (doctest := getattr(item, "dtest", None)) is not None:
        from pytest_replicalag.call_sites import know_doctest

        know_doctest(doctest)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that lags under many schedules; or again without lag, if it fails."""
    settings = settings_of(item)
    if settings is None or not settings.enabled:
        return None
    from pytest_replicalag.item_runs import is_run_by_others, run_explored, run_with_verdict

    if settings.is_scheduled and not is_property_test(item):
        run_explored(item, nextitem, settings)
        return True
    if item.config.stash[STATE].said("no_verdict") or is_run_by_others(item):
        return None
    run_with_verdict(item, nextitem)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let secondaries lag while the test's call phase runs."""
    run = item.stash.get(RUN, None)
    if run is None:
        return (yield)
    from pytest_replicalag.call_sites import of_test

    own = of_test(getattr(item, "function", None))
    if run.settings.is_scheduled and is_property_test(item):
        if run.settings.schedule is not None:
            pytest.fail(_NO_SCHEDULE, pytrace=False)
        from pytest_replicalag.explore.examples import each_by_a_schedule

        with own, run.calling(), each_by_a_schedule(item.obj, run.example):  # type: ignore[attr-defined]
            return (yield)
    with own, run.calling():
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


def uri_of(config: pytest.Config) -> str:
    """The connection string of the endpoints, which show the run's own settings."""
    from pytest_replicalag.endpoints import endpoints
    from pytest_replicalag.simulation import governor

    if governor.running is None:
        governor.rest_like(config.stash[STATE].settings)
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
    if fixturedef.argname not in request.config.stash[STATE].fixtures:
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
    if run is not None and run.is_calling and report.failed:
        item.stash[PART_FAILED] = True
    if call.when == "call":
        if run is not None:
            # The report of a subtest shows what there is so far; the test's own one counts.
            report.replica_lag = run.plain_report()  # type: ignore[attr-defined]
            report.replica_lag_is_part = run.is_calling  # type: ignore[attr-defined]
        elif ran_without_lag(item):
            from pytest_replicalag.report.plain import without_lag

            report.replica_lag = without_lag(item.nodeid)  # type: ignore[attr-defined]
    return report
