"""What command line and ini file say of a run.

Values are parsed when there are any, so that a run without lag does not load the parsers.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_replicalag.engine_choice import MEMORY, MONGOD, REPLICASET, EngineChoice
from pytest_replicalag.errors import SettingError
from pytest_replicalag.options import ALLOW_REMOTE_INI, FIXTURES_INI, OPTIONS, Given

if TYPE_CHECKING:
    from pytest_replicalag.report.baseline import Baseline
    from pytest_replicalag.running import TestRun
    from pytest_replicalag.settings import Settings

__all__ = ["ABOUT_REPORTS", "BASELINE", "PART_FAILED", "RUN", "STATE", "RunOptions", "read_options"]

RUN: pytest.StashKey[TestRun | None] = pytest.StashKey()
"""Where the run of an item is kept; None if it does not lag this time."""

PART_FAILED: Final = pytest.StashKey[bool]()
"""Where it is noted that a subtest of an item has failed in its run."""

BASELINE: pytest.StashKey[Baseline | None] = pytest.StashKey()
"""Where a run keeps what is known, and fails no test; None if nothing is."""

ABOUT_REPORTS: Final = frozenset({"report", "baseline", "update_baseline", "show"})
"""Options that make no difference to what a test does."""

_PASSWORD: Final = re.compile(r"(://[^/:@]*:)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the plugin knows of a run.

    Attributes:
        command_line: What the command line gave, by option name.
        ini: What the ini file gave, by option name.
        fixtures: The fixtures whose values are to be wrapped.
        allows_remote: Whether the node may be on another machine.
        overrides: What `-o` has put in the place of the ini file's, as it was given.
    """

    command_line: Mapping[str, Given]
    ini: Mapping[str, Given]
    fixtures: tuple[str, ...]
    allows_remote: bool
    overrides: tuple[str, ...] = ()

    def check(self) -> None:
        """Look at every value that was given.

        Raises:
            SettingError: One is bad, or two do not go together.
        """
        for layer in (self.command_line, self.ini):
            for name, given in layer.items():
                parse_given(name, given)
        if self.command_line or self.ini:
            self.settings  # noqa: B018 - resolving them checks that they go together
        explores = self.said("explore") or self.said("schedule") is not None
        if explores and self.said("engine") == REPLICASET:
            problem = "members of a real replica set cannot be held at any point; leave one out"
            raise SettingError("--replica-lag-explore", self.said("explore"), problem)
        if self.said("elections") and self.said("engine") not in (None, MEMORY):
            engine = self.said("engine")
            problem = (
                f"the engine {engine} cannot undo writes, as an election may have to; leave one out"
            )
            raise SettingError("--replica-lag-elections", True, problem)
        if "all" in self.command_line and self.said("lag") is None and not explores:
            problem = "no lag is given; add --replica-lag=200ms"
            raise SettingError("--replica-lag-all", True, problem)
        if self.said("mongod") is not None and self.said("engine") == MEMORY:
            problem = "the engine memory needs no MongoDB node; write --replica-lag-engine=mongod"
            raise SettingError("--replica-lag-mongod", self.said("mongod"), problem)
        if self.said("engine") == REPLICASET and "://" not in (self.said("mongod") or ""):
            problem = (
                "the engine replicaset needs a replica set that runs; name it by "
                "--replica-lag-mongod=mongodb://127.0.0.1:27017"
            )
            raise SettingError("--replica-lag-engine", REPLICASET, problem)

    def said(self, name: str) -> Any:
        """What command line or ini say of an option, or None."""
        given = self.command_line.get(name) or self.ini.get(name)
        return None if given is None else parse_given(name, given)

    @property
    def settings(self) -> Settings:
        """What command line and ini say together."""
        from pytest_replicalag.settings import resolve

        return resolve([self.command_line, self.ini])

    def flags(self, *, leave_out: frozenset[str]) -> str:
        """What the command line gave, to be given again.

        Args:
            leave_out: The options that are not.
        """
        leave_out |= ABOUT_REPORTS
        overrides = (
            f"-o {_again(override)}"
            for override in self.overrides
            if override.partition("=")[0].removeprefix("replica_lag_") not in leave_out
        )
        flags = (
            given.source if given.value is True else f"{given.source}={_again(given.value)}"
            for name, given in self.command_line.items()
            if name not in leave_out
        )
        return " ".join([*overrides, *flags])

    @property
    def engine(self) -> EngineChoice:
        """Where the endpoints keep their data; a node that is given is used."""
        mongod = self.said("mongod")
        engine = self.said("engine")
        return EngineChoice(
            engine=engine or (MEMORY if mongod is None else MONGOD),
            mongod=mongod,
            allow_remote=self.allows_remote,
            is_given=not (engine is None and mongod is None),
        )

    @property
    def starts_node_early(self) -> bool:
        """Whether the run is sure to need a node that it starts: the command line asks for it."""
        choice = self.engine
        is_asked_for = bool(self.command_line.keys() & {"engine", "mongod"})
        is_program = choice.mongod is None or "://" not in choice.mongod
        return is_asked_for and choice.engine == MONGOD and is_program and self.settings.enabled

    @property
    def intercepts(self) -> bool:
        """Whether clients are to be intercepted."""
        return bool(self.said("intercept")) and not self.is_off

    @property
    def asks_for_lag(self) -> bool:
        """Whether the command line gives a lag."""
        return "lag" in self.command_line and not self.is_off

    @property
    def is_off(self) -> bool:
        """Whether the command line switches everything off."""
        given = self.command_line.get("lag")
        return given is not None and not isinstance(parse_given("lag", given), tuple)


STATE: Final = pytest.StashKey[RunOptions]()
"""Where a run keeps what it is told."""


def _again(value: str) -> str:
    """A value, to be given again in a shell; without the password, for reports are shown around."""
    return shlex.quote(_PASSWORD.sub(r"\1…@", value))


def parse_given(name: str, given: Given) -> Any:
    """The setting that a given value stands for; loads the parsers when there is one."""
    from pytest_replicalag.settings import parse

    return parse(name, given)


def read_options(config: pytest.Config, namespace: Any = None) -> RunOptions:
    """What a run is told, not checked yet.

    Args:
        config: The run's.
        namespace: What is known of the command line before all of it is parsed.

    Raises:
        SettingError: The ini file has a bad flag, or something that is no fixture's name.
    """
    options = config.option if namespace is None else namespace
    command_line = {
        option.name: Given(source=option.flag, value=value)
        for option in OPTIONS
        if (value := getattr(options, option.ini, None)) is not None
    }
    fixtures = tuple(config.getini(FIXTURES_INI))
    for name in fixtures:
        if not name.isidentifier():
            problem = f"{name!r} is not a fixture's name; separate names by spaces"
            raise SettingError(f"{FIXTURES_INI} in the ini file", name, problem)
    given: list[str] = getattr(options, "override_ini", None) or []
    return RunOptions(
        command_line=command_line,
        ini=read_ini(config),
        fixtures=fixtures,
        allows_remote=bool(config.getini(ALLOW_REMOTE_INI)),
        overrides=tuple(override for override in given if override.startswith("replica_lag")),
    )


def read_ini(config: pytest.Config) -> dict[str, Given]:
    """What the ini file gives, by option name."""
    ini = {}
    for option in OPTIONS:
        source = f"{option.ini} in the ini file"
        try:
            value = config.getini(option.ini)
        except (ValueError, pytest.UsageError) as error:  # pytest reads true and false itself
            raise SettingError(source, None, f"{error}; write true or false") from None
        if value not in (None, "", []):
            ini[option.name] = Given(source=source, value=value)
    return ini
