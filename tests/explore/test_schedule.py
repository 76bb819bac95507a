"""Schedules as text, and the recorder that makes their choices."""

import base64
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_replicalag.errors import ScheduleError
from pytest_replicalag.explore.schedule import FRESH, Recorder, Schedule

CHOICES = st.lists(st.integers(0, 100_000))


@given(CHOICES, st.booleans())
def test_text_says_the_same_schedule(choices, apart):
    schedule = Schedule.of(choices, tells_members_apart=apart)
    assert Schedule.parse(str(schedule)) == schedule


@given(CHOICES)
def test_fresh_choices_at_the_end_are_left_out(choices):
    assert Schedule.of([*choices, 0, 0]) == Schedule.of(choices)
    assert Schedule.of([0] * len(choices)) == FRESH


@given(CHOICES.filter(any), st.data())
def test_a_part_of_a_text_is_no_schedule(choices, data):
    text = str(Schedule.of(choices))
    part = text[: data.draw(st.integers(0, len(text) - 1))]
    # The check has two bytes: one part in 65,536 passes it by chance.
    with suppress(ValueError):
        assert Schedule.parse(part) != Schedule.of(choices)


def test_the_text_of_another_version_is_refused():
    body = bytes([9, 0, 1])
    text = base64.urlsafe_b64encode(body + (zlib.crc32(body) & 0xFFFF).to_bytes(2, "big")).decode()
    with pytest.raises(ValueError, match="another version of pytest-replicalag; explore again"):
        Schedule.parse(text.rstrip("="))


@given(st.lists(st.integers(2, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))))
def test_a_replay_makes_the_same_choices(made):
    chosen = iter([choice for _, choice in made])
    first = Recorder(lambda _: next(chosen))
    for options, _ in made:
        first.choose(options)
    again = Recorder.replaying(first.schedule)
    assert [again.choose(options) for options, _ in made] == [choice for _, choice in made]
    assert again.schedule == first.schedule


def test_a_choice_that_does_not_fit_is_refused():
    recorder = Recorder.replaying(Schedule.of([1, 4]))
    assert recorder.choose(2) == 1
    assert recorder.choose(3) == 0  # who reads may be a thread: it is raised at the end of the run
    assert recorder.choose(3) == 0
    assert len(recorder.choices) == 1
    with pytest.raises(ScheduleError, match="takes option 5 at choice 2, where this run has 3"):
        recorder.check()
