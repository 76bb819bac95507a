"""The table of options, and how what was given becomes settings."""

from datetime import timedelta

import pytest
from pymongo import ReadPreference, WriteConcern
from pymongo.read_preferences import Secondary

from pytest_replicalag.errors import SettingError
from pytest_replicalag.options import OPTIONS, Given
from pytest_replicalag.replicaset.choose import Choose
from pytest_replicalag.settings import parse, read_words, resolve
from pytest_replicalag.words import PARSERS, ClockKind, Off, OnStale, parse_lags


def layer(**values):
    return {name: Given(source=f"--{name}", value=value) for name, value in values.items()}


def test_the_options_have_these_names_flags_and_ini_keys():
    assert {option.name: (option.flag, option.ini) for option in OPTIONS} == {
        "lag": ("--replica-lag", "replica_lag"),
        "all": ("--replica-lag-all", "replica_lag_all"),
        "secondaries": ("--replica-lag-secondaries", "replica_lag_secondaries"),
        "read_preference": ("--replica-lag-read-preference", "replica_lag_read_preference"),
        "write_concern": ("--replica-lag-write-concern", "replica_lag_write_concern"),
        "choose": ("--replica-lag-choose", "replica_lag_choose"),
        "clock": ("--replica-lag-clock", "replica_lag_clock"),
        "on_stale": ("--replica-lag-on-stale", "replica_lag_on_stale"),
        "engine": ("--replica-lag-engine", "replica_lag_engine"),
        "mongod": ("--replica-lag-mongod", "replica_lag_mongod"),
        "intercept": ("--replica-lag-intercept", "replica_lag_intercept"),
        "explore": ("--replica-lag-explore", "replica_lag_explore"),
        "elections": ("--replica-lag-elections", "replica_lag_elections"),
        "schedule": ("--replica-lag-schedule", "replica_lag_schedule"),
        "no_verdict": ("--replica-lag-no-verdict", "replica_lag_no_verdict"),
        "report": ("--replica-lag-report", "replica_lag_report"),
        "baseline": ("--replica-lag-baseline", "replica_lag_baseline"),
        "update_baseline": ("--replica-lag-update-baseline", "replica_lag_update_baseline"),
        "show": ("--replica-lag-show", "replica_lag_show"),
        "seed": ("--replica-lag-seed", "replica_lag_seed"),
    }


def test_every_default_is_a_value_of_its_own_option():
    for option in OPTIONS:
        if option.default is not None:
            PARSERS[option.name](option.default)


def test_help_is_sentences():
    for option in OPTIONS:
        assert option.help.endswith("."), option.name


def test_nothing_given_is_the_defaults_without_lag():
    settings = resolve([])
    assert not settings.enabled
    assert settings.lags == ()
    assert (settings.secondaries, settings.seed) == (2, 0)
    assert (settings.read_preference, settings.write_concern) == ("primary", "majority")
    assert settings.choose is Choose.STALEST
    assert settings.clock is ClockKind.VIRTUAL
    assert settings.on_stale is OnStale.REPORT
    assert str(settings) == "off, seed=0"


def test_the_first_layer_wins_word_by_word():
    settings = resolve([layer(lag="1s"), layer(lag="2s", seed="7"), layer(seed="8", clock="wall")])
    assert str(settings) == "1s, clock=wall, seed=7"


def test_the_header_says_which_tests():
    settings = resolve([layer(lag="50ms,1s..2s", secondaries="4", write_concern="1")])
    assert settings.header("every test") == (
        "50ms,1s..2s in every test, secondaries=4, write_concern=1, seed=0"
    )


def test_a_lag_of_zero_is_a_lag_and_off_is_none():
    assert resolve([layer(lag="0")]).enabled
    assert not resolve([layer(lag="off")]).enabled
    assert parse_lags(" off ") is Off.OFF


@pytest.mark.parametrize(
    ("value", "lags"),
    [
        ("200ms", ["200ms"]),
        ("50ms,2s", ["50ms", "2s"]),
        ("50ms..400ms", ["50ms..400ms"]),
        ("50ms .. 400ms", ["50ms..400ms"]),
        ("1s..1s", ["1s"]),
        ("inf,0", ["inf", "0ms"]),
        (timedelta(seconds=2), ["2s"]),
        (["1s", timedelta(seconds=2), "3s..4s"], ["1s", "2s", "3s..4s"]),
        (("1s",), ["1s"]),
    ],
)
def test_lags_are_one_or_many_fixed_or_ranges(value, lags):
    assert [str(lag) for lag in parse_lags(value)] == lags


def test_a_setting_error_has_option_value_and_problem():
    with pytest.raises(SettingError) as caught:
        parse("lag", Given(source="--replica-lag", value="200"))
    error = caught.value
    assert (error.option, error.value) == ("--replica-lag", "200")
    assert error.problem == "'200' has no unit; write 200ms or 200s"
    assert str(error) == "--replica-lag: '200' has no unit; write 200ms or 200s"


def test_the_conflict_of_two_layers_is_told_of_the_lag():
    with pytest.raises(SettingError) as caught:
        resolve([layer(secondaries="1"), layer(lag="1s,2s")])
    assert str(caught.value) == (
        "--lag: '1s,2s' gives 2 lags for 1 secondary; give fewer, or set "
        "--replica-lag-secondaries=2"
    )


def test_a_markers_words_are_told_with_their_test():
    where = "@pytest.mark.replica_lag on test_it.py::test_it"
    given = read_words(("1s",), {"clock": "wall"}, where)
    assert given == {
        "lag": Given(source=where, value="1s"),
        "clock": Given(source=f"{where}, clock", value="wall"),
    }


def test_pymongos_own_objects_are_taken_for_their_words():
    settings = resolve(
        [layer(read_preference=ReadPreference.SECONDARY, write_concern=WriteConcern(w=1))]
    )
    assert (settings.read_preference, settings.write_concern) == ("secondary", 1)
    assert resolve([layer(write_concern=WriteConcern())]).write_concern == "majority"
    with pytest.raises(SettingError, match="is not one of"):
        resolve([layer(read_preference=Secondary(tag_sets=[{"dc": "ny"}]))])
    with pytest.raises(SettingError, match="says more than w; write 1, and the rest in the code"):
        resolve([layer(write_concern=WriteConcern(w=1, wtimeout=5))])
    with pytest.raises(SettingError, match="no write can reach 4 members of a set of 3; give 3"):
        resolve([layer(write_concern="4")])
    assert resolve([layer(write_concern="4", secondaries="3")]).write_concern == 4
