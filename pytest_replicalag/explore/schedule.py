"""A schedule: the choices of one run of a test, recorded, and as text to be replayed.

Which choices a run has depends on what the test does; a replay therefore checks that each choice
fits. Choices after the last one of a schedule are the first option, which is the freshest.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pytest_replicalag.errors import ScheduleError

__all__ = ["FRESH", "Choice", "Recorder", "Schedule"]

_VERSION: Final = 1
_CHECK_BYTES: Final = 2
_MEMBERS_APART: Final = 1
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice.

    Attributes:
        options: How many options there were.
        chosen: The number of the chosen one, from 0, the freshest.
    """

    options: int
    chosen: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """The choices of a run, to be made again.

    Attributes:
        choices: The number of the option for each choice, in order; fresh ones at the end left out.
        tells_members_apart: Whether members in the same state were options of their own.
    """

    choices: tuple[int, ...] = ()
    tells_members_apart: bool = False

    @classmethod
    def of(cls, choices: Sequence[int], *, tells_members_apart: bool = False) -> Schedule:
        """The schedule that makes these choices."""
        last = max((at for at, chosen in enumerate(choices, 1) if chosen), default=0)
        return cls(tuple(choices[:last]), tells_members_apart)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that `str` has written.

        Raises:
            ValueError: It is none; the message says what to do.
        """
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            data = b""
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if not body or _check(body) != check:
            raise ValueError(
                f"{text!r} is not a schedule; copy the whole of one that a report shows"
            )
        if body[0] != _VERSION:
            raise ValueError(
                f"{text!r} was written by another version of pytest-replicalag; explore again"
            )
        flags, *choices = _numbers(body[1:])
        return cls(tuple(choices), bool(flags & _MEMBERS_APART))

    def __str__(self) -> str:
        """In letters, digits, `-` and `_`."""
        numbers = [_MEMBERS_APART if self.tells_members_apart else 0, *self.choices]
        body = bytes([_VERSION]) + b"".join(map(_bytes, numbers))
        return base64.urlsafe_b64encode(body + _check(body)).decode().rstrip("=")


FRESH: Final = Schedule()
"""Nothing is missed by anybody."""


def _check(body: bytes) -> bytes:
    """What tells a schedule from one that was not copied whole."""
    return (zlib.crc32(body) & 0xFFFF).to_bytes(_CHECK_BYTES, "big")


def _bytes(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > _SEVEN_BITS:
        groups.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    return bytes([*groups, number])


def _numbers(data: bytes) -> list[int]:
    numbers, number, shift = [], 0, 0
    for group in data:
        number |= (group & _SEVEN_BITS) << shift
        shift += 7
        if not group & _MORE:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


class Recorder:
    """Makes the choices of one run, and records them.

    Args:
        decide: Chooses one of a number of options, two or more.
        tells_members_apart: Whether members in the same state are options of their own.
        lets_crash: Whether the primary may crash.

    Attributes:
        tells_members_apart: As given.
        has_crashed: Whether it was chosen to.
        names_members: Whether the test has named a member, so that members in the same state are
            not alike.
        choices: What was chosen so far.
        refusal: What was raised instead of a choice; None if nothing was. The run comes to its end
            by fresh choices then, and does not count.
    """

    def __init__(
        self,
        decide: Callable[[int], int],
        *,
        tells_members_apart: bool = False,
        lets_crash: bool = True,
    ) -> None:
        self._decide = decide
        self._lets_crash = lets_crash
        self.has_crashed = False
        self.tells_members_apart = tells_members_apart
        self.names_members = False
        self.choices: list[Choice] = []
        self.refusal: BaseException | None = None

    def choose(self, options: int) -> int:
        """One of that many options.

        A refusal is not raised here: a thread or a task may have read, and who waits for its end
        would wait for ever.
        """
        if self.refusal is not None:
            return 0
        try:
            chosen = self._decide(options)
        except BaseException as error:
            if not _is_refusal(error):
                raise
            self.refusal = error
            return 0
        self.choices.append(Choice(options, chosen))
        return chosen

    def check(self, kind: type[BaseException] = BaseException) -> None:
        """Raise what was raised instead of a choice, if anything of that kind was."""
        if isinstance(self.refusal, kind):
            raise self.refusal

    @contextmanager
    def checked(self, kind: type[BaseException] = BaseException) -> Iterator[None]:
        """Let a run come to its end inside, and raise then what has refused one of its choices.

        Args:
            kind: What is raised; other refusals are left to who has made the choices.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:
            self.check(kind)
            raise
        self.check(kind)

    def choose_crash(self) -> bool:
        """Whether the primary crashes now; a choice also where it may not, for a replay."""
        self.has_crashed = bool(self.choose(2 if self._lets_crash else 1))
        return self.has_crashed

    @property
    def schedule(self) -> Schedule:
        """What was chosen, to be replayed."""
        return Schedule.of(
            [choice.chosen for choice in self.choices],
            tells_members_apart=self.tells_members_apart,
        )

    @classmethod
    def replaying(cls, schedule: Schedule) -> Recorder:
        """A recorder that makes the choices of a schedule; the first option after its last one."""
        return cls(_Replay(schedule), tells_members_apart=schedule.tells_members_apart)


def _is_refusal(error: BaseException) -> bool:
    """Whether it is about the choice: that it does not fit, or that Hypothesis wants no more."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, ScheduleError) or package == "hypothesis"  # it need not be loaded


class _Replay:
    """Makes the choices of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._made = 0

    def __call__(self, options: int) -> int:
        choices = self._schedule.choices
        chosen = choices[self._made] if self._made < len(choices) else 0
        self._made += 1
        if chosen >= options:
            raise ScheduleError(str(self._schedule), self._made, chosen + 1, options)
        return chosen
