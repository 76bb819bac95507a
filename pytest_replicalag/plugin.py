"""The pytest plugin's entry: options, marker and fixture.

Every run of pytest loads this, so it is small; all else is loaded by a run that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_replicalag.options import ALLOW_REMOTE_INI, FIXTURES_INI, MARKER, OPTIONS, TITLE, Option

if TYPE_CHECKING:
    from pytest_replicalag.control import ReplicaLag

__all__: list[str] = []

_HOOKS = "replica-lag-hooks"

_WORDS = ", ".join(option.name for option in OPTIONS if option.in_marker and option.name != "lag")
_MARKER_HELP = (
    f"replica_lag(lag, *, {_WORDS}): run the test on a simulated replica set whose secondaries lag "
    "behind the primary. All words are optional; what the marker does not say comes from the "
    "command line, the ini file or the default, and with no lag from anywhere the test runs "
    "without lag. "
    'Example: @pytest.mark.replica_lag("1s", secondaries=4, on_stale="fail").'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option group, and an ini key for each option."""
    group = parser.getgroup(TITLE, "replica lag: find read-after-write bugs without replicas")
    for option in OPTIONS:
        default = (
            "" if option.default is None or option.is_flag else f" (default: {option.default})"
        )
        if option.is_flag:
            group.addoption(
                option.flag, dest=option.ini, action="store_const", const=True, help=option.help
            )
        else:
            group.addoption(
                option.flag,
                dest=option.ini,
                action="append" if option.is_list else "store",
                metavar=option.metavar,
                help=option.help + default,
            )
        parser.addini(option.ini, f"Same as {option.flag}.", type=_kind(option), default=None)
    parser.addini(
        ALLOW_REMOTE_INI,
        "Let the MongoDB node of the engine mongod be on another machine.",
        type="bool",
        default=False,
    )
    parser.addini(
        FIXTURES_INI,
        "Fixtures whose values are clients to wrap, separated by spaces.",
        type="args",
        default=[],
    )


def _kind(option: Option) -> Literal["bool", "args", "string"]:
    """The type of an option's ini key."""
    if option.is_list:
        return "args"
    return "bool" if option.is_flag else "string"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the hooks of a run that says something to the plugin."""
    config.addinivalue_line("markers", _MARKER_HELP)
    said = any(
        config.getoption(option.ini) is not None or _ini(config, option.ini) for option in OPTIONS
    )
    # The controller of pytest-xdist sees no tests; it may be told of some that are marked.
    distributes = config.getoption("dist", "no") != "no"
    if said or distributes or config.getini(FIXTURES_INI):
        _use_hooks(config)


def _ini(config: pytest.Config, key: str) -> bool:
    """Whether an ini key has a value, good or bad."""
    try:
        return config.getini(key) not in (None, "", [])
    except (ValueError, pytest.UsageError):
        return True


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Intercept clients from the beginning, if the run says so: conftest files may open some.

    And let the run's node get ready while they are loaded.
    """
    namespace = early_config.known_args_namespace
    if any(getattr(namespace, f"replica_lag_{name}", None) for name in ("mongod", "engine")):
        from pytest_replicalag.run_setup import start_node_early

        start_node_early(early_config)
    said = getattr(namespace, "replica_lag_intercept", None)
    if said or (said is None and _ini(early_config, "replica_lag_intercept")):
        from pytest_replicalag.run_setup import intercept_early

        intercept_early(early_config)


def _use_hooks(config: pytest.Config) -> Any:
    """The module of the other hooks, registered."""
    hooks = config.pluginmanager.get_plugin(_HOOKS)
    if hooks is None:
        from pytest_replicalag import hooks

        config.pluginmanager.register(hooks, _HOOKS)
    return hooks


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse bad markers before any test runs."""
    is_used = config.pluginmanager.has_plugin(_HOOKS)
    if is_used or any(item.get_closest_marker(MARKER) for item in items):
        _use_hooks(config).check_markers(config, items)


@pytest.fixture
def replica_lag(request: pytest.FixtureRequest) -> ReplicaLag:
    """The simulated replica set of the running test: its time, its members, its stale reads.

    With lag off it is still there and harmless, so that the test runs either way.
    """
    _use_hooks(request.config)
    from pytest_replicalag.item_settings import control_of

    return control_of(request.node)


@pytest.fixture(scope="session")
def replica_lag_uri(request: pytest.FixtureRequest) -> str:
    """The connection string of the simulated replica set, for any MongoDB driver.

    Its endpoints are started on first use and stopped at the end of the run. Their data stay from
    test to test, as a server's do; each test starts with members that have caught up.
    """
    uri: str = _use_hooks(request.config).uri_of(request.config)
    return uri
