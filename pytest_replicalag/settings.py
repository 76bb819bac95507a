"""One table of options, and how marker, command line and ini become the settings of a test.

Flags, ini keys, the marker's words, the header line and the reference page all come from `OPTIONS`.
Precedence: marker, command line, ini, default; among markers, the one nearest to the test. There is
one exception: `--replica-lag=off` on the command line switches everything off.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from pytest_replicalag.durations import FOREVER, Duration, as_duration, parse_duration
from pytest_replicalag.errors import SettingError
from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.replicaset.lag import Lag

__all__ = [
    "FIXTURES_INI",
    "OPTIONS",
    "ClockKind",
    "Given",
    "OnStale",
    "Option",
    "Settings",
    "parse",
    "parse_lags",
    "read_marker",
    "resolve",
]

LARGEST_SET: Final = 50

MOST_SECONDARIES: Final = 50
"""More than a real set can have, which has 50 members at most."""

MODES: Final = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")

FIXTURES_INI: Final = "replica_lag_fixtures"


class OnStale(Enum):
    """What a stale read does to its test."""

    REPORT = "report"
    FAIL = "fail"
    IGNORE = "ignore"


class ClockKind(Enum):
    """Which clock a simulation runs on."""

    VIRTUAL = "virtual"
    WALL = "wall"


class Off(Enum):
    """The lag of a test that was switched off by name."""

    OFF = "off"


def parse_lags(value: Any) -> tuple[Lag, ...] | Off:
    """The lags that a value stands for.

    Args:
        value: `200ms`, `50ms..400ms`, `50ms,2s`, `inf`, `0` or `off`; in a marker also a
            `timedelta`, or a list of any of these.

    Raises:
        ValueError: It is none of these; the message says what to write.
    """
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("an empty list sets no lag; write one value, such as 200ms")
        return tuple(_parse_lag(item) for item in value)
    if isinstance(value, timedelta):
        return (_parse_lag(value),)
    word = str(value).strip()
    if word == Off.OFF.value:
        return Off.OFF
    if not word:
        raise ValueError("a lag is missing; write one, such as 200ms")
    return tuple(_parse_lag(part) for part in word.split(","))


def _parse_lag(value: Any) -> Lag:
    if isinstance(value, str) and ".." in value:
        low_word, _, high_word = value.partition("..")
        low, high = parse_duration(low_word), parse_duration(high_word)
        if FOREVER in (low, high):
            raise ValueError(f"{value!r}: a range cannot reach inf; write a bound, such as 1s..10s")
        if low > high:
            raise ValueError(f"{value!r} goes backwards; write {high}..{low}")
        return Lag(low, high)
    duration: Duration = as_duration(value)
    return Lag(duration, duration)


def _parse_count(value: Any) -> int:
    number = _whole_number(value, "4")
    if number < 1:
        raise ValueError(f"{number} is too few: a lagging set has at least one secondary; write 2")
    if number > MOST_SECONDARIES:
        raise ValueError(f"{number} is too many; write a number up to {MOST_SECONDARIES}")
    return number


def _parse_seed(value: Any) -> int:
    return _whole_number(value, "20417")


def _whole_number(value: Any, example: str) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a whole number; write one, such as {example}") from None


def _parse_write_concern(value: Any) -> str | int:
    if value == "majority":
        return "majority"
    try:
        number = _whole_number(value, "1")
    except ValueError:
        raise ValueError(f"{value!r} is not a write concern; write majority, 0, 1 or N") from None
    if not 0 <= number <= LARGEST_SET:
        raise ValueError(f"{number} members cannot acknowledge a write; write majority, 0, 1 or N")
    return number


def _parse_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither true nor false; write true")


def _one_of(words: Iterable[str]) -> Callable[[Any], str]:
    allowed = tuple(words)

    def parse(value: Any) -> str:
        if value in allowed:
            return str(value)
        by_lower = {word.lower(): word for word in allowed}
        close = difflib.get_close_matches(str(value).lower(), by_lower, n=1, cutoff=0.5)
        hint = f" (did you mean {by_lower[close[0]]}?)" if close else ""
        raise ValueError(f"{value!r} is not one of {', '.join(allowed)}{hint}")

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option, in all its forms.

    Attributes:
        name: As the marker says it, such as `on_stale`.
        parse: Turns a given value into the setting; `ValueError` with advice if it cannot.
        default: What holds when nobody says anything, in the words of the option.
        metavar: What stands for the value in `--help`.
        help: One sentence.
        in_marker: Whether the marker takes it.
        is_flag: Whether it takes no value on the command line.
    """

    name: str
    parse: Callable[[Any], Any]
    default: str | None
    metavar: str
    help: str
    in_marker: bool = True
    is_flag: bool = False

    @property
    def ini(self) -> str:
        """Its ini key, such as `replica_lag_on_stale`."""
        return "replica_lag" if self.name == "lag" else f"replica_lag_{self.name}"

    @property
    def flag(self) -> str:
        """Its flag, such as `--replica-lag-on-stale`."""
        return "--" + self.ini.replace("_", "-")


OPTIONS: Final = (
    Option(
        name="lag",
        parse=parse_lags,
        default=None,
        metavar="LAG",
        help=(
            "Let secondaries lag behind the primary in tests marked replica_lag: 200ms (the "
            "majority keeps up, the rest lag), 50ms,2s (each secondary its own), 50ms..400ms "
            "(drawn for each write), inf (never catch up), 0, or off."
        ),
    ),
    Option(
        name="all",
        parse=_parse_flag,
        default="false",
        metavar="",
        help="Lag in every test, not only in marked ones.",
        in_marker=False,
        is_flag=True,
    ),
    Option(
        name="secondaries",
        parse=_parse_count,
        default="2",
        metavar="N",
        help="How many secondaries the simulated set has.",
    ),
    Option(
        name="read_preference",
        parse=_one_of(MODES),
        default="primary",
        metavar="MODE",
        help="Read preference of clients that were opened without one, such as secondaryPreferred.",
    ),
    Option(
        name="write_concern",
        parse=_parse_write_concern,
        default="majority",
        metavar="W",
        help="Write concern of clients that were opened without one: majority, 0, 1 or N.",
    ),
    Option(
        name="choose",
        parse=_one_of(choose.value for choose in Choose),
        default="stalest",
        metavar="RULE",
        help="Which eligible member serves a read: stalest, alternate (in turn) or random.",
    ),
    Option(
        name="clock",
        parse=_one_of(kind.value for kind in ClockKind),
        default="virtual",
        metavar="CLOCK",
        help=(
            "virtual: simulated time moves with operations and sleeps, the same on every machine; "
            "wall: real time."
        ),
    ),
    Option(
        name="on_stale",
        parse=_one_of(action.value for action in OnStale),
        default="report",
        metavar="ACTION",
        help=(
            "report stale reads; fail also fails the tests that made them, although their "
            "assertions passed; ignore does not look for them."
        ),
    ),
    Option(
        name="seed",
        parse=_parse_seed,
        default="0",
        metavar="N",
        help="What random choices and ranges of lag are drawn from, with each test's node id.",
    ),
)

_BY_NAME: Final = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value that somebody gave an option.

    Attributes:
        source: Where, as an error names it, such as `--replica-lag` or `replica_lag_seed in ini`.
        value: As it was written.
    """

    source: str
    value: Any


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
        seed: What is drawn from, with the test's node id.
    """

    lags: tuple[Lag, ...]
    secondaries: int
    read_preference: str
    write_concern: str | int
    choose: Choose
    clock: ClockKind
    on_stale: OnStale
    seed: int

    @property
    def enabled(self) -> bool:
        """Whether there is lag."""
        return bool(self.lags)

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
            if str(word) != option.default:
                others.append(f"{option.name}={word}")
        return [*others, f"seed={self.seed}"]


def _too_many_lags(given: Given, lags: int, secondaries: int) -> SettingError:
    more = "secondaries" if given.source.startswith("@") else "--replica-lag-secondaries"
    have = "1 secondary" if secondaries == 1 else f"{secondaries} secondaries"
    problem = f"{given.value!r} gives {lags} lags for {have}; give fewer, or set {more}={lags}"
    return SettingError(given.source, given.value, problem)


def read_marker(args: tuple[Any, ...], kwargs: Mapping[str, Any], where: str) -> dict[str, Given]:
    """What one `replica_lag` marker gives, by option name.

    Args:
        args: The marker's positional arguments: none, or the lag.
        kwargs: Its words.
        where: The test that has it, for errors.

    Raises:
        SettingError: It has a word that there is not, or the lag twice.
    """
    source = f"@pytest.mark.replica_lag on {where}"
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
        return _BY_NAME[name].parse(given.value)
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
        else option.parse(option.default)
        for option in OPTIONS
        if option.name in given or option.default is not None
    }
    lags = values.get("lag", Off.OFF)
    lags = () if lags is Off.OFF else lags
    if len(lags) > values["secondaries"]:
        raise _too_many_lags(given["lag"], len(lags), values["secondaries"])
    return Settings(
        lags=tuple(lags),
        secondaries=values["secondaries"],
        read_preference=values["read_preference"],
        write_concern=values["write_concern"],
        choose=Choose(values["choose"]),
        clock=ClockKind(values["clock"]),
        on_stale=OnStale(values["on_stale"]),
        seed=values["seed"],
    )
