"""What the words of options mean; each parser says what to write when a word means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pytest_replicalag.durations import FOREVER, Duration, as_duration, parse_duration
from pytest_replicalag.explore.schedule import Schedule
from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.replicaset.lag import Lag
from pytest_replicalag.report.formats import ending_of

__all__ = ["PARSERS", "ClockKind", "Off", "OnStale", "parse_lags"]

LARGEST_SET: Final = 50

MOST_SECONDARIES: Final = 50
"""More than a real set can have, which has 50 members at most."""

MODES: Final = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")


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
    parts = [part.strip() for part in word.split(",")]
    if "" in parts:
        raise ValueError(f"{word!r} lacks a value beside a comma; write 50ms,2s")
    if Off.OFF.value in parts:
        raise ValueError(f"{word!r}: off stands alone; for one secondary that keeps up, write 0")
    return tuple(_parse_lag(part) for part in parts)


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


def _parse_explore(value: Any) -> int:
    number = _whole_number(value, "100")
    if number < 0:
        raise ValueError(f"{number} schedules cannot be tried; write a number from 1, such as 100")
    return number


def _parse_schedule(value: Any) -> Schedule:
    return Schedule.parse(str(value).strip())


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
    document = getattr(value, "document", None)
    if isinstance(document, dict):  # pymongo's own
        w = document.get("w", "majority")
        if document.keys() - {"w"}:
            raise ValueError(f"{value!r} says more than w; write {w!r}, and the rest in the code")
        value = w
    if value == "majority":
        return "majority"
    try:
        number = _whole_number(value, "1")
    except ValueError:
        raise ValueError(f"{value!r} is not a write concern; write majority, 0, 1 or N") from None
    if not 0 <= number <= LARGEST_SET:
        raise ValueError(f"{number} members cannot acknowledge a write; write majority, 0, 1 or N")
    return number


def _parse_read_preference(value: Any) -> str:
    """A mode, or one of pymongo's read preferences that is no more than a mode."""
    tag_sets = getattr(value, "tag_sets", None) or [{}]
    if list(tag_sets) == [{}] and getattr(value, "max_staleness", None) == -1:
        value = value.mongos_mode
    return _one_of(MODES)(value)


def _parse_mongod(value: Any) -> str:
    """A connection string, or the path of a program, as it was given."""
    word = str(value).strip()
    if not word:
        raise ValueError(
            "a path or a connection string is missing; write /usr/bin/mongod or "
            "mongodb://127.0.0.1:27017"
        )
    if "://" in word:
        if not word.startswith("mongodb://"):
            raise ValueError(f"{word!r} is not of a mongod; write mongodb://127.0.0.1:27017")
        return word
    if not Path(word).expanduser().is_file():
        raise ValueError(
            f"there is no file {word!r}; write the path of a mongod, such as /usr/bin/mongod, or "
            "the connection string of one that runs, such as mongodb://127.0.0.1:27017"
        )
    return word


def _parse_reports(value: Any) -> tuple[str, ...]:
    """The names of files, whose endings say their formats."""
    names = [value] if isinstance(value, str) else value
    for name in names:
        ending_of(name)
    return tuple(names)


def _parse_baseline(value: Any) -> str:
    word = str(value).strip()
    if not word:
        raise ValueError("a file is missing; write replica-lag.json")
    return word


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
        close = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
        hint = f" (did you mean {by_lower[close[0]]}?)" if close else ""
        raise ValueError(f"{value!r} is not one of {', '.join(allowed)}{hint}")

    return parse


PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "lag": parse_lags,
    "all": _parse_flag,
    "secondaries": _parse_count,
    "read_preference": _parse_read_preference,
    "write_concern": _parse_write_concern,
    "choose": _one_of(choose.value for choose in Choose),
    "clock": _one_of(kind.value for kind in ClockKind),
    "on_stale": _one_of(action.value for action in OnStale),
    "seed": _parse_seed,
    "engine": _one_of(("memory", "mongod", "replicaset")),
    "mongod": _parse_mongod,
    "intercept": _parse_flag,
    "explore": _parse_explore,
    "elections": _parse_flag,
    "schedule": _parse_schedule,
    "no_verdict": _parse_flag,
    "report": _parse_reports,
    "baseline": _parse_baseline,
    "update_baseline": _parse_flag,
    "show": _one_of(("findings", "timeline")),
}
"""The parser of each option, by the option's name."""
