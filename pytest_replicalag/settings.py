"""How marker, command line and ini become the settings of a test.

Precedence: marker, command line, ini, default; among markers, the one nearest to the test. There is
one exception: `--replica-lag=off` on the command line switches everything off.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pytest_replicalag.durations import FOREVER
from pytest_replicalag.errors import SettingError
from pytest_replicalag.explore.schedule import Schedule
from pytest_replicalag.options import OPTIONS, Given
from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.replicaset.lag import Lag
from pytest_replicalag.words import PARSERS, ClockKind, Off, OnStale

__all__ = ["Settings", "parse", "read_words", "resolve"]

_ENDLESS: Final = (Lag(FOREVER, FOREVER),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a test that lags.

    Attributes:
        lags: As given: one for the minority, or one for each secondary; none if lag is off.
        secondaries: How many there are.
        read_preference: The mode that clients opened without one use.
        write_concern: The `w` that clients opened without one use.
        choose: Which eligible member serves a read.
        clock: Which clock it runs on.
        on_stale: What a stale read does.
        explore: How many schedules are tried; 0 to let the lags decide.
        elections: Whether schedules let the primary crash.
        schedule: The one to run under; None if there is none.
        seed: What is drawn from, with the test's node id.
    """

    lags: tuple[Lag, ...]
    secondaries: int
    read_preference: str
    write_concern: str | int
    choose: Choose
    clock: ClockKind
    on_stale: OnStale
    explore: int
    elections: bool
    schedule: Schedule | None
    seed: int

    @property
    def enabled(self) -> bool:
        """Whether there is lag."""
        return bool(self.lags)

    @property
    def is_scheduled(self) -> bool:
        """Whether schedules decide what reads miss."""
        return self.enabled and bool(self.explore or self.schedule is not None)

    def __str__(self) -> str:
        """The lag, what else is not at its default in the marker's words, and the seed."""
        return ", ".join([self.lag_text, *self._others()])

    @property
    def lag_text(self) -> str:
        """The lags, as an option would give them."""
        return ",".join(map(str, self.lags)) or Off.OFF.value

    def header(self, tests: str) -> str:
        """As the header of a run shows it.

        Args:
            tests: Which tests it applies to.
        """
        return ", ".join([f"{self.lag_text} in {tests}", *self._others()])

    def _others(self) -> list[str]:
        others = []
        for option in OPTIONS:
            value = getattr(self, option.name, None)
            if option.name == "seed" or option.default is None or value is None:
                continue
            word = value.value if isinstance(value, Enum) else value
            if isinstance(word, bool):
                word = str(word).lower()
            if str(word) != option.default:
                others.append(f"{option.name}={word}")
        return [*others, f"seed={self.seed}"]


def _secondaries_beside(given: Given) -> str:
    """How who has given one value would give the number of secondaries."""
    is_option = given.source.startswith(("-", "replica_lag"))
    return "--replica-lag-secondaries" if is_option else "secondaries"


def _too_many_lags(given: Given, lags: int, secondaries: int) -> SettingError:
    more = _secondaries_beside(given)
    have = "1 secondary" if secondaries == 1 else f"{secondaries} secondaries"
    problem = f"{given.value!r} gives {lags} lags for {have}; give fewer, or set {more}={lags}"
    return SettingError(given.source, given.value, problem)


def _too_many_members(given: Given, w: int, secondaries: int) -> SettingError:
    more = _secondaries_beside(given)
    problem = (
        f"no write can reach {w} members of a set of {secondaries + 1}; give {secondaries + 1} or "
        f"less, or majority, or set {more}={w - 1}"
    )
    return SettingError(given.source, given.value, problem)


def read_words(args: tuple[Any, ...], kwargs: Mapping[str, Any], source: str) -> dict[str, Given]:
    """What a `replica_lag` marker gives, or whatever else takes its words, by option name.

    Args:
        args: The positional arguments: none, or the lag.
        kwargs: The words.
        source: What has them, for errors.

    Raises:
        SettingError: There is no such word, or the lag is given twice.
    """
    allowed = [option.name for option in OPTIONS if option.in_marker]
    if len(args) > 1:
        listed = ",".join(map(str, args))
        problem = f'takes one positional argument, the lag; write replica_lag("{listed}")'
        raise SettingError(source, args, problem)
    words = dict(kwargs)
    if args:
        if "lag" in words:
            raise SettingError(source, args[0], "the lag is given twice; write it once")
        words["lag"] = args[0]
    for word, value in words.items():
        if word not in allowed:
            close = difflib.get_close_matches(word, allowed, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            problem = f"there is no word {word!r}; there are {', '.join(allowed)}{hint}"
            raise SettingError(source, value, problem)
    return {
        word: Given(source=source if word == "lag" else f"{source}, {word}", value=value)
        for word, value in words.items()
    }


def parse(name: str, given: Given) -> Any:
    """The setting that a given value stands for.

    Raises:
        SettingError: It stands for none.
    """
    try:
        return PARSERS[name](given.value)
    except (ValueError, TypeError) as error:
        raise SettingError(given.source, given.value, str(error)) from None


def resolve(layers: Iterable[Mapping[str, Given]]) -> Settings:
    """The settings that hold; without lags if nobody gave one, or it is `off`.

    Args:
        layers: What was given, by option name; what comes first wins.

    Raises:
        SettingError: A value is bad, or two do not go together.
    """
    given: dict[str, Given] = {}
    for layer in layers:
        for name, value in layer.items():
            given.setdefault(name, value)
    values = {
        option.name: parse(option.name, given[option.name])
        if option.name in given
        else PARSERS[option.name](option.default)
        for option in OPTIONS
        if option.name in given or option.default is not None
    }
    lags = _lags(values, given)
    if len(lags) > values["secondaries"]:
        raise _too_many_lags(given["lag"], len(lags), values["secondaries"])
    w = values["write_concern"]
    if isinstance(w, int) and w > values["secondaries"] + 1:
        raise _too_many_members(given["write_concern"], w, values["secondaries"])
    return Settings(
        lags=tuple(lags),
        secondaries=values["secondaries"],
        read_preference=values["read_preference"],
        write_concern=values["write_concern"],
        choose=Choose(values["choose"]),
        clock=ClockKind(values["clock"]),
        on_stale=OnStale(values["on_stale"]),
        explore=values["explore"],
        elections=values["elections"],
        schedule=values.get("schedule"),
        seed=values["seed"],
    )


def _lags(values: Mapping[str, Any], given: Mapping[str, Given]) -> tuple[Lag, ...]:
    """The lags that hold; where schedules decide and nobody has said one, there is no bound.

    Raises:
        SettingError: Schedules cannot decide on this clock.
    """
    deciding = next((name for name in ("schedule", "explore") if values.get(name)), None)
    if deciding is not None and values["clock"] == ClockKind.WALL.value:
        source = given[deciding].source
        problem = "schedules need simulated time; leave out the clock wall, or exploring"
        raise SettingError(source, given[deciding].value, problem)
    lags = values.get("lag", _ENDLESS if deciding is not None else Off.OFF)
    return () if lags is Off.OFF else tuple(lags)
