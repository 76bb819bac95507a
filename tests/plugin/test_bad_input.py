"""Whatever is refused names who said it, what was said, and what to say instead."""

import pytest

EXAMPLES = "250us, 200ms, 1.5s, 2m or inf"
HINT = "; wrap the client that it belongs to"
MODES = "primary, primaryPreferred, secondary, secondaryPreferred, nearest"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("200", "'200' has no unit; write 200ms or 200s"),
        ("1.5", "'1.5' has no unit; write 1.5ms or 1.5s"),
        ("soon", f"'soon' is not a duration; write one such as {EXAMPLES}"),
        ("-5ms", f"'-5ms' is negative; write a duration such as {EXAMPLES}"),
        ("", "a lag is missing; write one, such as 200ms"),
        ("1s,,2s", "'1s,,2s' lacks a value beside a comma; write 50ms,2s"),
        ("1s,off", "'1s,off': off stands alone; for one secondary that keeps up, write 0"),
        ("INF", "'INF' is not a duration; write inf"),
        ("0.1us", "'0.1us' is finer than one microsecond; the smallest duration is 1us"),
        (
            "99999999999999m",
            "'99999999999999m' is too long; write inf for a lag that never ends",
        ),
        ("2s..1s", "'2s..1s' goes backwards; write 1s..2s"),
        ("1s..2", "'2' has no unit; write 2ms or 2s"),
        ("1s..inf", "'1s..inf': a range cannot reach inf; write a bound, such as 1s..10s"),
        (
            "1s,2s,3s",
            (
                "'1s,2s,3s' gives 3 lags for 2 secondaries; give fewer, or set "
                "--replica-lag-secondaries=3"
            ),
        ),
    ],
)
def test_a_bad_lag_is_a_usage_error(project, value, problem):
    assert project.refused(f"--replica-lag={value}") == f"--replica-lag: {problem}"


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        (
            "secondaries",
            "0",
            "0 is too few: a lagging set has at least one secondary; write 2",
        ),
        (
            "secondaries",
            "-1",
            "-1 is too few: a lagging set has at least one secondary; write 2",
        ),
        ("secondaries", "two", "'two' is not a whole number; write one, such as 4"),
        ("secondaries", "2.5", "'2.5' is not a whole number; write one, such as 4"),
        (
            "read-preference",
            "secondry",
            f"'secondry' is not one of {MODES} (did you mean secondary?)",
        ),
        ("write-concern", "all", "'all' is not a write concern; write majority, 0, 1 or N"),
        (
            "write-concern",
            "-1",
            "-1 members cannot acknowledge a write; write majority, 0, 1 or N",
        ),
        ("choose", "first", "'first' is not one of stalest, alternate, random"),
        ("clock", "sun", "'sun' is not one of virtual, wall"),
        ("on-stale", "explode", "'explode' is not one of report, fail, ignore"),
        ("seed", "x", "'x' is not a whole number; write one, such as 20417"),
    ],
)
def test_a_bad_value_is_a_usage_error_on_the_command_line_in_ini_and_in_the_marker(
    project, option, value, problem
):
    flag = f"--replica-lag-{option}"
    assert project.refused(f"{flag}={value}") == f"{flag}: {problem}"

    word = option.replace("-", "_")
    project.ini(f"replica_lag_{word} = {value}")
    assert project.refused() == f"replica_lag_{word} in the ini file: {problem}"

    project.ini()
    project.file(
        "test_it",
        f"""
        import pytest

        @pytest.mark.replica_lag({word}={value!r})
        def test_it(): ...
        """,
    )
    where = f"@pytest.mark.replica_lag on test_it.py::test_it, {word}"
    assert project.refused() == f"{where}: {problem}"


def test_more_than_fifty_secondaries_are_refused(project):
    assert project.refused("--replica-lag-secondaries=51") == (
        "--replica-lag-secondaries: 51 is too many; write a number up to 50"
    )


def test_lag_in_every_test_needs_a_lag(project):
    assert project.refused("--replica-lag-all") == (
        "--replica-lag-all: no lag is given; add --replica-lag=200ms"
    )


def test_a_flag_in_ini_that_is_neither_true_nor_false_is_a_usage_error(project):
    project.ini("replica_lag_all = maybe")
    assert project.refused() == (
        "replica_lag_all in the ini file: invalid truth value 'maybe'; write true or false"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("200", ": '200' has no unit; write 200ms or 200s"),
        ("-1", f": '-1' is negative; write a duration such as {EXAMPLES}"),
        ("True", f": 'True' is not a duration; write one such as {EXAMPLES}"),
        ("[]", ": an empty list sets no lag; write one value, such as 200ms"),
        (
            "'1s', '2s'",
            ': takes one positional argument, the lag; write replica_lag("1s,2s")',
        ),
        ("'1s', lag='2s'", ": the lag is given twice; write it once"),
        (
            "lagg='1s'",
            (
                ": there is no word 'lagg'; there are lag, secondaries, read_preference, "
                "write_concern, choose, clock, on_stale, explore, elections, seed; did you mean "
                "lag?"
            ),
        ),
        (
            "all=True",
            (
                ": there is no word 'all'; there are lag, secondaries, read_preference, "
                "write_concern, choose, clock, on_stale, explore, elections, seed"
            ),
        ),
        ("secondaries=True", ", secondaries: True is not a whole number; write one, such as 4"),
        ("seed=1.5", ", seed: 1.5 is not a whole number; write one, such as 20417"),
        ("on_stale=1", ", on_stale: 1 is not one of report, fail, ignore"),
        (
            "write_concern=True",
            ", write_concern: True is not a write concern; write majority, 0, 1 or N",
        ),
        (
            "'1s,2s', secondaries=1",
            ": '1s,2s' gives 2 lags for 1 secondary; give fewer, or set secondaries=2",
        ),
        (
            "['1s', '2s', '3s']",
            ": ['1s', '2s', '3s'] gives 3 lags for 2 secondaries; give fewer, or set secondaries=3",
        ),
    ],
)
def test_a_bad_marker_is_a_usage_error_before_any_test_runs(project, arguments, problem):
    project.file(
        "test_it",
        f"""
        import pytest

        def test_before():
            raise SystemExit("a test has run")

        @pytest.mark.replica_lag({arguments})
        def test_it(): ...
        """,
    )
    refusal = project.refused()
    assert refusal == f"@pytest.mark.replica_lag on test_it.py::test_it{problem}"


def test_a_bad_marker_on_a_test_that_was_not_asked_for_is_refused_too(project):
    project.file(
        "test_it",
        """
        import pytest

        @pytest.mark.replica_lag("soon")
        def test_it(): ...

        def test_other(): ...
        """,
    )
    where = "@pytest.mark.replica_lag on test_it.py::test_it"
    text = f"{where}: 'soon' is not a duration; write one such as {EXAMPLES}"
    assert project.refused() == text


def run_with_lag(project, body):
    """Run the body of a test that lags, and must pass."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    project.file(
        "test_it",
        "import datetime\n\nimport pymongo\nimport pytest\n\nimport pytest_replicalag\n\n\n"
        f'@pytest.mark.replica_lag("200ms")\ndef test_it(client, replica_lag):\n{lines}\n',
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("value", "kind", "hint"),
    [
        ("None", "builtins.NoneType", ""),
        (
            "'mongodb://localhost'",
            "builtins.str",
            "; open one with this address, and wrap that",
        ),
        (
            "pytest_replicalag.MongoClient",
            "builtins.type",
            "; open one, and wrap that: wrap(MongoClient(...))",
        ),
        ("client.shop", "mongomock.database.Database", HINT),
        ("client.shop.orders", "mongomock.collection.Collection", HINT),
    ],
)
def test_only_clients_can_be_wrapped(project, value, kind, hint):
    run_with_lag(
        project,
        f"""
with pytest.raises(pytest_replicalag.NotWrappableError) as caught:
    replica_lag.wrap({value})
assert str(caught.value) == (
    "cannot wrap a {kind}: wrap() takes a client of mongomock, mongomock_ng, PyMongo or "
    "Motor{hint}"
)
assert isinstance(caught.value, TypeError)
""",
    )


@pytest.mark.slow
def test_a_real_client_whose_server_is_not_up_cannot_be_wrapped(project):
    run_with_lag(
        project,
        """
with pymongo.MongoClient("mongodb://127.0.0.1:1", connect=False) as real:
    with pytest.raises(pytest_replicalag.NodeError) as caught:
        pytest_replicalag.wrap(real)
assert str(caught.value).startswith("the mongod at 127.0.0.1:1 is not up, or is none: ")
""",
    )


def test_wrapping_twice_gives_the_same_client(project):
    run_with_lag(
        project,
        """
import mongomock
bare = mongomock.MongoClient()
wrapped = pytest_replicalag.wrap(bare)
assert wrapped is not bare
assert pytest_replicalag.wrap(wrapped) is wrapped
assert pytest_replicalag.wrap(bare) is wrapped
assert replica_lag.wrap(bare) is wrapped
""",
    )


@pytest.mark.parametrize(
    ("duration", "kind", "message"),
    [
        ('"-1ms"', "ClockError", "simulated time cannot go back: advance('-1ms')"),
        (
            "datetime.timedelta(seconds=-1)",
            "ClockError",
            "simulated time cannot go back: advance(datetime.timedelta(days=-1, seconds=86399))",
        ),
        ("-5", "ClockError", "simulated time cannot go back: advance(-5)"),
        (
            '"inf"',
            "ClockError",
            "simulated time cannot advance by inf; use catch_up(), or a duration",
        ),
        ("50", "SettingError", "advance: '50' has no unit; write 50ms or 50s"),
        (
            '"soon"',
            "SettingError",
            f"advance: 'soon' is not a duration; write one such as {EXAMPLES}",
        ),
        (
            "None",
            "SettingError",
            (
                "advance: a duration is a string such as 250us, 200ms, 1.5s, 2m or inf, or a "
                "timedelta, not NoneType"
            ),
        ),
    ],
)
def test_time_advances_by_a_duration_and_only_forward(project, duration, kind, message):
    run_with_lag(
        project,
        f"""
from pytest_replicalag import ClockError, SettingError
with pytest.raises({kind}) as caught:
    replica_lag.advance({duration})
assert str(caught.value) == {message!r}
assert replica_lag.now() == datetime.timedelta()
""",
    )


def test_the_wall_clock_cannot_be_advanced(project):
    project.file(
        "test_it",
        """
        import pytest
        from pytest_replicalag import ClockError

        @pytest.mark.replica_lag("200ms", clock="wall")
        def test_it(replica_lag):
            with pytest.raises(ClockError) as caught:
                replica_lag.advance("1s")
            assert str(caught.value) == (
                "the wall clock cannot be advanced; sleep instead, or use "
                "--replica-lag-clock=virtual"
            )
        """,
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("call", ["pause({})", "resume({})", "catch_up({})", 'set_lag("1s", {})'])
def test_an_unknown_member_is_refused(project, call):
    run_with_lag(
        project,
        f"""
from pytest_replicalag import UnknownMemberError
with pytest.raises(UnknownMemberError) as caught:
    replica_lag.{call.format("'secondary-3'")}
assert str(caught.value) == (
    "no member is named 'secondary-3'; name one of secondary-1, secondary-2"
)
assert caught.value.member == "secondary-3"
assert caught.value.members == ("secondary-1", "secondary-2")
assert isinstance(caught.value, LookupError)
with pytest.raises(UnknownMemberError) as caught:
    replica_lag.{call.format("replica_lag.primary")}
assert str(caught.value) == (
    "the primary does not replicate; name one of secondary-1, secondary-2"
)
""",
    )


@pytest.mark.parametrize(
    ("lag", "problem"),
    [
        ('"soon"', f"'soon' is not a duration; write one such as {EXAMPLES}"),
        ('"1s,2s"', "'1s,2s' is not one lag; write one, such as 1s"),
        ('"off"', "'off' is not one lag; write one, such as 1s"),
    ],
)
def test_a_lag_that_is_none_cannot_be_set(project, lag, problem):
    run_with_lag(
        project,
        f"""
from pytest_replicalag import SettingError
with pytest.raises(SettingError) as caught:
    replica_lag.set_lag({lag})
assert str(caught.value) == {"set_lag: " + problem!r}
assert caught.value.option == "set_lag"
assert caught.value.value == {lag}
assert caught.value.problem == {problem!r}
assert str(replica_lag.secondaries[1].lag) == "200ms"
""",
    )
