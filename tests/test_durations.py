"""Durations: the words that stand for them, and the words that they print."""

from datetime import timedelta

import pytest

from pytest_replicalag.durations import FOREVER, ZERO, Duration, as_duration, parse_duration

EXAMPLES = "250us, 200ms, 1.5s, 2m or inf"


@pytest.mark.parametrize(
    ("word", "us"),
    [
        ("250us", 250),
        ("200ms", 200_000),
        ("1.5s", 1_500_000),
        ("2m", 120_000_000),
        ("0", 0),
        ("0ms", 0),
        (" 5 ms ", 5_000),
        ("0.001ms", 1),
        ("0.000001s", 1),
        ("0.1s", 100_000),
        ("86400s", 86_400_000_000),
    ],
)
def test_a_word_is_a_whole_number_of_microseconds(word, us):
    assert parse_duration(word).us == us
    assert parse_duration(word) == timedelta(microseconds=us)


@pytest.mark.parametrize(
    ("us", "word", "text"),
    [
        (0, "0ms", "0 ms"),
        (1, "1us", "1 us"),
        (999, "999us", "999 us"),
        (1_000, "1ms", "1 ms"),
        (1_001, "1.001ms", "1.001 ms"),
        (200_000, "200ms", "200 ms"),
        (1_500_000, "1.5s", "1.5 s"),
        (10_000_000, "10s", "10 s"),
        (59_000_000, "59s", "59 s"),
        (60_000_000, "1m", "1 m"),
        (90_000_000, "90s", "90 s"),
        (600_000_000, "10m", "10 m"),
        (86_400_000_001, "86400.000001s", "86400.000001 s"),
    ],
)
def test_a_duration_prints_as_an_option_and_as_a_sentence_say_it(us, word, text):
    duration = Duration.of_us(us)
    assert (str(duration), duration.text) == (word, text)
    assert repr(duration) == f"Duration('{word}')"
    assert parse_duration(str(duration)) == duration


def test_for_ever_is_longer_than_anything():
    assert parse_duration("inf") is FOREVER
    assert FOREVER.is_forever
    assert (str(FOREVER), FOREVER.text) == ("inf", "for ever")
    assert parse_duration("999999999m") < FOREVER
    assert not ZERO.is_forever


def test_a_duration_equals_and_hashes_as_the_timedelta_it_is():
    duration = parse_duration("200ms")
    assert duration == timedelta(milliseconds=200)
    assert hash(duration) == hash(timedelta(milliseconds=200))


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("200", "'200' has no unit; write 200ms or 200s"),
        ("0.5", "'0.5' has no unit; write 0.5ms or 0.5s"),
        ("-1s", f"'-1s' is negative; write a duration such as {EXAMPLES}"),
        ("-0", f"'-0' is negative; write a duration such as {EXAMPLES}"),
        ("1h", f"'1h' is not a duration; write one such as {EXAMPLES}"),
        ("1,5s", f"'1,5s' is not a duration; write one such as {EXAMPLES}"),
        ("nan", f"'nan' is not a duration; write one such as {EXAMPLES}"),
        ("", f"'' is not a duration; write one such as {EXAMPLES}"),
        (".5s", f"'.5s' is not a duration; write one such as {EXAMPLES}"),
        ("0.5us", "'0.5us' is finer than one microsecond; the smallest duration is 1us"),
        ("9999999999999m", "'9999999999999m' is too long; write inf for a lag that never ends"),
    ],
)
def test_a_word_that_is_no_duration_says_what_to_write(word, problem):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_duration(word)
    assert str(caught.value) == problem


def test_a_timedelta_is_a_duration_but_not_a_negative_one():
    assert str(as_duration(timedelta(minutes=1, milliseconds=1))) == "60.001s"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        as_duration(timedelta(days=-1))
    assert str(caught.value) == (
        f"datetime.timedelta(days=-1) is negative; write a duration such as {EXAMPLES}"
    )


def test_a_number_has_no_unit_unless_it_is_zero():
    assert as_duration(0) == as_duration(0.0) == ZERO
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        as_duration(200)
    assert str(caught.value) == "'200' has no unit; write 200ms or 200s"


@pytest.mark.parametrize(("value", "kind"), [(None, "NoneType"), (True, "bool"), ([], "list")])
def test_other_types_are_no_durations(value, kind):
    with pytest.raises(TypeError) as caught:
        as_duration(value)
    assert str(caught.value) == (
        f"a duration is a string such as {EXAMPLES}, or a timedelta, not {kind}"
    )
