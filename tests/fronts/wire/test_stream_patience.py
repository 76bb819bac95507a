"""When a change stream on the wire gives up, and when it does not."""

from __future__ import annotations

import pytest

from pytest_replicalag.fronts.wire.stream_patience import Patience, await_ms

POLL = {"getMore": 5, "maxTimeMS": 150}
NO_LIMIT = {"getMore": 5}


def asked(patience: Patience, command: dict[str, int], times: int) -> list[bool]:
    """Whether each of so many questions in vain, while nobody else did anything, is too many."""
    return [patience.asked(command, patience.commands, in_vain=True) for _ in range(times)]


@pytest.mark.parametrize(("command", "limit_ms"), [(NO_LIMIT, 1_000), ({"maxTimeMS": 0}, 0)])
def test_a_getmore_waits_a_second_or_as_long_as_it_says(command, limit_ms):
    assert await_ms(command) == limit_ms


def test_who_waits_without_a_limit_may_ask_three_times():
    assert asked(Patience(0), NO_LIMIT, 3) == [False, False, True]


def test_who_polls_may_ask_for_half_a_minute():
    assert asked(Patience(0), POLL, 200) == [False] * 199 + [True]


def test_one_long_poll_is_not_too_many():
    assert asked(Patience(0), {"maxTimeMS": 60_000}, 3) == [False, False, True]


def test_polls_that_do_not_wait_end_too():
    assert asked(Patience(0), {"maxTimeMS": 0}, 30_000)[-1]


@pytest.mark.parametrize(("more_commands", "in_vain"), [(1, True), (0, False)])
def test_it_begins_anew_once_somebody_does_something_or_there_is_an_event(more_commands, in_vain):
    patience = Patience(0)
    asked(patience, NO_LIMIT, 2)
    assert not patience.asked(NO_LIMIT, more_commands, in_vain=in_vain)
    assert asked(patience, NO_LIMIT, 3)[0] is False
