"""Lengths of simulated time, and the words that options use for them.

`Duration` is a `datetime.timedelta` (exact whole microseconds, never floats of seconds) that prints
in the words in which it is given on the command line: `250us`, `200ms`, `1.5s`, `2m`, `inf`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

__all__ = ["FOREVER", "ZERO", "Duration", "as_duration", "parse_duration"]

MICROSECONDS: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}

EXAMPLES: Final = "250us, 200ms, 1.5s, 2m or inf"

_WORD = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|m)")


class Duration(timedelta):
    """A length of time in whole microseconds; `FOREVER` stands for `inf`.

    Compares and hashes as the `timedelta` it is.
    """

    @classmethod
    def of_us(cls, microseconds: int) -> Duration:
        """The duration of that many microseconds."""
        return cls(microseconds=microseconds)

    @property
    def us(self) -> int:
        """Whole microseconds; for `FOREVER` a number larger than any simulated time."""
        return (self.days * 86_400 + self.seconds) * 1_000_000 + self.microseconds

    @property
    def is_forever(self) -> bool:
        """Whether this is `inf`."""
        return self == FOREVER

    def __str__(self) -> str:
        """As an option would say it: `200ms`, `1.5s`, `inf`."""
        return self._written("")

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    @property
    def text(self) -> str:
        """As a sentence would say it: `200 ms`, `1.5 s`, `for ever`."""
        return "for ever" if self.is_forever else self._written(" ")

    def _written(self, gap: str) -> str:
        if self.is_forever:
            return "inf"
        us = self.us
        if us and us % 60_000_000 == 0:
            return f"{us // 60_000_000}{gap}m"
        for unit in ("s", "ms"):
            if us >= MICROSECONDS[unit] or (us == 0 and unit == "ms"):
                number = Decimal(us) / MICROSECONDS[unit]
                return f"{number.normalize():f}{gap}{unit}"
        return f"{us}{gap}us"


_LONGEST = timedelta.max

FOREVER: Final = Duration(_LONGEST.days, _LONGEST.seconds, _LONGEST.microseconds)
"""The duration that `inf` stands for."""

ZERO: Final = Duration()


def parse_duration(text: str) -> Duration:
    """The duration that an option's word stands for.

    Args:
        text: `250us`, `200ms`, `1.5s`, `2m`, `inf`, or `0`.

    Raises:
        ValueError: The text is no duration; the message says what to write instead.
    """
    word = text.strip()
    if word == "inf":
        return FOREVER
    if word == "0":
        return ZERO
    match = _WORD.fullmatch(word)
    if match is None:
        raise ValueError(_advice(word))
    microseconds = Decimal(match["number"]) * MICROSECONDS[match["unit"]]
    if microseconds != microseconds.to_integral_value():
        raise ValueError(f"{word!r} is finer than one microsecond; the smallest duration is 1us")
    try:
        return Duration.of_us(int(microseconds))
    except OverflowError:
        raise ValueError(f"{word!r} is too long; write inf for a lag that never ends") from None


def as_duration(value: str | timedelta) -> Duration:
    """A duration from an option's word or a `timedelta`.

    Raises:
        ValueError: The word is no duration, or the `timedelta` is negative.
        TypeError: The value is neither a string nor a `timedelta`.
    """
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        if value < ZERO:
            raise ValueError(f"{value!r} is negative; write a duration such as {EXAMPLES}")
        return Duration(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value == 0:
            return ZERO
        raise ValueError(_advice(str(value)))
    raise TypeError(
        f"a duration is a string such as {EXAMPLES}, or a timedelta, not {type(value).__name__}"
    )


def _advice(word: str) -> str:
    if word.startswith("-"):
        return f"{word!r} is negative; write a duration such as {EXAMPLES}"
    if word.lower() == "inf":
        return f"{word!r} is not a duration; write inf"
    if re.fullmatch(r"\d+(\.\d+)?", word):
        return f"{word!r} has no unit; write {word}ms or {word}s"
    return f"{word!r} is not a duration; write one such as {EXAMPLES}"
